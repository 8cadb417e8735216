"""Pictures with known noise, as the meter sees them: traits, and what is true."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scanmend.measure import noise, patches, sampling, traits
from torch import Tensor
from torch.nn import functional

from scanmend_models._train.degrade import Degrader
from scanmend_models._train.effects import Shares, on
from scanmend_models._train.light import blur, luma

Array = npt.NDArray[np.float32]

SIDES = (96, 128, 192, 256, 320, 384, 512)
SIDE_CHANCES = (0.06, 0.12, 0.18, 0.22, 0.16, 0.14, 0.12)
PLAIN = 0.55
"""Share of pictures with Gaussian noise of its own; the others go through the whole scan chain."""
CLEAN = 0.12
LEVELS = (0.5 / 255, 60 / 255)
SMOOTH = 0.06
"""Share of pictures with next to no texture: walls, skies, and what is out of focus."""
_LEAST_WINDOWS = 24


class Example(NamedTuple):
    """(COUNT,) traits; (3,) luminance and colour sigma in the display range, lag-1 correlation."""

    traits: Array
    truth: Array


class MeterDegrader(Degrader):
    """Draws scans with their noise set apart; levels are log-uniform, as errors are relative."""

    def __init__(self, seed: int) -> None:
        shares = Shares(white=0.0, bare=CLEAN, grey=0.25, jpeg=0.4, resize=0.2)
        super().__init__(seed, torch.device("cpu"), shares=shares, measure=True)

    def scan(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to the scan and its noise."""
        if float(torch.rand((), generator=self.choices)) < PLAIN:
            return self._plain(clean)
        sample = self(clean)
        assert sample.noise is not None  # noqa: S101 - asked for in __init__
        return sample.scan, sample.noise

    def _plain(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Gaussian noise, white or clumped, grey or coloured, the same at every tone or rising or falling."""
        count = len(clean)
        grey = self._chance(count, 0.25)
        clean = on(grey, clean, lambda x: luma(x).expand_as(x))
        clean = on(self._chance(count, 0.25), clean, self._softened)
        level = torch.exp(self._number(count, math.log(LEVELS[0]), math.log(LEVELS[1])))
        level = level * (self._number(count, 0, 1) > CLEAN)
        slope = self._number(count, -1, 1) * (self._number(count, 0, 1) < 0.4)
        tone = (1 + slope * (2 * luma(clean) - 1)).clamp_min(0.1)
        scan = (clean + level * tone * self._field(clean)).clamp(0, 1)
        scan = on(grey & self._chance(count, 0.7), scan, lambda x: x[:, :1].expand_as(x))
        coded, own = self._coded(scan, clean)
        return coded, coded - clean if own is None else own

    def _softened(self, clean: Tensor) -> Tensor:
        return blur(clean, self._number(len(clean), 0.4, 1.6), self._number(len(clean), 0.4, 1.6))

    def _field(self, like: Tensor) -> Tensor:
        """Unit noise: a share common to all colours, both shares white or both clumped."""
        count = len(like)
        kind = self._number(count, 0, 1)
        drawn = self._number(count, 0, 1)
        shared = torch.where(kind < 0.4, 0.0, torch.where(kind < 0.75, 1.0, drawn))
        fine = self._number(count, 0.3, 1.7)
        coarser = torch.where(self._number(count, 0, 1) < 0.6, 1.0, self._number(count, 1, 2))
        white = shared.sqrt() * self._normal((count, 1, *like.shape[2:]))
        white = white + (1 - shared).sqrt() * self._normal(like.shape)
        clumped = self._coloured(like, fine, fine * coarser, shared)
        return torch.where(self._number(count, 0, 1) < 0.5, white, clumped)


def draw(
    pictures: tuple[Tensor, ...], degrader: MeterDegrader, choices: np.random.Generator
) -> Example | None:
    """One example; None where too little of it can be judged.

    Args:
        pictures: (3, H, W) uint8, with sides of at least 96.
        degrader: draws the noise.
        choices: draws picture, crop and kind.
    """
    clean = _crop(pictures[choices.integers(len(pictures))], choices)
    with torch.no_grad():
        scan, own = degrader.scan(clean)
    pixels, noise_alone = (x[0].permute(1, 2, 0).numpy() for x in (scan, own))
    grey = bool((pixels == pixels[..., :1]).all())
    return measured(pixels, noise_alone, channels=1 if grey and choices.random() < 0.5 else 3)


def measured(pixels: Array, own: Array, *, channels: int = 3) -> Example | None:
    """The example of one picture.

    Args:
        pixels: (H, W, 3) in [0, 1].
        own: the noise alone, the same shape.
        channels: 1 to show the meter the first channel only.
    """
    inside = _unclipped(pixels - own, own)
    power = np.square(own[inside] @ patches.OPPONENT.T).mean(0)
    luminance = power[0] if channels == 3 else power[0] / 3
    truth = (np.sqrt(luminance), np.sqrt(power[1:].mean()), _correlation(own * inside[..., None]))
    shown = pixels[..., :channels]
    step = sampling.rounding_step(shown)
    windows = sampling.windows(shown, step)
    if windows.count < _LEAST_WINDOWS:
        return None
    found = noise.classical(windows, step)
    return Example(traits.describe(windows, found, step), np.array(truth, np.float32))


def _crop(picture: Tensor, choices: np.random.Generator) -> Tensor:
    side = min(
        int(choices.choice(SIDES, p=SIDE_CHANCES)), *(extent // 16 * 16 for extent in picture.shape[1:])
    )
    top, left = (int(choices.integers(extent - side + 1)) for extent in picture.shape[1:])
    crop = picture[None, :, top : top + side, left : left + side].float() / 255
    if choices.random() < 0.5:
        crop = crop.flip(3)
    if choices.random() < SMOOTH:
        small = functional.avg_pool2d(crop, 8)
        crop = functional.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 1)
    return crop


def _unclipped(clean: Array, own: Array) -> npt.NDArray[np.bool_]:
    """(H, W): where black and white are far enough off not to cut the noise, or at least the farthest fifth.

    Judged by the clean picture: leaving out the clipped samples themselves would leave out strong noise.
    """
    room = np.minimum(clean, 1 - clean).min(2)
    enough = min(2.5 * float(own.std()), float(np.quantile(room, 0.8)))
    return np.asarray(room >= enough)


def _correlation(own: Array) -> float:
    power = float(np.square(own).mean()) + 1e-12
    product = float((own[1:] * own[:-1]).mean() + (own[:, 1:] * own[:, :-1]).mean()) / 2
    return min(max(product / power, 0.0), 0.99)
