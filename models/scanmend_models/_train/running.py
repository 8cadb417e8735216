"""From folders of pictures to shipped weights: what all restoring networks' training has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from scanmend_models._train import data, files
from scanmend_models._train.loop import Settings, Task, Trainer
from scanmend_models._train.optim import ENDS


def train(
    build: Callable[[], nn.Module],
    task: Callable[[data.Pictures, int, torch.device], Task],
    folders: list[Path],
    out: Path,
    settings: Settings,
    *,
    device: torch.device,
    report: Callable[[str], None] = print,
    init: Path | None = None,
    precise: Sequence[str] = (),
    ends: tuple[str, ...] = ENDS,
) -> Path:
    """Trains a network, or goes on with the run in `out`.

    Args:
        build: gives the network with fresh weights.
        task: makes what it learns from pictures, a seed and a device.
        folders: of clean pictures.
        out: the run's folder.
        settings: the loop's.
        device: what computes.
        report: called with one line for people.
        init: weights to start from instead, .safetensors.
        precise: layers that keep float32, as `Trainer` says.
        ends: how the names of layers begin that take or give pixels.

    Returns:
        `out/weights.safetensors`: the averaged weights in float16, as they are shipped.

    Raises:
        FileNotFoundError: the folders hold no pictures.
        ValueError: the weights, or the run in `out`, are of another network or other pictures.
        Diverged: the loss is no longer a number.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build()
    notes: dict[str, Any] = {}
    if init is not None:
        _start_from(network, init)
        notes["init"] = {"file": init.name, "sha256": files.digest(init)}
    learnt = task(data.load(folders), settings.seed, device)
    trainer = Trainer(
        network,
        learnt,
        out,
        settings,
        device=device,
        report=report,
        precise=precise,
        ends=ends,
        notes=notes,
    )
    trainer.run()
    weights = out / "weights.safetensors"
    halves = {name: value.half().contiguous().cpu() for name, value in trainer.average.items()}
    files.replace(weights, save(halves))
    return weights


def _start_from(network: nn.Module, init: Path) -> None:
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(init).items()})
    except SafetensorError as error:
        raise ValueError(f"{init} is no safetensors file: {error}") from error
    except RuntimeError as error:
        raise ValueError(f"{init} holds weights of another network") from error
