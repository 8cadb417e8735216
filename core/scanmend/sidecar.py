"""The sidecar beside a result: what it is called, and what it looks like as bytes.

Apart from the report, so that a process without NumPy can write one too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIDECAR_SUFFIX = ".scanmend.json"
"""Added to the whole name of a result: `a.tif` has `a.tif.scanmend.json` beside it."""


def sidecar_path(target: Path) -> Path:
    """Where the sidecar of a result stands."""
    return target.with_name(target.name + SIDECAR_SUFFIX)


def encode(values: Mapping[str, Any], *, source: str, target: str) -> bytes:
    """The sidecar's content: UTF-8 JSON, without the folders of the machine that wrote it.

    Args:
        values: those of `Report.to_dict`.
        source: the scan's name, without its folder.
        target: the result's.
    """
    named = {**values, "source": source, "target": target}
    # A name that is no text holds lone surrogates; escaped, they are valid JSON.
    return (json.dumps(named, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
