"""Counts the work of a network by running it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def macs_per_pixel(network: nn.Module, inputs: Tensor) -> int:
    """Multiply-accumulates of all convolutions, for a pixel of (1, C, H, W) inputs."""
    macs = 0

    def count(layer: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        nonlocal macs
        assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
        places = taken[0] if isinstance(layer, nn.ConvTranspose2d) else given
        macs += layer.weight.numel() * places.shape[2] * places.shape[3]

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(inputs)
    return macs // (inputs.shape[2] * inputs.shape[3])
