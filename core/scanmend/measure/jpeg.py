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
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from scanmend.formats.jpeg_tables import natural, tables
from scanmend.measure.sampling import SITE
from scanmend.measure.tiles import evenly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.image import Array, FloatArray
    from scanmend.measure.tiles import Tile

Source = Literal["file", "pixels"]

_BLOCK = 8
# Row and column of the frequencies looked at: low ones, whose coefficients are seldom rounded to nothing.
_FREQUENCIES = (
    *((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (0, 3), (3, 0), (2, 2)),
    *((2, 3), (3, 3), (0, 4)),
)
_TILES = 12
_BIN = 0.25  # of the histograms, in grey levels: about the spread that rounding gives a coefficient
_SPREAD = 0.35  # standard deviation of a coefficient about its multiple: rounding of samples and of colours
_STRAY = 0.1  # share of coefficients that clipping or retouching has moved anywhere
_REACH = (1024, 128)  # largest magnitude that is looked at: of the mean, and of the others
_STEPS = 100  # the largest step looked for
_TINY = 1e-3
# Chosen on training pictures. Those that never were JPEGs have a margin up to 1.2 and evidence up to 0.01;
# of those that were, at quality 20 to 95, all but a few have more of both.
_MARGIN = 1.7  # times the evidence of the next best grid
_CLEAR = 4.0  # the same where steps are of no known table, or where the file itself says something else
_EVIDENCE = 0.015  # for each block
_SINGLE = 2  # frequencies do not count: a picture of stripes or of flat areas has combs in one or two
_EXPLAINED = 0.7  # of the evidence, by a table of libjpeg's scale; less, and the table is of another make
_QUALITIES = range(96, 4, -1)  # below, hardly a coefficient is left; above, nothing is to be seen or repaired
_ALIKE = 8  # qualities so close are one and the same saving
# Quality; standard deviation of the error, of 255, in colour and in grey; its lag-1 correlation: medians
# over training pictures, half with colours at full and half at half resolution; four in five pictures
# lie between 0.6 and 1.6 times the median. `benchmarks/quality/jpeg.py --calibrate` prints this table.
_ERROR = (
    (10, 10.5, 8.5, 0.59),
    (20, 7.7, 6.4, 0.47),
    (30, 6.5, 5.3, 0.39),
    (40, 5.9, 4.7, 0.34),
    (50, 5.5, 4.3, 0.31),
    (60, 5.0, 3.9, 0.29),
    (70, 4.5, 3.4, 0.26),
    (80, 3.9, 2.8, 0.21),
    (85, 3.5, 2.5, 0.17),
    (90, 2.8, 2.0, 0.14),
    (92, 2.5, 1.7, 0.13),
    (95, 2.0, 1.3, 0.11),
    (97, 1.5, 0.9, 0.08),
    (100, 0.6, 0.4, 0.25),
)


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


class Trace(NamedTuple):
    """What the samples say: the likeliest grid and, by frequency, how well each step explains them there.

    Attributes:
        grid: row and column of the first whole block.
        gain: (frequencies, steps) log-likelihood ratio against no rounding at all, for each block.
        margin: how many times as much evidence this grid has as the next best.
    """

    grid: tuple[int, int]
    gain: Array
    margin: float


def judge(page_tiles: list[Tile], file_quality: int | None, *, grey: bool) -> JpegFacts | None:
    """What JPEG has left in a picture; None where there is no sign of it.

    The samples are asked even where the file has a quality: a scan that was saved twice may have
    come through a lower one before.

    Args:
        page_tiles: of the page.
        file_quality: what the file's own tables say, where it has any.
        grey: the page has no colour, so that only the error of the luminance is in it.
    """
    found = find(page_tiles, margin=_MARGIN if file_quality is None else _CLEAR)
    if file_quality is not None and (found is None or found[0] > file_quality - _ALIKE):
        return JpegFacts(file_quality, (0, 0), "file", *error(file_quality, grey=grey))
    return JpegFacts(*found, "pixels", *error(found[0], grey=grey)) if found else None


def find(page_tiles: list[Tile], *, margin: float = _MARGIN) -> tuple[int, tuple[int, int]] | None:
    """Quality and grid of what the samples show; None where that is nothing sure.

    Args:
        page_tiles: of the page.
        margin: how many times the evidence of the next best grid is asked for.
    """
    chosen = evenly(page_tiles, _TILES)
    if not chosen:
        return None
    seen = trace(chosen)
    gain = np.maximum(seen.gain, 0)
    quality, explained = _quality(gain)
    if explained < _EXPLAINED:
        margin = max(margin, _CLEAR)
    if seen.margin < margin or np.sort(gain.max(1))[:-_SINGLE].sum() < _EVIDENCE:
        return None
    return quality, seen.grid


def _quality(gain: Array) -> tuple[int, float]:
    """The quality whose steps explain the samples best, and how large a share of what any steps explain.

    Tables that libjpeg's scale did not make: the quality whose steps lie nearest to those found.
    """
    by_quality = _explained(gain)
    weight, found = gain.max(1), gain.argmax(1) + 1
    best = int(by_quality.argmax())
    share = float(by_quality[best] / (weight.sum() + _TINY))
    if share < _EXPLAINED:
        steps = _steps()
        best = int(((abs(steps - found) / (steps + found)) @ weight).argmin())
    return _QUALITIES[best], share


def _explained(gain: Array) -> Array:
    """(..., qualities): the evidence in gain (..., frequencies, steps) for the steps of each quality."""
    return np.stack([gain[..., np.arange(len(steps)), steps - 1].sum(-1) for steps in _steps()], -1)


@cache
def _steps() -> Array:
    """(qualities, frequencies): the steps of the frequencies looked at, the best quality first."""
    places = [row * _BLOCK + column for row, column in _FREQUENCIES]
    return np.minimum([np.array(natural(tables(quality)[0]))[places] for quality in _QUALITIES], _STEPS)


def error(quality: int, *, grey: bool) -> tuple[float, float]:
    """Standard deviation, in the display range, and lag-1 correlation of the error that JPEG makes."""
    known, colour, neutral, correlation = zip(*_ERROR, strict=True)
    sigma = np.interp(quality, known, neutral if grey else colour) / 255
    return float(sigma), float(np.interp(quality, known, correlation))


def trace(page_tiles: Sequence[Tile]) -> Trace:
    """Compares all 64 grids.

    Args:
        page_tiles: at least one.
    """
    blocks = len(page_tiles) * (SITE / _BLOCK) ** 2
    histograms = [np.zeros((_BLOCK**2, len(_table(place))), np.int64) for place in _FREQUENCIES]
    for tile in page_tiles:
        _count(tile, histograms)
    pairs = zip(histograms, _FREQUENCIES, strict=True)
    # Not as a matrix product: on a busy machine its threads wait for each other a hundred times as long.
    gain = np.stack([np.einsum("gb,bs->gs", seen, _table(place)) for seen, place in pairs], 1) / blocks
    total = _explained(np.maximum(gain, 0)).max(1)
    best, second = np.argsort(total)[[-1, -2]]
    row, column = divmod(int(best), _BLOCK)
    return Trace((row, column), gain[best], float(total[best] / max(total[second], _TINY)))


def _table(place: tuple[int, int]) -> FloatArray:
    return _likelihoods(_REACH[place != (0, 0)])


def _count(tile: Tile, histograms: Sequence[Array]) -> None:
    """Adds a tile's coefficients to the histograms, (grids, bins) for each frequency."""
    plane = np.where(tile.clipped, np.float32(np.nan), tile.luma - 128)
    height, width = (extent - _BLOCK + 1 for extent in plane.shape)
    rows, columns = tile.top + np.arange(height), tile.left + np.arange(width)
    grid = (rows[:, None] % _BLOCK * _BLOCK + columns % _BLOCK).astype(np.int32)
    halfway = {row: _down(plane, row) for row, _ in _FREQUENCIES}
    for histogram, (row, column) in zip(histograms, _FREQUENCIES, strict=True):
        count = histogram.shape[1]
        coefficients = np.abs(_across(halfway[row], column))
        # What is beyond reach, and NaN, falls into the last bin, which tells nothing.
        bins = np.fmin(coefficients / _BIN + 0.5, count - 1).astype(np.int32)
        bins += grid * np.int32(count)
        seen = np.bincount(bins.ravel(), minlength=histogram.size)
        np.add(histogram, seen.reshape(histogram.shape), out=histogram)


@cache
def _likelihoods(reach: int) -> FloatArray:
    """(bins, steps): log-likelihood ratio of a coefficient, were it rounded to a step, against any value.

    Coefficients that are rounded to zero tell nothing: smooth pictures have such ones as well.
    """
    value = np.arange(reach / _BIN + 1)[:, None] * _BIN
    step = np.arange(1, _STEPS + 1)
    multiple = np.rint(value / step)
    off = (value - multiple * step) / _SPREAD
    density = (1 - _STRAY) * np.exp(-(off**2) / 2) / (_SPREAD * np.sqrt(2 * np.pi)) + _STRAY / step
    ratio = np.log(density * step) * (multiple > 0)
    ratio[:, 0] = ratio[-1] = 0  # every picture has whole numbers somewhere
    return ratio.astype(np.float32)


def _down(plane: FloatArray, row: int) -> FloatArray:
    """The columns' half of one frequency of the 8 x 8 cosine transform, at every place: (h - 7, w)."""
    height = plane.shape[0] - _BLOCK + 1
    return sum(wave * plane[n : n + height] for n, wave in enumerate(_wave(row)))


def _across(halfway: FloatArray, column: int) -> FloatArray:
    """The rows' half of it: (h - 7, w - 7)."""
    width = halfway.shape[1] - _BLOCK + 1
    return sum(wave * halfway[:, n : n + width] for n, wave in enumerate(_wave(column)))


@cache
def _wave(frequency: int) -> FloatArray:
    wave = np.cos(np.pi * (2 * np.arange(_BLOCK) + 1) * frequency / (2 * _BLOCK))
    return (wave / np.sqrt((wave**2).sum())).astype(np.float32)
