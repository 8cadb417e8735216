"""What the denoisers learn: pictures without their noise, its level and correlation told."""

from __future__ import annotations

import torch
from torch import Tensor

from scanmend_models._train import data
from scanmend_models._train.degrade import Degrader, Sample
from scanmend_models._train.drawing import Drawn
from scanmend_models._train.light import to_eight_bit
from scanmend_models._train.loop import Forward

SIGMAS = (15, 25, 50)
"""Levels of the held-out scores, of 255: those of the literature."""


class Denoising(Drawn):
    """The task of every grain network.

    Args:
        pictures: training and held-out pictures.
        seed: of crops and degradation.
    """

    def __init__(self, pictures: data.Pictures, seed: int, device: torch.device) -> None:
        self.degrade = Degrader(seed + 1, device)
        super().__init__(pictures, seed, device, self.degrade)
        self.scored = _scored(pictures.held_out, device)

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        """The PSNR loss of one drawn batch."""
        sample = self.degrade(self.crops.batch(count, side))
        return psnr_loss(network(sample.inputs()), sample.clean)

    def scores(self, network: Forward) -> dict[str, float]:
        """Mean PSNR in dB, white noise clipped and rounded to 8 bits, result rounded too."""
        return {
            f"PSNR {level}": sum(_psnr(network, sample) for sample in samples) / max(len(samples), 1)
            for level, samples in self.scored.items()
        }


FAINT = 4 / 255
"""Errors below it gain ever less weight: without it, samples with next to no noise drown the others."""


def psnr_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Half the logarithm of each sample's mean squared error, averaged over samples.

    Weak noise counts as strong noise does then, each by its share (Chen et al., "Simple Baselines
    for Image Restoration", arXiv 2204.04676).
    """
    return 0.5 * torch.log((restored - clean).square().mean(dim=(1, 2, 3)) + FAINT**2).mean()


def _scored(held_out: tuple[Tensor, ...], device: torch.device, side: int = 256) -> dict[int, list[Sample]]:
    """Held-out corners with noise that is the same at each call and on each device."""
    generator = torch.Generator().manual_seed(0)
    samples: dict[int, list[Sample]] = {level: [] for level in SIGMAS}
    for picture in held_out:
        clean = picture[None, :, :side, :side]
        clean = clean[..., : clean.shape[2] // 16 * 16, : clean.shape[3] // 16 * 16].float() / 255
        for level, row in samples.items():
            noise = level / 255 * torch.randn(clean.shape, generator=generator)
            told = torch.full_like(clean[:, :1], level / 255)
            sample = Sample(to_eight_bit(clean + noise), clean, told, torch.zeros(1, 1, 1, 1))
            row.append(_moved(sample, device))
    return samples


def _moved(sample: Sample, device: torch.device) -> Sample:
    return Sample(*(x.to(device) for x in (sample.scan, sample.clean, sample.sigma, sample.correlation)))


def _psnr(network: Forward, sample: Sample) -> float:
    error = (to_eight_bit(network(sample.inputs())) - sample.clean).square().mean()
    return -10 * float(torch.log10(error.clamp_min(1e-10)))
