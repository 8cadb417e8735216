"""Blurred pictures as a deblurring network meets them: after the denoiser, so with little noise left.

The shapes of blur are those of `scanmend.psf`: a bank of them is drawn once from the seed. A batch's
crops are blurred by FFT on the training device, with what lies beyond their edges taken from the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from scanmend import psf
from torch import Tensor

from scanmend_models._train.effects import Effects, Shares, on
from scanmend_models._train.jpeg import MCU, jpeg
from scanmend_models._train.light import luma, to_display, to_eight_bit, to_linear

REACH = 32
"""Pixels to either side that a kernel takes in; what reaches farther is cut off."""
SIDE = 2 * REACH + 1
BANK = 4096
"""Kernels drawn for a run: every thirtieth batch or so meets one again, on other pictures."""
MAX_NOISE = 4 / 255
"""Standard deviation of the noise that a denoiser leaves at most."""


@dataclass(frozen=True)
class BlurShares:
    """How often each effect is drawn, as shares of samples from 0 to 1.

    Attributes:
        motion, defocus, scanner: kinds of blur; the rest stays sharp.
        softened: shake and defocus that go through soft optics as well.
        linear: blur in linear light, as lenses and scanners do; the rest in the display range.
        grey: pictures without colour.
        pure: samples that are not touched any further, and of the sharp ones `pure_sharp`.
        sharpen: an unsharp mask over the blur, as scanners' software applies it.
        noise: with what a denoiser leaves, up to 4 of 255; `clumped` of them correlated.
        jpeg: coded at quality 80 to 98; the rest is rounded to 8 bits.
    """

    motion: float = 0.42
    defocus: float = 0.25
    scanner: float = 0.2
    softened: float = 0.5
    linear: float = 0.75
    grey: float = 0.2
    pure: float = 0.15
    pure_sharp: float = 0.35
    sharpen: float = 0.1
    noise: float = 0.75
    clumped: float = 0.5
    jpeg: float = 0.3

    @classmethod
    def none(cls) -> BlurShares:
        """No effect at all: what `dataclasses.replace` makes single effects from."""
        return cls(**dict.fromkeys((field.name for field in fields(cls)), 0.0))


class Blurrer(Effects):
    """Draws pairs of blurred and sharp pictures.

    Args:
        seed: fixes the bank of kernels, every choice and every pixel of noise.
        device: where batches live.
        shares: how often each effect is drawn.
        bank: how many kernels of each kind are drawn, at least one.
    """

    def __init__(
        self, seed: int, device: torch.device, *, shares: BlurShares | None = None, bank: int = BANK
    ) -> None:
        super().__init__(seed, device, Shares.none())
        self.blur_shares = shares or BlurShares()
        rng = np.random.default_rng(seed)
        self.bank = {kind: _bank(kind, rng, bank).to(device) for kind in psf.KINDS}

    def __call__(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Blurs pictures.

        Args:
            clean: (N, 3, H + 64, W + 64) in the display range, `REACH` pixels more on each side.

        Returns:
            The blurred and the sharp pictures, (N, 3, H, W) in the display range.
        """
        count, shares = len(clean), self.blur_shares
        clean = on(self._chance(count, shares.grey), clean, lambda x: luma(x).expand_as(x))
        kernels, sharp = self._kernels(count)
        in_light = self._chance(count, shares.linear)
        lit, shown = kernels[in_light[~sharp]], kernels[~in_light[~sharp]]
        blurred = on(in_light & ~sharp, clean, lambda x: to_display(convolved(to_linear(x), lit)))
        blurred = on(~in_light & ~sharp, blurred, lambda x: convolved(x, shown))
        blurred, clean = (x[..., REACH:-REACH, REACH:-REACH] for x in (blurred, clean))
        pure = self._chance(count, shares.pure) | (sharp & self._chance(count, shares.pure_sharp))
        return on(~pure, blurred, self._scanned), clean

    def _kernels(self, count: int) -> tuple[Tensor, Tensor]:
        """A kernel for each sample that is blurred, and which (N,) samples stay sharp."""
        shares = self.blur_shares
        drawn = torch.rand(count, generator=self.choices)
        limits = torch.tensor((shares.motion, shares.defocus, shares.scanner)).cumsum(0)
        kinds = torch.bucketize(drawn, limits, right=True)
        chosen = [self._pick(psf.KINDS[int(kind)]) for kind in kinds[kinds < len(limits)]]
        kernels = torch.cat(chosen) if chosen else torch.zeros(0, SIDE, SIDE, device=self.device)
        return kernels, kinds == len(limits)

    def _pick(self, kind: psf.Kind) -> Tensor:
        """(1, side, side): a kernel of the bank, turned or mirrored, and softened now and then."""
        bank = self.bank[kind]
        index, turns, mirrored, soft = torch.rand(4, generator=self.choices).tolist()
        kernel = torch.rot90(bank[int(index * len(bank))][None], int(turns * 4), (1, 2))
        kernel = kernel.flip(2) if mirrored < 0.5 else kernel
        if kind != "scanner" and soft < self.blur_shares.softened:
            lens = self.bank["scanner"]
            other = lens[int(soft / self.blur_shares.softened * len(lens))]
            spectrum = torch.fft.rfft2(kernel) * torch.fft.rfft2(torch.fft.ifftshift(other))
            kernel = torch.fft.irfft2(spectrum, s=(SIDE, SIDE)).clamp_min(0)
        return kernel

    def _scanned(self, blurred: Tensor) -> Tensor:
        """What scanner, denoiser and codec do to it."""
        count, shares = len(blurred), self.blur_shares
        blurred = on(self._chance(count, shares.sharpen), blurred, self.sharpen)
        blurred = on(self._chance(count, shares.noise), blurred, self._noisy)
        coded = self._chance(count, shares.jpeg)
        quality = torch.randint(80, 99, (count,), generator=self.choices)
        halved = self._chance(count, 0.65)
        offset = torch.randint(MCU, (count, 2), generator=self.choices) * self._chance(count, 0.25)[:, None]
        return on(
            coded,
            on(~coded, blurred, to_eight_bit),
            lambda x: jpeg(x, quality[coded], halved=halved[coded], offset=offset[coded]),
        )

    def _noisy(self, blurred: Tensor) -> Tensor:
        count = len(blurred)
        sigma = MAX_NOISE * self._number(count, 0.0, 1.0)
        clumped = self._chance(count, self.blur_shares.clumped)
        noise = on(clumped, self._normal(blurred.shape), self._correlated)
        return blurred + sigma * noise


def convolved(picture: Tensor, kernels: Tensor) -> Tensor:
    """Each picture with its own kernel.

    Args:
        picture: (N, C, H, W); the outermost pixels are wrong, as far in as the kernels reach.
        kernels: (N, side, side), odd side, sum one.
    """
    height, width = picture.shape[2:]
    side = kernels.shape[-1]
    framed = torch.zeros(len(kernels), 1, height, width, device=picture.device)
    framed[:, 0, :side, :side] = kernels
    framed = framed.roll((-(side // 2), -(side // 2)), (2, 3))
    spectrum = torch.fft.rfft2(picture) * torch.fft.rfft2(framed)
    return torch.fft.irfft2(spectrum, s=(height, width))


def _bank(kind: psf.Kind, rng: np.random.Generator, count: int) -> Tensor:
    kernels = [psf.cropped(psf.draw(kind, rng).kernel, SIDE) for _ in range(count)]
    return torch.from_numpy(np.stack(kernels))
