"""Trains the blur meter; `scanmend train blur-meter` calls it.

Drawing examples takes far longer than learning from them: they are drawn once, at the start of a run,
and kept in its folder. A run that is killed while drawing goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional

from scanmend_models._train import data, files
from scanmend_models._train.loop import Forward, Settings, Trainer
from scanmend_models.blur_meter import arch, samples

BLOCK = 250
"""Examples drawn before they are written down."""
HELD_OUT = 0.1
JITTER = 0.05
FAINT, CLEAR = 0.6, 0.85
"""Widths in pixels: a narrower blur is none, for good scans are no sharper; between both, nobody can say."""
_RADIUS, _TURN = 1.0, 0.5


class Reading:
    """The task: from traits to the blur behind them.

    Args:
        traits, truth: (n, COUNT) and (n, 5), as `samples.Example` has them.
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

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        """Cross-entropy of the kinds, Laplace likelihood of the true kind's radius, and the turn's error."""
        del side  # examples are whole pictures
        traits, truth = self.learnt
        chosen = torch.randint(len(traits), (count,), generator=self.generator)
        blurred = JITTER * self.spread * torch.randn(count, traits.shape[1], generator=self.generator)
        return likelihood(network(traits[chosen] + blurred), truth[chosen])

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

    def state(self) -> list[Tensor]:
        """The generator of batches."""
        return [self.generator.get_state()]

    def resume(self, state: list[Tensor]) -> None:
        """Goes on with the same batches."""
        self.generator.set_state(state[0].cpu())

    def record(self) -> dict[str, Any]:
        """How many examples, and the digest of the pictures."""
        return {"digest": self.digest, "train": len(self.learnt[0]), "held_out": len(self.held[0])}


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


def train(
    folders: list[Path],
    out: Path,
    settings: Settings,
    *,
    device: torch.device,
    report: Callable[[str], None] = print,
    count: int = 12_000,
) -> Path:
    """Draws `count` examples, or those that are missing, and trains on them.

    Returns:
        `out/weights.safetensors`: the averaged weights in float16, as they are shipped.

    Raises:
        FileNotFoundError: the folders hold no pictures.
        ValueError: the run in `out` is of another network or other pictures.
        Diverged: the loss is no longer a number.
    """
    (out / "examples").mkdir(parents=True, exist_ok=True)
    pictures = data.load(folders, least=samples.SIDES[0])
    traits, truth = _examples(pictures, out, count, settings.seed, report)
    task = Reading(traits, truth, pictures.digest, settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = arch.build()
    network.mean.copy_(task.mean)
    network.spread.copy_(task.spread)
    trainer = Trainer(
        network, task, out, settings, device=device, report=report, precise=("first", "second", "tail")
    )
    trainer.run()
    weights = out / "weights.safetensors"
    files.replace(weights, save({n: v.half().contiguous().cpu() for n, v in trainer.average.items()}))
    return weights


def _examples(
    pictures: data.Pictures, out: Path, count: int, seed: int, report: Callable[[str], None]
) -> tuple[Tensor, Tensor]:
    """Examples from the run's folder, and as many more as are missing; blocks of equal seeds are equal."""
    traits, truth = [], []
    for block in range(-(-count // BLOCK)):
        file = out / "examples" / f"{block:04}.safetensors"
        if not file.exists():
            files.replace(file, save(_block(pictures, seed * 10_000 + block)))
            report(f"drew {(block + 1) * BLOCK} of {count} examples")
        kept = load_file(file)
        traits.append(kept["traits"])
        truth.append(kept["truth"])
    return torch.cat(traits)[:count], torch.cat(truth)[:count]


def _block(pictures: data.Pictures, seed: int) -> dict[str, Tensor]:
    scanner = samples.Scanner(seed)
    examples: list[samples.Example] = []
    while len(examples) < BLOCK:
        if example := scanner.draw(pictures.train):
            examples.append(example)
    traits, truth = (torch.from_numpy(np.stack(side)) for side in zip(*examples, strict=True))
    return {"traits": traits, "truth": truth}
