"""The loop: the same first steps, stopped, killed and resumed runs, and what a run leaves behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scanmend_models._train import curve, data, denoise, files, loop, running
from scanmend_models._train.denoise import Denoising, psnr_loss
from scanmend_models._train.loop import Diverged, Forward, Settings, Trainer
from scanmend_models.grain_fast import arch
from torch import Tensor, nn

CPU = torch.device("cpu")
KILLED = """
import sys
from pathlib import Path
import torch
from tests.models.test_loop import tiny_trainer
from scanmend_models._train import loop
loop.FIRST_SECONDS = loop.CHECKPOINT_SECONDS = 0.01
loop.OVERHEAD = 0
torch.set_num_threads(1)
tiny_trainer(Path(sys.argv[1]), minutes=30, report=lambda line: print(line, flush=True)).run()
"""


class Tiny(nn.Module):
    """Two layers that take what a grain network takes."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(5, 8, 3, padding=1, bias=False)
        self.body = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.tail = nn.Conv2d(8, 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        noise: Tensor = self.tail(self.body(self.head(x).relu()).relu())
        return x[:, :3] - noise


class Doubling:
    """A task that is not denoising: numbers are to be doubled."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.generator = torch.Generator().manual_seed(0)

    def loss(self, network: Forward, count: int, side: int) -> Tensor:
        x = torch.rand(count, side, generator=self.generator)
        loss = (network(x) - 2 * x).square().mean()
        return loss * torch.nan if self.broken else loss

    def scores(self, network: Forward) -> dict[str, float]:
        x = torch.ones(1, 32)
        return {"closeness": -float((network(x) - 2 * x).square().mean())}

    def state(self) -> list[Tensor]:
        return [self.generator.get_state()]

    def resume(self, state: list[Tensor]) -> None:
        self.generator.set_state(state[0])

    def record(self) -> dict[str, Any]:
        return {"digest": "none"}


def waves(count: int = 4, side: int = 64) -> tuple[Tensor, ...]:
    rows, columns = np.mgrid[:side, :side]
    pictures = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        planes = [np.sin(columns / rng.uniform(5, 40) + rows / rng.uniform(5, 40)) for _ in range(3)]
        pictures.append(torch.from_numpy((128 + 90 * np.stack(planes)).astype(np.uint8)))
    return tuple(pictures)


def folder_of_pictures(folder: Path, count: int = 12) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(waves(count, 192)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"set__picture{number}__0.png")
    return folder


def tiny_trainer(
    out: Path,
    *,
    minutes: float = 10,
    digest: str = "waves",
    report: Callable[[str], None] = print,
    network: nn.Module | None = None,
) -> Trainer:
    pictures = data.Pictures(waves(), waves(1), digest)
    settings = Settings(minutes=minutes, batch=2, patch=32)
    if network is None:
        torch.manual_seed(0)
        network = Tiny()
    task = Denoising(pictures, settings.seed, CPU)
    return Trainer(network, task, out, settings, device=CPU, report=report)


def start(out: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", KILLED, str(out)], cwd=root)


def wait_for(happened: Callable[[], bool], run: subprocess.Popen[bytes]) -> None:
    while not happened():
        assert run.poll() is None
        threading.Event().wait(0.02)


def weights(trainer: Trainer) -> Tensor:
    return torch.cat([value.flatten() for value in trainer.network.state_dict().values()])


def test_a_seed_fixes_the_first_hundred_steps_bit_for_bit_whatever_the_clock_says(tmp_path: Path) -> None:
    quick, slow = tiny_trainer(tmp_path / "quick"), tiny_trainer(tmp_path / "slow")
    slow.seconds = 400.0
    for _ in range(110):
        quick.train_step()
        slow.train_step()

    assert torch.equal(weights(quick), weights(slow))
    assert [float(loss) for loss in quick._losses] == [float(loss) for loss in slow._losses]


def test_a_resumed_run_takes_the_steps_that_an_unbroken_one_takes(tmp_path: Path) -> None:
    through, broken = tiny_trainer(tmp_path / "through"), tiny_trainer(tmp_path / "broken")
    for _ in range(5):
        broken.train_step()
    broken._save()
    resumed = tiny_trainer(tmp_path / "broken", network=Tiny())
    for trainer, steps in ((through, 12), (resumed, 7)):
        for _ in range(steps):
            trainer.train_step()

    assert resumed.step == through.step
    assert torch.equal(weights(through), weights(resumed))
    torch.testing.assert_close(through.average, resumed.average, rtol=0, atol=0)


def test_the_rate_follows_steps_then_time(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, minutes=10)
    paces = []
    for step, seconds in ((0, 0), (63, 100), (128, 100), (500, 350), (900, 600)):
        trainer.step, trainer.seconds, trainer.warm_seconds = step, float(seconds), 100.0
        paces.append(trainer._pace())

    assert paces == pytest.approx([1 / 128, 0.5, 1, 0.5, 0], abs=2e-3)


def test_late_crops_are_larger_and_fewer(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    trainer.settings = Settings(minutes=10, batch=128, patch=128, late_patch=192)
    trainer.step, early = 1000, trainer._batch()
    trainer.seconds = 0.8 * 600

    assert early == (128, 128)
    assert trainer._batch() == (57, 192)


def test_any_network_and_task_can_be_trained(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = Settings(minutes=0.03, batch=16, patch=32, average=0.9, warm_up=10)
    network = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))
    trainer = Trainer(network, Doubling(), tmp_path / "run", settings, device=CPU, report=lines.append)
    before = trainer.scores()["closeness"]

    after = trainer.run()["closeness"]

    assert after > before / 4
    assert lines[-1].endswith("done")
    assert {"checkpoint.pt", "log.tsv", "curve.png", "run.json"} == {
        f.name for f in (tmp_path / "run").iterdir()
    }


def test_run_json_says_what_was_trained_on_what_and_how_far(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, minutes=0.02)
    scores = trainer.run()
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))

    assert record["settings"]["seed"] == 1
    assert record["data"] == {"digest": "waves", "train": 4, "held_out": 1}
    assert record["versions"]["torch"] == torch.__version__
    assert record["reached"]["step"] == trainer.step > 0
    assert record["reached"]["scores"] == scores
    assert set(scores) == {"PSNR 15", "PSNR 25", "PSNR 50"}


def test_a_run_goes_on_after_kills_at_any_moment(tmp_path: Path) -> None:
    reached = []
    checkpoint = tmp_path / "checkpoint.pt"
    for wait in (0.0, 0.3, random.uniform(0.0, 0.5)):  # noqa: S311 - any moment will do
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        with start(tmp_path) as run:
            wait_for(lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns != before, run)  # noqa: B023
            threading.Event().wait(wait)  # lets it get somewhere, into a save perhaps
            run.kill()
        reached.append(torch.load(checkpoint, weights_only=True)["progress"]["step"])
    resumed = tiny_trainer(tmp_path)

    assert reached == sorted(set(reached))
    assert resumed.step == reached[-1]


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_saves_and_ends(number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path) as run:
        wait_for((tmp_path / "checkpoint.pt").exists, run)
        run.send_signal(number)
        code = run.wait(timeout=60)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))

    assert code == 0
    assert record["reached"]["step"] == state["progress"]["step"]


def test_a_run_is_not_taken_up_on_other_pictures_or_by_another_network(tmp_path: Path) -> None:
    tiny_trainer(tmp_path)._save()

    with pytest.raises(ValueError, match="other pictures"):
        tiny_trainer(tmp_path, digest="others")
    with pytest.raises(ValueError, match="another network"):
        tiny_trainer(tmp_path, network=arch.build())


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    settings = Settings(minutes=1, batch=2, patch=32)
    trainer = Trainer(nn.Linear(32, 32), Doubling(broken=True), tmp_path, settings, device=CPU)

    with pytest.raises(Diverged, match="no number"):
        trainer.run()
    assert not (tmp_path / "checkpoint.pt").exists()


def test_halving_an_error_counts_alike_at_any_strength_that_shows() -> None:
    clean = torch.zeros(1, 3, 8, 8)

    gains = [
        float(psnr_loss(clean + error, clean) - psnr_loss(clean + error / 2, clean))
        for error in (0.3 / 255, 12 / 255, 25 / 255, 50 / 255)
    ]

    assert gains[1:] == pytest.approx([np.log(2)] * 3, abs=0.2)
    assert gains[0] < 0.05 * gains[1]
    assert gains == sorted(gains)


def test_a_file_that_holds_no_weights_is_no_start(tmp_path: Path) -> None:
    wrong = tmp_path / "start.safetensors"
    wrong.write_bytes(b"no")

    with pytest.raises(ValueError, match="is no safetensors file"):
        running._start_from(torch.nn.Conv2d(3, 3, 3), wrong)


def test_scores_are_the_same_at_each_call_and_leave_the_network_as_it_was(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    trainer.train_step()
    before = weights(trainer).clone()

    assert trainer.scores() == trainer.scores()
    assert torch.equal(weights(trainer), before)
    assert trainer.network.training


def test_a_precise_layer_keeps_what_mixed_precision_rounds_away(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    errors = []
    for precise in ((), ("0",)):
        kernel = nn.Conv2d(3, 3, 1, bias=False)
        nn.init.dirac_(kernel.weight)
        copy = nn.Sequential(kernel)
        settings = Settings(minutes=1)
        out = tmp_path / f"{len(precise)}"
        trainer = Trainer(copy, Doubling(), out, settings, device=CPU, precise=precise)
        errors.append(float((trainer._forward(x) - x).detach().abs().max()))

    assert errors[0] > 1e-3
    assert errors[1] == 0


def test_a_second_run_starts_from_given_weights(tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path / "pictures")
    settings = Settings(minutes=1e-6, batch=1, patch=32, average=0.0, rate=1e-9)
    first = running.train(arch.build, denoise.Denoising, [folder], tmp_path / "a", settings, device=CPU)
    other = Settings(minutes=1e-6, batch=1, patch=32, average=0.0, rate=1e-9, seed=9)
    second = running.train(
        arch.build, denoise.Denoising, [folder], tmp_path / "b", other, device=CPU, init=first
    )
    record = json.loads((tmp_path / "b" / "run.json").read_text(encoding="utf-8"))

    torch.testing.assert_close(load_file(second), load_file(first), rtol=2e-3, atol=1e-6)
    assert record["init"] == {"file": "weights.safetensors", "sha256": files.digest(first)}


def test_weights_of_another_network_are_refused_as_a_start(tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path / "pictures")
    settings = Settings(minutes=1e-6, batch=1, patch=32)
    first = running.train(arch.build, denoise.Denoising, [folder], tmp_path / "a", settings, device=CPU)

    with pytest.raises(ValueError, match="another network"):
        running.train(Tiny, denoise.Denoising, [folder], tmp_path / "b", settings, device=CPU, init=first)


def test_the_curve_is_a_picture_also_of_few_points_and_of_no_numbers() -> None:
    rows: list[curve.Row] = [(1, 0.5, 1.0, {"PSNR": 20.0}), (2, 1.0, float("nan"), {"PSNR": 25.0})]

    for upto in range(3):
        assert curve.draw(rows[:upto], "a run").startswith(b"\x89PNG")


def test_the_log_ends_where_the_checkpoint_ends(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    trainer.train_step()
    trainer._report_progress(1.0)
    trainer._save()
    trainer.train_step()
    trainer._report_progress(1.0)

    assert [row[0] for row in loop._log(tmp_path / "log.tsv")] == [1, 2]
    assert [row[0] for row in tiny_trainer(tmp_path).rows] == [1]
