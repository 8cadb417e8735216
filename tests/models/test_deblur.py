"""The deblurring networks: what their cards say of them, and that they do what they are for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scanmend import cards, psf
from scanmend.engine import load_network
from scanmend_models._train.blur import REACH, Blurrer, BlurShares
from scanmend_models.deblur_fast import arch
from torch import Tensor

from tests.models.counting import macs_per_pixel


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return load_network(cards.find("deblur-fast"))


def scene(count: int = 3, side: int = 128 + 2 * REACH) -> Tensor:
    """Plates of many tones and sizes that overlap, on a slow gradient: edges, corners and calm."""
    generator = torch.Generator().manual_seed(11)
    pictures = torch.linspace(0.3, 0.7, side).expand(count, 3, side, side).clone()
    for picture in pictures:
        for _ in range(60):
            top, left = torch.randint(side - 8, (2,), generator=generator).tolist()
            height, width = torch.randint(6, 48, (2,), generator=generator).tolist()
            tone = torch.rand(3, 1, 1, generator=generator)
            picture[:, top : top + height, left : left + width] = tone
    return pictures


def test_the_card_states_the_network_s_own_size() -> None:
    card = cards.find("deblur-fast")
    network = arch.build()

    assert sum(weight.numel() for weight in network.parameters()) == card.parameters
    assert macs_per_pixel(network, torch.zeros(1, 3, 64, 64)) == card.macs_per_pixel


@pytest.mark.parametrize(("kind", "left"), [("motion", 0.995), ("defocus", 0.97), ("scanner", 0.9)])
def test_what_it_returns_is_nearer_to_the_truth_than_the_blurred_picture(
    network: torch.nn.Module, kind: psf.Kind, left: float
) -> None:
    """How much of the error may be left: long shake is lessened a little, softness clearly."""
    shares = replace(BlurShares.none(), **{kind: 1.0}, linear=1.0, noise=1.0)
    blurred, sharp = Blurrer(21, torch.device("cpu"), shares=shares, bank=6)(scene())

    with torch.inference_mode():
        restored = network(blurred)

    assert error(restored, sharp) < left * error(blurred, sharp)


def test_a_sharp_picture_hardly_changes(network: torch.nn.Module) -> None:
    sharp = scene(1)

    with torch.inference_mode():
        assert error(network(sharp), sharp) < 2 / 255


def test_noise_of_a_calm_picture_is_not_taken_for_blur(network: torch.nn.Module) -> None:
    """Without any detail to sharpen, what is there is the noise, and it must not grow."""
    noise = 2 / 255 * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(5))
    calm = torch.full((1, 3, 128, 128), 0.5)

    with torch.inference_mode():
        assert error(network(calm + noise), calm) <= 1.02 * error(calm + noise, calm)


def test_the_halo_of_the_card_is_enough(network: torch.nn.Module) -> None:
    card = cards.find("deblur-fast")
    halo = -(-card.halo // card.multiple) * card.multiple
    shares = replace(BlurShares.none(), motion=1.0, pure=1.0)
    blurred, _ = Blurrer(3, torch.device("cpu"), shares=shares, bank=4)(scene(1, 384 + 2 * REACH))
    low, high = 176 - halo, 208 + halo

    with torch.inference_mode():
        whole = network(blurred)[..., 176:208, 176:208]
        window = network(blurred[..., low:high, low:high])[..., halo:-halo, halo:-halo]

    assert (whole - window).abs().max() * 255 < 1


def error(x: Tensor, truth: Tensor) -> float:
    return float((x - truth).square().mean().sqrt())
