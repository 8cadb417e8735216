"""Steps that follow others: blur is undone in a picture free of noise, and what is to stay comes back after.

The network has random weights: what is tested holds for any.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scanmend import cards, engine, psf
from scanmend.cards import Card
from scanmend.deconvolve import ITERATIONS, to_display, to_linear
from scanmend.engine import Engine, Runner, TorchNetwork
from scanmend.errors import Cancelled
from scanmend.image import FloatArray
from scanmend.plan import Step, Told
from scanmend_models.mimo_unet.arch import MimoUNet
from torch import Tensor, nn

from tests.core.test_engine import FLOAT32, SIGMA, psnr, scene, step

HALO = 64


@pytest.fixture(scope="module")
def noise_card() -> Card:
    return cards.find("grain-fast")


@pytest.fixture(scope="module")
def blur_card(noise_card: Card) -> Card:
    return replace(
        noise_card, name="soft", stage="blur", inputs=3, multiple=8, halo=HALO, path=Path("soft/card.toml")
    )


@pytest.fixture(scope="module")
def sharpen() -> TorchNetwork:
    """A network that changes a picture by some grey levels, and sees as far as it may."""
    torch.manual_seed(3)
    network = MimoUNet(2, channels=8, fold=2).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.6)
    return TorchNetwork(network, FLOAT32)


class Bench:
    """Both models on one engine, and a page's steps on it."""

    def __init__(self, noise_card: Card, blur_card: Card, sharpen: engine.Network) -> None:
        self.engine = Engine("cpu", backend="torch")
        self.engine._networks[blur_card.path] = sharpen
        self.engine._networks[noise_card.path] = TorchNetwork(engine.load_network(noise_card), FLOAT32)
        self.cards = (noise_card, blur_card)

    def runner(self, *steps: Step, tile: int = 512, grey: bool = False) -> Runner:
        self.engine.tile = tile
        return self.engine.runner(steps, self.cards, grey=grey)

    def __call__(self, window: FloatArray, *steps: Step, tile: int = 512, grey: bool = False) -> FloatArray:
        return self.runner(*steps, tile=tile, grey=grey).band(window)


@pytest.fixture(scope="module")
def bench(noise_card: Card, blur_card: Card, sharpen: TorchNetwork) -> Bench:
    return Bench(noise_card, blur_card, sharpen)


def blur(**changes: object) -> Step:
    return step(**({"stage": "blur", "model": "soft", "sigma": 0.0} | changes))


def test_models_of_three_inputs_get_the_picture_alone(bench: Bench, sharpen: TorchNetwork) -> None:
    window = scene(64, 96)

    result = bench(window, blur())

    with torch.inference_mode():
        expected = sharpen(torch.from_numpy(window.transpose(2, 0, 1).copy())[None])[0]
    np.testing.assert_allclose(result, expected.permute(1, 2, 0).numpy(), atol=1e-6)
    assert np.abs(result - window).max() > 0.05


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (61, 129), (200, 16)])
@pytest.mark.parametrize("passes", [1, 4])
def test_any_size_comes_back_in_its_own_size(bench: Bench, size: tuple[int, int], passes: int) -> None:
    assert bench(scene(*size), step(passes=passes), blur(passes=passes)).shape == (*size, 3)


# --- strength ----------------------------------------------------------------------------


@pytest.mark.parametrize("grey", [False, True])
def test_strength_0_is_the_identity_to_the_last_bit(bench: Bench, *, grey: bool) -> None:
    window = scene(80, 96)[..., :1].repeat(3, axis=2) if grey else scene(80, 96)

    np.testing.assert_array_equal(bench(window, blur(strength=0.0), grey=grey), window)


def test_strength_0_leaves_what_noise_alone_comes_to(bench: Bench) -> None:
    window, noise = scene(80, 96), step(strength=0.5, color=0.8, keep_grain=0.3)

    np.testing.assert_array_equal(bench(window, noise, blur(strength=0.0)), bench(window, noise))


def test_strength_is_continuous_and_monotone_also_after_noise(bench: Bench) -> None:
    window, noise = scene(80, 96), step(strength=0.5, keep_grain=0.3)
    none, full = bench(window, noise), bench(window, noise, blur())

    for share in (0.01, 0.3, 0.8):
        partly = bench(window, noise, blur(strength=share))
        np.testing.assert_allclose(partly - none, share * (full - none), atol=1e-5)


# --- after noise -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noise", [step(strength=0.0, color=0.0), step(strength=0.4, color=0.9), step(keep_grain=0.5)]
)
def test_what_is_left_of_the_noise_is_neither_sharpened_nor_lost(bench: Bench, noise: Step) -> None:
    window = scene(96, 96)

    result = bench(window, noise, blur())

    sharpened = bench(bench(window, step()), blur()) - bench(window, step())
    np.testing.assert_allclose(result, bench(window, noise) + sharpened, atol=1e-5)


