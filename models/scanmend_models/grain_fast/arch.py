"""The fast grain network: a small bias-free DRUNet that works on half-resolution pixels.

Family: DRUNet (Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior",
TPAMI 2021, arXiv 2008.13751): a U-Net of residual blocks, strided-convolution down,
transposed-convolution up, no bias anywhere, the noise level as an input plane. What differs:

- pixels are folded 2 x 2 into channels first, as FFDNet does (arXiv 1710.04026): no
  convolution runs at full resolution, where a CPU waits for memory rather than computing;
- a second condition plane, sigma times the noise's lag-1 correlation, tells white
  scanner noise from clumped film grain;
- the network predicts the noise, and the picture is the input less that.

Without biases, and with ReLU alone, f(a x, a sigma) = a f(x, sigma) for every a > 0
(Mohan et al., "Robust and interpretable blind image denoising", ICLR 2020), which carries
what was learned at one noise level to the others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = (64, 96, 128)
"""Feature channels at a half, a quarter and an eighth of the picture's resolution."""
BLOCKS = 2
"""Residual blocks of each stage; an encoder and a decoder stage at the first two scales."""


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), shape kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.relu(self.first(x)))
        return x + y


def _stage(channels: int) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(channels) for _ in range(BLOCKS)))


class GrainNet(nn.Module):
    """Removes noise whose level and correlation it is told.

    Input (N, 5, H, W) with H and W multiples of 8: RGB in the display range [0, 1], sigma
    in the same units, sigma times lag-1 correlation. Output (N, 3, H, W), not clamped.
    """

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth = CHANNELS
        self.head = nn.Conv2d(5 * 4, half, 3, padding=1, bias=False)
        self.encode_half = _stage(half)
        self.down_quarter = nn.Conv2d(half, quarter, 2, stride=2, bias=False)
        self.encode_quarter = _stage(quarter)
        self.down_eighth = nn.Conv2d(quarter, eighth, 2, stride=2, bias=False)
        self.body = _stage(eighth)
        self.up_quarter = nn.ConvTranspose2d(eighth, quarter, 2, stride=2, bias=False)
        self.decode_quarter = _stage(quarter)
        self.up_half = nn.ConvTranspose2d(quarter, half, 2, stride=2, bias=False)
        self.decode_half = _stage(half)
        self.tail = nn.Conv2d(half, 3 * 4, 3, padding=1, bias=False)
        nn.init.zeros_(self.tail.weight)  # training starts from the identity

    def forward(self, x: Tensor) -> Tensor:
        folded = nn.functional.pixel_unshuffle(x, 2)  # (N, 20, H/2, W/2)
        head = self.head(folded)
        half = self.encode_half(head)
        quarter = self.encode_quarter(self.down_quarter(half))
        deep = self.body(self.down_eighth(quarter))
        quarter = self.decode_quarter(self.up_quarter(deep) + quarter)
        half = self.decode_half(self.up_half(quarter) + half)
        noise = nn.functional.pixel_shuffle(self.tail(half + head), 2)
        return x[:, :3] - noise


def build() -> nn.Module:
    """The network with fresh weights, in eval mode."""
    return GrainNet().eval()
