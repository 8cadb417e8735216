"""The grain networks: what their cards and papers say of them."""

import itertools
from pathlib import Path

import pytest
import scanmend_models
import torch
from scanmend import cards
from scanmend.engine import load_network
from scanmend_models.grain_best import arch as best
from scanmend_models.grain_fast import arch
from torch import Tensor

from tests.models.counting import macs_per_pixel


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return load_network(cards.find("grain-fast"))


def clean_batch(count: int = 8, side: int = 64) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    tone = 0.5 + 0.2 * torch.sin(columns / 9.0) * torch.cos(rows / 13.0)
    return tone.expand(count, 3, side, side).clone()


def test_the_card_states_the_network_s_own_size() -> None:
    card = cards.find("grain-fast")
    network = arch.build()

    assert sum(weight.numel() for weight in network.parameters()) == card.parameters
    assert macs_per_pixel(network, torch.zeros(1, 5, 64, 64)) == card.macs_per_pixel


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


def test_the_best_network_has_drunet_s_size_and_names() -> None:
    weights = best.build().state_dict()
    stages = [f"m_down{n}" for n in (1, 2, 3)] + ["m_body"] + [f"m_up{n}" for n in (3, 2, 1)]
    names = {"m_head.weight", "m_tail.weight"}
    for stage in stages:
        first = 1 if stage.startswith("m_up") else 0
        names |= {
            f"{stage}.{first + block}.res.{layer}.weight"
            for block, layer in itertools.product(range(4), (0, 2))
        }
        names |= {f"{stage}.{0 if first else 4}.weight"} - {"m_body.4.weight"}

    assert sum(weight.numel() for weight in weights.values()) == 8_161_536
    assert set(weights) == names
    assert weights["m_down1.0.res.0.weight"].shape == (32, 32, 3, 3)
    assert weights["m_down1.4.weight"].shape == (64, 32, 2, 2)
    assert weights["m_up1.0.weight"].shape == (64, 32, 2, 2)


def test_the_best_network_scales_with_contrast_and_noise_alike() -> None:
    torch.manual_seed(0)
    net = best.build()
    inputs = torch.rand(1, 5, 32, 48)

    with torch.inference_mode():
        once, thrice = net(inputs), net(3 * inputs)

    assert once.shape == (1, 3, 32, 48)
    torch.testing.assert_close(thrice, 3 * once, rtol=1e-4, atol=1e-6)


def test_a_network_without_weights_has_no_card_and_is_not_listed() -> None:
    folder = Path(next(iter(scanmend_models.__path__)))

    for network in folder.glob("*/arch.py"):
        has_weights = (network.parent / "weights.safetensors").exists()
        assert (network.parent / "card.toml").exists() == has_weights, network.parent.name
    assert len(cards.installed()) == len(list(folder.glob("*/weights.safetensors")))
