"""Whether a picture was printed with a screen of dots: newspapers, magazines, books.

The dots lie on a square lattice that is the same all over the print, so that the power spectra of all
parts of a page have a pair of peaks in the same two places, at right angles and equally far from
zero. The weave of a cloth, bricks or a fence have peaks too, but in few places of a picture, at a
frequency that changes with distance and folds, or in one direction only.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure.sampling import SITE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.image import Array, FloatArray
    from scanmend.measure.tiles import Tile

_FEWEST = 4  # tiles: in fewer, any texture may be everywhere
_BLANK = 2.0  # grey levels of contrast that a tile needs: paper without print says nothing
_PITCH = (2.8, 17.0)  # pixels: from what a scan can hold to what it would show as single dots
_REACH = int(SITE / _PITCH[0]) + 2  # in bins of the spectrum
_AROUND = 5  # bins on each side whose mean is the background
_SHARE = 0.4  # of the tiles must hold both peaks; a screen vanishes in white, in black and in type
# Natural logarithm of a peak's power against the background. Of 387 training pictures and old
# photographs the seven likest to a screen, mostly fronts of buildings, reach 2.4 to 3.2, small
# clippings of them 4.7; screens made of training pictures, with noise and JPEG, 8 to 10.
_PEAK = 5.0
_FAINT = 1.5  # grey levels of amplitude; a weaker screen is no trouble to a restoration
_PEAKS = 16  # the highest are looked at
_SKEW = 0.06  # of the frequency, plus half a bin: how far the lattice may be off a square
_BLOCK = 8  # pixels: codecs leave a lattice of exactly this pitch of their own
_EXACT = 0.3  # bins
_FLOOR = 1.0  # grey levels of noise that are always assumed


@dataclass(frozen=True)
class Screen:
    """A halftone screen.

    Attributes:
        pitch: pixels from one dot to the next.
        angle: of the rows of dots, in degrees, 0 to below 90, anticlockwise from the horizontal.
    """

    pitch: float
    angle: float


class _Peak(NamedTuple):
    """Frequency in bins, downwards and to the right; how far it stands out."""

    down: float
    across: float
    height: float

    @property
    def radius(self) -> float:
        return float(np.hypot(self.down, self.across))


def find(page_tiles: Sequence[Tile]) -> Screen | None:
    """The screen that runs through a page; None where there is none, or the page is too small to tell.

    Args:
        page_tiles: of the page.
    """
    stack = [_filled(tile.luma) for tile in page_tiles]
    stack = [plane for plane in stack if plane.std() > _BLANK]
    if len(stack) < _FEWEST:
        return None
    pairs = [pair for pair in itertools.combinations(_peaks(_power(stack)), 2) if _at_right_angles(*pair)]
    if not pairs:
        return None
    first, _ = max(pairs, key=lambda pair: pair[0].height + pair[1].height)
    # Rows count downwards, which turns a frequency's angle; a square lattice repeats at 90 degrees.
    angle = round(float(np.degrees(np.arctan2(-first.down, first.across))), 1) % 90
    return Screen(round(SITE / first.radius, 2), angle)


def _power(planes: list[FloatArray]) -> FloatArray:
    """(n, 2 m + 1, m + 1) power: rows of frequencies from -m to m, columns from 0 to m = _REACH + _AROUND."""
    reach = _REACH + _AROUND
    window = np.hanning(SITE).astype(np.float32)
    stack = np.stack(planes) * window[:, None] * window
    spectrum = np.fft.rfft2(stack)[:, :, : reach + 1]
    spectrum = np.concatenate([spectrum[:, -reach:], spectrum[:, : reach + 1]], 1)
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


def _filled(luma: FloatArray) -> FloatArray:
    """Less its mean, which also stands where pixels do not count."""
    known = np.isfinite(luma)
    mean = luma[known].mean() if known.any() else np.float32(0)
    return np.where(known, luma - mean, np.float32(0))


def _peaks(power: FloatArray) -> list[_Peak]:
    """Where enough tiles have a peak, highest first, each frequency once."""
    log = np.log(power + _FLOOR**2 * _noise_gain())
    excess = log[:, _AROUND:-_AROUND, :-_AROUND] - _background(log)
    height = np.quantile(excess, 1 - _SHARE, axis=0)
    strong = np.quantile(power, 1 - _SHARE, axis=0)[_AROUND:-_AROUND, :-_AROUND] > _FAINT**2 * _wave_gain()
    down, across = np.mgrid[-_REACH : _REACH + 1, : _REACH + 1]
    radius = np.hypot(down, across)
    wanted = (radius >= SITE / _PITCH[1]) & (radius <= SITE / _PITCH[0]) & (height > _PEAK) & strong
    wanted &= _is_summit(height) & ((across > 0) | (down > 0))
    places = sorted(zip(*np.nonzero(wanted), strict=True), key=lambda place: -height[place])[:_PEAKS]
    return [peak for place in places if not _is_codec(peak := _refined(height, *place))]


def _noise_gain() -> float:
    """Power of white noise of unit variance in every bin, behind the window."""
    return float((np.hanning(SITE) ** 2).sum() ** 2)


def _wave_gain() -> float:
    """Power at the peak of a wave of unit amplitude, behind the window."""
    return float((np.hanning(SITE).sum() ** 2 / 2) ** 2)


def _background(log: FloatArray) -> FloatArray:
    """Mean of the bins around each; the spectrum of a real picture is the same on both sides of zero."""
    mirrored = np.concatenate([log[:, ::-1, _AROUND:0:-1], log], 2)
    total = mirrored.cumsum(1).cumsum(2)
    total = np.pad(total, ((0, 0), (1, 0), (1, 0)))
    side = 2 * _AROUND + 1
    box = (
        total[:, side:, side:] - total[:, :-side, side:] - total[:, side:, :-side] + total[:, :-side, :-side]
    )
    return np.asarray(box / side**2)


def _is_summit(height: Array) -> Array:
    """Where no neighbour is higher."""
    padded = np.pad(height, 1, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return np.asarray(height >= around.max((2, 3)))


def _is_codec(peak: _Peak) -> bool:
    """Whether it belongs to the lattice of blocks that JPEG and its kin leave along rows and columns."""
    blocks = np.array((peak.down, peak.across)) * _BLOCK / SITE
    return bool(abs(blocks - np.rint(blocks)).max() * SITE / _BLOCK < _EXACT)


def _refined(height: Array, row: int, column: int) -> _Peak:
    """The summit of parabolas through a bin and its neighbours."""
    shift = [0.0, 0.0]
    for axis, (before, after) in enumerate((((-1, 0), (1, 0)), ((0, -1), (0, 1)))):
        low, high = (
            height[min(max(row + d, 0), height.shape[0] - 1), min(abs(column + a), height.shape[1] - 1)]
            for d, a in (before, after)
        )
        curve = 2 * height[row, column] - low - high
        shift[axis] = float(np.clip((high - low) / (2 * curve), -0.5, 0.5)) if curve > 0 else 0.0
    return _Peak(row - _REACH + shift[0], column + shift[1], float(height[row, column]))


def _at_right_angles(one: _Peak, other: _Peak) -> bool:
    """Whether two frequencies span a square lattice."""
    slack = 0.5 + _SKEW * (one.radius + other.radius) / 2
    turned = (-one.across, one.down)
    off = min(np.hypot(turned[0] - s * other.down, turned[1] - s * other.across) for s in (1, -1))
    return bool(off <= slack)
