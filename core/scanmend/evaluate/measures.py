"""What every protocol of `scanmend.evaluate` stands on: how pictures are read, and how results are marked."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from scanmend import formats
from scanmend.errors import UnsupportedFormat
from scanmend.image import FloatArray, to_float

CROP = 512
"""Side of the central square that is looked at, in pixels: bounds time and memory."""
_RADIUS, _SPREAD = 5, 1.5  # of the window of SSIM, in pixels: 11 x 11
_STABLE = (0.01**2, 0.03**2)  # the constants of SSIM for a range of 1


def read_picture(path: Path, crop: int | None = CROP) -> FloatArray:
    """The first page of a file as RGB, or its central square.

    Args:
        path: of a picture in one of Scanmend's formats.
        crop: the square's side at most, in pixels; None takes the whole page.

    Returns:
        (H, W, 3) float32 in [0, 1], the display curve.

    Raises:
        FormatError: the file is no picture that can be read.
    """
    with formats.open_scan(path) as scan:
        page = scan.pages[0]
        if page.refusal:
            raise UnsupportedFormat(f"{path} is {page.refusal}")
        layout = page.layout
        top, height = _middle(layout.height, crop)
        left, width = _middle(layout.width, crop)
        colour = to_float(page.read(top, top + height)[:, left : left + width], layout)
    return np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))


def _middle(length: int, most: int | None) -> tuple[int, int]:
    kept = min(length, most or length)
    return (length - kept) // 2, kept


def seed(clean: FloatArray) -> int:
    """The seed of all that is drawn for a picture: a checksum of its 8-bit samples."""
    return zlib.crc32(np.rint(clean * 255).astype(np.uint8).tobytes())


def eight_bit(pixels: FloatArray) -> FloatArray:
    """Clipped and rounded to multiples of 1/255."""
    return np.asarray(np.rint(np.clip(pixels, 0, 1) * 255) / 255, np.float32)


def psnr(truth: FloatArray, result: FloatArray) -> float:
    """Peak signal-to-noise ratio in dB over all samples, peak 1; infinite for equal pictures."""
    error = float(np.mean(np.square(truth.astype(np.float64) - result)))
    return float(-10 * np.log10(error)) if error else float("inf")


def ssim(truth: FloatArray, result: FloatArray) -> float:
    """Structural similarity, mean over channels and over all places that the window fits.

    Wang et al., doi:10.1109/TIP.2003.819861: Gaussian window of 11 x 11, sigma 1.5, population
    covariance, range 1. Both sides must be 11 pixels or more.
    """
    x, y = (np.asarray(picture, np.float64) for picture in (truth, result))
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x = _windowed(x * x) - mean_x**2
    variance_y = _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _STABLE[0]) * (2 * covariance + _STABLE[1])
    scale = (mean_x**2 + mean_y**2 + _STABLE[0]) * (variance_x + variance_y + _STABLE[1])
    return float(np.mean(alike / scale))


def _windowed(plane: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Gaussian means wherever the whole window fits: (H - 10, W - 10, C)."""
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    window = np.exp(-0.5 * (offsets / _SPREAD) ** 2)
    window /= window.sum()
    size = len(window)
    down = sum(w * plane[i : plane.shape[0] - size + 1 + i] for i, w in enumerate(window))
    return sum(w * down[:, i : plane.shape[1] - size + 1 + i] for i, w in enumerate(window))
