"""Trains the best grain network; `scanmend train grain --tier best` calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from scanmend_models._train import denoise
from scanmend_models._train.loop import Settings
from scanmend_models.grain_best import arch


def train(
    folders: list[Path],
    out: Path,
    settings: Settings,
    *,
    device: torch.device,
    report: Callable[[str], None] = print,
    init: Path | None = None,
) -> Path:
    """Trains, or goes on with, the run in `out`; arguments and errors as `denoise.train`."""
    ends = ("m_head", "m_tail")  # the picture itself passes through them
    return denoise.train(
        arch.build, folders, out, settings, device=device, report=report, init=init, precise=ends
    )
