"""The best grain network: DRUNet at half its usual width.

Paper: Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior", TPAMI 2021,
arXiv 2008.13751: a U-Net of residual blocks without norms, strided 2 x 2 convolution down,
transposed 2 x 2 up, the noise level as an input plane, the picture itself as the result. What
differs:

- 32 to 256 channels instead of 64 to 512: a quarter of the weights and of the work;
- a second condition plane, sigma times the noise's lag-1 correlation, tells white scanner
  noise from clumped film grain.

There is no bias anywhere and ReLU is the only non-linearity, so f(a x, a sigma) = a f(x, sigma)
for every a > 0 (Mohan et al., ICLR 2020). The names of the weights are those that DRUNet's
published files use, so that tools that read those read these.
"""

from __future__ import annotations

from torch import Tensor, nn

CHANNELS = (32, 64, 128, 256)
"""Feature channels at full, half, quarter and eighth resolution."""
BLOCKS = 4
"""Residual blocks of each stage."""


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), shape kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.res = nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.res(x)
        return x + y


class DRUNet(nn.Module):
    """Removes noise whose level and correlation it is told.

    Input (N, 5, H, W) with H and W multiples of 8: RGB in the display range [0, 1], sigma in
    the same units, sigma times lag-1 correlation. Output (N, 3, H, W), not clamped.
    """

    def __init__(self) -> None:
        super().__init__()
        full, half, quarter, eighth = CHANNELS
        self.m_head = _conv(5, full)
        self.m_down1 = _down(full, half)
        self.m_down2 = _down(half, quarter)
        self.m_down3 = _down(quarter, eighth)
        self.m_body = nn.Sequential(*_blocks(eighth))
        self.m_up3 = _up(eighth, quarter)
        self.m_up2 = _up(quarter, half)
        self.m_up1 = _up(half, full)
        self.m_tail = _conv(full, 3)

    def forward(self, x: Tensor) -> Tensor:
        full = self.m_head(x)
        half = self.m_down1(full)
        quarter = self.m_down2(half)
        eighth = self.m_down3(quarter)
        y = self.m_up3(self.m_body(eighth) + eighth)
        y = self.m_up2(y + quarter)
        y = self.m_up1(y + half)
        result: Tensor = self.m_tail(y + full)
        return result


def _conv(channels: int, results: int) -> nn.Conv2d:
    return nn.Conv2d(channels, results, 3, padding=1, bias=False)


def _blocks(channels: int) -> list[nn.Module]:
    return [ResBlock(channels) for _ in range(BLOCKS)]


def _down(channels: int, results: int) -> nn.Sequential:
    """Residual blocks, then half the resolution."""
    return nn.Sequential(*_blocks(channels), nn.Conv2d(channels, results, 2, stride=2, bias=False))


def _up(channels: int, results: int) -> nn.Sequential:
    """Twice the resolution, then residual blocks."""
    return nn.Sequential(nn.ConvTranspose2d(channels, results, 2, stride=2, bias=False), *_blocks(results))


def build() -> nn.Module:
    """The network with fresh weights, in eval mode."""
    return DRUNet().eval()
