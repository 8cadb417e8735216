"""The weights of MIMO-UNet as its authors publish them: every name and shape, and what a file lacks.

The names are an interface, not code: a person's own copy of a published checkpoint loads unchanged.
Written from the table of names, not from `arch`, so that the tests can hold one against the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import nn

from scanmend_models.mimo_unet.arch import MULTIPLE, MimoUNet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Shape = tuple[int, ...]
INPUTS = 3
MOST_BLOCKS = 64
"""Residual blocks of each stage at most: more than three times those of MIMO-UNet+."""
TITLES = {8: "MIMO-UNet", 20: "MIMO-UNet+"}
NAMES = {8: "mimo-unet", 20: "mimo-unet-plus"}
_BLOCK = re.compile(r"Encoder\.0\.layers\.(\d{1,4})\.")

_FIXED: dict[str, Shape] = {
    "feat_extract.0.main.0": (32, 3, 3, 3),
    "feat_extract.1.main.0": (64, 32, 3, 3),
    "feat_extract.2.main.0": (128, 64, 3, 3),
    "feat_extract.3.main.0": (128, 64, 4, 4),
    "feat_extract.4.main.0": (64, 32, 4, 4),
    "feat_extract.5.main.0": (3, 32, 3, 3),
    "Convs.0.main.0": (64, 128, 1, 1),
    "Convs.1.main.0": (32, 64, 1, 1),
    "ConvsOut.0.main.0": (3, 128, 3, 3),
    "ConvsOut.1.main.0": (3, 64, 3, 3),
    "AFFs.0.conv.0.main.0": (32, 224, 1, 1),
    "AFFs.0.conv.1.main.0": (32, 32, 3, 3),
    "AFFs.1.conv.0.main.0": (64, 224, 1, 1),
    "AFFs.1.conv.1.main.0": (64, 64, 3, 3),
    "FAM1.merge.main.0": (128, 128, 3, 3),
    "FAM2.merge.main.0": (64, 64, 3, 3),
    "SCM1.main.0.main.0": (32, 3, 3, 3),
    "SCM1.main.1.main.0": (64, 32, 1, 1),
    "SCM1.main.2.main.0": (64, 64, 3, 3),
    "SCM1.main.3.main.0": (125, 64, 1, 1),
    "SCM1.conv.main.0": (128, 128, 1, 1),
    "SCM2.main.0.main.0": (16, 3, 3, 3),
    "SCM2.main.1.main.0": (32, 16, 1, 1),
    "SCM2.main.2.main.0": (32, 32, 3, 3),
    "SCM2.main.3.main.0": (61, 32, 1, 1),
    "SCM2.conv.main.0": (64, 64, 1, 1),
}
"""Kernels that do not depend on the number of blocks; those of `_TRANSPOSED` count results second."""
_TRANSPOSED = {"feat_extract.3.main.0", "feat_extract.4.main.0"}
_STAGES = {"Encoder": (32, 64, 128), "Decoder": (128, 64, 32)}
_MACS, _MACS_PER_BLOCK = 87_750, 110_592
"""Multiply-accumulates for a pixel of input: of `_FIXED`, rounded up, and of a block in all six stages."""


def shapes(blocks: int) -> dict[str, Shape]:
    """Names and shapes of all weights: 244 for 8 blocks (MIMO-UNet), 532 for 20 (MIMO-UNet+)."""
    found = {}
    for name, kernel in (*_block_kernels(blocks), *_FIXED.items()):
        found[f"{name}.weight"] = kernel
        found[f"{name}.bias"] = (kernel[1 if name in _TRANSPOSED else 0],)
    return found


def _block_kernels(blocks: int) -> Iterator[tuple[str, Shape]]:
    for half, planes in _STAGES.items():
        for stage, count in enumerate(planes):
            for layer in range(blocks):
                for conv in (0, 1):
                    yield f"{half}.{stage}.layers.{layer}.main.{conv}.main.0", (count, count, 3, 3)


def count_blocks(names: Mapping[str, object]) -> int:
    """Residual blocks of the first stage, by the weights' names; 0 where these are another network's."""
    return len({match[1] for match in map(_BLOCK.match, names) if match})


def misfit(found: Mapping[str, Shape]) -> str:
    """Why weights are not a MIMO-UNet's, in words that name the first of them; empty where they are."""
    blocks = count_blocks(found)
    if not blocks:
        first = f"the first is {next(iter(found))}" if found else "there are none"
        return f"no weights of MIMO-UNet: none is named Encoder.0.layers.0, {first}"
    if blocks > MOST_BLOCKS:
        return f"no weights of MIMO-UNet: {blocks} residual blocks a stage, and {MOST_BLOCKS} is the most"
    wanted, title = shapes(blocks), describe(blocks)
    for name in wanted:
        if name not in found:
            return f"incomplete: {title} needs {name}, which is missing"
    for name in found:
        if name not in wanted:
            return f"no weights of {title}, which has no {name}"
    for name, shape in wanted.items():
        if found[name] != shape:
            return f"no weights of {title}: {name} is {_by(found[name])}, not {_by(shape)}"
    return ""


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def describe(blocks: int) -> str:
    """What a network with so many blocks is called."""
    return TITLES.get(blocks) or f"MIMO-UNet with {blocks} block{'s' if blocks > 1 else ''}"


def short_name(blocks: int) -> str:
    """The same as the name of a model."""
    return NAMES.get(blocks) or f"mimo-unet-{blocks}-blocks"


def macs_per_pixel(blocks: int) -> int:
    """Multiply-accumulates for a pixel of input: 63.7 G and 150.7 G for 256 x 256 pixels as published."""
    return _MACS + blocks * _MACS_PER_BLOCK


def build(blocks: int) -> nn.Module:
    """The network with so many blocks and fresh weights, in eval mode; sides are multiples of `MULTIPLE`."""
    return MimoUNet(blocks).eval()


__all__ = [
    "INPUTS", "MOST_BLOCKS", "MULTIPLE", "build", "count_blocks", "describe", "macs_per_pixel", "misfit",
    "shapes", "short_name",
]  # fmt: skip
