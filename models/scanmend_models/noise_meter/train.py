"""Trains the noise meter; `scanmend train meter` calls it."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from scanmend.measure.traits import FLOOR
from torch import Tensor

from scanmend_models._train import metering
from scanmend_models._train.loop import Forward
from scanmend_models.noise_meter import arch, samples


class Reading(metering.Examples):
    """The task: from traits to the noise behind them.

    Args:
        traits, truth: (n, COUNT) and (n, 3), as `samples.Example` has them.
        digest: of the pictures.
        seed: of batches.
    """

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        """Laplace likelihood of luminance, colour by half, and the correlation where there is noise."""
        del side  # examples are whole pictures
        traits, truth = self.batch(count)
        read, logs = network(traits), torch.log(truth[:, :2] * 255 + FLOOR)
        errors, scales = (read[:, :2] - logs).abs(), read[:, 3:]
        by_plane = (errors * torch.exp(-scales) + scales + errors).mean(0)
        noisy = (truth[:, 0] * 255 > 0.3).float()
        correlation = ((read[:, 2] - truth[:, 2]).abs() * noisy).mean()
        return by_plane[0] + 0.5 * by_plane[1] + correlation

    def scores(self, network: Forward) -> dict[str, float]:
        """100 less the median relative error of luminance in percent, above 3 grey levels of noise."""
        traits, truth = self.held
        sigma = torch.exp(network(traits)[:, 0]) - FLOOR
        noisy = truth[:, 0] * 255 > 3
        error = (sigma[noisy] / (truth[noisy, 0] * 255) - 1).abs()
        return {"accuracy %": 100 - 100 * float(error.median())}


def _draws(seed: int) -> metering.Draw:
    degrader, choices = samples.MeterDegrader(seed), np.random.default_rng(seed)
    return lambda pictures: samples.draw(pictures, degrader, choices)


train = partial(metering.train, arch.build, Reading, draws=_draws, least=samples.SIDES[0], count=12_000)
"""As `metering.train`, all but folders and settings given."""
