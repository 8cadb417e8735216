"""The protocol: the same noise everywhere, and figures that agree with other people's."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scanmend import cards, evaluate
from scanmend.engine import Engine
from scanmend.errors import ModelError, UsageError
from scanmend.image import FloatArray


@pytest.fixture(scope="module")
def picture() -> FloatArray:
    """Slopes and edges, in 8-bit steps."""
    down, across = np.mgrid[0:96, 0:128].astype(np.float32)
    planes = (across / 160 + 0.1, np.where((down // 24 + across // 32) % 2, 0.75, 0.3), down / 120 + 0.1)
    return evaluate.eight_bit(np.stack(planes, axis=2).astype(np.float32))


@pytest.mark.parametrize("sigma", [1, 15, 50])
def test_psnr_and_ssim_agree_with_scikit_image(picture: FloatArray, sigma: int) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    noisy = evaluate.add_noise(picture, sigma, clipped=True)

    psnr = metrics.peak_signal_noise_ratio(picture, noisy, data_range=1.0)
    ssim = metrics.structural_similarity(
        picture.astype(np.float64),
        noisy.astype(np.float64),
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert evaluate.psnr(picture, noisy) == pytest.approx(psnr, abs=1e-6)
    assert evaluate.ssim(picture, noisy) == pytest.approx(ssim, abs=1e-9)


def test_equal_pictures_have_the_highest_marks(picture: FloatArray) -> None:
    assert evaluate.psnr(picture, picture) == float("inf")
    assert evaluate.ssim(picture, picture) == pytest.approx(1.0)


def test_noise_has_its_sigma_and_depends_on_the_picture_alone(picture: FloatArray) -> None:
    noisy = evaluate.add_noise(picture, 25, clipped=False)
    again = evaluate.add_noise(picture.copy(), 25, clipped=False)
    other = evaluate.add_noise(picture[::-1], 25, clipped=False)

    assert np.array_equal(noisy, again)
    assert float((noisy - picture).std() * 255) == pytest.approx(25, rel=0.02)
    assert not np.allclose(other - picture[::-1], noisy - picture)


def test_clipped_noise_is_that_of_an_eight_bit_file(picture: FloatArray) -> None:
    free = evaluate.add_noise(picture, 50, clipped=False)
    clipped = evaluate.add_noise(picture, 50, clipped=True)

    assert free.max() > 1
    assert np.array_equal(clipped, evaluate.eight_bit(free))
    assert np.allclose(np.rint(clipped * 255), clipped * 255, atol=1e-4)


def test_only_the_central_square_of_a_picture_is_read(tmp_path: Path) -> None:
    samples = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    Image.fromarray(samples).save(tmp_path / "a.png")

    found = evaluate.read_picture(tmp_path / "a.png", crop=20)

    expected = samples[10:30, 20:40, None] / 65535
    assert np.allclose(found, np.broadcast_to(expected, (20, 20, 3)), atol=1e-6)


def test_every_installed_model_makes_noisy_pictures_better(picture: FloatArray) -> None:
    engine = Engine("cpu", backend="torch")
    models = [card for card in cards.installed() if card.stage == "noise"]

    marks = [*itertools.chain(*(evaluate.evaluate(engine, card, [picture], sigmas=[25]) for card in models))]

    assert [mark.model for mark in marks] == [card.name for card in models]
    assert all(mark.psnr > mark.noisy + 3 and mark.pictures == 1 for mark in marks)


def test_the_command_marks_a_model_on_a_folder(tmp_path: Path, picture: FloatArray) -> None:
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(tmp_path / "a.png")

    run = _evaluate(tmp_path, "--images", str(tmp_path), "--model", "grain-fast", "--json")

    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert (run.returncode, run.stderr) == (0, "")
    assert [(row["model"], row["sigma"], row["pictures"]) for row in rows] == [
        ("grain-fast", sigma, 1) for sigma in evaluate.SIGMAS
    ]
    assert all(row["psnr"] > row["noisy"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--images", "nowhere*"), UsageError.exit_code, "nothing matches"),
        (("--images", "small.png"), UsageError.exit_code, "less than 64 pixels"),
        (("--images", "small.png", "--model", "none"), ModelError.exit_code, "none"),
    ],
)
def test_the_command_says_what_it_cannot_evaluate(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    Image.new("RGB", (40, 80)).save(tmp_path / "small.png")

    run = _evaluate(tmp_path, *arguments)

    assert run.returncode == code
    assert words in run.stderr


def _evaluate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
    return subprocess.run(
        [sys.executable, "-m", "scanmend", "models", "evaluate", *arguments, "--device", "cpu"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
