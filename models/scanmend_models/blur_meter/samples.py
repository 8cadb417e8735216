"""Scans with known blur, as the meter sees them: traits, and what is true."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scanmend import psf
from scanmend.measure import sharpness, tiles
from torch import Tensor
from torch.nn import functional

from scanmend_models._train.blur import convolved
from scanmend_models._train.effects import Effects, Shares, reframed
from scanmend_models._train.jpeg import MCU, jpeg
from scanmend_models._train.light import luma, to_display, to_eight_bit, to_linear

Array = npt.NDArray[np.float32]

KINDS = ("none", *psf.KINDS)
KIND_SHARES = (0.36, 0.26, 0.2, 0.18)
SIDES = (160, 256, 320, 384, 448, 512)
SIDE_CHANCES = (0.05, 0.2, 0.15, 0.2, 0.2, 0.2)
REACH = 48
"""Pixels to either side that a kernel takes in."""
SOFT = (0.25, 0.5)
"""Sigma of a good scanner's own softness, which sharp scans have too."""
SCENE, SCAN = 0.5, 0.2
"""Shares of pictures that are resized before the blur, and after it."""
LARGEST = 1.5
"""Times: a sharp picture that is made larger than that is no longer as sharp as a good scan."""
NOISY, STRONG = 0.75, 0.25
"""Shares of pictures with noise, and of those with noise that a denoiser has not seen yet."""
LITTLE, MUCH = 4 / 255, 25 / 255


class Example(NamedTuple):
    """(COUNT,) traits; (5,) place in KINDS, radius, cosine and sine of twice the angle, width.

    The angle is the true one less that of the traits. Width is the blur's standard deviation in the
    direction in which it is widest, in pixels: what a shake, a disk and a Gaussian have in common.
    """

    traits: Array
    truth: Array


