"""The blurred pictures that deblurring networks are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scanmend import psf
from scanmend_models._train import blur, deblur
from scanmend_models._train.blur import REACH, Blurrer, BlurShares

CPU = torch.device("cpu")
NOTHING = BlurShares.none()


def picture(count: int = 4, side: int = 96, seed: int = 5) -> torch.Tensor:
    """Smooth pictures with hard edges, `REACH` pixels more on each side."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 9, 9, generator=generator)
    whole = torch.nn.functional.interpolate(coarse, side + 2 * REACH, mode="bilinear")
    whole[:, :, ::16] = 1 - whole[:, :, ::16]
    return whole


def drawn(shares: BlurShares, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return Blurrer(seed, CPU, shares=shares, bank=8)(picture())


def test_without_any_effect_the_picture_comes_back_to_the_bit() -> None:
    blurred, sharp = drawn(replace(NOTHING, pure=1.0))

    assert torch.equal(blurred, sharp)
    assert torch.equal(sharp, picture()[..., REACH:-REACH, REACH:-REACH])


@pytest.mark.parametrize("kind", psf.KINDS)
def test_each_kind_blurs_and_keeps_the_light(kind: psf.Kind) -> None:
    blurred, sharp = drawn(replace(NOTHING, **{kind: 1.0}, pure=1.0))

    assert detail(blurred) < 0.9 * detail(sharp)
    assert blurred.mean() == pytest.approx(float(sharp.mean()), rel=0.01)


def test_one_seed_draws_the_same_pictures_and_another_does_not() -> None:
    first, again, other = (drawn(BlurShares(), seed)[0] for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_run_that_goes_on_draws_what_it_would_have_drawn() -> None:
    through, stopped, later = (Blurrer(3, CPU, bank=8) for _ in range(3))
    through(picture())
    stopped(picture())
    later.resume(stopped.state())

    assert torch.equal(through(picture())[0], later(picture())[0])


def test_convolving_agrees_with_the_sum_over_the_kernel() -> None:
    kernels = torch.rand(2, 5, 5)
    pictures = torch.rand(2, 1, 20, 24)

    result = blur.convolved(pictures, kernels)

    flipped = kernels.flip((1, 2))[:, None]
    expected = torch.nn.functional.conv2d(pictures.reshape(1, 2, 20, 24), flipped, groups=2)[0]
    assert torch.allclose(result[:, 0, 2:-2, 2:-2], expected, atol=1e-5)


def test_pictures_are_blurred_in_linear_light_when_that_is_drawn() -> None:
    """Light of a white line spreads as light: the display value of its half is 0.74, not 0.5."""
    line = torch.zeros(1, 3, 96 + 2 * REACH, 96 + 2 * REACH)
    line[..., 80:] = 1.0
    shares = replace(NOTHING, defocus=1.0, pure=1.0)

    in_light = Blurrer(1, CPU, shares=replace(shares, linear=1.0), bank=4)(line)[0]
    in_display = Blurrer(1, CPU, shares=shares, bank=4)(line)[0]

    at = 80 - REACH
    assert in_light[..., at - 1 : at + 1].mean() > in_display[..., at - 1 : at + 1].mean() + 0.1


def test_grey_samples_are_grey_and_noise_stays_within_what_a_denoiser_leaves() -> None:
    blurred, sharp = drawn(replace(NOTHING, grey=1.0, noise=1.0))

    assert torch.equal(sharp[:, 0], sharp[:, 2])
    assert 0 < float((blurred - sharp).std()) < 1.5 * blur.MAX_NOISE


def test_the_loss_falls_when_any_scale_comes_nearer_to_the_truth() -> None:
    sharp = picture()
    halves = [torch.nn.functional.interpolate(sharp, scale_factor=s, mode="bilinear") for s in (0.25, 0.5)]
    wrong = [
        x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)) for x in (*halves, sharp)
    ]
    whole = float(deblur.multi_scale_loss(tuple(wrong), sharp))

    for scale, right in enumerate((*halves, sharp)):
        better = [*wrong]
        better[scale] = right
        assert float(deblur.multi_scale_loss(tuple(better), sharp)) < whole - 0.05


def test_the_loss_of_crops_does_not_depend_on_their_size() -> None:
    """White error of one size: the frequency term is orthonormal, so larger crops count alike."""

    def loss(side: int) -> float:
        sharp = torch.zeros(4, 3, side, side)
        error = 0.1 * torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))
        scales = (error[..., ::4, ::4], error[..., ::2, ::2], error)
        return float(deblur.multi_scale_loss(scales, sharp))

    assert loss(64) == pytest.approx(loss(128), abs=0.02)


@pytest.mark.parametrize("tier", ["fast", "best"])
def test_training_starts_from_the_identity(tier: str) -> None:
    module = __import__(f"scanmend_models.deblur_{tier}.arch", fromlist=["build"])
    x = torch.rand(1, 3, 32, 40)

    with torch.inference_mode():
        assert torch.equal(module.build()(x), x)


def test_bank_kernels_are_those_of_the_product() -> None:
    kernels = Blurrer(1, CPU, bank=4).bank["motion"].numpy()

    assert kernels.shape == (4, blur.SIDE, blur.SIDE)
    assert np.allclose(kernels.sum(axis=(1, 2)), 1, atol=1e-5)
    assert kernels.min() >= 0


def detail(x: torch.Tensor) -> float:
    return float((x[..., 1:, :] - x[..., :-1, :]).square().mean())
