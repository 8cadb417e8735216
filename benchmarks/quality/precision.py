"""What reduced precision costs a deblurring network: PSNR to float32 on blurred pictures.

    python benchmarks/quality/precision.py --model deblur-fast --images FOLDER [--most N] [--crop N]

The pictures are blurred as for `halo.py`. "rounded" is the network with weights and picture in bfloat16,
which the engine does not do; "change" is how far the network moves the picture itself, for comparison.
PSNR is that of the mean squared error over all pictures, and of the worst of them; the largest difference of
any sample is in 1/255. The aim is 60 dB.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import torch
from bench import files
from halo import blurred
from scanmend import cards, engine
from scanmend.evaluate import read_picture
from torch import Tensor

Network = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description="What reduced precision costs a deblurring network.")
    parser.add_argument("--model", default="deblur-fast")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--most", type=int, default=12, help="pictures, evenly taken from the folder")
    parser.add_argument("--crop", type=int, default=320, help="side of the central square at most")
    options = parser.parse_args()
    card = cards.find(options.model)
    exact, reduced = engine.load_network(card), _reduced(card)
    errors: dict[str, list[float]] = {name: [] for name in reduced}
    largest = dict.fromkeys(reduced, 0.0)
    for file in files(options.images, options.most):
        for _, scan in blurred(read_picture(file, options.crop)):
            height, width = (side // card.multiple * card.multiple for side in scan.shape[:2])
            picture = torch.from_numpy(scan[:height, :width].transpose(2, 0, 1).copy())[None]
            for name, difference in _differences(exact, reduced, picture).items():
                errors[name].append(float(difference.square().mean()))
                largest[name] = max(largest[name], 255 * float(difference.abs().max()))
    for name, found in errors.items():
        mean, worst = _decibel(sum(found) / len(found)), _decibel(max(found))
        print(f"{name:10} {mean:6.1f} dB, worst picture {worst:6.1f} dB, largest {largest[name]:7.3f}/255")


def _reduced(card: cards.Card) -> dict[str, Network]:
    device = engine.Device("cpu", torch.bfloat16, "for comparison")
    rounded = engine.load_network(card).bfloat16()
    found: dict[str, Network] = {
        "change": lambda x: x,
        "rounded": lambda x: rounded(x.bfloat16()).float(),
        "torch": engine.TorchNetwork(engine.load_network(card), device),
    }
    if importlib.util.find_spec("openvino") is not None:
        from scanmend.engine_openvino import OpenVinoNetwork  # noqa: PLC0415 - optional extra

        found["openvino"] = OpenVinoNetwork(engine.load_network(card), card, reduced=True)
    return found


@torch.inference_mode()
def _differences(exact: Network, reduced: dict[str, Network], picture: Tensor) -> dict[str, Tensor]:
    truth = exact(picture)
    return {name: network(picture) - truth for name, network in reduced.items()}


def _decibel(error: float) -> float:
    return -10 * math.log10(error) if error else math.inf


if __name__ == "__main__":
    main()
