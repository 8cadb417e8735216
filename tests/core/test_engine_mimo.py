"""MIMO-UNet in the engine: any size, in tiles, in reduced precision, and the picture itself never rounded."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scanmend import cards, engine, psf
from scanmend.cards import Card
from scanmend.engine import Device, Engine, Network, TorchNetwork
from scanmend.evaluate import deblur, eight_bit
from scanmend.image import FloatArray, decode_srgb, encode_srgb
from scanmend_models.deblur_fast.arch import BLOCKS, FOLD
from scanmend_models.mimo_unet.arch import MimoUNet, from_identity

FLOAT32 = Device("cpu", torch.float32, "for comparison")
REDUCED = Device("cpu", torch.bfloat16, "for comparison")


def card_of(network: MimoUNet, folder: Path, *, halo: int = 64) -> Card:
    """A card for weights of deblur-fast, or where pixels are not folded, of a MIMO-UNet with one block."""
    file = folder / "weights.safetensors"
    save_file(network.state_dict(), file)
    return Card(
        name="mimo",
        stage="blur",
        tier="fast",
        title="For tests",
        inputs=3,
        multiple=4 * network.fold,
        halo=halo,
        dtypes=("float32", "bfloat16"),
        parameters=1,
        macs_per_pixel=1,
        licence="MIT",
        training_data="none",
        training_compute="none",
        scores=(),
        weights=file,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        known_failures=(),
        path=folder / "deblur_fast" / "card.toml",
        architecture="" if network.fold == FOLD else "mimo-unet",
        blocks=1,
    )


def network(*, folded: bool) -> MimoUNet:
    torch.manual_seed(3)
    return MimoUNet(BLOCKS, fold=FOLD).eval() if folded else MimoUNet(1).eval()


def picture(height: int, width: int) -> FloatArray:
    return np.random.default_rng(height).random((height, width, 3), np.float32)


def blurred_scene(height: int, width: int) -> FloatArray:
    """Edges of all directions, fine stripes and smooth shades, shaken by 40 pixels."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    shade = 0.4 + 0.2 * np.sin(across / 37) * np.cos(down / 53)
    shapes = 0.3 * ((down // 24 + across // 36) % 2) + 0.15 * (np.hypot(down - 150, across - 180) % 40 < 20)
    light = decode_srgb(np.repeat((shade + shapes)[..., None], 3, axis=2).clip(0, 1).astype(np.float32))
    shaken = deblur.convolved(light, psf.trajectory(np.random.default_rng(4), psf.LENGTHS[1]))
    return eight_bit(encode_srgb(shaken.clip(0, 1)))


def in_float32(card: Card, *, tile: int = engine.TILE) -> engine.Runner:
    core = Engine("cpu", backend="torch", tile=tile)
    core.device = FLOAT32
    return core.runner([deblur.step(card)], [card], grey=False)


@torch.inference_mode()
def run(network: Network | MimoUNet, window: FloatArray) -> FloatArray:
    inputs = torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1)))[None]
    result: FloatArray = network(inputs)[0].permute(1, 2, 0).numpy()
    return result


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 9), (61, 43), (20, 900), (410, 30)])
def test_any_size_comes_to_what_the_padded_whole_comes_to(
    tmp_path: Path, size: tuple[int, int], *, folded: bool
) -> None:
    net, window = network(folded=folded), picture(*size)
    card = card_of(net, tmp_path)
    spare = [(0, -side % card.multiple) for side in size]
    mirrors = all(beyond < side for (_, beyond), side in zip(spare, size, strict=True))
    padded = np.pad(window, (*spare, (0, 0)), "reflect" if mirrors else "edge")

    result = in_float32(card, tile=192).band(window)

    assert result.shape == window.shape
    assert np.abs(result - run(net, padded)[: size[0], : size[1]]).max() * 255 < 0.1


@pytest.fixture(params=["torch", "openvino"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    return str(request.param)


def reduced(network: MimoUNet, card: Card, backend: str) -> Network:
    if backend == "torch":
        return TorchNetwork(network, REDUCED)
    from scanmend.engine_openvino import OpenVinoNetwork  # noqa: PLC0415 - optional extra

    return OpenVinoNetwork(network, card, reduced=True)


def test_the_picture_never_passes_through_bfloat16(tmp_path: Path, backend: str) -> None:
    """bfloat16 would move light tones by up to half a grey level of 8 bits, 16-bit scans by 128 steps."""
    net = from_identity(network(folded=True))
    step_of_16_bits = 1 / 65535
    _, offset = net.feat_extract[5].parameters()
    torch.nn.init.constant_(offset, step_of_16_bits)
    windows = [picture(*size) for size in ((8, 8), (64, 72), (16, 904))]
    ours = reduced(net, card_of(net, tmp_path), backend)

    results = [run(ours, window) for window in windows]

    for window, result in zip(windows, results, strict=True):
        assert np.abs(result - window - step_of_16_bits).max() < 1e-6


def shipped() -> Card:
    found = [card for card in cards.installed() if card.name == "deblur-fast"]
    if not found:
        pytest.skip("deblur-fast has no weights yet")
    return found[0]


def test_reduced_precision_stays_within_60_db_of_float32(backend: str) -> None:
    card, window = shipped(), blurred_scene(192, 256)
    net = engine.load_network(card)
    assert isinstance(net, MimoUNet)
    exact = run(net, window)

    result = run(reduced(net, card, backend), window)

    assert np.abs(exact - window).max() * 255 > 5  # there is work to do
    assert 10 * np.log10(1 / np.mean((result - exact) ** 2)) > 60


def test_tiles_give_the_whole_picture_within_a_grey_level() -> None:
    card, window = shipped(), blurred_scene(384, 512)
    tiled = in_float32(card, tile=2 * card.halo + 8 * card.multiple)

    result = tiled.band(window)

    assert len(tiled.spans(512)) > 3
    assert np.abs(result - run(engine.load_network(card), window)).max() * 255 < 1


def test_a_window_s_halo_is_enough_downwards_too() -> None:
    card, window = shipped(), blurred_scene(384, 256)
    halo, net = card.halo, engine.load_network(card)

    cut = run(net, window[192 - halo :])[halo:]

    assert np.abs(cut - run(net, window)[192:]).max() * 255 < 1


def test_turned_copies_take_any_size(tmp_path: Path) -> None:
    net, window = network(folded=True), picture(37, 51)
    card = card_of(net, tmp_path)
    core = Engine("cpu", backend="torch")
    core.device = FLOAT32
    step = replace(deblur.step(card), passes=4)
    views = []
    for turns in range(4):
        turned = np.rot90(window, turns)
        spare = [(0, -side % card.multiple) for side in turned.shape[:2]]
        answer = run(net, np.pad(turned, (*spare, (0, 0)), "reflect"))[: turned.shape[0], : turned.shape[1]]
        views.append(np.rot90(answer, -turns))

    result = core.runner([step], [card], grey=False).band(window)

    assert np.abs(result - np.mean(views, axis=0)).max() < 1e-5


def test_half_precision_stays_close_to_float32(tmp_path: Path) -> None:
    net, window = network(folded=False), picture(24, 32)
    exact = run(net, window)

    half = run(lambda x: net.half()(x.half()).float(), window)
    in_parts = TorchNetwork(network(folded=False), Device("cpu", torch.float16, "for comparison"))

    assert 10 * np.log10(1 / np.mean((half - exact) ** 2)) > 60
    assert 10 * np.log10(1 / np.mean((run(in_parts, window) - exact) ** 2)) > 60
