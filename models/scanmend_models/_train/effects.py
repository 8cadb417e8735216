"""Single kinds of damage: optics, film, sensor and scanner software, each with its draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from scanmend_models._train.light import REACH, blur, clump, places

MAX_DENSITY = 3.0
"""Optical density of the deepest black that film and prints reach."""


@dataclass(frozen=True)
class Shares:
    """How often each effect is drawn, as shares of samples from 0 to 1.

    Attributes:
        grey: pictures that become grey; `grey_file`: those of them whose noise is grey too;
            `toned`: those of the others that are sepia or faded to a colour.
        white: sharp pictures with white Gaussian noise alone, as benchmarks add it. All other
            samples go through the scan chain, of which the shares below are meant:
        bare: without any noise, so that the codec's own errors are seen alone.
        blur, grain, scanner, banding, sharpen, resize, jpeg: the effects, in their order.
        clumped: scanner noise that is correlated between pixels and between colours.
        negative: grain that is strongest in the highlights, as in a scanned negative.
        eight_bit: rounded to 8 bits where JPEG does not do so anyway.
        halved: JPEG with chroma at half resolution; `shifted`: with a grid that begins
            outside of the picture, as after cropping.
    """

    grey: float = 0.2
    grey_file: float = 0.5
    toned: float = 0.6
    white: float = 0.6
    bare: float = 0.15
    blur: float = 0.3
    grain: float = 0.6
    negative: float = 0.35
    scanner: float = 0.65
    clumped: float = 0.5
    banding: float = 0.1
    sharpen: float = 0.4
    resize: float = 0.25
    eight_bit: float = 0.8
    jpeg: float = 0.5
    halved: float = 0.65
    shifted: float = 0.25

    @classmethod
    def none(cls) -> Shares:
        """No effect at all: what `dataclasses.replace` makes single effects from."""
        return cls(**dict.fromkeys((field.name for field in fields(cls)), 0.0))


class Effects:
    """Damage with strengths drawn from a seed.

    Choices (which effect, how strong) are drawn on the CPU, pixels of noise on the device.

    Args:
        seed: fixes every choice and every pixel of noise.
        device: where batches live.
        shares: how often each effect is drawn.
    """

    def __init__(self, seed: int, device: torch.device, shares: Shares) -> None:
        self.device = device
        self.shares = shares
        self.choices = torch.Generator().manual_seed(seed)
        self.pixels = torch.Generator(device=device).manual_seed(seed + 1)

    def state(self) -> list[Tensor]:
        """Both generators, for a checkpoint."""
        return [self.choices.get_state(), self.pixels.get_state()]

    def resume(self, state: list[Tensor]) -> None:
        """Goes on where `state` was taken."""
        for generator, kept in zip((self.choices, self.pixels), state, strict=True):
            generator.set_state(kept.cpu())

    def tone(self, clean: Tensor) -> Tensor:
        """A grey picture in one colour, as sepia prints and faded ones are: a curve for each channel."""
        curves = [self._number(len(clean), *limits) for limits in ((0.75, 1.0), (0.95, 1.15), (1.0, 1.4))]
        return clean.clamp_min(0) ** torch.cat(curves, dim=1)

    def soften(self, light: Tensor) -> Tensor:
        """The scanner's optics: a Gaussian of 0.4 to 1.2 pixels, along and across the transport."""
        count = len(light)
        down = self._number(count, 0.4, 1.2)
        across = (down * self._number(count, 0.6, 1.6)).clamp(0.4, 1.2)
        return blur(light, down, across)

    def film_grain(self, light: Tensor, grey: Tensor) -> Tensor:
        """Granularity in optical density D = -log10(light), clumped by 0.3 to 1.6 pixels.

        Random dots give a deviation that goes with the root of D (Dmax - D) (Selwyn 1935;
        Bayer, JOSA 1964); its peak is drawn up to 0.18 D, weak ones more often. On a
        scanned negative the density that carries the grain runs the other way. The layers
        of colour film share a drawn part of their grain, `grey` (N,) pictures have but one.
        """
        count = len(light)
        density = -torch.log10(light.clamp_min(1e-3))
        negative = self._number(count, 0.0, 1.0) < self.shares.negative
        carrier = torch.where(negative, (MAX_DENSITY - density) * 0.6, density)
        peak = 0.18 * self._number(count, 0.0, 1.0) ** 2
        radius = self._number(count, 0.3, 1.6)
        shared = 1 - self._number(count, 0.0, 1.0) ** 2.5
        shared[places(grey, self.device)] = 1.0
        noise = self._coloured(light, radius, radius, shared)
        relative = carrier * (MAX_DENSITY - carrier) * 4 / MAX_DENSITY**2
        return 10 ** -(density + peak * relative.clamp_min(0.02).sqrt() * noise)

    def scanner_noise(self, light: Tensor) -> Tensor:
        """Poisson-Gaussian noise, variance a x + b, white or correlated in space and colour.

        Model: Foi et al., "Practical Poissonian-Gaussian noise modeling", TIP 2008.
        Correlated noise is what interpolating sensors and resampling drivers leave: colour
        that is coarser than lightness.
        """
        count = len(light)
        shot = 10 ** (3.0 * self._number(count, 0.0, 1.0) ** 1.4 - 5.0)  # weak more often than strong
        read = 10 ** (2.1 * self._number(count, 0.0, 1.0) ** 1.4 - 4.0)
        noise = on(self._chance(count, self.shares.clumped), self._normal(light.shape), self._correlated)
        return light + (shot * light.clamp_min(0) + read**2).sqrt() * noise

    def banding(self, light: Tensor) -> Tensor:
        """Stripes along rows or columns: sensor cells that differ in offset and in gain."""
        count, _, height, width = light.shape
        along = self._number(count, 0.0, 1.0) < 0.5
        rows, columns = self._normal((count, 3, height, 1)), self._normal((count, 3, 1, width))
        shared = self._number(count, 0.0, 1.0)
        offset, gain = 10 ** self._number(count, -4.0, -2.5), 10 ** self._number(count, -2.8, -1.3)
        stripes = torch.where(along, rows, columns)
        stripes = shared.sqrt() * stripes[:, :1] + (1 - shared).sqrt() * stripes
        return light + (offset + gain * light) * stripes

    def sharpen(self, pair: Tensor) -> Tensor:
        """The unsharp mask of scanner software, which gives noise negative lobes.

        Scan and clean picture get the same one: taking sharpness back is not denoising.
        """
        count = len(pair)
        radius = self._number(count, 0.6, 2.0)
        amount = self._number(count, 0.1, 1.2)
        return (pair + amount * (pair - blur(pair, radius, radius))).clamp(0, 1)

    def _correlated(self, like: Tensor) -> Tensor:
        count = len(like)
        fine = self._number(count, 0.3, 1.0)
        coarse = fine * self._number(count, 1.0, 2.5)
        return self._coloured(like, fine, coarse, self._number(count, 0.2, 0.95))

    def _coloured(self, like: Tensor, fine: Tensor, coarse: Tensor, shared: Tensor) -> Tensor:
        """Unit noise: a share common to all colours of radius `fine`, the rest of radius `coarse`."""
        count, channels, height, width = like.shape
        sides = (height + 2 * REACH, width + 2 * REACH)
        common = clump(self._normal((count, 1, *sides)), fine)
        own = clump(self._normal((count, channels, *sides)), coarse)
        return shared.sqrt() * common + (1 - shared).sqrt() * own

    def _chance(self, count: int, share: float) -> Tensor:
        """(N,) bool on the CPU, where asking it costs no wait for the device."""
        return torch.rand(count, generator=self.choices) < share

    def _number(self, count: int, low: float, high: float) -> Tensor:
        drawn = torch.rand(count, 1, 1, 1, generator=self.choices)
        return (low + (high - low) * drawn).to(self.device, non_blocking=True)

    def _normal(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self.pixels, device=self.device)


def on(chosen: Tensor, x: Tensor, effect: Callable[[Tensor], Tensor]) -> Tensor:
    """`x` with the effect on the chosen samples (N,) alone."""
    if not chosen.any():
        return x
    at = places(chosen, x.device)
    return x.index_copy(0, at, effect(x[at]))


def reframed(x: Tensor, height: int, width: int) -> Tensor:
    """The middle of the picture, or the picture and as much of its mirror image as is missing."""
    pads = [height - x.shape[2], width - x.shape[3]]
    down, across = ((pad // 2, pad - pad // 2) for pad in pads)
    outside = [max(pad, 0) for pad in (*across, *down)]
    top, left = (max(-pad, 0) for pad in (down[0], across[0]))
    return functional.pad(x, outside, mode="reflect")[:, :, top : top + height, left : left + width]
