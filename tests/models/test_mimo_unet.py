"""MIMO-UNet against a second implementation, written from the paper's tables alone, as plain functions."""

from __future__ import annotations

import pytest
import torch
from scanmend_models.mimo_unet.arch import (
    MIMO_UNET_BLOCKS,
    MIMO_UNET_PLUS_BLOCKS,
    MimoUNet,
    from_identity,
)
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

Weights = dict[str, Tensor]

SHAPES: dict[str, tuple[int, ...]] = {
    "feat_extract.0": (32, 3, 3, 3),
    "feat_extract.1": (64, 32, 3, 3),
    "feat_extract.2": (128, 64, 3, 3),
    "feat_extract.3": (128, 64, 4, 4),
    "feat_extract.4": (64, 32, 4, 4),
    "feat_extract.5": (3, 32, 3, 3),
    "Convs.0": (64, 128, 1, 1),
    "Convs.1": (32, 64, 1, 1),
    "ConvsOut.0": (3, 128, 3, 3),
    "ConvsOut.1": (3, 64, 3, 3),
    "AFFs.0.conv.0": (32, 224, 1, 1),
    "AFFs.0.conv.1": (32, 32, 3, 3),
    "AFFs.1.conv.0": (64, 224, 1, 1),
    "AFFs.1.conv.1": (64, 64, 3, 3),
    "FAM1.merge": (128, 128, 3, 3),
    "FAM2.merge": (64, 64, 3, 3),
    "SCM1.main.0": (32, 3, 3, 3),
    "SCM1.main.1": (64, 32, 1, 1),
    "SCM1.main.2": (64, 64, 3, 3),
    "SCM1.main.3": (125, 64, 1, 1),
    "SCM1.conv": (128, 128, 1, 1),
    "SCM2.main.0": (16, 3, 3, 3),
    "SCM2.main.1": (32, 16, 1, 1),
    "SCM2.main.2": (32, 32, 3, 3),
    "SCM2.main.3": (61, 32, 1, 1),
    "SCM2.conv": (64, 64, 1, 1),
}
"""Layers outside the residual blocks, as published."""


def reference(weights: Weights, picture: Tensor, *, fold: int = 1) -> list[Tensor]:
    """The published forward pass: the sharp picture at a quarter, at half and at full size."""
    half = functional.interpolate(picture, scale_factor=0.5)
    quarter = functional.interpolate(half, scale_factor=0.5)
    full, half, quarter = folded(picture, fold), folded(half, fold), folded(quarter, fold)

    e1 = stage(weights, "Encoder.0", conv(weights, "feat_extract.0", full).relu())
    down = conv(weights, "feat_extract.1", e1, stride=2).relu()
    e2 = stage(weights, "Encoder.1", attention(weights, "FAM2", down, shallow(weights, "SCM2", half)))
    down = conv(weights, "feat_extract.2", e2, stride=2).relu()
    e3 = stage(weights, "Encoder.2", attention(weights, "FAM1", down, shallow(weights, "SCM1", quarter)))

    sizes = [functional.interpolate(e3, size=e.shape[2:]) for e in (e2, e1)]
    a2 = fusion(weights, "AFFs.1", functional.interpolate(e1, scale_factor=0.5), e2, sizes[0])
    a1 = fusion(weights, "AFFs.0", e1, functional.interpolate(e2, scale_factor=2), sizes[1])

    d3 = stage(weights, "Decoder.0", e3)
    up = conv(weights, "Convs.0", torch.cat((enlarged(weights, "feat_extract.3", d3), a2), 1)).relu()
    d2 = stage(weights, "Decoder.1", up)
    up = conv(weights, "Convs.1", torch.cat((enlarged(weights, "feat_extract.4", d2), a1), 1)).relu()
    d1 = stage(weights, "Decoder.2", up)
    outputs = (
        conv(weights, "ConvsOut.0", d3) + quarter,
        conv(weights, "ConvsOut.1", d2) + half,
        conv(weights, "feat_extract.5", d1) + full,
    )
    return [unfolded(x, fold) for x in outputs]


