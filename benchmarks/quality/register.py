"""Marks for pictures that may lie a few pixels apart: the best over shifts of a quarter pixel."""

from __future__ import annotations

import itertools

import numpy as np
from scanmend.evaluate import psnr, ssim
from scanmend.image import FloatArray

LUMA = np.array([0.299, 0.587, 0.114])
_FINE = (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75)


def marks(truth: FloatArray, result: FloatArray, most: int) -> tuple[float, float]:
    """PSNR in dB and SSIM of the luminance, at the shift of the result that gives the highest PSNR.

    Shifts go up to `most` pixels each way, by whole pixels and then, around the best, by quarters, as in
    the protocol of Levin et al. (CVPR 2009); a border of most + 1 pixels is left out.

    Args:
        truth: (H, W, 3) float32 in [0, 1].
        result: of the same shape.
        most: pixels.
    """
    clean, found = ((picture @ LUMA)[..., None] for picture in (truth, result))
    border = most + 1
    inside = clean[border:-border, border:-border]
    whole = itertools.product(range(-most, most + 1), repeat=2)
    coarse = max(whole, key=lambda shift: psnr(inside, _window(found, shift, border)))
    spectrum = np.fft.rfft2(_mirrored(found[..., 0]))
    moved = (_moved(spectrum, fine, found.shape) for fine in itertools.product(_FINE, repeat=2))
    best = max((_window(picture, coarse, border) for picture in moved), key=lambda seen: psnr(inside, seen))
    return psnr(inside, best), ssim(inside, best)


def _window(picture: FloatArray, shift: tuple[int, int], border: int) -> FloatArray:
    height, width = picture.shape[:2]
    down, across = shift
    return picture[border + down : height - border + down, border + across : width - border + across]


def _mirrored(plane: FloatArray) -> FloatArray:
    """Twice as high and wide: without a seam where the transform wraps around."""
    tall = np.concatenate((plane, plane[::-1]))
    return np.concatenate((tall, tall[:, ::-1]), axis=1)


def _moved(spectrum: FloatArray, shift: tuple[float, float], shape: tuple[int, ...]) -> FloatArray:
    height, width = shape[:2]
    down = np.fft.fftfreq(2 * height)[:, None] * shift[0]
    across = np.fft.rfftfreq(2 * width)[None] * shift[1]
    moved = np.fft.irfft2(spectrum * np.exp(2j * np.pi * (down + across)), (2 * height, 2 * width))
    return moved[:height, :width, None].astype(np.float32)
