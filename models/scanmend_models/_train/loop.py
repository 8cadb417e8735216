"""The training loop that every network here shares: resumable, within a time budget.

A run is a folder: `checkpoint.pt` (network, average, optimiser, random states, progress),
`log.tsv` (a line for each report), `curve.png` (the log, drawn) and `run.json` (seed, versions,
data, settings, what was reached). The learning rate follows the share of the time budget that
is used, so a run that is killed and resumed, or that shares its processor, still ends its
cosine at zero. During the warm-up it follows the steps alone: a seed fixes them bit for bit.
"""

from __future__ import annotations

import json
import math
import platform
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from scanmend_models._train import curve, files
from scanmend_models._train.optim import ENDS, MuonAdamW

Forward = Callable[[Tensor], Any]
"""A network under mixed precision: takes and returns float32, a tensor or, in training, several."""


class Task(Protocol):
    """What a network learns: where its batches come from, and how it is judged."""

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        """Draws `count` samples of `side` pixels and returns the scalar to be made small."""

    def scores(self, network: Forward) -> dict[str, float]:
        """Held-out scores by name, higher is better; the same pictures and noise at each call."""

    def state(self) -> list[Tensor]:
        """All random generators, for a checkpoint."""

    def resume(self, state: list[Tensor]) -> None:
        """Goes on where `state` was taken."""

    def record(self) -> dict[str, Any]:
        """Which data this is, for `run.json`; `digest` must differ where the data does."""


@dataclass(frozen=True)
class Settings:
    """Numbers of a run.

    Attributes:
        minutes: training time, over all resumed parts: everything but loading pictures.
        steps: where the run ends, and with it the schedule, if that is before its time; 0 for time alone.
        seed: of fresh weights, pictures, crops and degradation.
        batch, patch: crops of a step, and their side in pixels.
        late_patch: side in the last 30 % of the time, with as many fewer crops; 0 keeps `patch`.
        rate: Muon's peak, reached after `warm_up` steps; AdamW's is `small` of it.
        average: decay of the exponential moving average that is shipped.
        compile: whether the network is compiled; None where it pays: on CUDA.
    """

    minutes: float
    steps: int = 0
    seed: int = 1
    batch: int = 8
    patch: int = 128
    late_patch: int = 0
    rate: float = 0.02
    small: float = 0.04
    warm_up: int = 128
    average: float = 0.999
    compile: bool | None = None


LATE = 0.7
"""Share of the time after which crops of `late_patch` pixels are drawn."""
FIRST_SECONDS = 20.0
CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 180.0
OVERHEAD = 25
"""Measuring and saving wait for as many times what they took: together under a tenth of a run."""


class Diverged(ArithmeticError):  # noqa: N818 - reads as the sentence it stands for
    """The loss is no longer a number; the last checkpoint is older than that."""


