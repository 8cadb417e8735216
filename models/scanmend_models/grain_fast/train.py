"""Trains the fast grain network; `scanmend train grain` calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from scanmend_models._train import data
from scanmend_models._train.loop import Settings, Trainer
from scanmend_models.grain_fast import arch


def train(
    folders: list[Path],
    out: Path,
    settings: Settings,
    *,
    device: torch.device,
    report: Callable[[str], None] = print,
) -> Path:
    """Trains, or goes on with, the run in `out`.

    Returns:
        `out/weights.safetensors`: the averaged weights in float16, as they are shipped.

    Raises:
        FileNotFoundError: the folders hold no pictures.
    """
    trainer = Trainer(arch.build(), data.load(folders), out, settings, device=device, report=report)
    trainer.run()
    weights = out / "weights.safetensors"
    save_file({name: value.half().contiguous().cpu() for name, value in trainer.average.items()}, weights)
    return weights
