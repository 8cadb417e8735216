"""How sharp a picture's edges and its spectrum are, by direction, in numbers that do not depend on contrast.

Two looks at the same tiles. Edges: how much the steepest slopes of a tile lose when it is blurred a
little more tells how wide they were before (an ideal edge of width b, seen at scale s, has a slope that
goes with 1 / sqrt(b^2 + s^2)); the sharpest tiles tell of the optics, since a lens leaves backgrounds soft.
Spectrum: what is common to the power spectra of all tiles is the blur's; a disk and a straight shake have
zeros there, a Gaussian has none. Both are turned so that the direction with the least sharpness comes
first: what the network learns of one direction of shake it knows of all.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure.sampling import SITE
from scanmend.measure.tiles import evenly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.image import Array, FloatArray
    from scanmend.measure.tiles import Tile

RADII = 20
"""Frequencies looked at, log-spaced."""
_LOWEST, _HIGHEST = 4.0, 61.0  # cycles in a tile
_DIRECTIONS = 12
_SCALES = (0.8, 1.2, 1.7, 2.4, 3.4, 4.8, 6.8)  # pixels
_REDUCED = (1, 1, 2, 2, 4, 4, 4)  # so much smaller a grid holds a tile at that scale
_MARGIN = 16  # pixels: the discrete transform joins opposite sides of a tile
_TILES, _BUSY = 48, 24
_STEEP = 8  # power by which slopes are weighted: of a tile's slopes, the steepest count
_FEWEST_EDGES = 1.5  # grey levels a pixel, at the middle scale: of the steepest slope in a tile that counts
_LEVEL = 0.1  # squared grey levels: what the rounding of samples adds
_REFERENCE = 4  # the lowest frequencies, against which all others are held
_TINY = 1e-9
_PAIRS = len(_SCALES) - 1
COUNT = RADII * (5 + 2 + 2) + _PAIRS * 10 + len(_SCALES) + 6
"""How many numbers there are."""


class Sharpness(NamedTuple):
    """What the tiles of a page say.

    Attributes:
        traits: (COUNT,) float32.
        angle: degrees, 0 to 180, anticlockwise from the horizontal: the direction with the least sharpness.
        sharpest: (_PAIRS,) of the sharper tiles, log ratio of slopes from each scale to the next.
        contrast: grey levels a pixel: the steepest slopes at the middle scale.
    """

    traits: FloatArray
    angle: float
    sharpest: Array
    contrast: float


def describe(page_tiles: Sequence[Tile]) -> Sharpness | None:
    """Looks at a page's tiles; None where they are too few, or none has an edge.

    Args:
        page_tiles: of the page; those with pixels that do not count are left out.
    """
    known = [tile for tile in page_tiles if np.isfinite(tile.luma).all()]
    if not known:
        return None
    planes = np.stack([tile.luma for tile in evenly(known, _TILES)])
    planes = planes - planes.mean((1, 2), keepdims=True)
    power = _power(planes)
    busy = np.argsort(-_busyness(power), kind="stable")[: max(1, min(_BUSY, (len(planes) + 1) // 2))]
    slopes = _slopes(planes[busy])
    middle = slopes[:, len(_SCALES) // 2].max(1)
    if not (middle > _FEWEST_EDGES).any():
        return None
    kept = middle > _FEWEST_EDGES
    return _joined(power, busy[kept], slopes[kept])


def _joined(power: Array, busy: Array, slopes: Array) -> Sharpness:
    """The numbers, from (n, RADII, directions) power, the busy tiles' places, and their slopes."""
    logs = np.log(power + _LEVEL)
    typical = logs[busy].mean(0)
    level = typical[:_REFERENCE].mean()
    typical = typical - level
    ratios = np.log((slopes[:, :-1] + _TINY) / (slopes[:, 1:] + _TINY))
    weight = slopes[:, len(_SCALES) // 2]
    mean = (ratios * weight[:, None]).sum(0) / (weight.sum(0) + _TINY)
    sharp = np.quantile(ratios, 0.85, axis=0)
    turn = _least(typical, sharp)
    around = logs.mean(2)
    shape = around - around[:, :_REFERENCE].mean(1, keepdims=True)
    any_direction = np.quantile(ratios.max(2), 0.85, axis=0)
    contrast = float(slopes[:, len(_SCALES) // 2].max(1).mean())
    overall = (
        np.log(len(power)),
        np.log(len(busy)),
        level / 4,
        np.cos(2 * turn),
        np.sin(2 * turn),
        np.log(contrast),
    )
    parts = (
        _harmonics(typical, turn),
        _towards(typical, turn),
        _towards(typical, turn + np.pi / 2),
        np.quantile(shape[busy], 0.9, axis=0),
        np.quantile(around, 0.1, axis=0),
        _harmonics(mean, turn) * 4,
        _harmonics(sharp, turn) * 4,
        np.log(slopes.max(2).mean(0) + _TINY),
        overall,
    )
    traits = np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
    return Sharpness(traits, float(np.degrees(turn)) % 180, any_direction, contrast)


# --- the spectrum ------------------------------------------------------------------------


def _power(planes: FloatArray) -> Array:
    """(n, RADII, directions): mean power around each frequency, that of white noise its variance."""
    window = np.hanning(SITE).astype(np.float32)
    window = window[:, None] * window
    spectrum = np.fft.rfft2(planes * window)
    power = (spectrum.real**2 + spectrum.imag**2).reshape(len(planes), -1) / np.square(window).sum()
    return (power.astype(np.float32) @ _polar()).reshape(len(planes), RADII, _DIRECTIONS)


@cache
def _polar() -> FloatArray:
    """(bins, RADII * directions): weights of the bins of a half spectrum, each column's sum one."""
    down = np.fft.fftfreq(SITE)[:, None] * SITE
    across = np.arange(SITE // 2 + 1)[None]
    radius = np.log(np.hypot(down, across) + _TINY)
    angle = np.arctan2(-down, across + 0 * down)
    nodes = np.linspace(np.log(_LOWEST), np.log(_HIGHEST), RADII)
    width, sector = nodes[1] - nodes[0], np.pi / _DIRECTIONS
    near = np.exp(-0.5 * ((radius[..., None] - nodes) / (0.6 * width)) ** 2)
    off = (angle[..., None] - np.arange(_DIRECTIONS) * sector + np.pi / 2) % np.pi - np.pi / 2
    towards = np.exp(-0.5 * (off / (0.6 * sector)) ** 2)
    weights = (near[..., :, None] * towards[..., None, :]).reshape(-1, RADII * _DIRECTIONS)
    return np.asarray(weights / weights.sum(0), np.float32)


def _busyness(power: Array) -> Array:
    """(n,): how much there is to see in a tile, at frequencies that a blur leaves."""
    return np.asarray(power[:, : RADII // 2].mean((1, 2)))


# --- edges -------------------------------------------------------------------------------


def _slopes(planes: FloatArray) -> Array:
    """(n, scales, directions): the steepest slopes of each tile, in grey levels a pixel."""
    spectrum = np.fft.rfft2(planes)
    return np.stack(
        [_steepest(spectrum, scale, less) for scale, less in zip(_SCALES, _REDUCED, strict=True)], 1
    )


def _steepest(spectrum: Array, scale: float, less: int) -> Array:
    """(n, directions) at one scale, on a grid that is so much smaller."""
    count, side, margin = len(spectrum), SITE // less, _MARGIN // less
    half = side // 2
    rows = np.r_[0:half, SITE - half : SITE]
    small = spectrum[:, rows, : half + 1]
    down, across = np.fft.fftfreq(SITE)[rows, None], np.fft.rfftfreq(SITE)[None, : half + 1]
    weight = np.exp(-2 * (np.pi * scale) ** 2 * (down**2 + across**2)) * (2j * np.pi / less**2)
    inner = slice(margin, side - margin)
    rise, run = (
        np.fft.irfft2(small * (weight * axis).astype(np.complex64), (side, side))[:, inner, inner]
        for axis in (-down, across)
    )
    slope = np.hypot(rise, run)
    sector = np.rint(np.arctan2(rise, run) * (_DIRECTIONS / np.pi)).astype(np.int64) % _DIRECTIONS
    place = (sector + np.arange(count)[:, None, None] * _DIRECTIONS).ravel()
    scaled = (slope / (slope.max() + _TINY)).ravel().astype(np.float64)
    steep = scaled**_STEEP
    top, bottom = (np.bincount(place, w, count * _DIRECTIONS) for w in (steep * scaled, steep))
    return np.asarray((top / (bottom + 1e-300)).reshape(count, _DIRECTIONS) * slope.max())


# --- directions --------------------------------------------------------------------------


def _least(typical: Array, sharp: Array) -> float:
    """The direction, in radians, in which spectrum and edges are least sharp."""
    wave = np.exp(2j * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS)
    pull = (typical[RADII // 4 :] @ wave).mean() + 4 * (sharp @ wave).mean()
    return float(np.angle(-pull) / 2)


def _harmonics(values: Array, turn: float) -> Array:
    """(n, 5): mean over the directions, and the first two waves around them, counted from `turn`."""
    angle = np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS - turn
    waves = np.stack([np.ones_like(angle), *(f(k * angle) for k in (2, 4) for f in (np.cos, np.sin))], 1)
    return np.asarray(values @ waves / _DIRECTIONS)


def _towards(values: Array, angle: float) -> Array:
    """(n,): between the two nearest directions."""
    place = angle / np.pi * _DIRECTIONS
    low = int(np.floor(place))
    share = place - low
    return np.asarray(values[:, low % _DIRECTIONS] * (1 - share) + values[:, (low + 1) % _DIRECTIONS] * share)
