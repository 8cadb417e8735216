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
_SCALES = (0.8, 1.2, 2.4)  # pixels of a grid, the last the coarse one
_REDUCED = (1, 2, 4)  # so much smaller are the grids
_RATIOS = (0.3, 9.0)  # of slopes at a fine and at the coarse scale; 3 and 2 for ideal edges
_MARGIN = 16  # pixels: the discrete transform joins opposite sides of a tile
_TILES, _BUSY = 48, 24
_STEEP = 6  # power by which slopes are weighted: of a tile's slopes, the steepest count
_FAINT = 1.5  # grey levels a pixel: no slope of a tile that does not count is steeper
_LEVEL = 0.1  # squared grey levels: what the rounding of samples adds
_REFERENCE = 4  # the lowest frequencies, against which all others are held
_TINY = 1e-9
_PAIRS = (len(_SCALES) - 1) * len(_REDUCED)
COUNT = RADII * (5 + 2 + 2) + _PAIRS * 15 + len(_REDUCED) + 6
"""How many numbers there are."""


class Sharpness(NamedTuple):
    """What the tiles of a page say.

    Attributes:
        traits: (COUNT,) float32.
        angle: degrees, 0 to 180, anticlockwise from the horizontal: the direction with the least sharpness.
    """

    traits: FloatArray
    angle: float


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
    ratios, slopes = _edges(planes[busy])
    kept = slopes[:, 0].max(1) > _FAINT
    if not kept.any():
        return None
    return _joined(power, busy[kept], ratios[kept], slopes[kept])


def _joined(power: Array, busy: Array, ratios: Array, slopes: Array) -> Sharpness:
    """The numbers, from (n, RADII, directions) power, the busy tiles' places, and their edges."""
    logs = np.log(power + _LEVEL)
    typical = logs[busy].mean(0)
    level = typical[:_REFERENCE].mean()
    typical = typical - level
    weight = slopes.repeat(ratios.shape[1] // slopes.shape[1], 1)
    mean = (ratios * weight).sum(0) / (weight.sum(0) + _TINY)
    middle, sharp = np.quantile(ratios, (0.5, 0.85), axis=0)
    turn = _least(typical, sharp)
    around = logs.mean(2)
    shape = around - around[:, :_REFERENCE].mean(1, keepdims=True)
    contrast = np.log(slopes.max(2).mean(0) + _TINY)
    overall = (np.log(len(power)), np.log(len(busy)), level / 4, np.cos(2 * turn), np.sin(2 * turn))
    parts = (
        _harmonics(typical, turn),
        _towards(typical, turn),
        _towards(typical, turn + np.pi / 2),
        np.quantile(shape[busy], 0.9, axis=0),
        np.quantile(around, 0.1, axis=0),
        *(_harmonics(one, turn) * 4 for one in (mean, middle, sharp)),
        contrast,
        overall,
        np.quantile(ratios[:, 0].max(1), (0.85,)),
    )
    traits = np.concatenate([np.ravel(part) for part in parts]).astype(np.float32)
    return Sharpness(traits, float(np.degrees(turn)) % 180)


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


def _edges(planes: FloatArray) -> tuple[Array, Array]:
    """Edges at three sizes of looking.

    Returns:
        (n, 6, directions) what is left of the steepest slopes on the way from fine scales to a coarse one,
        and (n, 3, directions), those slopes at the coarse scales, in grey levels a pixel.
    """
    spectrum = np.fft.rfft2(planes)
    found = [_looked(spectrum, less) for less in _REDUCED]
    ratios, slopes = zip(*found, strict=True)
    return np.concatenate(ratios, 1), np.stack(slopes, 1)


def _looked(spectrum: Array, less: int) -> tuple[Array, Array]:
    """(n, 2, directions) and (n, directions), on a grid that is so much smaller.

    Fine slopes are taken where the coarse ones are steepest, and along their direction: noise in them has
    either sign, and a mean over many of them is free of it.
    """
    count = len(spectrum)
    *fine, (rise, run) = (_gradient(spectrum, scale, less) for scale in _SCALES)
    slope = np.hypot(rise, run)
    most = float(slope.max()) + _TINY
    sector = np.rint(np.arctan2(rise, run) * (_DIRECTIONS / np.pi)).astype(np.int64) % _DIRECTIONS
    place = (sector + np.arange(count)[:, None, None] * _DIRECTIONS).ravel()
    weight = (slope / most) ** _STEEP

    def total(values: Array) -> Array:
        return np.bincount(place, values.ravel(), count * _DIRECTIONS).reshape(count, _DIRECTIONS)

    coarse = total(weight * slope)
    along = weight / (slope + _TINY)
    seen = [total(along * (r * rise + q * run)) for r, q in fine]
    ratios = np.stack([(one + _TINY) / (coarse + _TINY) for one in seen], 1)
    return np.log(np.clip(ratios, *_RATIOS)), coarse / (total(weight) + _TINY)


def _gradient(spectrum: Array, scale: float, less: int) -> tuple[Array, Array]:
    """Slopes upwards and to the right at a scale in pixels of the smaller grid, in grey levels a pixel."""
    side, margin = SITE // less, _MARGIN // less
    half = side // 2
    rows = np.r_[0:half, SITE - half : SITE]
    down, across = np.fft.fftfreq(SITE)[rows, None], np.fft.rfftfreq(SITE)[None, : half + 1]
    fall = np.exp(-2 * (np.pi * scale * less) ** 2 * (down**2 + across**2)) * (2j * np.pi / less**2)
    small, inner = spectrum[:, rows, : half + 1], slice(margin, side - margin)
    rise, run = (
        np.fft.irfft2(small * (fall * axis).astype(np.complex64), (side, side))[:, inner, inner]
        for axis in (-down, across)
    )
    return rise, run


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
