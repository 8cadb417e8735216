"""What the noise meter's network says of a picture's traits.

`scanmend_models.noise_meter` trains it and describes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scanmend.measure import network
from scanmend.measure.traits import COLOUR, CORRELATION, FLOOR, LIGHT

if TYPE_CHECKING:
    from scanmend.image import FloatArray

NAME = "noise-meter"
_SCALES = (-4.0, 2.0)


class Reading(NamedTuple):
    """What the network reads.

    Attributes:
        luminance, colour: standard deviations in an orthonormal basis, display range [0, 1].
        correlation: lag-1 spatial autocorrelation.
        luminance_error, colour_error: how far off they may be: the mean absolute error of their logarithms.
    """

    luminance: float
    colour: float
    correlation: float
    luminance_error: float
    colour_error: float


def read(traits: FloatArray) -> Reading:
    """Reads a picture's noise from its (COUNT,) traits.

    Raises:
        ModelError: the network is not installed or is damaged.
    """
    values = network.read(NAME, traits)
    logs = traits[[LIGHT, COLOUR]] + values[:2]
    sigmas = np.maximum(np.exp(np.minimum(logs, np.log(255))) - FLOOR, 0) / 255
    errors = np.exp(np.clip(values[3:], *_SCALES))
    correlation = np.clip(traits[CORRELATION] + values[2], 0.0, 0.99)
    return Reading(
        luminance=float(sigmas[0]),
        colour=float(sigmas[1]),
        correlation=float(correlation),
        luminance_error=float(errors[0]),
        colour_error=float(errors[1]),
    )