def test_noise_told_of_in_part_is_out_in_full_before_the_blur(bench: Bench) -> None:
    window = scene(96, 96)
    partly = step(sigma=SIGMA / 2, full=Told(SIGMA))

    result = bench(window, partly, blur())

    sharpened = bench(bench(window, step()), blur()) - bench(window, step())
    np.testing.assert_allclose(result, bench(window, step(sigma=SIGMA / 2)) + sharpened, atol=1e-5)


def test_grain_that_is_given_back_is_not_raised(bench: Bench) -> None:
    window, clean = scene(96, 96), scene(96, 96, noise=0)
    noise = step(strength=0.0, color=0.0)

    beneath = bench(window, noise, blur(strength=1.0)) - bench(window, noise)
    directly = bench(window, blur()) - window
    wanted = bench(clean, blur()) - clean

    assert np.std(beneath - wanted) < 0.7 * np.std(directly - wanted)


# --- grey --------------------------------------------------------------------------------


def test_grey_stays_grey_in_one_channel_and_in_three(bench: Bench) -> None:
    window = scene(80, 96)[..., :1]
    steps = (step(strength=0.6, color=1.0), blur())

    one = bench(window, *steps, grey=True)
    three = bench(window.repeat(3, axis=2), *steps, grey=True)

    assert one.shape == window.shape
    np.testing.assert_array_equal(three, three[..., :1].repeat(3, axis=2))
    np.testing.assert_allclose(one, three[..., :1], atol=1e-6)
    assert np.abs(one - bench(window, steps[0], grey=True)).max() > 0.02


# --- tiles -------------------------------------------------------------------------------


def test_halos_add_up_and_tiles_fit_every_model(
    noise_card: Card, blur_card: Card, sharpen: TorchNetwork
) -> None:
    uneven = replace(blur_card, multiple=12)
    both = Bench(noise_card, uneven, sharpen).runner(step(), blur())

    assert both.halo == noise_card.halo + HALO
    assert both.multiple == 24
    assert all((span.stop - span.start) % 24 == 0 for span in both.spans(2000)[:-1])


def far(inputs: Tensor) -> Tensor:
    """Sees as far as the halo says, in all directions."""
    wide = nn.functional.avg_pool2d(inputs, (1, 2 * HALO + 1), 1, (0, HALO), count_include_pad=False)
    mean = nn.functional.avg_pool2d(wide, (2 * HALO + 1, 1), 1, (HALO, 0), count_include_pad=False)
    return 4 * inputs - 3 * mean


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("sees", ["as networks do", "as far as it may"])
def test_tiles_of_both_steps_together_give_the_whole_picture(
    noise_card: Card, blur_card: Card, sharpen: TorchNetwork, *, sees: str, grey: bool
) -> None:
    bench = Bench(noise_card, blur_card, far if sees == "as far as it may" else sharpen)
    window = scene(240, 560)[..., : 1 if grey else 3]
    steps = (step(strength=0.7, keep_grain=0.2), blur())

    tiled, whole = (bench(window, *steps, tile=tile, grey=grey) for tile in (352, 1024))

    assert len(bench.runner(*steps, tile=352).spans(560)) > 1
    assert np.abs(tiled - whole).max() * 255 < 1


def test_a_tile_that_does_not_fit_is_cut_and_gives_the_same(
    bench: Bench, noise_card: Card, blur_card: Card, sharpen: TorchNetwork
) -> None:
    window = scene(320, 320)

    def small(inputs: Tensor) -> Tensor:
        if inputs.shape[2] * inputs.shape[3] > 300 * 300:
            raise MemoryError
        return sharpen(inputs)

    result = Bench(noise_card, blur_card, small)(window, step(), blur())

    assert np.abs(result - bench(window, step(), blur())).max() * 255 < 1


def test_every_pass_of_every_step_is_counted(bench: Bench) -> None:
    counted: list[float] = []

    bench.runner(step(passes=4, full=Told(SIGMA)), blur(passes=4)).band(scene(64, 48), done=counted.append)

    assert len(counted) == 12
    assert sum(counted) == pytest.approx(64 * 48)


def test_whoever_wants_to_stop_is_asked_within_the_blur_step_too(bench: Bench) -> None:
    asked: list[int] = []

    def check() -> None:
        asked.append(len(asked))
        if len(asked) == 60:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        bench.runner(blur()).band(scene(64, 64), check=check)

    assert len(asked) == 60


# --- by a known shape --------------------------------------------------------------------


def known(kind: str, radius: float, **changes: object) -> Step:
    return step(**({"stage": "blur", "sigma": 1 / 255, "psf": (kind, radius)} | changes))


