"""The lower edge of a heap of window energies: the level that noise alone would give.

Noise of one strength gives energies in a narrow heap with a steep lower edge; texture adds
to some windows, by any amount, and its own distribution has a long, shallow lower tail. The
search climbs from the calmest windows to the first level that is as steep below as a
chi-square distribution is below its mean. Where even the calmest windows are not that
steep, no noise has been seen: the share of windows below the level stays near its minimum.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from scanmend.image import FloatArray

_FEWEST = 6
_LOWEST_SHARE = 0.015  # calmer windows than these may be damaged, half saturated or retouched
_PERSIST = 1.5  # a crossing must hold until so many times as many windows lie below: chance crossings do not


class Floor(NamedTuple):
    """level: the noise's mean energy, an upper bound where share is small; share: of windows below it."""

    level: float
    share: float


@cache
def steepness(dof: float) -> float:
    """E[x | x < 1] of a mean-one chi-square variable with so many degrees of freedom."""
    half = dof / 2
    term = total = 1.0
    for n in range(
        1, 20 + int(6 * math.sqrt(half))
    ):  # the series of the incomplete gamma function at its mean
        term *= half / (half + n)
        total += term
    # Both terms carry the factor half**half * exp(-half) / gamma(half + 1), which cancels.
    return (total - 1) / total


def find(energy: FloatArray, dof: float) -> Floor:
    """The level of the noise among energies that are noise, or noise plus texture.

    Args:
        energy: (n,) mean energies, each over `dof` coefficients; n may be 0.
        dof: independent coefficients behind each energy.
    """
    count = len(energy)
    if count <= _FEWEST:
        return Floor(float(energy.min()) if count else 0.0, 0.0)
    energy = np.sort(energy).astype(np.float64)
    below = np.cumsum(energy) / np.arange(1, count + 1)
    first = max(_FEWEST, int(_LOWEST_SHARE * count))
    steep = np.flatnonzero(below >= steepness(dof) * energy)
    candidates = np.setdiff1d(np.arange(first, count), steep, assume_unique=True)
    following = np.append(steep, 2 * count)[np.searchsorted(steep, candidates)]
    held = candidates[following >= np.minimum(_PERSIST * candidates + 2, count)]
    place = int(held[0]) if len(held) else count - 1
    return Floor(float(energy[place]), (place + 1) / count)
