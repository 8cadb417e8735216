"""How far a deblurring network sees: the error of windows against the whole picture, by halo, in float32.

    python benchmarks/quality/halo.py --model deblur-fast --images FOLDER [--most N] [--halos 16 32 48]

Clean pictures are blurred by camera shake of up to 40 pixels and by the largest disk and softness of the
protocol (`scanmend.evaluate.deblur`). Each is restored whole, and as four windows that meet in its middle.
A window with a halo of h pixels keeps what lies h or more from its cut edges: the largest difference there
is what that halo costs. Towards the cut it counts by its share in the blend, as neighbours fade into
each other there. The last line names the least halo tried that stays below one grey level everywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from bench import files
from scanmend import cards, engine, psf
from scanmend.evaluate import deblur, eight_bit, read_picture, seed
from scanmend.image import FloatArray, decode_srgb, encode_srgb
from torch import Tensor

EXTENTS = (10, 20, 40)
"""Of camera shake, in pixels along its main direction; the protocol's largest is the last."""
HALOS = (16, 24, 32, 40, 48, 56, 64, 80, 96)
BAR = 1.0
"""Of 255: what is seen by nobody, and what rounding to 8 bits does anyway."""


def main() -> None:
    parser = argparse.ArgumentParser(description="How far a deblurring network sees.")
    parser.add_argument("--model", default="deblur-fast")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--most", type=int, default=24, help="pictures, evenly taken from the folder")
    parser.add_argument("--crop", type=int, default=768, help="side of the central square at most")
    parser.add_argument("--halos", type=int, nargs="+", default=HALOS)
    options = parser.parse_args()
    card = cards.find(options.model)
    exact = engine.Device("cpu", torch.float32, "nothing but the halo may differ")
    network = engine.TorchNetwork(engine.load_network(card), exact)
    found = measured(network, card, options.images, most=options.most, crop=options.crop, halos=options.halos)
    print(f"{card.name}: largest difference to the whole picture, in 1/255, by halo")
    print("blur        " + "".join(f"{halo:8}" for halo in options.halos))
    for name, worst in found.items():
        print(f"{name:12}" + "".join(f"{error:8.3f}" for error in worst))
    overall = np.max(list(found.values()), axis=0)
    enough = [halo for halo, error in zip(options.halos, overall, strict=True) if error < BAR]
    print(f"least halo below {BAR:.0f}/255 everywhere: {min(enough) if enough else 'none of these'}")


def measured(
    network: engine.Network, card: cards.Card, folder: Path, *, most: int, crop: int, halos: Sequence[int]
) -> dict[str, list[float]]:
    """Blur -> the largest difference over all pictures at each halo, in 1/255."""
    worst: dict[str, list[float]] = {}
    for file in files(folder, most):
        for name, scan in blurred(read_picture(file, crop)):
            errors = _errors(network, card, scan, halos)
            before = worst.get(name, [0.0] * len(halos))
            worst[name] = [max(pair) for pair in zip(before, errors, strict=True)]
        print(f"{file.name}: worst so far {np.round(np.max(list(worst.values()), axis=0), 3)}", flush=True)
    return worst


def blurred(clean: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """A clean picture in every kind of blur, each at its largest, and in none, with a scan's noise."""
    rng = np.random.default_rng(seed(clean))
    kernels = {f"motion {extent}": psf.trajectory(rng, extent) for extent in EXTENTS}
    kernels |= {"defocus": psf.disk(psf.DISKS[1]), "scanner": psf.gaussian(psf.SOFTNESS[1]), "none": None}
    light = decode_srgb(clean)
    for name, kernel in kernels.items():
        soft = light if kernel is None else np.clip(deblur.convolved(light, kernel), 0, 1)
        noise = rng.normal(0, deblur.NOISE / 255, clean.shape)
        yield name, eight_bit((encode_srgb(soft) + noise).astype(np.float32))


@torch.inference_mode()
def _errors(network: engine.Network, card: cards.Card, scan: FloatArray, halos: Sequence[int]) -> list[float]:
    """The largest difference at each halo, weighted as the engine blends, in 1/255."""
    height, width = (side // card.multiple * card.multiple for side in scan.shape[:2])
    picture = torch.from_numpy(scan[:height, :width].transpose(2, 0, 1).copy())[None]
    whole, parts = network(picture), torch.empty_like(picture)
    middle = [side // 2 // card.multiple * card.multiple for side in (height, width)]
    for rows in (slice(0, middle[0]), slice(middle[0], height)):
        for columns in (slice(0, middle[1]), slice(middle[1], width)):
            parts[..., rows, columns] = network(picture[..., rows, columns].contiguous())
    difference = (whole - parts).abs().amax(dim=(0, 1)) * 255
    distance = _from_cut(height, middle[0])[:, None].minimum(_from_cut(width, middle[1])[None])
    half = engine.OVERLAP // 2
    return [float((difference * ((distance - halo + half) / (2 * half)).clamp(0, 1)).max()) for halo in halos]


def _from_cut(length: int, cut: int) -> Tensor:
    """Pixels between each pixel's middle and the cut."""
    return (torch.arange(length) + 0.5 - cut).abs()


if __name__ == "__main__":
    main()
