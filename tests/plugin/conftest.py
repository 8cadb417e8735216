"""A GIMP of each kind with the plug-in in it, an engine for them, and scans to restore."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import scanmend_plugin
from scanmend.serve import client
from scanmend_plugin.layout import lay_out

from tests.core.serving import Server, serving

from . import scans
from .gimp import NOWHERE, Gimp, RootedGimp, on_system, rooted

# In GIMP these lie side by side; here they are imported from where they are written.
sys.path.insert(0, str(Path(scanmend_plugin.__file__).parent / "payload"))
sys.modules["scanmend_client"] = client


@pytest.fixture(scope="session")
def gimp3(tmp_path_factory: pytest.TempPathFactory) -> Gimp:
    """A GIMP 3 for batch runs."""
    plug_in = tmp_path_factory.mktemp("gimp3") / "scanmend"
    found: Gimp | str = rooted(3, plug_in)
    if isinstance(found, str):
        system = on_system(plug_in)
        if system is None:
            pytest.skip(f"no GIMP 3: {found}, and none is installed here")
        found = system
    lay_out(plug_in, 3, command=[NOWHERE], addresses=[NOWHERE])
    return found


@pytest.fixture(scope="session")
def gimp2(tmp_path_factory: pytest.TempPathFactory) -> RootedGimp:
    """A GIMP 2.10 with Python-Fu, for batch runs and windows."""
    plug_in = tmp_path_factory.mktemp("gimp2") / "scanmend"
    found = rooted(2, plug_in)
    if isinstance(found, str):
        pytest.skip(f"no GIMP 2.10: {found}")
    lay_out(plug_in, 2, command=[NOWHERE], addresses=[NOWHERE])
    return found


@pytest.fixture(scope="session")
def window3(gimp3: Gimp) -> RootedGimp:
    """A GIMP 3 whose window can be opened."""
    if not isinstance(gimp3, RootedGimp):
        pytest.skip("GIMP's window needs SCANMEND_GIMP_TOOLS")
    return gimp3


@pytest.fixture(scope="session")
def engine() -> Iterator[Server]:
    """An engine that runs through all tests; `reaching(engine)` lets GIMP find it."""
    with serving("--idle-exit", "1800") as server:
        yield server


@pytest.fixture(scope="session")
def made_scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generated scans of each kind, by name: see scans.make."""
    return scans.make(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="session")
def real_scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Parts of real scans as PNG, so that GIMP and Scanmend read the same samples."""
    data = os.environ.get("SCANMEND_TEST_DATA")
    if not data or not (Path(data) / "oldphotos").is_dir():
        pytest.skip("SCANMEND_TEST_DATA names no folder with oldphotos in it")
    return scans.cut(Path(data), tmp_path_factory.mktemp("real"))
