"""Square pieces of a page's luminance, for what is periodic: the grid of JPEG, the screens of print."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure.sampling import SITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scanmend.image import FloatArray

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)


class Site(NamedTuple):
    """A part of a page: its first row and column; (h, w, C) in [0, 1], NaN where a pixel must not count."""

    top: int
    left: int
    pixels: FloatArray


class Tile(NamedTuple):
    """The luminance of a square of SITE pixels, in 0 to 255: its first row and column on the page."""

    top: int
    left: int
    luma: FloatArray


_MOST = 128  # tiles: 2 megapixels


def cut(sites: Iterable[Site], most: int = _MOST) -> list[Tile]:
    """Up to so many tiles, evenly from all there are; none where a page is smaller than a tile."""
    places = [
        (site, row, column)
        for site in sites
        for row in _starts(site.pixels.shape[0])
        for column in _starts(site.pixels.shape[1])
    ]
    count = min(most, len(places))
    chosen = [places[(2 * index + 1) * len(places) // (2 * count)] for index in range(count)]
    return [
        Tile(site.top + row, site.left + column, _luma(site, row, column)) for site, row, column in chosen
    ]


def stack(tiles: Sequence[Tile]) -> FloatArray:
    """(n, SITE, SITE)."""
    return np.stack([tile.luma for tile in tiles])


def _starts(length: int) -> list[int]:
    """Where tiles begin, side by side; one more that ends at the end where half a tile would be left over."""
    starts = list(range(0, length - SITE + 1, SITE))
    if starts and length % SITE >= SITE // 2:
        starts.append(length - SITE)
    return starts


def _luma(site: Site, row: int, column: int) -> FloatArray:
    part = site.pixels[row : row + SITE, column : column + SITE]
    plane = part[..., 0] if part.shape[2] == 1 else part @ _WEIGHTS
    return np.asarray(plane * 255, np.float32)
