"""Tone curves, blurs and measures that the degradation of pictures is made of.

Pictures are (N, C, H, W) float32, either in the display range [0, 1] or in linear light.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

REACH = 6
"""Pixels to either side that a Gaussian takes in: 2.4 sigma of the widest one drawn."""


def to_linear(x: Tensor) -> Tensor:
    """Display range to linear light (IEC 61966-2-1, sRGB); values outside [0, 1] are clipped."""
    x = x.clamp(0, 1)
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_display(x: Tensor) -> Tensor:
    """Linear light to the display range (IEC 61966-2-1, sRGB); values outside [0, 1] are clipped."""
    x = x.clamp(0, 1)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp_min(1e-6) ** (1 / 2.4) - 0.055)


def to_eight_bit(x: Tensor) -> Tensor:
    """Clipped to [0, 1] and rounded to multiples of 1/255."""
    return (x.clamp(0, 1) * 255).round() / 255


def luma(x: Tensor) -> Tensor:
    """(N, 1, H, W): ITU-R BT.601 luma of (N, 3, H, W)."""
    return 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def places(chosen: Tensor, device: torch.device) -> Tensor:
    """Indices of a mask (N,) that lives on the CPU; the device need not come to rest for them."""
    return chosen.nonzero()[:, 0].to(device, non_blocking=True)


def blur(x: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Gaussian blur with each sample's own sigmas (N, 1, 1, 1), in pixels; edges are reflected."""
    padded = functional.pad(x, (REACH, REACH, REACH, REACH), mode="reflect")
    return _separable(padded, _gaussian(down), _gaussian(across))


def clump(noise: Tensor, sigma: Tensor) -> Tensor:
    """Correlates white noise by a Gaussian of sigma (N, 1, 1, 1) pixels; unit variance stays.

    The result is smaller by `REACH` pixels on each side, so that its statistics are the
    same up to the edge.
    """
    kernel = _gaussian(sigma)
    return _separable(noise, *2 * (kernel / kernel.square().sum(dim=1, keepdim=True).sqrt(),))


def lag_one_correlation(noise: Tensor) -> Tensor:
    """Mean of the horizontal and the vertical lag-1 autocorrelation: (N, 1, 1, 1) in [0, 0.95]."""
    centred = noise - noise.mean(dim=(2, 3), keepdim=True)
    power = centred.square().mean(dim=(1, 2, 3)).clamp_min(1e-12)
    along = (centred[..., 1:] * centred[..., :-1]).mean(dim=(1, 2, 3))
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean(dim=(1, 2, 3))
    return ((along + down) / (2 * power)).clamp(0.0, 0.95).reshape(-1, 1, 1, 1)


def local_rms(noise: Tensor, reach: int = 33) -> Tensor:
    """Root mean square over channels and a square of at most `reach` pixels: (N, 1, H, W)."""
    power = noise.square().mean(dim=1, keepdim=True)
    half = min(reach, *power.shape[2:]) // 2
    padded = functional.pad(power, (half, half, half, half), mode="reflect")
    across = functional.avg_pool2d(padded, (1, 2 * half + 1), stride=1)  # two passes are many times cheaper
    return functional.avg_pool2d(across, (2 * half + 1, 1), stride=1).clamp_min(0).sqrt()


def _gaussian(sigma: Tensor) -> Tensor:
    """(N, 2 REACH + 1) kernels that sum to one."""
    offsets = torch.arange(-REACH, REACH + 1, device=sigma.device, dtype=sigma.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma.reshape(-1, 1)) ** 2)
    return kernel / kernel.sum(dim=1, keepdim=True)


def _separable(padded: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Rows and columns of each sample with its own kernels (N, K); only whole neighbourhoods."""
    count, channels = padded.shape[:2]
    groups = count * channels
    flat = padded.reshape(1, groups, *padded.shape[2:])
    down, across = (kernel.repeat_interleave(channels, dim=0) for kernel in (down, across))
    flat = functional.conv2d(flat, across[:, None, None, :], groups=groups)
    flat = functional.conv2d(flat, down[:, None, :, None], groups=groups)
    return flat.reshape(count, channels, *flat.shape[2:])
