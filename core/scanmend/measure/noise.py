"""From window energies to the level, the tone curve and the correlation of the noise.

1. Windows fall into tone bins, as noise rises or falls with tone.
2. For each plane and ring, the windows that are calm in every *other* ring are kept and the
   lower edge of their energies is the noise level there (`floor`). How large a share lies
   at that edge says whether noise was seen at all.
3. Rings in which it was not seen (texture, in all windows) take the level of the plane's
   most certain ring, carried over along the common shape of the spectrum.
4. The variance is the sum over the spectrum, the correlation its cosine transform.
5. That is the classical estimate. A small network, the noise meter, corrects it from more traits of the
   windows than a rule could weigh (`traits`, `meter`), and says how far off it may still be.

Related work: weak-texture windows (Liu, Tanaka, Okutomi, doi:10.1109/TIP.2013.2283400), redundant
dimensions (Chen, Zhu, Heng, doi:10.1109/ICCV.2015.62); both assume white noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure import floor, meter, traits
from scanmend.measure.patches import COSINE, DOF, OMEGA2, OPPONENT, RINGS, SIDE, independent, unevenness
from scanmend.measure.traits import Classical

if TYPE_CHECKING:
    from scanmend.image import Array, FloatArray
    from scanmend.measure.meter import Reading
    from scanmend.measure.patches import Patches

_FEWEST = 24  # fewer windows say nothing
_BINS = 8
_BIN_SIZE = 150  # windows that a tone bin needs for its own lower edge
_CALM = 0.3  # share of windows kept as calm in the other rings
_ROUNDS = 2  # tone curve and spectrum depend on each other; a third round changes nothing
_JUDGED = slice(2, RINGS)  # rings 0 and 1 hold gradients
_CAP = 20.0  # one textured ring counts no more than this, so that order stays by all rings
# Share of calm windows at the lower edge that texture alone reaches, and that only noise reaches,
# by ring: the fewer the coefficients, the more alike the two look.
_SEEN = (np.repeat((0.10, 0.05), (5, 3)), np.repeat((0.28, 0.18), (5, 3)))
_SCREEN = (1.8, 2.3)  # uneven as edges make even photographs; as only a screen or a weave does
_FLAT = (1.3, 1.7)  # power ratio to the topmost ring: surely white; as steep as detail is
_UNSEEN = 0.25  # of the calmest ring's power, where no noise was seen: a bound is no measurement
_MINOR = 0.1  # rings with less of the noise energy than this share of the strongest say little about tone
_STIFF = (0.01, 0.6, 5.0)  # holds the tone curve level, then straight, the more the less noise was seen
_NOTHING = 1e-4  # sigma below a fortieth of an 8-bit step
_TINY = 1e-12


class Level(NamedTuple):
    """sigma, curve, correlation, chroma, error as `NoiseFacts` has them."""

    sigma: float
    curve: tuple[tuple[float, float], ...]
    correlation: float
    chroma: float
    error: float


class _Spectrum(NamedTuple):
    """By plane and ring: the noise power; the share of calm windows at its edge; its certainty, 0 to 1."""

    level: Array
    share: Array
    certain: Array


def estimate(patches: Patches, step: float) -> Level | None:
    """The noise behind a set of windows; None where too few can be judged.

    Args:
        patches: windows of one picture.
        step: rounding step of the samples, whose noise (step squared / 12) is taken off.
    """
    if patches.count + patches.constant + patches.bordering < _FEWEST:
        return None
    # Areas without noise all over the picture, and not only around it, are those of a drawing or of print.
    if patches.count < max(_FEWEST, patches.bordering):
        return Level(0.0, (), 0.0, 0.0, 0.0)
    found = classical(patches, step)
    return _level(found, meter.read(traits.describe(patches, found, step)))


def classical(patches: Patches, step: float) -> Classical:
    """The estimate by the lower edge alone: one spectrum for all windows, and a strength for each tone."""
    bins = _tone_bins(patches.tone)
    relative: Array = np.ones(bins.max() + 1)
    seen = _unscreened(unevenness(patches.profile))
    decay = 0.0
    for last in (*[False] * _ROUNDS, True):
        energy = patches.energy / relative.astype(np.float32)[bins][:, None, None]
        spectrum = _spectrum(energy, seen, bins, independent(decay), step**2 / 12)
        decay = _decay(spectrum)
        if not last:
            relative = relative * _by_tone(energy, spectrum, patches.tone, bins)
            relative /= relative[bins].mean()
    power = _power(spectrum, decay)
    variance = power @ DOF / SIDE**2
    return Classical(
        level=spectrum.level,
        share=spectrum.share,
        relative=relative.astype(np.float32)[bins],
        tones=np.bincount(bins, patches.tone) / np.bincount(bins),
        shape=np.sqrt(relative),
        luminance=float(np.sqrt(variance[0])),
        colour=float(np.sqrt(variance[1:].mean())) if len(variance) == len(OPPONENT) else 0.0,
        correlation=_correlation(power),
    )


def _correlation(power: Array) -> float:
    # The DCT continues a window by reflection, which adds its border pixels to the lag-1 product.
    total, product = float((power @ DOF).mean()) + _TINY, float((power @ (DOF * COSINE)).mean())
    return float(np.clip((SIDE * product / total - 1) / (SIDE - 1), 0.0, 0.99))


def _level(found: Classical, reading: Reading) -> Level:
    """The meter's reading, with the tone curve in the shape that was found."""
    light, tint = reading.luminance**2, reading.colour**2 if found.colour > _NOTHING else 0.0
    sigma = float(np.sqrt((light + 2 * tint) / (3 if len(found.level) == len(OPPONENT) else 1)))
    if sigma < _NOTHING:
        return Level(0.0, (), 0.0, 0.0, 0.0)
    return Level(
        sigma=sigma,
        curve=tuple((float(t), sigma * float(s)) for t, s in zip(found.tones, found.shape, strict=True)),
        correlation=reading.correlation,
        chroma=float(np.sqrt(tint / (light + _NOTHING**2))),
        error=(light * reading.luminance_error + 2 * tint * reading.colour_error) / (light + 2 * tint),
    )


