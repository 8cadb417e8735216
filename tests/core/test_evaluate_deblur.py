"""Judging deblurring: blur is what it says, the same everywhere, and harm is counted."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scanmend_models
from PIL import Image
from safetensors.torch import save_file
from scanmend import cards, psf
from scanmend.cards import Card
from scanmend.cli.failures import run
from scanmend.engine import Engine
from scanmend.errors import ModelError, UsageError
from scanmend.evaluate import deblur, eight_bit, psnr
from scanmend.image import FloatArray, decode_srgb, encode_srgb

_ARCH = """
import torch
from torch import nn

class Sharpener(nn.Module):
    def __init__(self):
        super().__init__()
        self.amount = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        picture = inputs[:, :3]
        around = nn.functional.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)
        return picture + self.amount * (picture - around)

build = Sharpener
"""
_CARD = """
name = "toy-sharpener"
stage = "blur"
tier = "fast"
title = "Sharpens a little"
known_failures = []

[network]
inputs = 3
multiple = 8
halo = 8
dtypes = ["float32"]
parameters = 1
macs_per_pixel = 9

[weights]
file = "weights.safetensors"
sha256 = "{sha}"

[training]
data = "none"
compute = "none"
licence = "MIT"
"""


@pytest.fixture(scope="module")
def picture() -> FloatArray:
    """Slopes and edges, in 8-bit steps."""
    down, across = np.mgrid[0:96, 0:128].astype(np.float32)
    planes = (across / 160 + 0.1, np.where((down // 12 + across // 16) % 2, 0.75, 0.3), down / 120 + 0.1)
    return eight_bit(np.stack(planes, axis=2).astype(np.float32))


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Card]:
    """An installed model that sharpens by as much as its one weight says."""
    torch = pytest.importorskip("torch")
    folder = tmp_path / "models" / "toy_sharpener"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "arch.py").write_text(_ARCH, encoding="utf-8")
    save_file({"amount": torch.tensor([0.8])}, folder / "weights.safetensors")
    sha = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "card.toml").write_text(_CARD.format(sha=sha), encoding="utf-8")
    scanmend_models.__path__.append(str(folder.parent))
    importlib.invalidate_caches()
    yield cards.find("toy-sharpener")
    scanmend_models.__path__.remove(str(folder.parent))
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", psf.KINDS)
def test_blur_is_drawn_from_the_picture_and_the_kind_alone(picture: FloatArray, kind: str) -> None:
    first, again = deblur.made(picture, kind), deblur.made(picture.copy(), kind)
    mirrored = deblur.made(np.ascontiguousarray(picture[:, ::-1]), kind)

    assert np.array_equal(first.scan, again.scan)
    assert first.psf is not None
    assert first.psf.kind == kind
    assert mirrored.psf is not None
    assert mirrored.psf.radius != first.psf.radius


def test_blur_happens_in_linear_light() -> None:
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::2] = 1
    middle = deblur.convolved(decode_srgb(stripes), psf.disk(8))

    assert float(encode_srgb(middle)[32, 32, 0]) == pytest.approx(0.735, abs=0.01)  # half the light


def test_a_kernel_is_convolved_with_reflected_edges() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    random = np.random.default_rng(5)
    scene = random.random((40, 50, 3)).astype(np.float32)
    kernel = psf.draw("motion", random).kernel

    found = deblur.convolved(scene, kernel)

    expected = [ndimage.convolve(scene[..., c].astype(np.float64), kernel, mode="mirror") for c in range(3)]
    assert np.allclose(found, np.stack(expected, axis=2), atol=1e-6)


def test_a_blurred_picture_is_an_eight_bit_one_with_a_little_noise(picture: FloatArray) -> None:
    scan = deblur.made(picture, "scanner").scan
    blurred = deblur.made(picture, "scanner").psf

    assert blurred is not None
    exact = encode_srgb(deblur.convolved(decode_srgb(picture), blurred.kernel))
    inside = (exact > 0.02) & (exact < 0.98)
    assert float((scan - exact)[inside].std() * 255) == pytest.approx(np.hypot(1, 12**-0.5), rel=0.05)
    assert np.allclose(np.rint(scan * 255), scan * 255, atol=1e-4)


def test_sharp_pictures_come_as_they_are(picture: FloatArray) -> None:
    case = deblur.made(picture, "sharp")

    assert case.scan is picture
    assert case.psf is None


def test_marks_tell_gain_harm_and_the_worst_picture(toy: Card, picture: FloatArray) -> None:
    soft = np.full_like(picture, 0.5)  # there is nothing in it to sharpen but noise
    engine = Engine("cpu", backend="torch")

    marks = {mark.family: mark for mark in deblur.evaluate(engine, toy, [picture, soft])}

    assert [*marks] == list(deblur.FAMILIES)
    scanner, sharp = marks["scanner"], marks["sharp"]
    scan = deblur.made(picture, "scanner").scan
    assert scanner.blurred is not None
    assert scanner.gain == pytest.approx(scanner.psnr - scanner.blurred)
    assert scanner.worst < (scanner.gain or 0)
    assert scanner.below == 1
    assert (sharp.blurred, sharp.gain, sharp.below) == (None, None, 0)
    assert sharp.worst < sharp.psnr < deblur.EQUAL
    assert psnr(picture, scan) < deblur.EQUAL


@pytest.mark.usefixtures("toy")
def test_the_command_marks_a_model_on_a_folder(
    tmp_path: Path, picture: FloatArray, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(tmp_path / "a.png")
    asked = ["models", "evaluate", "deblur", "--images", str(tmp_path / "a.png"), "--model", "toy-sharpener"]

    code = run([*asked, "--device", "cpu", "--json"])

    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert code == 0
    assert [(row["family"], row["pictures"]) for row in rows] == [(name, 1) for name in deblur.FAMILIES]
    assert [row["gain"] is None for row in rows] == [False, False, False, True]

    assert run([*asked, "--device", "cpu"]) == 0
    table = capfd.readouterr().out
    assert all(word in table for word in ("input dB", "gain", "worst", "sharp", "toy-sharpener"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--model", "grain-fast"), ModelError.exit_code, "is for noise, not for blur"),
        (("--unclipped",), UsageError.exit_code, "about noise"),
    ],
)
def test_the_command_says_what_it_cannot_evaluate(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (80, 80)).save(tmp_path / "a.png")

    found = run(["models", "evaluate", "deblur", "--images", str(tmp_path), *arguments])

    assert found == code
    assert words in capfd.readouterr().err