def conv(weights: Weights, name: str, x: Tensor, *, stride: int = 1) -> Tensor:
    kernel = weights[f"{name}.main.0.weight"]
    return functional.conv2d(x, kernel, weights[f"{name}.main.0.bias"], stride, kernel.shape[-1] // 2)


def enlarged(weights: Weights, name: str, x: Tensor) -> Tensor:
    kernel, offset = weights[f"{name}.main.0.weight"], weights[f"{name}.main.0.bias"]
    return functional.conv_transpose2d(x, kernel, offset, stride=2, padding=1).relu()


def stage(weights: Weights, name: str, x: Tensor) -> Tensor:
    blocks = len({key.split(".")[3] for key in weights if key.startswith(f"{name}.layers.")})
    for block in range(blocks):
        main = f"{name}.layers.{block}.main"
        x = x + conv(weights, f"{main}.1", conv(weights, f"{main}.0", x).relu())
    return x


def shallow(weights: Weights, name: str, picture: Tensor) -> Tensor:
    x = picture
    for layer in range(4):
        x = conv(weights, f"{name}.main.{layer}", x).relu()
    return conv(weights, f"{name}.conv", torch.cat((picture, x), 1))


def attention(weights: Weights, name: str, x: Tensor, y: Tensor) -> Tensor:
    return x + conv(weights, f"{name}.merge", x * y)


def fusion(weights: Weights, name: str, *scales: Tensor) -> Tensor:
    x = conv(weights, f"{name}.conv.0", torch.cat(scales, 1)).relu()
    return conv(weights, f"{name}.conv.1", x)


def folded(x: Tensor, fold: int) -> Tensor:
    """Every fold x fold pixels of a channel become channels of their own, row by row."""
    parts = [x[:, c, i::fold, j::fold] for c in range(x.shape[1]) for i in range(fold) for j in range(fold)]
    return torch.stack(parts, 1)


def unfolded(x: Tensor, fold: int) -> Tensor:
    result = x.new_zeros(x.shape[0], x.shape[1] // fold**2, x.shape[2] * fold, x.shape[3] * fold)
    for place in range(x.shape[1]):
        channel, row, column = place // fold**2, place // fold % fold, place % fold
        result[:, channel, row::fold, column::fold] = x[:, place]
    return result


def network(blocks: int, **changes: int) -> MimoUNet:
    """With fresh weights in eval mode: the full size only. In training mode all three outputs come."""
    torch.manual_seed(blocks)
    return MimoUNet(blocks, **changes).eval()


def picture(height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(height))


def padded(x: Tensor, multiple: int) -> Tensor:
    down, right = -x.shape[2] % multiple, -x.shape[3] % multiple
    return functional.pad(x, (0, right, 0, down), mode="reflect")


@pytest.mark.parametrize("size", [(40, 56), (37, 61), (13, 90)])
@pytest.mark.parametrize("blocks", [MIMO_UNET_BLOCKS, MIMO_UNET_PLUS_BLOCKS])
@torch.inference_mode()
def test_all_three_outputs_are_those_of_the_paper_s_tables(blocks: int, size: tuple[int, int]) -> None:
    net, x = network(blocks), padded(picture(*size), 4)

    for ours, expected in zip(net.train()(x), reference(net.state_dict(), x), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_large_activations_leave_the_outputs_those_of_the_tables() -> None:
    """Fresh weights change the picture little: these change it by as much as its own contrast."""
    net, x = network(2), picture(48, 64)
    net.load_state_dict({name: 1.6 * weight for name, weight in net.state_dict().items()})

    ours, expected = net(x), reference(net.state_dict(), x)[2]

    assert (ours - x).std() > 0.1
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 56), (37, 61)])
@torch.inference_mode()
def test_the_folded_network_is_the_published_one_between_folding_and_unfolding(size: tuple[int, int]) -> None:
    net, x = network(4, fold=2), padded(picture(*size), 8)

    for ours, expected in zip(net.train()(x), reference(net.state_dict(), x, fold=2), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("blocks", "parameters", "tensors"),
    [(MIMO_UNET_BLOCKS, 6_807_171, 244), (MIMO_UNET_PLUS_BLOCKS, 16_107_651, 532)],
)
def test_names_and_shapes_are_those_of_the_published_checkpoints(
    blocks: int, parameters: int, tensors: int
) -> None:
    expected = {f"{name}.main.0": shape for name, shape in SHAPES.items()}
    for part, widths in (("Encoder", (32, 64, 128)), ("Decoder", (128, 64, 32))):
        for place, width in enumerate(widths):
            for block in range(blocks):
                for layer in (0, 1):
                    name = f"{part}.{place}.layers.{block}.main.{layer}.main.0"
                    expected[name] = (width, width, 3, 3)
    weights = network(blocks).state_dict()

    found = {name[:-7]: tuple(value.shape) for name, value in weights.items() if name.endswith(".weight")}

    assert found == expected
    assert len(weights) == tensors == 2 * len(expected)
    assert sum(value.numel() for value in weights.values()) == parameters


@pytest.mark.parametrize(("blocks", "published"), [(MIMO_UNET_BLOCKS, 63.7), (MIMO_UNET_PLUS_BLOCKS, 150.7)])
@torch.inference_mode()
def test_no_more_is_computed_than_was_published(blocks: int, published: float) -> None:
    net, x = network(blocks).train(), picture(64, 64)
    gigamacs_of_256 = 16 / 2 / 1e9

    with FlopCounterMode(display=False) as ours:
        net(x)
    with FlopCounterMode(display=False) as paper:
        reference(net.state_dict(), x)

    assert paper.get_total_flops() * gigamacs_of_256 == pytest.approx(published, abs=0.05)
    assert 0.98 < ours.get_total_flops() / paper.get_total_flops() < 1


@pytest.mark.parametrize("fold", [1, 2])
@torch.inference_mode()
def test_memory_layout_and_batch_do_not_change_the_result(fold: int) -> None:
    net, x = network(4, fold=fold), picture(40, 64, count=3)
    single = torch.cat([net(one[None]) for one in x])

    torch.testing.assert_close(net(x), single, rtol=0, atol=1e-5)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(
        net(x.contiguous(memory_format=torch.channels_last)), single, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("fold", [1, 2])
@torch.inference_mode()
def test_in_bfloat16_tones_that_it_cannot_tell_apart_still_differ(fold: int) -> None:
    net, inside = network(2, fold=fold), []
    net.Encoder[0].register_forward_hook(lambda _layer, inputs, _output: inside.append(inputs[0]))
    darker, lighter = (torch.full((1, 3, 32, 32), tone) for tone in (0.8985, 0.9003))
    assert torch.equal(darker.bfloat16(), lighter.bfloat16())

    with torch.autocast("cpu", torch.bfloat16):
        results = net(darker), net(lighter)

    assert [x.dtype for x in inside] == [torch.bfloat16, torch.bfloat16]
    assert not torch.equal(*inside)
    assert [x.dtype for x in results] == [torch.float32, torch.float32]


@torch.inference_mode()
def test_a_network_that_changes_nothing_returns_the_picture_to_the_last_bit() -> None:
    net = from_identity(network(2, fold=2))
    x = 1.4 * picture(64, 64) - 0.2  # restored pictures leave [0, 1] a little

    with torch.autocast("cpu", torch.bfloat16):
        reduced = net(x)

    assert torch.equal(net(x), x)
    assert torch.equal(reduced, x)
