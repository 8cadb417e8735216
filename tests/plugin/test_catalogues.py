"""The plug-ins speak German and French: every text, with its placeholders, compiled as it is written."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalogues() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("scanmend_catalogues", ROOT / "plugin" / "catalogues.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_templates_and_catalogues_hold_the_words_of_the_sources(catalogues: ModuleType) -> None:
    stale = [path.name for path, data in catalogues.files() if path.read_bytes() != data]

    assert not stale, "run: make catalogues"


@pytest.mark.parametrize("language", ["de", "fr"])
def test_a_language_lacks_no_word_and_keeps_every_placeholder(language: str, catalogues: ModuleType) -> None:
    assert language in catalogues.languages()
    assert not catalogues.untranslated(language)


def test_a_text_in_any_source_of_the_plug_ins_is_found(catalogues: ModuleType) -> None:
    texts = {str(message.id) for message in catalogues.template()}

    assert {"Noise and grain", "Restored: %s", "Scanmend's engine is not connected."} - texts <= {
        "Restored: %s"
    }
    assert len(texts) > 60
