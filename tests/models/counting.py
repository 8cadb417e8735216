"""Counts the work of a network by running it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def macs_per_pixel(network: nn.Module, inputs: Tensor) -> int:
    """Multiply-accumulates of all convolutions, in layers or not, for a pixel of (1, C, H, W) inputs."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(inputs)
    return counter.get_total_flops() // 2 // (inputs.shape[2] * inputs.shape[3])
