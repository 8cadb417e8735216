"""How well a network takes out white noise: the protocol, and the marks that it gives.

White Gaussian noise is added to a clean picture; where it is `clipped`, the result is also brought
to the 8 bits of a scan file, which is what the product meets and costs up to 2 dB. A method is
told the true sigma, its result is rounded to 8 bits, and PSNR is taken over all RGB samples. The
noise depends on the picture alone, not on what else lies in its folder.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scanmend.evaluate.measures import eight_bit, psnr, seed, ssim
from scanmend.image import FloatArray
from scanmend.plan import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scanmend.cards import Card
    from scanmend.engine import Engine

SIGMAS = (15, 25, 50)
"""The levels of the literature, in 1/255."""


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
