"""The engine on the network that is shipped, and on networks that fail on purpose."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scanmend import cards, engine
from scanmend.cards import Card
from scanmend.engine import Device, Engine, TorchNetwork
from scanmend.errors import Cancelled, EngineError, ModelError, OutOfMemory
from scanmend.image import FloatArray
from scanmend.plan import Step
from torch import Tensor

FLOAT32 = Device("cpu", torch.float32, "for comparison")
SIGMA = 25 / 255


@pytest.fixture(scope="module")
def card() -> Card:
    return cards.find("grain-fast")


def scene(height: int, width: int, *, noise: float = SIGMA, seed: int = 1) -> FloatArray:
    """Smooth shading with edges and stripes, and white noise on top: (H, W, 3)."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    picture = 0.5 + 0.2 * np.sin(columns / 31) * np.cos(rows / 43)
    picture += 0.15 * ((rows // 40 + columns // 56) % 2) + 0.05 * np.sin(columns * 0.9)
    grain = np.random.default_rng(seed).normal(0, noise, (height, width, 3))
    return np.clip(picture[..., None] + grain, 0, 1).astype(np.float32)


def step(**changes: object) -> Step:
    values: dict[str, object] = {
        "stage": "noise",
        "model": "grain-fast",
        "strength": 1.0,
        "keep_grain": 0.0,
        "sigma": SIGMA,
    }
    return Step(**(values | changes))  # type: ignore[arg-type]


def restored(window: FloatArray, *, tile: int = 512, grey: bool = False, **changes: object) -> FloatArray:
    runner = Engine("cpu", backend="torch", tile=tile).runner([step(**changes)], cards.installed(), grey=grey)
    return runner.band(window)


def psnr(a: FloatArray, b: FloatArray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2)))


def test_noise_goes_and_the_picture_stays() -> None:
    clean, noisy = scene(192, 256, noise=0), scene(192, 256)

    result = restored(noisy)

    assert psnr(result, clean) > psnr(noisy, clean) + 6


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (8, 8), (61, 129), (200, 16)])
def test_any_size_comes_back_in_its_own_size(size: tuple[int, int]) -> None:
    assert restored(scene(*size)).shape == (*size, 3)


def test_tiles_give_the_whole_picture_within_a_quarter_of_a_grey_level(card: Card) -> None:
    window = scene(320, 480)
    exact = TorchNetwork(engine.load_network(card), FLOAT32)
    runner = Engine("cpu", backend="torch", tile=160).runner([step()], cards.installed(), grey=False)
    runner._steps = [(step(), card, exact)]
    planes = torch.from_numpy(window.transpose(2, 0, 1).copy())[None]

    with torch.inference_mode():
        whole = exact(engine._condition(planes, step()))[0].permute(1, 2, 0).numpy()
    tiled = runner.band(window)

    assert np.abs(tiled - whole).max() * 255 < 0.25


def test_reduced_precision_stays_close_to_float32(card: Card) -> None:
    device = engine.choose_device("cpu")
    if device.dtype == torch.float32:
        pytest.skip("this processor has no bfloat16 arithmetic")
    inputs = engine._condition(torch.from_numpy(scene(128, 128).transpose(2, 0, 1).copy())[None], step())

    with torch.inference_mode():
        exact = TorchNetwork(engine.load_network(card), FLOAT32)(inputs)
        reduced = TorchNetwork(engine.load_network(card), device)(inputs)

    assert psnr(reduced.numpy(), exact.numpy()) > 50


def test_openvino_agrees_with_torch(card: Card) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    window = scene(96, 136)
    exact = TorchNetwork(engine.load_network(card), FLOAT32)
    runner = Engine("cpu", backend="openvino").runner([step()], cards.installed(), grey=False)

    result = runner.band(window)
    runner._steps = [(step(), card, exact)]

    assert psnr(result, runner.band(window)) > 50