class Trainer:
    """One run of one network.

    Args:
        network: trained in place.
        task: what it learns.
        out: the run's folder; a checkpoint there is resumed.
        report: called with one line for people.
        precise: layers that keep float32 under mixed precision: a picture that passes through
            bfloat16 loses half a grey level.
        ends: how the names of layers begin that take or give pixels, which AdamW trains.
        notes: what else `run.json` should say.

    Raises:
        ValueError: the checkpoint in `out` is of another network or of other pictures.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        out: Path,
        settings: Settings,
        *,
        device: torch.device,
        report: Callable[[str], None] = print,
        precise: Sequence[str] = (),
        ends: tuple[str, ...] = ENDS,
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.settings, self.device, self.out = settings, device, out
        self.task, self.report, self.notes = task, report, notes or {}
        self.network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        for name in precise:
            _keep_precise(self.network.get_submodule(name), device)
        torch.backends.cudnn.benchmark = device.type == "cuda"  # shapes are the same at each step
        self.optimizer = MuonAdamW(self.network, settings.rate, settings.rate * settings.small, ends=ends)
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.step, self.seconds, self.warm_seconds = 0, 0.0, 0.0
        self.stopping = False
        self._compiled: nn.Module | None = None
        self._losses: list[Tensor] = []
        out.mkdir(parents=True, exist_ok=True)
        self.rows = self._resume()

    @property
    def share(self) -> float:
        """How much of the time, or of the steps, after the warm-up is used, 0 to 1."""
        if self.step < self.settings.warm_up:
            return 0.0
        if self.settings.steps:
            return min(
                (self.step - self.settings.warm_up) / (self.settings.steps - self.settings.warm_up), 1.0
            )
        left = self.settings.minutes * 60 - self.warm_seconds
        return min(max((self.seconds - self.warm_seconds) / left, 0.0), 1.0) if left > 0 else 1.0

    def run(self) -> dict[str, float]:
        """Trains until the time is used up or a stop signal comes.

        Returns:
            The last held-out scores; none after a stop signal, which is heeded within seconds.

        Raises:
            Diverged: the loss is no longer a number.
        """
        with self._stop_signals():
            self._record()
            self._loop()
        self._save()
        if not self.stopping:
            self._report_progress(0.0)
        self._record()
        return self.rows[-1][3] if self.rows and not self.stopping else {}

    def _loop(self) -> None:
        budget = self.settings.minutes * 60
        between_reports = between_saves = min(budget / 40, FIRST_SECONDS)
        before, last = self.seconds, time.monotonic()
        reported = saved = self.seconds
        drawn = 0
        while self.seconds < budget and not (self.stopping or self._walked()):
            drawn += self.train_step()
            self.seconds, last = self.seconds + time.monotonic() - last, time.monotonic()
            if self.step == self.settings.warm_up:
                self.warm_seconds = self.seconds
            if self.seconds - reported >= between_reports and self.seconds < budget:
                took = _timed(self._report_progress, drawn / (self.seconds - before))
                between_reports = max(min(budget / 40, REPORT_SECONDS), OVERHEAD * took)
                before, reported, drawn = self.seconds + took, self.seconds + took, 0
            if self.seconds - saved >= between_saves:
                took = _timed(self._save)
                between_saves = max(min(budget / 40, CHECKPOINT_SECONDS), OVERHEAD * took)
                saved = self.seconds + took

    def _walked(self) -> bool:
        return bool(self.settings.steps) and self.step >= self.settings.steps

    def train_step(self) -> int:
        """One step of the optimiser; how many crops it saw."""
        count, side = self._batch()
        self.optimizer.pace(self._pace())
        loss = self.task.loss(self._forward, count, side)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        self._update_average()
        self._losses.append(loss.detach())  # asking for its value would make the device wait
        return count

    def _batch(self) -> tuple[int, int]:
        settings = self.settings
        if not settings.late_patch or self.share < LATE:
            return settings.batch, settings.patch
        fewer = settings.batch * settings.patch**2 / settings.late_patch**2
        return max(round(fewer), 1), settings.late_patch

    def _pace(self) -> float:
        """Share of the peak rates: a linear warm-up by steps, then a cosine by time."""
        warm = min((self.step + 1) / self.settings.warm_up, 1.0)
        return warm * (0.5 * (1 + math.cos(math.pi * self.share)) + 1e-3)

    def _forward(self, inputs: Tensor) -> Any:
        compiled = self.settings.compile if self.settings.compile is not None else self.device.type == "cuda"
        if compiled and self._compiled is None:
            self._compiled = torch.compile(self.network, dynamic=False)  # type: ignore[assignment]
        return self._mixed(self._compiled or self.network, inputs)

    def _mixed(self, network: nn.Module, inputs: Tensor) -> Any:
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            result = network(inputs)
        return tuple(x.float() for x in result) if isinstance(result, tuple) else result.float()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @torch.inference_mode()
    def scores(self) -> dict[str, float]:
        """The averaged network's held-out scores."""
        current = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        try:
            return self.task.scores(lambda inputs: self._mixed(self.network, inputs))
        finally:
            self.network.load_state_dict(current)
            self.network.train()

    def _check(self) -> None:
        if self._losses and not bool(torch.stack(self._losses).isfinite().all()):
            raise Diverged(f"the loss is no number any more at step {self.step}")

    def _report_progress(self, rate: float) -> None:
        self._check()
        loss = float(torch.stack(self._losses).mean()) if self._losses else math.nan
        self._losses.clear()
        scores = self.scores()
        minutes = self.seconds / 60
        self.rows.append((self.step, minutes, loss, scores))
        self._write_log()
        said = "  ".join(f"{name} {value:.2f}" for name, value in scores.items())
        left = max(self.settings.minutes - minutes, 0.0)
        self.report(
            f"step {self.step}  {minutes:.1f} min  loss {loss:.4f}  {said}"
            + (f"  {rate:.1f} crops/s  {left:.0f} min left" if rate else "  done")
        )

    def _write_log(self) -> None:
        lines = [
            "\t".join((f"{step}", f"{minutes:.3f}", f"{loss:.6f}", json.dumps(scores)))
            for step, minutes, loss, scores in self.rows
        ]
        files.replace(self.out / "log.tsv", "".join(line + "\n" for line in lines).encode())
        files.replace(self.out / "curve.png", curve.draw(self.rows, f"{self.out.name}, step {self.step}"))

    def _save(self) -> None:
        self._check()
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "task": self.task.state(),
            "digest": self.task.record()["digest"],
            "progress": {"step": self.step, "seconds": self.seconds, "warm_seconds": self.warm_seconds},
        }
        files.replace_state(self.out / "checkpoint.pt", state)

    def _resume(self) -> list[curve.Row]:
        """Takes up the checkpoint, if there is one; the log as far as it goes back to it."""
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return []
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state.get("digest") != self.task.record()["digest"]:
            raise ValueError(f"{path} was trained on other pictures")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(f"{path} holds another network") from error
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.task.resume(state["task"])
        progress = state["progress"]
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.warm_seconds = progress["warm_seconds"]
        self.report(f"resumed at step {self.step}, {self.seconds / 60:.1f} minutes in")
        return [row for row in _log(self.out / "log.tsv") if row[0] <= self.step]

    def _record(self) -> None:
        record = {
            **self.notes,
            "settings": asdict(self.settings),
            "data": self.task.record(),
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "device": self._device_name(),
            "threads": torch.get_num_threads(),
            "reached": {
                "step": self.step,
                "minutes": round(self.seconds / 60, 2),
                "scores": self.rows[-1][3] if self.rows else {},
            },
        }
        files.replace_json(self.out / "run.json", record)

    def _device_name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)

    @contextmanager
    def _stop_signals(self) -> Iterator[None]:
        """A stop signal ends the loop after the current step, so that the checkpoint is whole."""

        def stop(_signal: int, _frame: object) -> None:
            self.stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _keep_precise(layer: nn.Module, device: torch.device) -> None:
    inner = layer.forward

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(device.type, enabled=False):
            result: Tensor = inner(x.float())
        return result

    layer.forward = forward


def _timed(work: Callable[..., None], *arguments: float) -> float:
    started = time.monotonic()
    work(*arguments)
    return time.monotonic() - started


def _log(path: Path) -> list[curve.Row]:
    if not path.exists():
        return []
    fields = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return [(int(step), float(at), float(loss), json.loads(scores)) for step, at, loss, scores in fields]
