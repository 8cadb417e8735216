"""Which parts of a picture are looked at: sites spread over all of it, few enough to be quick."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from scanmend.measure import patches
from scanmend.measure.patches import SIDE, Patches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanmend.image import FloatArray

SITE = 128
"""Pixels on the side of a site, which holds up to 225 windows."""
WINDOWS = 20_000
"""How many windows of a large page are looked into."""
_STRIDE = SIDE // 2
_PER_SITE = ((SITE - SIDE) // _STRIDE + 1) ** 2
_FEW = 400  # a picture with fewer windows has them cut closer together


def sites(height: int, width: int, windows: int) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Bands (top, bottom) and the spans (left, right) to look at in each, top to bottom.

    A picture with no more than `windows` windows is covered whole.
    """
    count = max(1, windows // _PER_SITE)
    down, across = max(1, height // SITE), max(1, width // SITE)
    if down * across > count:
        rows = min(down, max(1, round(math.sqrt(count * height / width))))
        rows = max(rows, math.ceil(count / across))
        columns = max(1, min(across, count // rows))
        spans = [(left, left + SITE) for left in _spread(width, columns)]
        for top in _spread(height, rows):
            yield top, min(top + SITE, height), [(left, min(right, width)) for left, right in spans]
        return
    for index in range(down):
        yield height * index // down, min(height * (index + 1) // down + _STRIDE, height), [(0, width)]


def _spread(length: int, count: int) -> list[int]:
    """Starts of `count` sites, evenly over the length; a page's very border is often the scanner's lid."""
    gap = max(0, length - count * SITE) / (count + 1)
    return [int(gap + index * (SITE + gap)) for index in range(count)]


def cut(pixels: FloatArray, step: float) -> Patches:
    """The windows of one site, closer together where the site is small.

    Args:
        pixels: (h, w, C) in [0, 1], NaN where a pixel must not count.
        step: the rounding step of the samples.
    """
    if min(pixels.shape[:2]) < SIDE:
        return patches.join([], pixels.shape[2])
    stride = _STRIDE
    height, width = (extent - SIDE for extent in pixels.shape[:2])
    while stride > 2 and (height // stride + 1) * (width // stride + 1) < _FEW // 4:
        stride //= 2
    return patches.cut(pixels, stride, step)


def windows(pixels: FloatArray, step: float, most: int = WINDOWS) -> Patches:
    """All windows of a picture in memory that are looked at, (H, W, C) in [0, 1]."""
    height, width, channels = pixels.shape
    parts = [
        cut(pixels[top:bottom, left:right], step)
        for top, bottom, spans in sites(height, width, most)
        for left, right in spans
    ]
    return patches.join(parts, channels)


def rounding_step(pixels: FloatArray) -> float:
    """1/255 where all samples are multiples of it, whatever the type they came in; else 0."""
    scaled = pixels[np.isfinite(pixels)] * 255
    return 1 / 255 if np.all(np.abs(scaled - np.rint(scaled)) < 2e-3) else 0.0
