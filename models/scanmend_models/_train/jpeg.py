"""What a JPEG encoder leaves of a picture, on the device and for a whole batch at once.

Follows libjpeg step by step: 8-bit YCbCr, chroma halved by a box, 8 x 8 DCT, rounding to
the scaled tables of ITU-T T.81 Annex K, and back with triangular chroma interpolation.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from scanmend_models._train.light import places, to_eight_bit

# ITU-T T.81, Annex K, tables K.1 and K.2.
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
MCU = 16
"""The largest block that an encoder treats as one: 16 x 16 pixels where chroma is halved."""


def jpeg(x: Tensor, quality: Tensor, *, halved: Tensor, offset: Tensor) -> Tensor:
    """Codes and decodes pictures.

    Args:
        x: (N, 3, H, W) in the display range.
        quality: (N,) whole numbers from 1 to 100, libjpeg's scale.
        halved: (N,) bool: chroma at half the resolution both ways (4:2:0) or whole (4:4:4).
        offset: (N, 2) whole numbers from 0 to 15: how far above and left of the first pixel
            the grid begins; 0 is a file as its encoder wrote it, others are crops of one.
            All three live on the CPU.

    Returns:
        (N, 3, H, W), rounded to 8 bits.
    """
    result = torch.empty_like(x)
    for halve in (False, True):
        for moved in (False, True):
            chosen = (halved == halve) & (offset.any(dim=1) == moved)
            if chosen.any():
                at = places(chosen, x.device)
                framed = _framed(x[at], offset[chosen])
                coded = _coded(framed, quality[chosen], halve=halve)
                result[at] = _unframed(coded, offset[chosen], x.shape[2], x.shape[3])
    return result


def _framed(x: Tensor, offset: Tensor) -> Tensor:
    """Puts each picture at its place in the grid, edges repeated, sides filled up to whole MCUs."""
    most_down, most_across = (int(most) for most in offset.max(dim=0).values)
    height, width = (
        -(-(side + most) // MCU) * MCU for side, most in ((x.shape[2], most_down), (x.shape[3], most_across))
    )
    framed = [
        functional.pad(
            picture[None],
            (int(left), width - x.shape[3] - int(left), int(top), height - x.shape[2] - int(top)),
            mode="replicate",
        )
        for picture, (top, left) in zip(x, offset, strict=True)
    ]
    return torch.cat(framed)


def _unframed(x: Tensor, offset: Tensor, height: int, width: int) -> Tensor:
    return torch.stack(
        [
            picture[:, int(top) : int(top) + height, int(left) : int(left) + width]
            for picture, (top, left) in zip(x, offset, strict=True)
        ]
    )


def _coded(x: Tensor, quality: Tensor, *, halve: bool) -> Tensor:
    luma_steps, chroma_steps = (table.to(x.device, non_blocking=True) for table in _steps(quality))
    planes = (_mixed(to_eight_bit(x), _TO_YCC) * 255).round()  # luma 0 to 255, chroma -128 to 127
    luma, chroma = planes[:, :1] - 128, planes[:, 1:]
    if halve:
        chroma = functional.avg_pool2d(chroma, 2)
        columns = torch.arange(chroma.shape[3], device=x.device) % 2
        chroma = (chroma + 0.25 + 0.25 * columns).floor()  # libjpeg rounds every other tie up
    luma = (_quantised(luma, luma_steps).round() + 128).clamp(0, 255)
    chroma = _quantised(chroma, chroma_steps).round().clamp(-128, 127)
    if halve:
        chroma = functional.interpolate(chroma, scale_factor=2.0, mode="bilinear").round()
    return to_eight_bit(_mixed(torch.cat((luma, chroma), dim=1), _TO_RGB) / 255)


def _steps(quality: Tensor) -> Tensor:
    """(2, N, 64, 1): quantisation steps of luma and chroma at libjpeg's scale."""
    quality = quality.to(torch.float32).reshape(-1, 1)
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    tables = torch.tensor((_LUMINANCE, _CHROMINANCE), dtype=torch.float32).reshape(2, 1, 64)
    return ((tables * scale + 50) / 100).floor().clamp(1, 255)[..., None]


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """DCT of each 8 x 8 block, rounding to multiples of `steps` (N, 64, 1), and back.

    The two-dimensional transform is one 64 x 64 matrix: a single large product is many times
    faster than thousands of 8 x 8 ones.
    """
    channels, height, width = planes.shape[1:]
    basis = _dct(planes.device)
    blocks = functional.pixel_unshuffle(planes.reshape(-1, 1, height, width), 8)  # (NC, 64, H/8, W/8)
    steps = steps.repeat_interleave(channels, dim=0)
    cosines = (basis @ blocks.flatten(2) * 8).round() / 8  # libjpeg's integer DCT keeps three bits
    rounded = torch.sign(cosines) * (cosines.abs() / steps + 0.5).floor() * steps
    back = (basis.T @ rounded).reshape(blocks.shape)
    return functional.pixel_shuffle(back, 8).reshape(planes.shape)


@cache
def _dct(device: torch.device) -> Tensor:
    """(64, 64): the orthonormal 8 x 8 DCT of a block that is read row by row."""
    index = torch.arange(8, dtype=torch.float64)
    rows = torch.cos((2 * index[None, :] + 1) * index[:, None] * math.pi / 16) / 2
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows).to(device, torch.float32)


@cache
def _matrix(rows: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


def _mixed(x: Tensor, rows: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("oc,nchw->nohw", _matrix(rows, x.device), x)
