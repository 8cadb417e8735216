"""How well a network takes out white noise: the protocol, and the marks that it gives.

White Gaussian noise is added to a clean picture; where it is `clipped`, the result is also brought
to the 8 bits of a scan file, which is what the product meets and costs up to 2 dB. A method is
told the true sigma, its result is rounded to 8 bits, and PSNR is taken over all RGB samples. The
noise depends on the picture alone, not on what else lies in its folder.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scanmend import formats
from scanmend.errors import UnsupportedFormat
from scanmend.image import FloatArray, to_float
from scanmend.plan import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scanmend.cards import Card
    from scanmend.engine import Engine

SIGMAS = (15, 25, 50)
"""The levels of the literature, in 1/255."""
CROP = 512
"""Side of the central square that is looked at, in pixels: bounds time and memory."""
_RADIUS, _SPREAD = 5, 1.5  # of the window of SSIM, in pixels: 11 x 11
_STABLE = (0.01**2, 0.03**2)  # the constants of SSIM for a range of 1


@dataclass(frozen=True)
class Mark:
    """What a model reaches at one noise level: means over the pictures.

    Attributes:
        model: the card's name.
        sigma: of the noise, in 1/255.
        psnr: in dB, over all RGB samples; `noisy` that of the noisy pictures.
        ssim: mean over the channels; 1 for equal pictures.
        seconds_per_megapixel: wall time.
        pictures: how many.
    """

    model: str
    sigma: float
    psnr: float
    noisy: float
    ssim: float
    seconds_per_megapixel: float
    pictures: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def evaluate(
    engine: Engine,
    card: Card,
    pictures: Sequence[FloatArray],
    *,
    sigmas: Sequence[float] = SIGMAS,
    clipped: bool = True,
) -> Iterator[Mark]:
    """Marks a model of the noise stage, one mark for each level.

    Args:
        engine: what runs it.
        card: the model.
        pictures: clean ones, (H, W, 3) float32 in [0, 1], at least one.
        sigmas: noise levels in 1/255.
        clipped: whether noisy pictures are clipped and rounded to 8 bits, as scan files are.
    """
    engine.network(card)  # loading is not running
    for sigma in sigmas:
        runner = engine.runner([told(card, sigma)], [card], grey=False)
        before, after, alike, seconds = [], [], [], 0.0
        for clean in pictures:
            scan = add_noise(clean, sigma, clipped=clipped)
            started = time.perf_counter()
            result = eight_bit(runner.band(scan))
            seconds += time.perf_counter() - started
            before.append(psnr(clean, scan))
            after.append(psnr(clean, result))
            alike.append(ssim(clean, result))
        megapixels = sum(clean.shape[0] * clean.shape[1] for clean in pictures) / 1e6
        yield Mark(
            model=card.name,
            sigma=sigma,
            psnr=float(np.mean(after)),
            noisy=float(np.mean(before)),
            ssim=float(np.mean(alike)),
            seconds_per_megapixel=seconds / megapixels,
            pictures=len(pictures),
        )


def told(
    card: Card, sigma: float, correlation: float = 0.0, curve: tuple[tuple[float, float], ...] = ()
) -> Step:
    """A model at full strength that is told the truth about the noise; sigma in 1/255."""
    return Step(card.stage, card.name, 1.0, 0.0, sigma / 255, correlation=correlation, curve=curve)


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
    """The seed of a picture's noise: a checksum of its 8-bit samples."""
    return zlib.crc32(np.rint(clean * 255).astype(np.uint8).tobytes())


def add_noise(clean: FloatArray, sigma: float, *, clipped: bool) -> FloatArray:
    """White Gaussian noise in every sample; sigma in 1/255.

    Args:
        clean: (H, W, C) float32 in [0, 1].
        sigma: standard deviation before clipping.
        clipped: whether the result is clipped and rounded to 8 bits, as a scan file is.
    """
    noise = np.random.default_rng(seed(clean)).normal(0, sigma / 255, clean.shape)
    scan = (clean + noise).astype(np.float32)
    return eight_bit(scan) if clipped else scan


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