def test_the_faster_backend_is_timed_once_and_remembered(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    device = engine.choose_device("cpu")

    found = engine.faster_backend(card, device)
    known = json.loads((tmp_path / "scanmend" / "backends.json").read_text())
    (key,) = known
    other = "torch" if found == "openvino" else "openvino"
    (tmp_path / "scanmend" / "backends.json").write_text(json.dumps({key: other}))

    assert known[key] == found
    assert engine.faster_backend(card, device) == other


def test_timing_a_second_network_keeps_what_is_known_of_the_first(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    known = tmp_path / "scanmend" / "backends.json"
    known.parent.mkdir()
    known.write_text(json.dumps({f"network {number}": "torch" for number in range(40)}))

    found = engine.faster_backend(card, engine.choose_device("cpu"))

    kept = json.loads(known.read_text())
    assert list(kept.values())[-1] == found
    assert "network 39" in kept
    assert len(kept) < 40


def test_a_damaged_memory_of_the_faster_backend_is_written_anew(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "scanmend").mkdir()
    (tmp_path / "scanmend" / "backends.json").write_text("[1, 2")

    assert engine.faster_backend(card, engine.choose_device("cpu")) in ("torch", "openvino")


def test_strength_is_continuous_and_monotone_from_the_identity_to_the_full_change() -> None:
    window = scene(96, 96)
    full = restored(window)

    changes = [restored(window, strength=share) - window for share in (1e-9, 0.25, 0.5, 0.75)]

    np.testing.assert_allclose(changes[0], 0, atol=1e-7)
    for share, change in zip((0.25, 0.5, 0.75), changes[1:], strict=True):
        np.testing.assert_allclose(change, share * (full - window), atol=1e-5)


def test_kept_grain_is_grey_and_in_proportion() -> None:
    window = scene(96, 96)

    back = restored(window, keep_grain=0.5) - restored(window)

    np.testing.assert_allclose(back, back[..., :1].repeat(3, axis=2), atol=1e-6)
    assert 0.2 < back.std() / (window - restored(window)).std() < 0.6


def test_the_grey_part_and_the_colour_part_of_the_noise_go_each_at_its_strength() -> None:
    window = scene(96, 96)
    luma = np.array([0.299, 0.587, 0.114], np.float32)

    full = window - restored(window)
    grey = (full @ luma)[..., None]
    apart = window - restored(window, strength=0.25, color=0.75)

    np.testing.assert_allclose(apart, 0.25 * grey + 0.75 * (full - grey), atol=1e-5)


def test_with_colour_alone_the_brightness_stays() -> None:
    window = scene(96, 96)
    luma = np.array([0.299, 0.587, 0.114], np.float32)

    result = restored(window, strength=0.0, color=1.0, keep_grain=0.5)

    np.testing.assert_allclose(result @ luma, window @ luma, atol=1e-5)
    assert np.abs(result - window).max() > 0.01


@pytest.mark.parametrize("grey", [False, True])
def test_at_strength_0_in_grey_and_in_colour_nothing_changes_at_all(*, grey: bool) -> None:
    window = scene(96, 96)

    result = restored(window, strength=0.0, color=0.0, keep_grain=0.3, grey=grey)

    np.testing.assert_array_equal(result, window)


def test_grey_pages_know_no_strength_in_colour() -> None:
    window = scene(80, 96)[..., :1].repeat(3, axis=2)

    np.testing.assert_array_equal(
        restored(window, grey=True, strength=0.6, color=1.0),
        restored(window, grey=True, strength=0.6, color=0.0),
    )


def lopsided(inputs: Tensor) -> Tensor:
    """Answers with the picture moved by a pixel to the right, and takes the sides' multiple to be 8."""
    assert inputs.shape[2] % 8 == inputs.shape[3] % 8 == 0
    return torch.roll(inputs[:, :3], 1, dims=3) * (1 - inputs[:, 3:4])


@pytest.mark.parametrize("passes", [1, 4, 8])
def test_every_view_is_turned_back_before_the_mean(card: Card, passes: int) -> None:
    picture = torch.zeros(1, 5, 24, 40)
    picture[0, :3, 10, 20] = 1.0
    picture[0, 3, 10, 19:22] = 0.25  # the condition planes have to turn as well

    answer = engine._mean_answer(picture, card, lopsided, passes, lambda: None)[0, 0]

    expected = torch.zeros(24, 40)
    if passes == 1:
        expected[10, 21] = 0.75
    else:  # right of the point as each view sees it: all four neighbours alike
        expected[10, 19] = expected[10, 21] = 0.75 / 4
        expected[9, 20] = expected[11, 20] = 1.0 / 4
    torch.testing.assert_close(answer, expected)


@pytest.mark.parametrize("size", [(61, 130), (8, 96)])
def test_more_passes_keep_the_size_and_denoise_no_worse(size: tuple[int, int]) -> None:
    clean, noisy = scene(*size, noise=0), scene(*size)

    once, often = restored(noisy), restored(noisy, passes=4)

    assert often.shape == noisy.shape
    assert psnr(often, clean) > psnr(once, clean) - 0.05


def test_a_number_of_passes_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(EngineError, match="1, 4 or 8 passes, not 3"):
        restored(scene(16, 16), passes=3)


def test_grey_stays_grey() -> None:
    window = scene(80, 96)[..., :1]

    one_channel = restored(window, grey=True)
    three_channels = restored(window.repeat(3, axis=2), grey=True)

    assert one_channel.shape == window.shape
    np.testing.assert_array_equal(three_channels[..., 0], three_channels[..., 1])
    np.testing.assert_array_equal(three_channels[..., 0], three_channels[..., 2])


def test_the_same_scan_gives_the_same_result_twice() -> None:
    window = scene(100, 140)

    np.testing.assert_array_equal(restored(window), restored(window))


def failing_above(pixels: int, network: TorchNetwork, error: Callable[[], Exception]) -> engine.Network:
    def run(inputs: Tensor) -> Tensor:
        if inputs.shape[2] * inputs.shape[3] > pixels:
            raise error()
        return network(inputs)

    return run


@pytest.mark.parametrize(
    "error",
    [
        MemoryError,
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
)
def test_a_tile_that_does_not_fit_is_cut_and_gives_the_same(
    card: Card, error: Callable[[], Exception]
) -> None:
    window = scene(256, 320)
    exact = TorchNetwork(engine.load_network(card), FLOAT32)
    runner = Engine("cpu", backend="torch").runner([step()], cards.installed(), grey=False)
    runner._steps = [(step(), card, exact)]
    whole = runner.band(window)

    runner._steps = [(step(), card, failing_above(200 * 240, exact, error))]
    result = runner.band(window)

    assert np.abs(result - whole).max() * 255 < 0.1


def test_no_memory_for_the_smallest_tile_is_one_sentence(card: Card) -> None:
    exact = TorchNetwork(engine.load_network(card), FLOAT32)
    runner = Engine("cpu", backend="torch").runner([step()], cards.installed(), grey=False)
    runner._steps = [(step(), card, failing_above(0, exact, MemoryError))]

    with pytest.raises(OutOfMemory, match="not even a small tile fits"):
        runner.band(scene(256, 256))


def test_another_failure_of_the_network_names_the_model(card: Card) -> None:
    exact = TorchNetwork(engine.load_network(card), FLOAT32)
    runner = Engine("cpu", backend="torch").runner([step()], cards.installed(), grey=False)
    runner._steps = [(step(), card, failing_above(0, exact, lambda: RuntimeError("shape mismatch")))]

    with pytest.raises(EngineError, match="grain-fast failed: shape mismatch"):
        runner.band(scene(64, 64))


def test_whoever_wants_to_stop_is_asked_many_times_within_a_tile() -> None:
    runner = Engine("cpu", backend="torch").runner([step(passes=4)], cards.installed(), grey=False)
    asked = []

    def check() -> None:
        asked.append(len(asked))
        if len(asked) == 100:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        runner.band(scene(96, 96), check=check)

    runner.band(scene(64, 64))  # and nobody is asked any more
    assert len(asked) == 100


@pytest.mark.parametrize("wish", ["gpu", "cuda:x", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(wish: str) -> None:
    with pytest.raises(EngineError):
        engine.choose_device(wish)


def test_altered_weights_are_refused(card: Card, tmp_path_factory: pytest.TempPathFactory) -> None:
    altered = tmp_path_factory.mktemp("model") / "weights.safetensors"
    altered.write_bytes(card.weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelError, match="not those of its card"):
        engine.load_network(replace(card, weights=altered))
