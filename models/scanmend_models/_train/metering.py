"""What the training of all meters shares: examples that are drawn once and kept, and batches of them.

Drawing examples takes far longer than learning from them: they are drawn once, at the start of a run,
and kept in its folder. A run that is killed while drawing goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scanmend_models._train import data, files
from scanmend_models._train.loop import Settings, Task, Trainer

BLOCK = 250
"""Examples drawn before they are written down."""
HELD_OUT = 0.1
JITTER = 0.05

Pair = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Traits of a picture, and what is true of it."""
Draw = Callable[[tuple[Tensor, ...]], Pair | None]
"""Draws an example from pictures; None where what it drew says nothing."""


class Examples:
    """Learnt and held-out examples, and batches of the first: the part that all meters' tasks share.

    Args:
        traits: (n, COUNT).
        truth: (n, what is true).
        digest: of the pictures.
        seed: of batches.
    """

    def __init__(self, traits: Tensor, truth: Tensor, digest: str, seed: int) -> None:
        held = int(len(traits) * HELD_OUT)
        self.held, self.learnt = (traits[:held], truth[:held]), (traits[held:], truth[held:])
        self.spread = traits.std(0) + 0.05
        self.mean = traits.mean(0)
        self.digest = digest
        self.generator = torch.Generator().manual_seed(seed)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Traits, a little blurred so that none is learnt by heart, and what is true."""
        traits, truth = self.learnt
        chosen = torch.randint(len(traits), (count,), generator=self.generator)
        blurred = JITTER * self.spread * torch.randn(count, traits.shape[1], generator=self.generator)
        return traits[chosen] + blurred, truth[chosen]

    def state(self) -> list[Tensor]:
        """The generator of batches."""
        return [self.generator.get_state()]

    def resume(self, state: list[Tensor]) -> None:
        """Goes on with the same batches."""
        self.generator.set_state(state[0].cpu())

    def record(self) -> dict[str, Any]:
        """How many examples, and the digest of the pictures."""
        return {"digest": self.digest, "train": len(self.learnt[0]), "held_out": len(self.held[0])}


class ReadingTask(Task, Protocol):
    """A task that knows how traits spread, by which a network brings them to one scale."""

    mean: Tensor
    spread: Tensor


def train(
    build: Callable[[], nn.Module],
    task: Callable[[Tensor, Tensor, str, int], ReadingTask],
    folders: list[Path],
    out: Path,
    settings: Settings,
    *,
    draws: Callable[[int], Draw],
    least: int,
    device: torch.device,
    report: Callable[[str], None] = print,
    count: int,
) -> Path:
    """Draws `count` examples, or those that are missing, and trains on them.

    Args:
        build: gives the network with fresh weights; it has buffers `mean` and `spread`.
        task: makes what it learns from traits, truth, the pictures' digest and a seed.
        folders: of clean pictures.
        out: the run's folder.
        settings: the loop's.
        draws: gives what draws examples from a seed.
        least: pictures with a side shorter than this are left out.
        device: what computes.
        report: called with one line for people.
        count: of examples.

    Returns:
        `out/weights.safetensors`: the averaged weights in float16, as they are shipped.

    Raises:
        FileNotFoundError: the folders hold no pictures.
        ValueError: the run in `out` is of another network or other pictures.
        Diverged: the loss is no longer a number.
    """
    (out / "examples").mkdir(parents=True, exist_ok=True)
    pictures = data.load(folders, least=least)
    traits, truth = _examples(
        pictures, draws, out / "examples", count=count, seed=settings.seed, report=report
    )
    learnt = task(traits, truth, pictures.digest, settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = build()
    network.get_buffer("mean").copy_(learnt.mean)
    network.get_buffer("spread").copy_(learnt.spread)
    trainer = Trainer(
        network, learnt, out, settings, device=device, report=report, precise=("first", "second", "tail")
    )
    trainer.run()
    weights = out / "weights.safetensors"
    files.replace(weights, save({n: v.half().contiguous().cpu() for n, v in trainer.average.items()}))
    return weights


def _examples(
    pictures: data.Pictures,
    draws: Callable[[int], Draw],
    kept_in: Path,
    *,
    count: int,
    seed: int,
    report: Callable[[str], None],
) -> tuple[Tensor, Tensor]:
    """Examples from a folder, and as many more as are missing; blocks of equal seeds are equal."""
    traits, truth = [], []
    for block in range(-(-count // BLOCK)):
        file = kept_in / f"{block:04}.safetensors"
        if not file.exists():
            files.replace(file, save(_block(pictures, draws(seed * 10_000 + block))))
            report(f"drew {(block + 1) * BLOCK} of {count} examples")
        kept = load_file(file)
        traits.append(kept["traits"])
        truth.append(kept["truth"])
    return torch.cat(traits)[:count], torch.cat(truth)[:count]


def _block(pictures: data.Pictures, draw: Draw) -> dict[str, Tensor]:
    examples: list[Pair] = []
    while len(examples) < BLOCK:
        if example := draw(pictures.train):
            examples.append(example)
    traits, truth = (torch.from_numpy(np.stack(side)) for side in zip(*examples, strict=True))
    return {"traits": traits, "truth": truth}
