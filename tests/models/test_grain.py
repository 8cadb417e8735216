"""The grain network, what it is trained with, and the loop that trains it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scanmend import cards
from scanmend.engine import load_network
from scanmend_models._train import data
from scanmend_models._train.loop import Settings, Trainer
from scanmend_models.grain_fast import arch
from torch import Tensor

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return load_network(cards.find("grain-fast"))


def pictures(folder: Path, count: int = 12, side: int = 192) -> Path:
    """Smooth colourful pictures, each of its own source."""
    rows, columns = np.mgrid[:side, :side]
    for seed in range(count):
        rng = np.random.default_rng(seed)
        waves = [np.sin(columns / rng.uniform(5, 40) + rows / rng.uniform(5, 40)) for _ in range(3)]
        pixels = 128 + 90 * np.stack(waves, axis=2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"set__picture{seed}__0.png")
    return folder


def clean_batch(count: int = 8, side: int = 64) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    tone = 0.5 + 0.2 * torch.sin(columns / 9.0) * torch.cos(rows / 13.0)
    return tone.expand(count, 3, side, side).clone()


def test_the_card_states_the_network_s_own_size() -> None:
    card = cards.find("grain-fast")
    macs = 0

    def count(layer: torch.nn.Conv2d, _inputs: object, output: Tensor) -> None:
        nonlocal macs
        transposed = isinstance(layer, torch.nn.ConvTranspose2d)
        reads = layer.weight[0, 0].numel() * (1 if not transposed else 0.25)
        macs += int(output[0].numel() * reads * layer.in_channels)

    net = arch.build()
    for layer in net.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layer.register_forward_hook(count)  # type: ignore[arg-type]
    with torch.inference_mode():
        net(torch.zeros(1, 5, 64, 64))

    assert sum(weight.numel() for weight in net.parameters()) == card.parameters
    assert macs // 64**2 == card.macs_per_pixel


def test_twice_the_contrast_and_twice_the_noise_give_twice_the_result(network: torch.nn.Module) -> None:
    inputs = torch.rand(1, 5, 64, 64, generator=torch.Generator().manual_seed(0)) / 4

    with torch.inference_mode():
        torch.testing.assert_close(network(2 * inputs), 2 * network(inputs), rtol=1e-4, atol=1e-5)


def test_without_noise_told_and_shown_the_picture_hardly_changes(network: torch.nn.Module) -> None:
    clean = clean_batch(1, 128)
    inputs = torch.cat((clean, torch.zeros(1, 2, 128, 128)), dim=1)

    with torch.inference_mode():
        error = (network(inputs) - clean).square().mean().sqrt() * 255

    assert error < 1


def test_more_noise_told_takes_more_away(network: torch.nn.Module) -> None:
    noisy = clean_batch(1, 128) + 0.08 * torch.randn(
        1, 3, 128, 128, generator=torch.Generator().manual_seed(1)
    )
    removed = []
    for sigma in (0.02, 0.05, 0.08):
        planes = torch.full((1, 1, 128, 128), sigma)
        with torch.inference_mode():
            restored = network(torch.cat((noisy, planes, planes * 0), dim=1))
        removed.append(float((restored - noisy).std()))

    assert removed == sorted(removed)
    assert removed[-1] == pytest.approx(0.08, rel=0.15)


def test_the_halo_of_the_card_is_enough(network: torch.nn.Module) -> None:
    halo = cards.find("grain-fast").halo
    noisy = clean_batch(1, 192) + 0.1 * torch.randn(
        1, 3, 192, 192, generator=torch.Generator().manual_seed(2)
    )
    inputs = torch.cat((noisy, torch.full((1, 1, 192, 192), 0.1), torch.zeros(1, 1, 192, 192)), dim=1)
    low, high = 80 - halo, 112 + halo

    with torch.inference_mode():
        whole = network(inputs)[..., 80:112, 80:112]
        window = network(inputs[..., low:high, low:high])[..., halo:-halo, halo:-halo]

    assert (whole - window).abs().max() * 255 < 0.1


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    found = data.load([pictures(tmp_path)], held_out_sources=2)
    lines: list[str] = []

    def trainer(minutes: float) -> Trainer:
        settings = Settings(minutes=minutes, batch=2, patch=32, compile=False)
        return Trainer(arch.build(), found, tmp_path / "run", settings, device=CPU, report=lines.append)

    first = trainer(0.01)
    first.run()
    second = trainer(0.02)

    assert second.step == first.step > 0
    torch.testing.assert_close(second.average, first.average)
    assert any("resumed at step" in line for line in lines)


def test_two_runs_of_one_seed_take_the_same_steps(tmp_path: Path) -> None:
    found = data.load([pictures(tmp_path)], held_out_sources=2)
    losses = []
    for name in ("a", "b"):
        settings = Settings(minutes=10, batch=2, patch=32, compile=False)
        torch.manual_seed(5)
        trainer = Trainer(arch.build(), found, tmp_path / name, settings, device=CPU)
        losses.append([trainer._train_step(trainer.network) for _ in range(5)])

    # the learning rate follows the clock, which the first steps hardly feel
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_crops_of_one_photograph_never_stand_on_both_sides(tmp_path: Path) -> None:
    for source in range(6):
        for crop in range(3):
            Image.new("RGB", (160, 160)).save(tmp_path / f"set__photo{source}__auto{crop}.png")

    found = data.load([tmp_path], held_out_sources=2)

    assert (len(found.train), len(found.held_out)) == (12, 6)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        data.load([tmp_path])


def test_pictures_that_are_all_too_small_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")

    with pytest.raises(FileNotFoundError, match="160 pixels"):
        data.load([tmp_path])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_run_that_is_told_to_stop_leaves_a_whole_checkpoint_and_its_weights(tmp_path: Path) -> None:
    pictures(tmp_path)
    command = [sys.executable, "-m", "scanmend", "train", "grain", "--data", str(tmp_path), "--out"]
    command += [str(tmp_path / "run"), "--minutes", "5", "--batch", "2", "--patch", "32", "--no-compile"]
    with subprocess.Popen(
        [*command, "--device", "cpu"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as run:
        while not (tmp_path / "run" / "run.json").exists():
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=120)

    assert (tmp_path / "run" / "weights.safetensors").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["batch"] == 2
    torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