def _tone_bins(tone: FloatArray) -> Array:
    count = min(_BINS, max(1, len(tone) // _BIN_SIZE))
    inner = np.unique(np.quantile(tone, np.arange(1, count) / count))
    bins = np.searchsorted(inner, tone)
    return np.unique(bins, return_inverse=True)[1]


def _spectrum(energy: FloatArray, seen: Array, bins: Array, dof: FloatArray, rounding: float) -> _Spectrum:
    planes = energy.shape[1]
    rough = np.zeros((planes, RINGS))
    for plane, ring in np.ndindex(planes, RINGS):
        rough[plane, ring] = floor.find(energy[:, plane, ring], float(dof[ring])).level
    ratio = np.minimum(energy / np.maximum(rough, _TINY).astype(np.float32), _CAP)
    restless = _restless(ratio)
    level, share = np.zeros((2, planes, RINGS))
    for plane, ring in np.ndindex(planes, RINGS):
        calm = _calm(restless[:, plane] - ratio[:, plane, ring], bins)
        level[plane, ring], share[plane, ring] = floor.find(energy[calm, plane, ring], float(dof[ring]))
    level = np.maximum(level - rounding, _TINY)
    return _Spectrum(level, share, _certainty(level, share) * seen)


def _unscreened(uneven: Array) -> Array:
    """(planes, RINGS) in [0, 1]: 0 in and beside rings that hold a halftone screen."""
    padded = np.pad(uneven[:, _JUDGED.start :], ((0, 0), (1, 2)), constant_values=1.0)
    beside = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=1).max(2)
    passed = np.clip((_SCREEN[1] - beside) / (_SCREEN[1] - _SCREEN[0]), 0, 1)
    return np.concatenate([np.zeros_like(uneven[:, : _JUDGED.start]), passed], 1)


def _restless(ratio: FloatArray) -> FloatArray:
    """(n, planes): how much each window holds beyond noise, in its plane fully and in the others by half."""
    own = ratio[:, :, 1:].sum(2)
    result: FloatArray = own + (own.sum(1, keepdims=True) - own) / 2
    return result


def _calm(score: FloatArray, bins: Array) -> Array:
    """Indices of the calmest windows of each bin, so that no tone is preferred."""
    order = np.argsort(score, kind="stable")
    order = order[np.argsort(bins[order].astype(np.int16), kind="stable")]  # as lexsort, in half its time
    size = np.bincount(bins)
    rank = np.arange(len(bins)) - np.repeat(np.cumsum(size) - size, size)
    calmest: Array = order[rank < np.maximum(_CALM * size, _FEWEST)[bins[order]]]
    return calmest


def _by_tone(energy: FloatArray, spectrum: _Spectrum, tone: FloatArray, bins: Array) -> Array:
    """Noise energy of each tone bin against the whole, from the rings that hold most of the noise seen."""
    level, _, certain = spectrum
    part = certain * level * DOF
    weight = certain * DOF * (part >= _MINOR * part.max())
    dof = weight.sum()
    count = bins.max() + 1
    if count == 1 or dof < DOF[_JUDGED.start] / 2:
        return np.ones(count)
    whitened = energy.reshape(len(energy), -1) @ (weight / level).astype(np.float32).ravel() / dof
    # Windows chosen by the very energies judged read low, but alike in every bin.
    restless = _restless(np.minimum(energy / level.astype(np.float32), _CAP))[:, 0]
    calm = _calm(restless, bins)
    edges = [floor.find(whitened[calm[bins[calm] == index]], float(dof)) for index in range(count)]
    found, share = (np.array(side) for side in zip(*edges, strict=True))
    middles = np.bincount(bins, tone) / np.bincount(bins)
    return np.exp(_parabola(middles, np.log(np.maximum(found, _TINY)), np.clip(share - 0.04, 1e-3, 0.3), dof))


def _parabola(x: Array, y: Array, weight: Array, dof: float) -> Array:
    """A smooth curve through the lower points of y: texture only ever lifts a bin."""
    x = (x - x.mean()) / (x.std() + _TINY)
    stiff = np.diag(_STIFF) * (4 / dof + 0.01)
    basis = np.stack([np.ones_like(x), x, x**2], 1)
    robust = np.ones_like(x)
    fit = np.full_like(y, np.median(y))
    for _ in range(6):
        scaled = basis * (weight * robust)[:, None]
        fit = basis @ np.linalg.solve(basis.T @ scaled + stiff, scaled.T @ y)
        robust = 1 / (1 + (np.maximum(y - fit, 0) / 0.2) ** 2)
    curve: Array = np.clip(fit, y.min(), y.max())
    return curve


def _power(spectrum: _Spectrum, decay: float) -> Array:
    """(planes, RINGS): the noise power in every ring, also where texture hides it."""
    level, _, certain = spectrum
    power = np.array([_plane_power(*row, decay) for row in zip(level, certain, strict=True)])
    trust = certain.max(1, keepdims=True)
    bound = np.minimum(power, level[:, _JUDGED].min(1, keepdims=True) * _UNSEEN)
    return np.asarray(trust * power + (1 - trust) * bound)


def _certainty(level: Array, share: Array) -> Array:
    """(planes, RINGS) in [0, 1]: that noise was seen, by the share of windows at the edge or by a flat top.

    Lenses, prints and scanners leave no detail of equal power in the highest rings; white noise has it.
    """
    low, high = _SEEN
    certain = np.clip((share - low) / (high - low), 0, 1)
    certain[:, : _JUDGED.start] = 0
    flat = np.clip((_FLAT[1] - level[:, 5:7] / level[:, 7:]) / (_FLAT[1] - _FLAT[0]), 0, 1)
    both = flat.min(1)
    certain[:, 5:] = np.maximum(certain[:, 5:], np.stack([both, flat[:, 1], flat[:, 1]], 1))
    return np.asarray(certain)


def _decay(spectrum: _Spectrum) -> float:
    """The s squared of exp(-s^2 omega^2), the spectrum of white noise blurred by a Gaussian of s pixels."""
    level, _, certain = spectrum
    weight = certain * DOF * level / level[:, _JUDGED].max() + _TINY
    total = weight.sum(1, keepdims=True)
    x = OMEGA2 - (weight @ OMEGA2)[:, None] / total
    y = np.log(level) - (weight * np.log(level)).sum(1, keepdims=True) / total
    slope = (weight * x * y).sum() / ((weight * x * x).sum() + 0.02)  # one ring alone has no slope
    return float(np.clip(-slope, 0.0, 3.0))


def _plane_power(level: Array, certain: Array, decay: float) -> Array:
    anchor = int(np.argmax(certain * (DOF * level) ** 0.25))
    carried = level[anchor] * np.exp(-decay * (OMEGA2 - OMEGA2[anchor]))
    power: Array = certain * level + (1 - certain) * np.minimum(level, carried)
    first = _JUDGED.start
    power[:first] = power[first] * np.exp(-decay * (OMEGA2[:first] - OMEGA2[first]))
    return power
