"""The names and shapes of MIMO-UNet's published weights, as its table of them says."""

from __future__ import annotations

import math

import pytest
import torch
from scanmend_models.mimo_unet import published
from scanmend_models.mimo_unet.arch import MimoUNet, mimo_unet, mimo_unet_plus, pyramid
from torch import nn

PUBLISHED = [(8, 244, 6_807_171, 63.7), (20, 532, 16_107_651, 150.7)]
"""Residual blocks, tensors, parameters, and multiply-accumulates (in 10^9) for 256 x 256 pixels."""
SOME_NAMES = {
    "Encoder.0.layers.0.main.0.main.0.weight": (32, 32, 3, 3),
    "Encoder.2.layers.7.main.1.main.0.bias": (128,),
    "Decoder.0.layers.7.main.0.main.0.weight": (128, 128, 3, 3),
    "Decoder.2.layers.3.main.1.main.0.weight": (32, 32, 3, 3),
    "feat_extract.3.main.0.weight": (128, 64, 4, 4),
    "feat_extract.3.main.0.bias": (64,),
    "feat_extract.4.main.0.bias": (32,),
    "feat_extract.5.main.0.weight": (3, 32, 3, 3),
    "AFFs.1.conv.0.main.0.weight": (64, 224, 1, 1),
    "ConvsOut.0.main.0.bias": (3,),
    "SCM1.main.3.main.0.weight": (125, 64, 1, 1),
    "SCM2.main.3.main.0.bias": (61,),
    "FAM1.merge.main.0.weight": (128, 128, 3, 3),
}


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def bare(blocks: int) -> MimoUNet:
    """A network without memory for its weights: names and shapes alone."""
    with torch.device("meta"):
        return MimoUNet(blocks)


@pytest.mark.parametrize("blocks", [1, 2, 8, 20, published.MOST_BLOCKS])
def test_the_table_and_the_network_name_the_same_weights(blocks: int) -> None:
    table = published.shapes(blocks)

    assert table == shapes_of(bare(blocks))
    assert published.count_blocks(table) == blocks
    assert published.misfit(table) == ""


@pytest.mark.parametrize(("blocks", "tensors", "parameters", "_macs"), PUBLISHED)
def test_the_published_networks_have_the_published_sizes(
    blocks: int, tensors: int, parameters: int, _macs: float
) -> None:
    table = published.shapes(blocks)

    assert len(table) == tensors
    assert sum(math.prod(shape) for shape in table.values()) == parameters
    assert SOME_NAMES.items() <= table.items()


def test_the_shipped_builders_are_the_published_networks() -> None:
    assert shapes_of(mimo_unet()) == published.shapes(8)
    assert shapes_of(mimo_unet_plus()) == published.shapes(20)


@pytest.mark.parametrize(("blocks", "_tensors", "_parameters", "macs"), PUBLISHED)
def test_the_work_for_a_pixel_is_the_published_one(
    blocks: int, _tensors: int, _parameters: int, macs: float
) -> None:
    assert round(published.macs_per_pixel(blocks) * 256**2 / 1e9, 1) == macs


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 20), (36, 12)])
def test_sides_are_multiples_of_four_and_results_come_at_three_scales(height: int, width: int) -> None:
    results = MimoUNet(1).train()(torch.zeros(2, 3, height, width))

    sizes = [tuple(result.shape) for result in results]
    assert sizes == [(2, 3, height // n, width // n) for n in (4, 2, 1)]


@pytest.mark.parametrize("side", [5, 6, 7])
def test_other_sides_are_refused_rather_than_cut(side: int) -> None:
    with pytest.raises(RuntimeError, match=r"must match|[Ss]izes of tensors"):
        MimoUNet(1)(torch.zeros(1, 3, 8, side))


def test_smaller_pictures_are_every_other_pixel_as_nearest_resizing_takes_them() -> None:
    picture = torch.rand(1, 3, 12, 20, generator=torch.Generator().manual_seed(1))

    full, half, quarter = pyramid(picture)

    shrunk = nn.functional.interpolate(picture, scale_factor=0.5)
    assert torch.equal(full, picture)
    assert torch.equal(half, picture[..., ::2, ::2])
    assert torch.equal(half, shrunk)
    assert torch.equal(quarter, nn.functional.interpolate(shrunk, scale_factor=0.5))


def without(name: str) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in published.shapes(2).items() if key != name}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "none is named Encoder.0.layers.0, there are none"),
        ({"conv.weight": (1,)}, "none is named Encoder.0.layers.0, the first is conv.weight"),
        (without("SCM1.conv.main.0.bias"), "MIMO-UNet with 2 blocks needs SCM1.conv.main.0.bias, which is"),
        (published.shapes(2) | {"extra.bias": (3,)}, "MIMO-UNet with 2 blocks, which has no extra.bias"),
        (
            published.shapes(2) | {"feat_extract.3.main.0.weight": (64, 128, 4, 4)},
            "feat_extract.3.main.0.weight is 64 x 128 x 4 x 4, not 128 x 64 x 4 x 4",
        ),
        (published.shapes(2) | {"Convs.0.main.0.bias": ()}, "Convs.0.main.0.bias is a single number, not 64"),
        (published.shapes(65), "65 residual blocks a stage, and 64 is the most"),
        (
            {f"Encoder.0.layers.{n}.main": (1,) for n in (0, 7)},
            "needs Encoder.0.layers.0.main.0.main.0.weight, which is missing",
        ),
    ],
)
def test_what_does_not_fit_is_named(found: dict[str, tuple[int, ...]], words: str) -> None:
    assert words in published.misfit(found)


@pytest.mark.parametrize(
    ("blocks", "title", "name"),
    [
        (8, "MIMO-UNet", "mimo-unet"),
        (20, "MIMO-UNet+", "mimo-unet-plus"),
        (1, "MIMO-UNet with 1 block", "mimo-unet-1-blocks"),
        (12, "MIMO-UNet with 12 blocks", "mimo-unet-12-blocks"),
    ],
)
def test_a_network_is_called_after_its_blocks(blocks: int, title: str, name: str) -> None:
    assert published.describe(blocks) == title
    assert published.short_name(blocks) == name
