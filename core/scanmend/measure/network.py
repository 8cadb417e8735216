"""The meters' small networks in numpy, without torch: looking at a scan must be quick."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from scanmend import cards
from scanmend.errors import ModelError

if TYPE_CHECKING:
    from scanmend.image import FloatArray

_LIMIT = 5.0
_LAYERS = ("first", "second", "tail")


def read(name: str, traits: FloatArray) -> FloatArray:
    """What a meter's network makes of a picture's (n,) traits: standardised, then three layers.

    Raises:
        ModelError: the network is not installed, is damaged or reads other traits.
    """
    network = _loaded(name, len(traits))
    values = np.clip((traits - network["mean"]) / network["spread"], -_LIMIT, _LIMIT)
    for layer in _LAYERS:
        values = network[f"{layer}.weight"] @ values + network[f"{layer}.bias"]
        values = values if layer == _LAYERS[-1] else np.maximum(values, 0)
    return np.asarray(values, np.float32)


@cache
def _loaded(name: str, count: int) -> dict[str, FloatArray]:
    card = cards.find(name)
    cards.verify(card)
    try:
        network = {key: value.astype(np.float32) for key, value in load_file(card.weights).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the weights of {name} cannot be read: {error}", hint="install Scanmend again"
        ) from error
    if network.get("mean", np.empty(0)).shape != (count,):
        raise ModelError(f"the weights of {name} are of another version", hint="install Scanmend again")
    return network
