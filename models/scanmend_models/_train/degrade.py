"""What age and the scanner do to a picture, drawn at random on the training device.

One seed fixes every sample. Each effect is computed only for the samples that get it: a batch
costs a few milliseconds where the network trains, and needs no worker processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scanmend_models._train.effects import Effects, Shares, on, reframed
from scanmend_models._train.jpeg import MCU, jpeg
from scanmend_models._train.light import (
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


class Degrader(Effects):
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
        super().__init__(seed, device, shares or Shares())
        self.misjudged = misjudged
        self.measure = measure

    def __call__(self, clean: Tensor) -> Sample:
        """Degrades (N, 3, H, W) display-range pictures of at least 16 x 16 pixels."""
        count = len(clean)
        grey = self._chance(count, self.shares.grey)
        grey_file = grey & self._chance(count, self.shares.grey_file)
        clean = on(grey, clean, lambda x: luma(x).expand_as(x))
        clean = on(grey & ~grey_file & self._chance(count, self.shares.toned), clean, self.tone)
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
        noise = on(grey_file, noise, lambda x: x[:, :1].expand_as(x))
        scan = clean + sigma * noise
        scan = on(self._chance(count, self.shares.eight_bit), scan, to_eight_bit)
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
        scan = on(grey_file, scan, lambda x: x[:, :1].expand_as(x))
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
        pair = torch.cat(self._exposed(reframed(clean, height, width), grey), dim=1)
        size = (clean.shape[2], clean.shape[3])
        pair = functional.interpolate(pair, size=size, mode="bicubic", antialias=True).clamp(0, 1)
        return pair[:, :3], pair[:, 3:]

    def _exposed(self, clean: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
        """The scan as it leaves the scanner's software, and the same without noise."""
        count, shares = len(clean), self.shares
        light = on(self._chance(count, shares.blur), to_linear(clean), self.soften)
        noisy = ~self._chance(count, shares.bare)
        grainy = noisy & self._chance(count, shares.grain)
        scan = on(grainy, light, lambda x: self.film_grain(x, grey[grainy]))
        scan = on(noisy & self._chance(count, shares.scanner), scan, self.scanner_noise)
        scan = on(noisy & self._chance(count, shares.banding), scan, self.banding)
        pair = to_display(torch.cat((scan, light), dim=1))
        pair = on(self._chance(count, shares.sharpen), pair, self.sharpen)
        return pair[:, :3], pair[:, 3:]

    def _coded(self, scan: Tensor, clean: Tensor) -> tuple[Tensor, Tensor | None]:
        """8 bits, and JPEG at quality 30 to 98: the scan, and its noise if that is asked for."""
        count, shares = len(scan), self.shares
        chosen = self._chance(count, shares.jpeg)
        quality = torch.randint(30, 99, (count,), generator=self.choices)
        halved = self._chance(count, shares.halved)
        offset = torch.randint(MCU, (count, 2), generator=self.choices)
        offset = offset * self._chance(count, shares.shifted)[:, None]
        rounded = on(~chosen & self._chance(count, shares.eight_bit), scan, to_eight_bit)

        def code(x: Tensor) -> Tensor:
            return jpeg(x, quality[chosen], halved=halved[chosen], offset=offset[chosen])

        coded = on(chosen, rounded, code)
        return coded, coded - on(chosen, clean, code) if self.measure else None


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
