"""The blur meter: a small network that reads what blurred a picture, and how far.

Input are the numbers of `scanmend.measure.sharpness`, not pixels. For each kind of blur it says how likely
that kind is, the radius if it is that kind, and how far off that may be (a Laplace distribution's scale,
heteroscedastic regression as in Kendall and Gal, arXiv 1703.04977); for shake also by how much the
direction differs from the one that the numbers were turned to.

The core runs it without torch: `scanmend.measure.blur` is its twin, and a test holds the two together.
"""

from __future__ import annotations

import torch
from scanmend.measure.sharpness import COUNT
from torch import Tensor, nn

HIDDEN = 96
LIMIT = 5.0
"""Standard deviations beyond which a number counts no more."""
SCALES = (-4.0, 2.0)
"""Bounds of the log scales: 2 % to a factor of 1600."""
KINDS = 4
"""None and the three of `scanmend.psf`."""
OUTPUTS = KINDS + 3 + 3 + 2


def parts(read: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log odds, log radii, log scales and turn, from (N, OUTPUTS)."""
    return read[:, :KINDS], read[:, KINDS : KINDS + 3], read[:, KINDS + 3 : KINDS + 6], read[:, KINDS + 6 :]


class BlurMeter(nn.Module):
    """Reads the blur of one picture.

    Input (N, COUNT) traits. Output (N, 12): four log odds of none, motion, defocus, scanner; three log
    radii; the log scales of their errors; cosine and sine, of any length, of twice the turn from the traits'
    direction to that of the shake, anticlockwise.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.first = nn.Linear(COUNT, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.tail = nn.Linear(HIDDEN, OUTPUTS)
        self.drop = nn.Dropout(0.2)

    def forward(self, traits: Tensor) -> Tensor:
        known = ((traits - self.mean) / self.spread).clamp(-LIMIT, LIMIT)
        read = self.tail(torch.relu(self.second(self.drop(torch.relu(self.first(known))))))
        kinds, radii, scales, turn = parts(read)
        return torch.cat((kinds, radii, scales.clamp(*SCALES), turn), dim=1)


def build() -> BlurMeter:
    """The network with fresh weights, in eval mode."""
    return BlurMeter().eval()
