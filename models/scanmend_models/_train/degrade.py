"""What age and the scanner do to a picture, drawn at random on the training device.

One seed fixes every sample. Choices (which effect, how strong) are drawn on the CPU, pixels
of noise on the device, and each effect is computed only for the samples that get it: a batch
costs a few milliseconds where the network trains, and needs no worker processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from scanmend_models._train.jpeg import MCU, jpeg
from scanmend_models._train.light import (
    REACH,
    blur,
    clump,
    lag_one_correlation,
    local_rms,
    luma,
    places,
    to_display,
    to_eight_bit,
    to_linear,
)

MAX_SIGMA = 55 / 255
"""The strongest white noise shown in training; benchmarks end at 50 / 255."""
USUAL_SIGMA = 25 / 255
"""Half of the white samples stay below it: the noise of scans is seldom stronger."""
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


@dataclass(frozen=True)
class Sample:
    """A batch as the trainer wants it.

    Attributes:
        scan: (N, 3, H, W), the degraded picture.
        clean: (N, 3, H, W), what the network should return: blurred, sharpened and resized
            like the scan, without its noise and its codec's errors.
        sigma: (N, 1, H, W), standard deviation of scan - clean, display range.
        correlation: (N, 1, 1, 1), lag-1 spatial autocorrelation of scan - clean, 0 to 0.95.
        noise: (N, 3, H, W), what the noise alone changed: the coded scan less the clean picture
            coded alike. None unless it was asked for.
    """

    scan: Tensor
    clean: Tensor
    sigma: Tensor
    correlation: Tensor
    noise: Tensor | None = None

    def inputs(self) -> Tensor:
        """(N, 5, H, W): picture, sigma, sigma times correlation."""
        sigma = self.sigma.expand(-1, 1, *self.scan.shape[-2:])
        return torch.cat((self.scan, sigma, sigma * self.correlation), dim=1)


class Degrader:
    """Draws degraded batches.

    Args:
        seed: fixes every choice and every pixel of noise.
        device: where batches live.
        shares: how often each effect is drawn.
        misjudged: spread (log-normal) of the level that the network is told about the level that is
            there, since measuring errs too; white samples are told exactly.
        measure: whether samples carry `noise`, which costs a second pass of the codec.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device,
        *,
        shares: Shares | None = None,
        misjudged: float = 0.1,
        measure: bool = False,
    ) -> None:
        self.device = device
        self.shares = shares or Shares()
        self.misjudged = misjudged
        self.measure = measure
        self.choices = torch.Generator().manual_seed(seed)
        self.pixels = torch.Generator(device=device).manual_seed(seed + 1)

    def state(self) -> list[Tensor]:
        """Both generators, for a checkpoint."""
        return [self.choices.get_state(), self.pixels.get_state()]

    def resume(self, state: list[Tensor]) -> None:
        """Goes on where `state` was taken."""
        for generator, kept in zip((self.choices, self.pixels), state, strict=True):
            generator.set_state(kept.cpu())

    def __call__(self, clean: Tensor) -> Sample:
        """Degrades (N, 3, H, W) display-range pictures of at least 16 x 16 pixels."""
        count = len(clean)
        grey = self._chance(count, self.shares.grey)
        grey_file = grey & self._chance(count, self.shares.grey_file)
        clean = _on(grey, clean, lambda x: luma(x).expand_as(x))
        clean = _on(grey & ~grey_file & self._chance(count, self.shares.toned), clean, self.tone)
        white = self._chance(count, self.shares.white)
        parts = [
            (chosen, degrade(clean[places(chosen, self.device)], grey[chosen], grey_file[chosen]))
            for chosen, degrade in ((white, self._white), (~white, self._scanned))
            if chosen.any()
        ]
        return _joined(parts)

    def _white(self, clean: Tensor, _grey: Tensor, grey_file: Tensor) -> Sample:
        count = len(clean)
        usual = self._number(count, 0.0, 1.0) < 0.5
        sigma = self._number(count, 0.0, 1.0) * torch.where(usual, USUAL_SIGMA, MAX_SIGMA)
        noise = self._normal(clean.shape)
        noise = _on(grey_file, noise, lambda x: x[:, :1].expand_as(x))
        scan = clean + sigma * noise
        scan = _on(self._chance(count, self.shares.eight_bit), scan, to_eight_bit)
        return Sample(
            scan=scan,
            clean=clean,
            sigma=sigma.expand(-1, 1, *clean.shape[2:]),
            correlation=torch.zeros_like(sigma),
            noise=scan - clean if self.measure else None,
        )

    def _scanned(self, clean: Tensor, grey: Tensor, grey_file: Tensor) -> Sample:
        """Optics, film, sensor, scanner software and codec, one after the other."""
        resized = self._chance(len(clean), self.shares.resize)
        scan, target = torch.empty_like(clean), torch.empty_like(clean)
        for chosen, expose in ((~resized, self._exposed), (resized, self._resized)):
            if chosen.any():
                at = places(chosen, self.device)
                scan[at], target[at] = expose(clean[at], grey[chosen])
        scan = _on(grey_file, scan, lambda x: x[:, :1].expand_as(x))
        scan, noise = self._coded(scan, target)
        residual = scan - target
        told = torch.exp(self.misjudged * torch.randn(len(scan), 1, 1, 1, generator=self.choices))
        return Sample(
            scan=scan,
            clean=target,
            sigma=local_rms(residual) * told.to(self.device, non_blocking=True),
            correlation=lag_one_correlation(residual),
            noise=noise,
        )

    def _resized(self, clean: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
        """As `_exposed`, then made 0.5 to 1.5 times as large: one factor for the batch.

        Where the result shrinks, the picture is continued by its mirror image first.
        """
        factor = 2 ** float(torch.empty(()).uniform_(-1.0, 0.585, generator=self.choices))
        height, width = (max(round(side / factor), 1) for side in clean.shape[2:])
        pair = torch.cat(self._exposed(_reframed(clean, height, width), grey), dim=1)
        size = (clean.shape[2], clean.shape[3])
        pair = functional.interpolate(pair, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        return pair[:, :3], pair[:, 3:]

    def _exposed(self, clean: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
        """The scan as it leaves the scanner's software, and the same without noise."""
        count, shares = len(clean), self.shares
        light = _on(self._chance(count, shares.blur), to_linear(clean), self.soften)
        noisy = ~self._chance(count, shares.bare)
        grainy = noisy & self._chance(count, shares.grain)
        scan = _on(grainy, light, lambda x: self.film_grain(x, grey[grainy]))
        scan = _on(noisy & self._chance(count, shares.scanner), scan, self.scanner_noise)
        scan = _on(noisy & self._chance(count, shares.banding), scan, self.banding)
        pair = to_display(torch.cat((scan, light), dim=1))
        pair = _on(self._chance(count, shares.sharpen), pair, self.sharpen)
        return pair[:, :3], pair[:, 3:]

    def _coded(self, scan: Tensor, clean: Tensor) -> tuple[Tensor, Tensor | None]:
        """8 bits, and JPEG at quality 30 to 98: the scan, and its noise if that is asked for."""
        count, shares = len(scan), self.shares
        chosen = self._chance(count, shares.jpeg)
        quality = torch.randint(30, 99, (count,), generator=self.choices)
        halved = self._chance(count, shares.halved)
        offset = torch.randint(MCU, (count, 2), generator=self.choices)
        offset = offset * self._chance(count, shares.shifted)[:, None]
        rounded = _on(~chosen & self._chance(count, shares.eight_bit), scan, to_eight_bit)

        def code(x: Tensor) -> Tensor:
            return jpeg(x, quality[chosen], halved=halved[chosen], offset=offset[chosen])

        coded = _on(chosen, rounded, code)
        return coded, coded - _on(chosen, clean, code) if self.measure else None

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
        noise = _on(self._chance(count, self.shares.clumped), self._normal(light.shape), self._correlated)
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


def _on(chosen: Tensor, x: Tensor, effect: Callable[[Tensor], Tensor]) -> Tensor:
    """`x` with the effect on the chosen samples (N,) alone."""
    if not chosen.any():
        return x
    at = places(chosen, x.device)
    return x.index_copy(0, at, effect(x[at]))


def _reframed(x: Tensor, height: int, width: int) -> Tensor:
    """The middle of the picture, or the picture and as much of its mirror image as is missing."""
    pads = [height - x.shape[2], width - x.shape[3]]
    down, across = ((pad // 2, pad - pad // 2) for pad in pads)
    outside = [max(pad, 0) for pad in (*across, *down)]
    top, left = (max(-pad, 0) for pad in (down[0], across[0]))
    return functional.pad(x, outside, mode="reflect")[:, :, top : top + height, left : left + width]


def _joined(parts: list[tuple[Tensor, Sample]]) -> Sample:
    """Samples of the chosen places, in the order of the batch."""
    order = torch.cat([chosen.nonzero()[:, 0] for chosen, _ in parts]).argsort()
    order = order.to(parts[0][1].scan.device, non_blocking=True)

    def joined(values: list[Tensor]) -> Tensor:
        return torch.cat(values)[order]

    noises = [sample.noise for _, sample in parts if sample.noise is not None]
    return Sample(
        scan=joined([sample.scan for _, sample in parts]),
        clean=joined([sample.clean for _, sample in parts]),
        sigma=joined([sample.sigma for _, sample in parts]),
        correlation=joined([sample.correlation for _, sample in parts]),
        noise=joined(noises) if noises else None,
    )
