"""From window energies to the level, the tone curve and the correlation of the noise.

1. Windows fall into tone bins, as noise rises or falls with tone.
2. For each plane and ring, the windows that are calm in every *other* ring are kept and the
   lower edge of their energies is the noise level there (`floor`). How large a share lies
   at that edge says whether noise was seen at all.
3. Rings in which it was not seen (texture, in all windows) take the level of the plane's
   most certain ring, carried over along the common shape of the spectrum.
4. The variance is the sum over the spectrum, the correlation its cosine transform.

Related work: weak-texture windows (Liu, Tanaka, Okutomi, doi:10.1109/TIP.2013.2283400), redundant
dimensions (Chen, Zhu, Heng, doi:10.1109/ICCV.2015.62); both assume white noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure import floor
from scanmend.measure.patches import COSINE, DOF, OMEGA2, RINGS, SIDE

if TYPE_CHECKING:
    from scanmend.image import Array, FloatArray
    from scanmend.measure.patches import Patches

_FEWEST = 24  # fewer windows say nothing
_BINS = 8
_BIN_SIZE = 150  # windows that a tone bin needs for its own lower edge
_CALM = 0.3  # share of windows kept as calm in the other rings
_ROUNDS = 2  # tone curve and spectrum depend on each other; a third round changes nothing
_JUDGED = slice(2, RINGS)  # rings 0 and 1 hold gradients
_CAP = 20.0  # one textured ring counts no more than this, so that order stays by all rings
_SEEN = (0.04, 0.14)  # share of calm windows at the lower edge: texture alone; certainly noise
_TINY = 1e-12


class Level(NamedTuple):
    """sigma, curve, correlation, chroma as `NoiseFacts` has them."""

    sigma: float
    curve: tuple[tuple[float, float], ...]
    correlation: float
    chroma: float


class _Spectrum(NamedTuple):
    """level, share: (planes, RINGS), the lower edges and the share of calm windows there."""

    level: Array
    share: Array


def estimate(patches: Patches, step: float) -> Level | None:
    """The noise behind a set of windows; None where too few can be judged.

    Args:
        patches: windows of one picture.
        step: rounding step of the samples, whose noise (step squared / 12) is taken off.
    """
    if patches.count + patches.constant < _FEWEST:
        return None
    if patches.count < _FEWEST:
        return Level(0.0, (), 0.0, 0.0)
    bins = _tone_bins(patches.tone)
    relative: Array = np.ones(bins.max() + 1)
    for _ in range(_ROUNDS):
        energy = patches.energy / relative[bins][:, None, None]
        spectrum = _spectrum(energy, bins)
        relative = relative * _relative_by_tone(energy, spectrum, bins)
        relative /= relative[bins].mean()
    energy = patches.energy / relative[bins][:, None, None]
    power = _power(_spectrum(energy, bins), step**2 / 12)
    return _level(power, patches.tone, bins, relative)


def _tone_bins(tone: FloatArray) -> Array:
    count = min(_BINS, max(1, len(tone) // _BIN_SIZE))
    inner = np.unique(np.quantile(tone, np.arange(1, count) / count))
    bins = np.searchsorted(inner, tone)
    return np.unique(bins, return_inverse=True)[1]


def _spectrum(energy: FloatArray, bins: Array) -> _Spectrum:
    planes = energy.shape[1]
    cells = [(plane, ring) for plane in range(planes) for ring in range(RINGS)]
    rough = np.array([floor.find(energy[:, plane, ring], DOF[ring]).level for plane, ring in cells])
    ratio = np.minimum(energy / np.maximum(rough, _TINY).reshape(planes, RINGS).astype(np.float32), _CAP)
    restless = _restless(ratio)
    edges = [
        floor.find(energy[_calm(restless[:, plane] - ratio[:, plane, ring], bins), plane, ring], DOF[ring])
        for plane, ring in cells
    ]
    return _Spectrum(*(np.array(side).reshape(planes, RINGS) for side in zip(*edges, strict=True)))


def _restless(ratio: FloatArray) -> FloatArray:
    """(n, planes): how much each window holds beyond noise, in its plane fully and in the others by half."""
    own = ratio[:, :, 1:].sum(2)
    return own + (own.sum(1, keepdims=True) - own) / 2


def _calm(score: FloatArray, bins: Array) -> Array:
    """Indices of the calmest windows of each bin, so that no tone is preferred."""
    order = np.lexsort((score, bins))
    size = np.bincount(bins)
    rank = np.arange(len(bins)) - np.repeat(np.cumsum(size) - size, size)
    return order[rank < np.maximum(_CALM * size, _FEWEST)[bins[order]]]


def _certainty(share: Array) -> Array:
    return np.clip((share - _SEEN[0]) / (_SEEN[1] - _SEEN[0]), 0, 1)


def _relative_by_tone(energy: FloatArray, spectrum: _Spectrum, bins: Array) -> Array:
    """Noise energy of each tone bin against the whole, from all the rings where noise was seen."""
    count = bins.max() + 1
    weight = np.zeros_like(spectrum.level)
    weight[:, _JUDGED] = (_certainty(spectrum.share) * DOF)[:, _JUDGED]
    dof = weight.sum()
    if count == 1 or dof < DOF[2]:
        return np.ones(count)
    whitened = energy.reshape(len(energy), -1) @ (weight / np.maximum(spectrum.level, _TINY)).ravel() / dof
    edges = [floor.find(whitened[bins == index], float(dof)) for index in range(count)]
    level, share = (np.array(side) for side in zip(*edges, strict=True))
    return _smooth(np.log(np.maximum(level, _TINY)), _certainty(share) + 0.01)


def _smooth(logs: Array, weight: Array) -> Array:
    """Exponentials of `logs`, each drawn to its neighbours as far as it is uncertain."""
    distance = np.subtract.outer(np.arange(len(logs)), np.arange(len(logs)))
    kernel = np.exp(-2.0 * distance**2) * weight
    smooth: Array = np.exp((kernel @ logs) / kernel.sum(1))
    return smooth


def _power(spectrum: _Spectrum, rounding: float) -> Array:
    """(planes, RINGS): the noise power in every ring, also where texture hides it."""
    level = np.maximum(spectrum.level - rounding, _TINY)
    decay = _decay(level, spectrum.share)
    power = np.array([_plane_power(*row, decay) for row in zip(level, spectrum.share, strict=True)])
    trust = _certainty(spectrum.share[:, _JUDGED].max(1))
    # Where no noise was seen in a plane, its calmest ring bounds it, and so do the planes where it was.
    bound = level[:, _JUDGED].min(1)
    bound = np.minimum(bound, np.where(len(bound) > 1, np.sort(bound)[len(bound) // 2], bound / 4))
    return trust[:, None] * power + (1 - trust)[:, None] * np.minimum(bound[:, None], power)


def _decay(level: Array, share: Array) -> float:
    """The s squared of exp(-s^2 omega^2), the spectrum of white noise blurred by a Gaussian of s pixels."""
    level, omega2 = level[:, _JUDGED], OMEGA2[_JUDGED]
    weight = _certainty(share[:, _JUDGED]) * DOF[_JUDGED] * level / level.max(1, keepdims=True) + _TINY
    total = weight.sum(1, keepdims=True)
    x = omega2 - (weight @ omega2)[:, None] / total
    y = np.log(level) - (weight * np.log(level)).sum(1, keepdims=True) / total
    slope = (weight * x * y).sum() / ((weight * x * x).sum() + _TINY)
    return float(np.clip(-slope, 0.0, 3.0))


def _plane_power(level: Array, share: Array, decay: float) -> Array:
    anchor = 2 + int(np.argmax(share[_JUDGED]))
    carried = np.log(level[anchor]) - decay * (OMEGA2 - OMEGA2[anchor])
    certain = np.clip((share / max(share[anchor], _TINY) - 0.3) / 0.4, 0, 1)
    logs = np.log(level)
    logs = certain * logs + (1 - certain) * np.minimum(logs, carried)
    logs[:2] = logs[2] - decay * (OMEGA2[:2] - OMEGA2[2])
    power: Array = np.exp(logs)
    return power


def _level(power: Array, tone: FloatArray, bins: Array, relative: Array) -> Level:
    variance = power @ DOF / SIDE**2
    total = float(variance.mean())
    # The DCT continues a window by reflection, which adds its border pixels to the lag-1 product.
    product = float((power @ (DOF * COSINE)).mean() / SIDE**2)
    correlation = (SIDE * product / max(total, _TINY) - 1) / (SIDE - 1)
    tones = np.bincount(bins, tone) / np.bincount(bins)
    curve = tuple((float(t), float(np.sqrt(total * r))) for t, r in zip(tones, relative, strict=True))
    chroma = float(np.sqrt(variance[1:].mean() / variance[0])) if len(variance) == 3 else 0.0
    return Level(total**0.5, curve, float(np.clip(correlation, 0.0, 0.99)), chroma)