def blurred(window: FloatArray, kind: str, radius: float) -> FloatArray:
    """As optics blur, in linear light, in 8 bits."""
    kernel = torch.from_numpy(psf.parametric(kind, radius))
    reach = len(kernel) // 2
    light = to_linear(torch.from_numpy(window.transpose(2, 0, 1).copy()))[:, None]
    light = nn.functional.pad(light, (reach, reach, reach, reach), mode="reflect")
    seen = to_display(nn.functional.conv2d(light, kernel[None, None]))[:, 0].permute(1, 2, 0).numpy()
    return (np.round(seen * 255) / 255).astype(np.float32)


@pytest.mark.parametrize(("kind", "radius"), [("defocus", 3.0), ("scanner", 1.2)])
def test_a_blur_of_known_shape_is_undone_with_the_model_for_noise(
    bench: Bench, kind: str, radius: float
) -> None:
    sharp = scene(96, 128, noise=0)
    scan = blurred(sharp, kind, radius)

    result = bench(scan, known(kind, radius))

    assert psnr(result, sharp) > psnr(scan, sharp) + 3


def test_of_a_known_shape_too_strength_is_a_blend_and_grey_stays_grey(bench: Bench) -> None:
    scan = blurred(scene(64, 64, noise=0), "defocus", 2.0)
    grey = scan[..., :1].repeat(3, axis=2)
    full = bench(scan, known("defocus", 2.0))

    np.testing.assert_array_equal(bench(scan, known("defocus", 2.0, strength=0.0)), scan)
    np.testing.assert_allclose(
        bench(scan, known("defocus", 2.0, strength=0.3)) - scan, 0.3 * (full - scan), atol=1e-5
    )
    neutral = bench(grey, known("defocus", 2.0), grey=True)
    np.testing.assert_array_equal(neutral, neutral[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize(("kind", "radius"), [("defocus", 3.0), ("scanner", 1.5)])
def test_tiles_of_deconvolution_give_the_whole_picture(bench: Bench, kind: str, radius: float) -> None:
    scan = blurred(scene(48, 320, noise=0), kind, radius)

    tiled, whole = (bench(scan, known(kind, radius), tile=tile) for tile in (200, 1024))

    assert len(bench.runner(known(kind, radius), tile=200).spans(320)) > 1
    assert np.abs(tiled - whole).max() * 255 < 1


def test_each_pass_of_the_denoiser_in_deconvolution_is_counted_and_may_be_the_last(bench: Bench) -> None:
    counted: list[float] = []
    runner = bench.runner(known("scanner", 1.0))

    runner.band(scene(40, 48), done=counted.append)

    assert len(counted) == ITERATIONS
    assert sum(counted) == pytest.approx(40 * 48)


# --- with the network that ships ---------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(noise_card: Card) -> Bench:
    found = [card for card in cards.shipped() if (card.stage, card.tier) == ("blur", "fast")]
    if not found:
        pytest.skip("no model for blur ships yet")
    card = replace(found[0], name="soft")
    return Bench(noise_card, card, TorchNetwork(engine.load_network(card), FLOAT32))


def plates(height: int, width: int) -> FloatArray:
    """Plates of many tones and sizes that overlap. Fine stripes, as `scene` has, the network oversharpens."""
    rng = np.random.default_rng(11)
    picture = np.full((height, width, 3), 0.5, np.float32)
    for _ in range(60):
        top, left = rng.integers(height - 8), rng.integers(width - 8)
        down, across = rng.integers(6, 48, 2)
        picture[top : top + down, left : left + across] = rng.random(3) * 0.8 + 0.1
    return picture


def soft_and_noisy(sharp: FloatArray, noise: float) -> FloatArray:
    scan = blurred(sharp, "scanner", 1.3)
    grain = np.random.default_rng(4).normal(0, noise, scan.shape)
    return np.clip(scan + grain, 0, 1).astype(np.float32)


def test_tiles_of_the_networks_that_ship_give_the_whole_picture(shipped: Bench) -> None:
    window = soft_and_noisy(plates(240, 560), 8 / 255)
    steps = (step(sigma=8 / 255, strength=0.7), blur())

    tiled, whole = (shipped(window, *steps, tile=tile) for tile in (352, 1024))

    assert len(shipped.runner(*steps, tile=352).spans(560)) > 1
    assert np.abs(tiled - whole).max() * 255 < 1


def test_a_soft_picture_comes_back_sharper_and_its_noise_not_stronger(shipped: Bench) -> None:
    sharp = plates(160, 192)
    aside = step(sigma=8 / 255, strength=0.0, color=0.0)
    clean, noisy = (soft_and_noisy(sharp, noise) for noise in (0.0, 8 / 255))

    gain = psnr(shipped(clean, blur()), sharp) - psnr(clean, sharp)
    result = shipped(noisy, aside, blur())

    assert gain > 0.5
    assert psnr(result, sharp) > psnr(noisy, sharp)
    assert psnr(result, sharp) > psnr(shipped(noisy, blur()), sharp)
