"""What a whole picture's windows look like, in numbers that do not depend on its contrast.

The classical estimate reads the lower edge of the energies. Noise and even texture can have the same
edge; they differ in the rest: how far the energies spread above it, how alike they are in all
frequencies and directions, how Gaussian the coefficients are, and whether there is a direction in
the space of small patches in which texture hardly varies: there only noise is left (Liu, Tanaka,
Okutomi, doi:10.1109/TIP.2013.2283400). The noise meter weighs all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure.patches import DOF, OPPONENT, RINGS, unevenness

if TYPE_CHECKING:
    from scanmend.image import Array, FloatArray
    from scanmend.measure.patches import Patches

QUANTILES = (0.02, 0.1, 0.3, 0.5, 0.8)
_CALM = 0.3
_TINY = 1e-12
_STEP = 1 / 255
_FROM = 1  # ring 0 is the window's plane, which says nothing
_SETS = (1.0, 0.5, 0.2)
_FEWEST = 150  # windows that a covariance of 49 samples needs
_EIGENVALUES = (0, 11, 24)  # of 49, rising
COUNT = 2 * (RINGS * 2 + (RINGS - _FROM) * (len(QUANTILES) + 2) + len(_SETS) * len(_EIGENVALUES)) + 10
"""How many numbers there are."""
LIGHT, COLOUR, CORRELATION = COUNT - 10, COUNT - 9, COUNT - 6
"""Where the classical estimate stands among them: two log(sigma + FLOOR), and the correlation."""
FLOOR = 0.2
"""Added to a standard deviation in grey levels of 255 before its logarithm: less than rounding hides."""


class Classical(NamedTuple):
    """What was found by the lower edge alone.

    Attributes:
        level, share: (planes, RINGS) power of the noise, and the share of calm windows at the edge.
        relative: (n,) noise power at each window's tone against the picture's.
        tones, shape: by tone bin, the mean tone and the standard deviation against the picture's.
        luminance, colour: standard deviations in an orthonormal basis, colour over both planes.
        correlation: lag-1.
    """

    level: Array
    share: Array
    relative: Array
    tones: Array
    shape: Array
    luminance: float
    colour: float
    correlation: float


def describe(patches: Patches, found: Classical, step: float) -> FloatArray:
    """(COUNT,) float32.

    Args:
        patches: windows of one picture, at least a few dozen.
        found: the classical estimate on them.
        step: the rounding step of the samples, or 0.
    """
    energy = patches.energy / found.relative[:, None, None]
    quartic = patches.quartic / found.relative[:, None, None] ** 2
    centre = patches.centre / np.sqrt(found.relative)[:, None, None]
    uneven = unevenness(patches.profile)
    planes = [
        _plane(
            energy[:, i],
            quartic[:, i],
            centre[:, i],
            level=found.level[i],
            share=found.share[i],
            uneven=uneven[i],
        )
        for i in range(len(OPPONENT) if len(found.level) == len(OPPONENT) else 1)
    ]
    luminance = planes[0]
    colour = (planes[1] + planes[2]) / 2 if len(planes) > 1 else np.zeros_like(luminance)
    overall = (
        np.log(found.luminance / _STEP + FLOOR),
        np.log(found.colour / _STEP + FLOOR),
        np.log(reference(found.level[0]) / _STEP + FLOOR),
        np.log(reference(found.level[1:].mean(0)) / _STEP + FLOOR) if len(found.level) == 3 else -2.0,
        found.correlation,
        np.log(patches.count) - 7,
        patches.tone.mean(),
        patches.tone.std() * 3,
        float(step > 0),
        float(len(found.level) == 3 and found.colour > 0.02 * found.luminance),
    )
    return np.concatenate([luminance, colour, overall]).astype(np.float32)


def reference(level: Array) -> float:
    """The standard deviation that a plane's upper rings would give white noise, in the display range."""
    return float(np.sqrt(np.median(level[3:])))


def _plane(
    energy: Array, quartic: Array, centre: Array, *, level: Array, share: Array, uneven: Array
) -> Array:
    """Numbers of one plane, all energies against its reference."""
    unit = np.log(reference(level) ** 2 + (0.1 * _STEP) ** 2)
    rings = energy[:, _FROM:]
    spread = np.log(np.quantile(rings, QUANTILES, axis=0) + _TINY) - unit
    order = np.argsort((energy[:, 2:] @ DOF[2:]), kind="stable")
    calm = order[: max(8, int(_CALM * len(order)))]
    peaked = quartic[calm, _FROM:].sum(0) / (np.square(rings[calm]).sum(0) + _TINY**2) / 3
    parts = (
        np.clip(np.log(level + _TINY) - unit, -8, 8),
        share,
        np.clip(spread, -8, 12).ravel() / 2,
        np.log(np.clip(peaked, 0.1, 50)),
        np.log(np.clip(uneven[_FROM:], 1, 50)),
        np.clip(np.log(_eigenvalues(centre, order) + _TINY) - unit, -8, 12),
    )
    return np.concatenate(parts)


def _eigenvalues(centre: Array, order: Array) -> Array:
    """Some eigenvalues of the covariance of all patches, of the calmer half and of the calmest fifth."""
    found = []
    for share in _SETS:
        chosen = centre[order[: max(_FEWEST, int(share * len(order)))]]
        deviation = chosen - chosen.mean(0)
        values = np.linalg.eigvalsh(deviation.T @ deviation / len(chosen))
        found += [values[index] for index in _EIGENVALUES]
    return np.maximum(found, 0)
