"""The noise meter: a small network that corrects the classical estimate of a picture's noise.

Input are the numbers of `scanmend.measure.traits`, not pixels: how the energies of a picture's windows
are spread over frequencies, above their lower edge, and how Gaussian they are. Texture and noise differ
there in ways that no single threshold catches. The network starts from the classical estimate, and
says with each correction how far off it may still be (a Laplace distribution's scale; heteroscedastic
regression as in Kendall and Gal, arXiv 1703.04977).

The core runs it without torch: `scanmend.measure.meter` is its twin, and a test holds the two together.
"""

from __future__ import annotations

import torch
from scanmend.measure.traits import COLOUR, CORRELATION, COUNT, LIGHT
from torch import Tensor, nn

HIDDEN = 96
LIMIT = 5.0
"""Standard deviations beyond which a number counts no more."""
SCALES = (-4.0, 2.0)
"""Bounds of the log scales: 2 % to a factor of 1600."""


class NoiseMeter(nn.Module):
    """Reads the noise of one picture.

    Input (N, COUNT) traits. Output (N, 5): log(sigma + FLOOR) in grey levels of 255 for luminance and for
    colour, in an orthonormal basis; the lag-1 correlation; the log scales of the first two's errors.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.first = nn.Linear(COUNT, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.tail = nn.Linear(HIDDEN, 5)
        self.drop = nn.Dropout(0.2)
        nn.init.zeros_(self.tail.weight)  # training starts from the classical estimate
        nn.init.zeros_(self.tail.bias)

    def forward(self, traits: Tensor) -> Tensor:
        known = ((traits - self.mean) / self.spread).clamp(-LIMIT, LIMIT)
        read = self.tail(torch.relu(self.second(self.drop(torch.relu(self.first(known))))))
        start = traits[:, [LIGHT, COLOUR, CORRELATION]]
        return torch.cat((start + read[:, :3], read[:, 3:].clamp(*SCALES)), dim=1)


def build() -> NoiseMeter:
    """The network with fresh weights, in eval mode."""
    return NoiseMeter().eval()
