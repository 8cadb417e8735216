"""Where the batches of a restoring network come from: crops of pictures, and what is done to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from scanmend_models._train import data
from scanmend_models._train.effects import Effects


class Drawn:
    """What the tasks of all restoring networks share: random states, and what is said of the pictures.

    Args:
        pictures: training and held-out pictures.
        seed: of crops.
        device: where batches live.
        degrade: what is done to crops; it has a seed of its own.
        among: as `data.Crops` takes it.
    """

    def __init__(
        self, pictures: data.Pictures, seed: int, device: torch.device, degrade: Effects, *, among: int = 1
    ) -> None:
        self.pictures, self.device = pictures, device
        self.crops = data.Crops(pictures.train, seed, device, among=among)
        self._random = degrade

    def state(self) -> list[Tensor]:
        """Generators of crops and degradation."""
        return [self.crops.generator.get_state(), *self._random.state()]

    def resume(self, state: list[Tensor]) -> None:
        """Goes on with the same crops and damage."""
        self.crops.generator.set_state(state[0].cpu())
        self._random.resume(state[1:])

    def record(self) -> dict[str, Any]:
        """How many pictures, and the digest of their names and bytes."""
        return {
            "digest": self.pictures.digest,
            "train": len(self.pictures.train),
            "held_out": len(self.pictures.held_out),
        }
