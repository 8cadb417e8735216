"""The noise meter's network in numpy, without torch: looking at a scan must be quick.

`scanmend_models.noise_meter` trains it and describes it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from scanmend import cards
from scanmend.errors import ModelError
from scanmend.measure.traits import COLOUR, CORRELATION, COUNT, FLOOR, LIGHT

if TYPE_CHECKING:
    from scanmend.image import FloatArray

NAME = "noise-meter"
_LIMIT = 5.0
_SCALES = (-4.0, 2.0)
_LAYERS = ("first", "second", "tail")


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
    network = _network()
    values = np.clip((traits - network["mean"]) / network["spread"], -_LIMIT, _LIMIT)
    for name in _LAYERS:
        values = network[f"{name}.weight"] @ values + network[f"{name}.bias"]
        values = values if name == _LAYERS[-1] else np.maximum(values, 0)
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


@cache
def _network() -> dict[str, FloatArray]:
    card = cards.find(NAME)
    cards.verify(card)
    try:
        network = {name: value.astype(np.float32) for name, value in load_file(card.weights).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the weights of {NAME} cannot be read: {error}", hint="install Scanmend again"
        ) from error
    if network.get("mean", np.empty(0)).shape != (COUNT,):
        raise ModelError(f"the weights of {NAME} are of another version", hint="install Scanmend again")
    return network
