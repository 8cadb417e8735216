"""Square pieces of a page's luminance, for what is periodic: the grid of JPEG, the screens of print."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from scanmend.measure.sampling import SITE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanmend.image import Array, FloatArray

_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
_Item = TypeVar("_Item")
_MOST = 48  # tiles: three quarters of a megapixel


class Site(NamedTuple):
    """A part of a page: its first row and column; (h, w, C) in [0, 1], NaN where a pixel must not count."""

    top: int
    left: int
    pixels: FloatArray


class Tile(NamedTuple):
    """A square of SITE pixels.

    Attributes:
        top, left: its first row and column on the page.
        luma: (SITE, SITE) luminance, 0 to 255; NaN where a pixel must not count.
        clipped: (SITE, SITE), where a channel stands at black or at white, or does not count.
    """

    top: int
    left: int
    luma: FloatArray
    clipped: Array


def cut(sites: Iterable[Site], most: int = _MOST) -> list[Tile]:
    """Up to so many tiles, evenly from all there are; none where a page is smaller than a tile."""
    places = [
        (site, row, column)
        for site in sites
        for row in _starts(site.pixels.shape[0])
        for column in _starts(site.pixels.shape[1])
    ]
    return [_tile(*place) for place in evenly(places, most)]


def evenly(items: list[_Item], most: int) -> list[_Item]:
    """Up to so many of some items, spread over all."""
    count = min(most, len(items))
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]


def _starts(length: int) -> list[int]:
    """Where tiles begin, side by side; one more that ends at the end where half a tile would be left over."""
    starts = list(range(0, length - SITE + 1, SITE))
    if starts and length % SITE >= SITE // 2:
        starts.append(length - SITE)
    return starts


def _tile(site: Site, row: int, column: int) -> Tile:
    part = site.pixels[row : row + SITE, column : column + SITE]
    plane = part[..., 0] if part.shape[2] == 1 else part @ _WEIGHTS
    clipped = np.asarray(~((part > 0) & (part < 1)).all(2))
    return Tile(site.top + row, site.left + column, np.asarray(plane * 255, np.float32), clipped)