class Scanner(Effects):
    """Draws scans of pictures, one at a time.

    Args:
        seed: fixes every choice and every pixel of noise.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed, torch.device("cpu"), Shares.none())
        self.rng = np.random.default_rng(seed)

    def draw(self, pictures: tuple[Tensor, ...]) -> Example | None:
        """One example; None where there is nothing to judge by.

        Args:
            pictures: (3, H, W) uint8, with sides of at least 160.
        """
        scene, larger = self._scene(pictures[self.rng.integers(len(pictures))])
        kind = int(self.rng.choice(len(KINDS), p=KIND_SHARES))
        shape = psf.draw(psf.KINDS[kind - 1], self.rng) if kind else None
        light = to_linear(scene)
        if shape:
            light = _blurred(light, shape.kernel)
        if self._happens(0.35):
            light = _blurred(light, psf.gaussian(self.rng.uniform(*SOFT)))
        scan, factor = self._scanned(light, LARGEST / larger)
        radius, angle = (shape.radius * factor, shape.angle) if shape else (0.0, 0.0)
        return measured(scan, kind, radius, angle, width(shape) * factor if shape else 0.0)

    def _scene(self, picture: Tensor) -> tuple[Tensor, float]:
        """(1, 1 or 3, H, W): a crop, turned; and how much larger it was made, if it was not made smaller."""
        side = min(int(self.rng.choice(SIDES, p=SIDE_CHANCES)), *picture.shape[1:])
        factor = 2 ** self.rng.uniform(-1, math.log2(LARGEST)) if self._happens(SCENE) else 1.0
        taken = min(round(side / factor), *picture.shape[1:])
        top, left = (int(self.rng.integers(extent - taken + 1)) for extent in picture.shape[1:])
        crop = picture[None, :, top : top + taken, left : left + taken].float() / 255
        crop = torch.rot90(crop, int(self.rng.integers(4)), (2, 3))
        crop = crop.flip(3) if self._happens(0.5) else crop
        crop = luma(crop) if self._happens(0.6) else crop  # only the luminance is looked at
        return resized(crop, factor), max(factor, 1.0)

    def _scanned(self, light: Tensor, most: float) -> tuple[Tensor, float]:
        """What film, dust, scanner and codec make of the light; how much larger it is, at most `most`."""
        if self._happens(0.2):
            light = self.film_grain(light, torch.tensor([light.shape[1] == 1]))
        if self._happens(0.2):  # what is too bright is cut off after the blur
            light = light * self.rng.uniform(1.0, 1.6)
        scan = to_display(light)
        if self._happens(0.15):
            scan = self._damaged(scan)
        if self._happens(0.12):
            scan = self.sharpen(scan)
        factor = min(2 ** self.rng.uniform(-0.7, 0.7), most) if self._happens(SCAN) else 1.0
        noisy_first = self._happens(0.5)
        scan = self._noisy(scan) if noisy_first else scan
        scan = resized(scan, factor)
        scan = scan if noisy_first else self._noisy(scan)
        return self._coded(scan), factor

    def _noisy(self, scan: Tensor) -> Tensor:
        if not self._happens(NOISY):
            return scan
        sigma = LITTLE * self.rng.random()
        if self._happens(STRONG):
            sigma = math.exp(self.rng.uniform(math.log(LITTLE / 2), math.log(MUCH)))
        noise = self._correlated(scan) if self._happens(0.5) else self._normal(tuple(scan.shape))
        return (scan + sigma * noise).clamp(0, 1)

    def _damaged(self, scan: Tensor) -> Tensor:
        """Dust and scratches on a blurred print, or the edge of the paper: they are sharp."""
        scan = scan.clone()
        height, width = scan.shape[2:]
        if self._happens(0.5):
            edge = int(self.rng.integers(4, 60))
            scan[..., :edge, :] = float(self.rng.random())
            if self._happens(0.5):
                scan[..., :, : edge // 2] = scan[..., :1, :1]
        specks = torch.zeros(1, 1, height, width)
        for _ in range(int(self.rng.integers(1, 40))):
            top, left = int(self.rng.integers(height)), int(self.rng.integers(width))
            tall, wide = self.rng.integers(1, 4, 2)
            if self._happens(0.1):
                tall = int(self.rng.integers(10, height))
            specks[..., top : top + tall, left : left + wide] = 1
        specks = _blurred(specks, psf.gaussian(0.5))
        return torch.lerp(scan, torch.full_like(scan, float(self.rng.random())), specks)

    def _coded(self, scan: Tensor) -> Tensor:
        if not self._happens(0.45):
            return to_eight_bit(scan)
        quality = torch.tensor([int(self.rng.integers(70, 99))])
        offset = torch.from_numpy(self.rng.integers(0, MCU, (1, 2)))
        offset = offset if self._happens(0.25) else torch.zeros_like(offset)
        halved = torch.tensor([self._happens(0.6)])
        return jpeg(scan.expand(1, 3, -1, -1), quality, halved=halved, offset=offset)

    def _happens(self, share: float) -> bool:
        return bool(self.rng.random() < share)


def measured(scan: Tensor, kind: int, radius: float, angle: float, wide: float) -> Example | None:
    """The example of one scan, (1, C, H, W) in [0, 1]."""
    pixels = scan[0].permute(1, 2, 0).numpy().astype(np.float32)
    seen = sharpness.describe(tiles.cut([tiles.Site(0, 0, pixels)]))
    if seen is None:
        return None
    turn = math.radians(2 * (angle - seen.angle))
    return Example(seen.traits, np.array((kind, radius, math.cos(turn), math.sin(turn), wide), np.float32))


def width(shape: psf.Psf) -> float:
    """The kernel's standard deviation in the direction in which it is widest, in pixels."""
    reach = len(shape.kernel) // 2
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    terms = ((down * down, down * across), (down * across, across * across))
    spread = [[float((shape.kernel * term).sum()) for term in row] for row in terms]
    return float(np.sqrt(np.linalg.eigvalsh(np.array(spread))[-1]))


def resized(x: Tensor, factor: float) -> Tensor:
    """(N, C, H, W) made so many times as large; as it is for a factor of one."""
    if factor == 1:
        return x
    size = [max(round(side * factor), 1) for side in x.shape[2:]]
    return functional.interpolate(x, size=size, mode="bicubic", antialias=True).clamp(0, 1)


def _blurred(x: Tensor, kernel: Array) -> Tensor:
    side = min(len(kernel), 2 * REACH + 1)
    reach = side // 2
    height, width = x.shape[2:]
    framed = reframed(x, height + 2 * reach, width + 2 * reach)
    whole = convolved(framed, torch.from_numpy(psf.cropped(kernel, side))[None])
    return whole[..., reach:-reach, reach:-reach]
