"""Whether a file is a whole picture: every page is decoded to its last row, and nothing is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scanmend import formats, xmp
from scanmend.errors import Cancelled, FormatError
from scanmend.formats.base import Limits, Page, ScanFile
from scanmend.serve.names import refuse_link
from scanmend.serve.wanted import Wanted

_BAND_BYTES = 16 * 2**20
_TAIL = 4096  # bytes: fewer zeros may well be the end of a dark picture, or padding
_PLAIN = ("tiff", "bmp")  # compressed data of the other families never decode from zeros


def probe(wanted: Wanted, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """What a file is, once all of it was decoded.

    Returns:
        `zero_tail` tells of a file that ends in zeros although its picture is not one colour: one
        whose size was set before its content was written. `unchanged` is False where the file was
        replaced or written to meanwhile. `restored_by_scanmend` is what its XMP says.

    Raises:
        FormatError: it is no whole picture; the sentence says why.
        Cancelled: asked to stop.
    """
    path = Path(wanted.path)
    refuse_link(path)
    before = _stamp(path)
    with formats.open_scan(path, Limits(**wanted.limits)) as scan:  # type: ignore[arg-type]
        varied = [_decode(page, path, cancelled) for page in scan.pages]
        zeros = scan.format in _PLAIN and any(varied) and _ends_in_zeros(path)
        ours = _properties(scan)
        return {
            "format": scan.format,
            "pages": len(scan.pages),
            "megapixels": round(sum(page.layout.pixels for page in scan.pages) / 1e6, 3),
            "zero_tail": zeros,
            "restored_by_scanmend": bool(ours),
            "restored_from": ours.get("SourceSHA256", ""),
            "unchanged": _stamp(path) == before,
            "notes": list(scan.notes),
        }


def _decode(page: Page, path: Path, cancelled: Callable[[], bool]) -> bool:
    """Decodes every row; whether the page is of more than one colour."""
    layout = page.layout
    rows = max(1, _BAND_BYTES * layout.height // max(1, layout.nbytes))
    first, varied = None, False
    for top in range(0, layout.height, rows):
        if cancelled():
            raise Cancelled(f"{path} was not looked through: stopped on request")
        band = page.read(top, min(top + rows, layout.height))
        first = band[0, 0].copy() if first is None else first
        varied = varied or bool((band != first).any())
    return varied


def _ends_in_zeros(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    return size > _TAIL and not any(tail)


def _properties(scan: ScanFile) -> dict[str, str]:
    with contextlib.suppress(FormatError):  # a malformed packet is somebody else's
        return xmp.read(scan.xmp)
    return {}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
