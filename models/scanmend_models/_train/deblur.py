"""What the deblurring networks learn: sharp pictures, at three scales, from blurred ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from scanmend_models._train import data
from scanmend_models._train.blur import REACH, Blurrer, BlurShares
from scanmend_models._train.drawing import Drawn
from scanmend_models._train.light import to_eight_bit
from scanmend_models._train.loop import Forward

SPECTRUM = (6.4, 12.8, 25.6)
"""Weights of the frequency term at a quarter, at half and at full size, for an orthonormal transform.

The paper weighs the plain transform's sums by 0.1; at its crops of 256 pixels that is the same. So
weighed, crops of any size count alike.
"""
FAINT = 1.0
"""Losses below it, those of an error of about 9 of 255, gain ever less weight.

At 0.2 the first 500 steps went into leaving sharp pictures alone, and blurred ones gained next to nothing.
"""
AMONG = 2
"""Of so many crops the one with most detail is learnt from: a clear sky says little about blur."""
ENDS = ("feat_extract.", "Convs.", "ConvsOut.", "AFFs.", "FAM", "SCM")
"""How the names of layers begin that AdamW trains: all but the residual blocks.

Where scales meet, Muon's steps, which are even in all directions, made sums grow until the ReLU behind them
passed nothing on: within 700 steps at a rate of 0.02 a network was dead.
"""
KINDS = {
    "motion": BlurShares(motion=1, defocus=0, scanner=0, grey=0, pure=0, sharpen=0, jpeg=0),
    "defocus": BlurShares(motion=0, defocus=1, scanner=0, grey=0, pure=0, sharpen=0, jpeg=0),
    "scanner": BlurShares(motion=0, defocus=0, scanner=1, grey=0, pure=0, sharpen=0, jpeg=0),
    "sharp": BlurShares(motion=0, defocus=0, scanner=0, grey=0, pure=1),
}
"""What the held-out scores are of."""
MOST_DB = 60.0
"""A score of pictures that come back as they are."""


class Deblurring(Drawn):
    """The task of every deblurring network.

    Args:
        pictures: training and held-out pictures.
        seed: of crops and degradation.
    """

    def __init__(self, pictures: data.Pictures, seed: int, device: torch.device) -> None:
        self.degrade = Blurrer(seed + 1, device)
        super().__init__(pictures, seed, device, self.degrade, among=AMONG)
        self.scored = _scored(pictures.held_out, device)

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        """The loss of one drawn batch."""
        blurred, sharp = self.degrade(self.crops.batch(count, side + 2 * REACH))
        return multi_scale_loss(network(blurred), sharp)

    def scores(self, network: Forward) -> dict[str, float]:
        """Mean PSNR in dB by kind of blur, at most 60 each; the result is rounded to 8 bits."""
        return {
            kind: sum(_psnr(network, *pair) for pair in pairs) / max(len(pairs), 1)
            for kind, pairs in self.scored.items()
        }


def multi_scale_loss(restored: tuple[Tensor, Tensor, Tensor], sharp: Tensor) -> Tensor:
    """Multi-scale content and frequency loss (arXiv 2108.05054, eq. 5 and 6), each sample by its logarithm.

    The logarithm weighs samples by what is wrong with them already: a soft scan counts as much as a
    badly shaken one, and a sharp one that is to be left alone counts most.

    Args:
        restored: (N, 3, h, w) at a quarter, at half and at full size.
        sharp: (N, 3, H, W).
    """
    losses = torch.zeros(len(sharp), device=sharp.device)
    for result, scale, weight in zip(restored, (0.25, 0.5, 1.0), SPECTRUM, strict=True):
        target = sharp if scale == 1 else functional.interpolate(sharp, scale_factor=scale, mode="bilinear")
        error = result - target
        spectrum = torch.view_as_real(torch.fft.rfft2(error, norm="ortho"))
        losses = losses + error.abs().mean(dim=(1, 2, 3)) + weight * spectrum.abs().mean(dim=(1, 2, 3, 4))
    return torch.log(losses + FAINT).mean()


def _scored(
    held_out: tuple[Tensor, ...], device: torch.device, side: int = 256
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Held-out corners with blurs that are the same at each call and on each device."""
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for kind, shares in KINDS.items():
        blurrer = Blurrer(0, torch.device("cpu"), shares=shares, bank=64)
        drawn = [blurrer(_corner(picture, side + 2 * REACH)) for picture in held_out]
        pairs[kind] = [(blurred.to(device), sharp.to(device)) for blurred, sharp in drawn]
    return pairs


def _corner(picture: Tensor, side: int) -> Tensor:
    height, width = (min(length, side) // 8 * 8 for length in picture.shape[1:])
    return picture[None, :, :height, :width].float() / 255


def _psnr(network: Forward, blurred: Tensor, sharp: Tensor) -> float:
    error = (to_eight_bit(network(blurred)) - sharp).square().mean()
    return min(-10 * math.log10(max(float(error), 1e-10)), MOST_DB)
