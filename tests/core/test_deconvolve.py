"""Known blur is undone where the kernel is right, without rings where a picture ends, clips or differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scanmend import cards, deconvolve, engine, psf
from scanmend.errors import Cancelled
from scanmend.image import FloatArray
from torch import Tensor
from torch.nn import functional

SIDE, AROUND = 96, 40
NOISE = 1 / 255


@pytest.fixture(scope="module")
def denoise() -> deconvolve.Denoise:
    network = engine.load_network(cards.find("grain-fast"))

    def run(picture: Tensor, level: float) -> Tensor:
        sigma = torch.full_like(picture[:, :1], level)
        with torch.inference_mode():
            answer: Tensor = network(torch.cat((picture, sigma, 0 * sigma), dim=1))
        return answer

    return run


def scene(side: int = SIDE + 2 * AROUND) -> Tensor:
    """Bars, a slope, a disk and letters of a kind, with edges at all places between pixels."""
    y, x = np.mgrid[:side, :side] / 1.0
    picture = 0.25 + 0.4 * x / side + 0.08 * np.sin(x / 3.1) * (y > side * 0.6)
    picture += 0.25 * (np.hypot(x - side * 0.45, y - side * 0.42) < side * 0.14)
    picture -= 0.2 * ((x % 17 < 4) & (y % 23 < 14) & (y < side * 0.35))
    colored = np.stack([picture, picture**1.2, 0.9 * picture])
    return torch.from_numpy(np.clip(colored, 0.02, 0.98).astype(np.float32))[None]


def blurred(sharp: Tensor, kernel: FloatArray) -> Tensor:
    """In linear light; only what has all its surroundings."""
    weights = torch.from_numpy(kernel).expand(3, 1, *kernel.shape)
    return deconvolve.to_display(functional.conv2d(deconvolve.to_linear(sharp), weights, groups=3))


def middle(picture: Tensor, side: int = SIDE) -> Tensor:
    top = (picture.shape[2] - side) // 2
    return picture[..., top : top + side, top : top + side]


def scanned(picture: Tensor, noise: float = NOISE) -> Tensor:
    """With noise, and rounded to 8 bits."""
    noisy = picture + noise * torch.randn(picture.shape, generator=torch.Generator().manual_seed(7))
    return (noisy.clamp(0, 1) * 255).round() / 255


def decibels(truth: Tensor, picture: Tensor) -> float:
    return float(-10 * torch.log10((truth - picture).square().mean()))


@pytest.mark.parametrize(("kind", "radius"), [("defocus", 2.0), ("scanner", 1.2)])
def test_what_a_known_kernel_has_blurred_comes_back(
    kind: str, radius: float, denoise: deconvolve.Denoise
) -> None:
    kernel = psf.parametric(kind, radius)
    scan = scanned(middle(blurred(scene(), kernel)))

    answer = deconvolve.deconvolve(scan, kernel, sigma=NOISE, denoise=denoise)

    truth = middle(scene())
    assert decibels(truth, answer) > decibels(truth, scan) + 2


def test_what_was_not_blurred_stays_as_it_is(denoise: deconvolve.Denoise) -> None:
    truth = middle(scene())
    point = np.ones((1, 1), np.float32)

    answer = deconvolve.deconvolve(truth, point, sigma=0.0, denoise=denoise)

    assert decibels(truth, answer) > 38


@pytest.mark.parametrize("side", [1, 7, 96])
def test_areas_keep_their_tone_and_their_colour(denoise: deconvolve.Denoise, side: int) -> None:
    for color in ((128, 128, 128), (200, 60, 40), (30, 60, 160)):
        flat = torch.tensor(color).reshape(1, 3, 1, 1).expand(1, 3, side, side) / 255

        answer = deconvolve.deconvolve(flat, psf.disk(3.0), sigma=1 / 255, denoise=denoise)

        assert (answer - flat).mean(dim=(2, 3)).abs().max() * 255 < 1.5


def test_borders_do_not_ring(denoise: deconvolve.Denoise) -> None:
    kernel = psf.disk(3.0)
    scan = scanned(middle(blurred(scene(), kernel)))

    answer = deconvolve.deconvolve(scan, kernel, sigma=NOISE, denoise=denoise)

    truth = middle(scene())
    rim = torch.ones(SIDE, SIDE, dtype=torch.bool)
    rim[4:-4, 4:-4] = False
    assert (
        decibels(truth[..., rim], answer[..., rim]) > decibels(truth[..., rim], scan[..., rim]) - 0.6
    )  # it is smooth there
    assert (truth - answer)[..., rim].abs().max() < (truth - scan)[..., rim].abs().max() + 0.02


def test_what_lies_far_from_a_cut_does_not_change_with_it(denoise: deconvolve.Denoise) -> None:
    kernel, halo, kept = psf.disk(1.5), 40, 24
    scan = scanned(blurred(scene(), kernel))[..., :48, :128]

    whole = deconvolve.deconvolve(scan, kernel, sigma=NOISE, denoise=denoise)
    cut = deconvolve.deconvolve(scan[..., 32:], kernel, sigma=NOISE, denoise=denoise)

    of_both = slice(halo, halo + kept)
    torch.testing.assert_close(cut[..., of_both], whole[..., 32:][..., of_both], atol=0.5 / 255, rtol=0)


def test_clipped_white_casts_no_rings_around_it(denoise: deconvolve.Denoise) -> None:
    kernel = psf.disk(3.0)
    light = deconvolve.to_linear(scene())
    light[..., 70:90, 70:90] = 6.0  # a lamp, six times as bright as white
    sharp = deconvolve.to_display(light)
    truth, scan = middle(sharp).clamp(0, 1), scanned(middle(blurred(sharp, kernel)))

    answer = deconvolve.deconvolve(scan, kernel, sigma=NOISE, denoise=denoise)

    assert decibels(truth, answer) > decibels(truth, scan)


def test_the_same_answer_comes_for_turned_pictures() -> None:
    scan = scanned(middle(blurred(scene(), psf.disk(2.0))))

    def keep(picture: Tensor, level: float) -> Tensor:
        return picture

    straight = deconvolve.deconvolve(scan, psf.disk(2.0), sigma=NOISE, denoise=keep)
    turned = deconvolve.deconvolve(scan.transpose(2, 3), psf.disk(2.0), sigma=NOISE, denoise=keep)

    torch.testing.assert_close(turned.transpose(2, 3), straight, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 3), (17, 64)])
def test_pictures_smaller_than_the_kernel_have_an_answer(height: int, width: int) -> None:
    picture = torch.full((1, 3, height, width), 0.5)

    answer = deconvolve.deconvolve(picture, psf.disk(6.0), sigma=NOISE, denoise=lambda x, _: x)

    assert answer.shape == picture.shape
    torch.testing.assert_close(answer, picture, atol=0.01, rtol=0)


def test_the_denoiser_is_told_ever_less_and_as_often_as_asked() -> None:
    told = []

    def listen(picture: Tensor, level: float) -> Tensor:
        told.append(level)
        return picture

    deconvolve.deconvolve(torch.rand(1, 3, 20, 20), psf.disk(1.0), sigma=0.0, denoise=listen, iterations=4)

    assert told == sorted(told, reverse=True)
    assert (len(told), told[0]) == (4, deconvolve.FIRST_LEVEL)
    assert told[-1] == pytest.approx(deconvolve.LEAST_LEVEL)


def test_it_can_be_stopped_on_the_way() -> None:
    calls = []

    def stop() -> None:
        calls.append(1)
        if len(calls) > 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        deconvolve.deconvolve(
            torch.rand(1, 3, 32, 32), psf.disk(2.0), sigma=0.0, denoise=lambda x, _: x, check=stop
        )
