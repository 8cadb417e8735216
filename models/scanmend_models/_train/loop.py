"""The training loop that every network here shares: resumable, within a time budget.

A run is a folder: `checkpoint.pt` (network, average, optimizer, random states, progress),
`log.tsv` (a line for each report) and `run.json` (seed, versions, data digest, settings).
The learning rate follows the share of the time budget that is used, so a run that is
killed and resumed, or that shares its processor, still ends its cosine at zero.
"""

from __future__ import annotations

import json
import math
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scanmend_models._train.data import Crops, Pictures
from scanmend_models._train.degrade import Degrader, Sample


@dataclass(frozen=True)
class Settings:
    """Numbers of a run.

    Attributes:
        minutes: training time, over all resumed parts.
        seed: of pictures, crops and degradation.
        batch, patch: crops of a step, and their side in pixels.
        rate: peak learning rate, reached after `warm_up` steps.
        average: decay of the exponential moving average that is shipped.
        compile: whether to compile the network (pays after about five minutes).
    """

    minutes: float
    seed: int = 1
    batch: int = 8
    patch: int = 128
    rate: float = 8e-4
    warm_up: int = 300
    clip: float = 1.0
    average: float = 0.999
    compile: bool = True


REPORT_SECONDS = 180.0
CHECKPOINT_SECONDS = 120.0


class Trainer:
    """One run of one network.

    Args:
        network: trained in place; its forward takes `Sample.inputs()`.
        pictures: training and held-out pictures.
        out: the run's folder; a checkpoint there is resumed.
        report: called with one line for people.
    """

    def __init__(
        self,
        network: nn.Module,
        pictures: Pictures,
        out: Path,
        settings: Settings,
        *,
        device: torch.device,
        report: Callable[[str], None] = print,
    ) -> None:
        self.settings, self.device, self.out, self.report = settings, device, out, report
        torch.manual_seed(settings.seed)
        self.network = network.train().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.crops = Crops(pictures.train, settings.seed, device)
        self.degrade = Degrader(settings.seed + 1, device)
        self.pictures = pictures
        self.step, self.seconds = 0, 0.0
        self.stopping = False
        out.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self) -> float:
        """Trains until the budget is spent or a stop signal comes; returns held-out PSNR at sigma 25."""
        forward = torch.compile(self.network) if self.settings.compile else self.network
        with self._stop_signals():
            self._record()
            self._loop(forward)
        self._save()
        psnr = self.held_out_psnr()
        self._log(math.nan, psnr)
        return psnr

    def _loop(self, forward: Any) -> None:
        budget = self.settings.minutes * 60
        reported = saved = self.seconds
        losses: list[float] = []
        while self.seconds < budget and not self.stopping:
            started = time.monotonic()
            losses.append(self._train_step(forward))
            self.seconds += time.monotonic() - started
            if self.seconds - reported >= REPORT_SECONDS:
                self._log(sum(losses) / len(losses), self.held_out_psnr())
                reported, losses = self.seconds, []
            if self.seconds - saved >= CHECKPOINT_SECONDS:
                self._save()
                saved = self.seconds

    def _train_step(self, forward: Any) -> float:
        settings = self.settings
        share = min(self.seconds / (settings.minutes * 60), 1.0)
        warm = min((self.step + 1) / settings.warm_up, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate * warm * (0.5 * (1 + math.cos(math.pi * share)) + 1e-3)
        sample = self.degrade(self.crops.batch(settings.batch, settings.patch))
        inputs = sample.inputs().contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            restored = forward(inputs)
        loss = _charbonnier(restored.float(), sample.clean)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)

    @torch.inference_mode()
    def held_out_psnr(self, sigma: float = 25 / 255) -> float:
        """Mean PSNR in dB of the averaged network on held-out pictures with clipped 8-bit white noise."""
        current = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        generator = torch.Generator().manual_seed(0)
        scores = []
        for picture in self.pictures.held_out:
            clean = (picture[None, :, :256, :256].float() / 255).to(self.device)
            noise = torch.randn(clean.shape, generator=generator).to(self.device)
            scan = ((clean + sigma * noise).clamp(0, 1) * 255).round() / 255
            level = torch.full_like(clean[:, :1], sigma)
            inputs = Sample(scan, clean, level, torch.zeros_like(level[..., :1, :1])).inputs()
            with torch.autocast(self.device.type, torch.bfloat16):
                restored = self.network(inputs.contiguous(memory_format=torch.channels_last))
            error = ((restored.float().clamp(0, 1) - clean) ** 2).mean()
            scores.append(-10 * math.log10(float(error)))
        self.network.load_state_dict(current)
        return sum(scores) / len(scores) if scores else math.nan

    def _log(self, loss: float, psnr: float) -> None:
        rate = self.step * self.settings.batch / max(self.seconds, 1e-9)
        left = max(self.settings.minutes - self.seconds / 60, 0.0)
        with (self.out / "log.tsv").open("a", encoding="utf-8") as log:
            log.write(f"{self.step}\t{self.seconds:.0f}\t{loss:.6f}\t{psnr:.3f}\n")
        self.report(
            f"step {self.step}  {self.seconds / 60:.1f} min  loss {loss:.5f}  held-out {psnr:.2f} dB"
            f"  {rate:.1f} crops/s  {left:.0f} min left"
        )

    def _save(self) -> None:
        """Replaces the checkpoint in one step, so that a kill at any moment leaves a whole one."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "crops": self.crops.generator.get_state(),
            "degrade": self.degrade.state(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.out / "checkpoint.pt.part"
        torch.save(state, temporary)
        temporary.replace(self.out / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.out / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.crops.generator.set_state(state["crops"].cpu())
        self.degrade.resume(state["degrade"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.report(f"resumed at step {self.step}, {self.seconds / 60:.1f} minutes in")

    def _record(self) -> None:
        record = {
            "settings": asdict(self.settings),
            "data": self.pictures.digest,
            "pictures": {"train": len(self.pictures.train), "held_out": len(self.pictures.held_out)},
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
            "device": str(self.device),
        }
        (self.out / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

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


def _charbonnier(restored: Tensor, clean: Tensor, epsilon: float = 1e-3) -> Tensor:
    """A smooth L1 (Charbonnier et al., ICIP 1994)."""
    return ((restored - clean).square() + epsilon**2).sqrt().mean()
