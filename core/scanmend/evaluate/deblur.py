"""How well a network takes out blur: the protocol, and the marks that it gives.

Clean pictures are blurred in linear light, which is what lenses and shaking hands do, with edges
reflected; white noise of 1/255 is added and the result brought to the 8 bits of a scan file. Each
picture has one point-spread function of each kind, drawn from a seed that depends on the picture
and the kind alone. Results are rounded to 8 bits, PSNR is taken over all RGB samples. Pictures that
are sharp come as they are: what is done to them is harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scanmend import psf
from scanmend.evaluate.measures import eight_bit, psnr, seed, ssim
from scanmend.image import FloatArray, decode_srgb, encode_srgb
from scanmend.plan import Step
from scanmend.psf import Psf

if TYPE_CHECKING:
    from scanmend.cards import Card
    from scanmend.engine import Engine

SHARP = "sharp"
FAMILIES = (*psf.KINDS, SHARP)
"""What pictures are judged in: a kind of blur each, and none."""
NOISE = 1.0
"""White noise after the blur, in 1/255: about what a denoiser leaves, or a good scanner adds."""
LOSS = 0.1
"""dB below the blurred picture that count as a picture made worse."""
EQUAL = 99.0
"""What stands for the infinite PSNR of equal pictures, in dB."""


@dataclass(frozen=True, eq=False)
class Blurred:
    """A picture in one state: what a method gets, and what it should give back.

    Attributes:
        clean, scan: (H, W, 3) float32 in [0, 1], the display curve.
        psf: what blurred it; None where nothing did.
    """

    clean: FloatArray
    scan: FloatArray
    psf: Psf | None


@dataclass(frozen=True)
class Mark:
    """What a model reaches in one family: means over the pictures.

    Attributes:
        model: the card's name.
        family: one of FAMILIES.
        blurred: PSNR of the blurred pictures in dB; None for sharp ones.
        psnr: in dB, over all RGB samples; at most 99, which stands for equal pictures.
        worst: of the picture that fares worst, its gain over the blurred one in dB, or its PSNR if sharp.
        below: how many pictures come back worse than they were by more than 0.1 dB; 0 for sharp ones.
        ssim: mean over the channels; 1 for equal pictures.
        seconds_per_megapixel: wall time.
        pictures: how many.
    """

    model: str
    family: str
    blurred: float | None
    psnr: float
    worst: float
    below: int
    ssim: float
    seconds_per_megapixel: float
    pictures: int

    @property
    def gain(self) -> float | None:
        """Over the blurred pictures in dB; None for sharp ones."""
        return None if self.blurred is None else self.psnr - self.blurred

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**asdict(self), "gain": self.gain}


def evaluate(
    engine: Engine, card: Card, pictures: Sequence[FloatArray], *, families: Sequence[str] = FAMILIES
) -> Iterator[Mark]:
    """Marks a model of the blur stage at full strength, one mark for each family.

    Args:
        engine: what runs it.
        card: the model.
        pictures: clean ones, (H, W, 3) float32 in [0, 1], at least one.
        families: of FAMILIES.
    """
    engine.network(card)  # loading is not running
    runner = engine.runner([step(card)], [card], grey=False)
    for family in families:
        before, after, alike, seconds = [], [], [], 0.0
        for clean in pictures:
            scan = made(clean, family).scan
            started = time.perf_counter()
            result = eight_bit(runner.band(scan))
            seconds += time.perf_counter() - started
            before.append(psnr(clean, scan))
            after.append(min(psnr(clean, result), EQUAL))
            alike.append(ssim(clean, result))
        gains = after if family == SHARP else [b - a for a, b in zip(before, after, strict=True)]
        yield Mark(
            model=card.name,
            family=family,
            blurred=None if family == SHARP else float(np.mean(before)),
            psnr=float(np.mean(after)),
            worst=min(gains),
            below=sum(gain < -LOSS for gain in gains),
            ssim=float(np.mean(alike)),
            seconds_per_megapixel=seconds * 1e6 / sum(clean[..., 0].size for clean in pictures),
            pictures=len(pictures),
        )


def step(card: Card) -> Step:
    """A model at full strength."""
    return Step(card.stage, card.name, strength=1.0, keep_grain=0.0, sigma=0.0)


def made(clean: FloatArray, family: str) -> Blurred:
    """A clean picture as its family has it; blurred ones as the module's head describes."""
    if family == SHARP:
        return Blurred(clean, clean, None)
    kind = next(kind for kind in psf.KINDS if kind == family)
    rng = np.random.default_rng([seed(clean), psf.KINDS.index(kind)])
    drawn = psf.draw(kind, rng)
    noise = rng.normal(0, NOISE / 255, clean.shape)
    scan = encode_srgb(np.clip(convolved(decode_srgb(clean), drawn.kernel), 0, 1)) + noise
    return Blurred(clean, eight_bit(scan.astype(np.float32)), drawn)


def convolved(picture: FloatArray, kernel: FloatArray) -> FloatArray:
    """A picture (H, W, C) convolved with a kernel of an odd side, its edges reflected."""
    height, width = picture.shape[:2]
    reach = len(kernel) // 2
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), "reflect")
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * transfer(kernel, padded.shape[:2])[..., None]
    whole = np.fft.irfft2(spectrum, padded.shape[:2], axes=(0, 1))
    return whole[reach : reach + height, reach : reach + width].astype(np.float32)


def transfer(kernel: FloatArray, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.complex128]]:
    """The kernel's spectrum over a picture of a shape (H, W), its centre at the origin: (H, W // 2 + 1)."""
    reach = len(kernel) // 2
    placed = np.zeros(shape)
    placed[: len(kernel), : len(kernel)] = kernel
    return np.fft.rfft2(np.roll(placed, (-reach, -reach), axis=(0, 1)))
