"""Small crops around the middle of a scan and of its result, pixel for pixel, for people to compare."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from scanmend import formats
from scanmend.errors import ScanmendError
from scanmend.formats import jpeg
from scanmend.formats.base import Limits, OutputOptions
from scanmend.formats.meta import Metadata
from scanmend.image import Array, Layout, PageData, to_float
from scanmend.serve.wanted import Previews


def make(source: Path, result: Path, wanted: Previews, limits: Limits) -> None:
    """Writes both crops as JPEG; a page that cannot be shown goes without, as nothing depends on it."""
    for file, target in ((source, Path(wanted.before)), (result, Path(wanted.after))):
        with contextlib.suppress(ScanmendError, OSError, ValueError, MemoryError):
            _write(_crop(file, wanted.side, limits), target)


def _crop(file: Path, side: int, limits: Limits) -> Array:
    """(side, side, 1 or 3) uint8 of the first page, less where the page is smaller."""
    with formats.open_scan(file, limits) as scan:
        page = scan.pages[0]
        layout = page.layout
        if page.refusal or layout.color not in ("grey", "rgb"):
            raise ValueError(page.refusal)
        top, left = max(0, (layout.height - side) // 2), max(0, (layout.width - side) // 2)
        band = page.read(top, min(top + side, layout.height))[:, left : left + side]
    shown = to_float(band, layout.replace(height=len(band), width=band.shape[1]))
    return np.rint(shown * 255).astype(np.uint8)


def _write(crop: Array, target: Path) -> None:
    height, width, channels = crop.shape
    layout = Layout(height, width, channels, "grey" if channels == 1 else "rgb", crop.dtype, 8)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    jpeg.write_new(part, [PageData(layout, iter([crop]))], Metadata(), OutputOptions(quality=90))
    part.replace(target)
