"""Planes beside a result's pixels, written in strips from the samples of scan and result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scanmend.image import Array, FloatArray, Layout, decode_srgb, to_float
from scanmend.serve.wanted import Pixels

_SAMPLES = 2**23  # of a strip: its float32 picture is 32 MiB


def write(
    name: str,
    path: Path,
    scan: Array,
    result: Array,
    shape: Pixels,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Writes one of the planes that there are.

    Args:
        name: a key of `MAKERS`.
        path: the file for its samples; replaced if it is there.
        scan: (H, W, C), of the part of the picture that was restored.
        result: what it became.
        shape: what the samples are.
        check: called often; may raise to stop.
    """
    layout = Layout(
        scan.shape[0], scan.shape[1], shape.channels, "grey" if shape.channels < 3 else "rgb",
        scan.dtype, scan.dtype.itemsize * 8, shape.alpha, shape.transfer,
    )  # fmt: skip
    with path.open("wb") as file:
        for before, after in _strips(scan, result):
            check()
            file.write(np.ascontiguousarray(MAKERS[name](before, after, layout)).data)


def _strips(scan: Array, result: Array) -> Iterator[tuple[Array, Array]]:
    rows = max(1, _SAMPLES // (scan.shape[1] * scan.shape[2]))
    for top in range(0, len(scan), rows):
        yield scan[top : top + rows], result[top : top + rows]


def _removed(scan: Array, result: Array, layout: Layout) -> Array:
    """What was added to each sample, as little-endian float32 on the scale on which white is 1."""
    change = result.astype(np.float32) - scan.astype(np.float32)
    return (change / np.float32(layout.white)).astype("<f4", copy=False)


def _difference(scan: Array, result: Array, layout: Layout) -> Array:
    """What was taken out, as a picture: the scan less the result around mid-grey, in the display curve.

    Mid-grey is a sample of its own type, so that integers of a display curve differ exactly.
    """
    colors, white = layout.color_channels, np.float32(layout.white)
    grey = np.float32(0.5) if layout.dtype.kind == "f" else np.ceil(white / 2) / white
    shown = np.clip(_change(scan, result, layout) + grey, 0.0, 1.0)
    if layout.transfer == "linear":
        shown = decode_srgb(shown)
    picture = scan.copy()  # with its alpha
    if layout.alpha == "premultiplied":
        shown *= scan[..., colors, None].astype(np.float32) / white
    if layout.dtype.kind == "f":
        picture[..., :colors] = shown
    else:
        picture[..., :colors] = np.rint(shown * white)
    return picture


def _change(scan: Array, result: Array, layout: Layout) -> FloatArray:
    """The scan's colour less the result's; nothing changes where all is transparent."""
    change = to_float(scan, layout) - to_float(result, layout)
    if layout.alpha != "none":
        change *= scan[..., layout.color_channels, None] > 0
    return change


MAKERS: Mapping[str, Callable[[Array, Array, Layout], Any]] = {"difference": _difference, "removed": _removed}
