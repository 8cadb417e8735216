"""Trains the blur meter; `scanmend train blur-meter` calls it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from scanmend_models._train import metering
from scanmend_models._train.loop import Forward
from scanmend_models.blur_meter import arch, samples

FAINT, CLEAR = 0.6, 0.85
"""Widths in pixels: a narrower blur is none, for good scans are no sharper; between both, nobody can say."""
_RADIUS, _TURN = 1.0, 0.5


class Reading(metering.Examples):
    """The task: from traits to the blur behind them.

    Args:
        traits, truth: (n, COUNT) and (n, 5), as `samples.Example` has them.
        digest: of the pictures.
        seed: of batches.
    """

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        """Cross-entropy of the kinds, Laplace likelihood of the true kind's radius, and the turn's error."""
        del side  # examples are whole pictures
        traits, truth = self.batch(count)
        return likelihood(network(traits), truth)

    def scores(self, network: Forward) -> dict[str, float]:
        """Kinds told right, sharp pictures told from clearly blurred ones, and radii, in percent."""
        traits, truth = self.held
        read = network(traits)
        kind, width = truth[:, 0].long(), truth[:, 4]
        clear = width > CLEAR
        told = read[:, : arch.KINDS].argmax(1)
        radii = read[:, arch.KINDS : arch.KINDS + 3].gather(1, (kind - 1).clamp_min(0)[:, None])[:, 0]
        error = (torch.exp(radii) / truth[:, 1] - 1).abs()[clear]
        apart = (told > 0) == (kind > 0)
        return {
            "kind %": 100 * float((told == kind)[clear].float().mean()),
            "blurred %": 100 * float(apart[clear | (kind == 0)].float().mean()),
            "radius %": 100 - 100 * float(error.median()),
        }


def likelihood(read: Tensor, truth: Tensor) -> Tensor:
    """The loss of a batch.

    Args:
        read: (N, arch.OUTPUTS).
        truth: (N, 5), as `samples.Example` has it.
    """
    odds, radii, scales, turn = arch.parts(read)
    kind, width = truth[:, 0].long(), truth[:, 4]
    visible = width > FAINT
    between = (visible & (width < CLEAR))[:, None]
    barred = torch.zeros_like(odds)
    barred[:, 0] = -1e4  # what may be none is asked only which of the others it would be
    kinds = functional.cross_entropy(
        torch.where(between, odds + barred, odds), torch.where(visible, kind, torch.zeros_like(kind))
    )
    own = (kind - 1).clamp_min(0)[:, None]
    error = (radii.gather(1, own)[:, 0] - truth[:, 1].clamp_min(0.1).log()).abs()
    scale = scales.gather(1, own)[:, 0]
    radius = (error * torch.exp(-scale) + scale + error) * visible
    shaken = visible & (kind == 1)
    off = (turn - truth[:, 2:4]).square().sum(1) * shaken
    return kinds + _RADIUS * radius.mean() + _TURN * off.mean()


def _draws(seed: int) -> metering.Draw:
    return samples.Scanner(seed).draw


train = partial(metering.train, arch.build, Reading, draws=_draws, least=samples.SIDES[0], count=12_000)
"""As `metering.train`, all but folders and settings given."""
