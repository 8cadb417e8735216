"""Blur of a known kind and radius: when does undoing it by its shape beat the network that knows nothing?

    python benchmarks/quality/deconvolve.py --images FOLDER [--most N] [--crop N] [--own | --choose]
                                            [--into PAGE.md ...]

Photographs are blurred in linear light by a disk (defocus) or a round Gaussian (scanner), get white noise
and 8 bits. What is judged is cut out of the blurred picture, so its borders are those of a scan: the light of
what lies outside is in them. Methods: `scanmend.deconvolve` with the true radius and with radii that are
wrong by a tenth and a fifth, and with the other kind's kernel of the same spread; the classical methods that
are told the true kernel or choose their best setting; each installed network. All figures are PSNR in dB,
means over the pictures, above that of the input. The last table is the rule: how well the radius must be
known for deconvolution to beat the best network by GAIN, whichever way the radius is wrong.

`--choose` prints instead what the constants of `scanmend.deconvolve` were chosen by. It is for pictures that
judge nothing else.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from bench import files
from deblur_tables import insert
from deblurrers import run_model
from degrade import Blur, Case, Truth
from PIL import Image
from scanmend import cards, deconvolve, pipeline, psf
from scanmend.evaluate import add_noise, eight_bit, psnr, read_picture, told
from scanmend.evaluate.deblur import convolved
from scanmend.image import FloatArray, decode_srgb, encode_srgb
from sharpening import sharpeners
from tables import table

AROUND = 40
"""Pixels around what is judged that its blur takes in."""
GAIN = 0.2
"""Decibels above the network from which on deconvolution is worth its longer time."""
SHAPES = (
    *(("defocus", radius) for radius in (1.0, 2.0, 3.0, 5.0)),
    *(("scanner", radius) for radius in (0.6, 0.9, 1.3, 2.0)),
)
DIRT = ((0.5, 0), (2.0, 0))
"""Noise in 1/255, and the quality of the JPEG that follows; 0: none."""
WRONG = (0.8, 0.9, 1.0, 1.1, 1.2)
"""Assumed radius by true radius."""
DOUBTS = {"exact": (1.0,), "right to a tenth": (0.9, 1.1), "right to a fifth": (0.8, 1.2)}
"""How well a radius is known, and what is then assumed in the worst case."""
OTHER = "kind taken for the other"
SPREAD = {"defocus": 0.5, "scanner": 1.0}
"""Standard deviation of a blur of radius 1, by which one kind is taken for the other."""
LIKELY = {0.8: 0.1, 0.9: 0.25, 1.0: 0.3, 1.1: 0.25, 1.2: 0.1}
"""How often a measured radius is so far off, for choosing constants."""


@dataclass(frozen=True)
class Row:
    """One blur with one kind of dirt: kind, radius, noise in 1/255, quality of JPEG, and its pictures."""

    kind: str
    radius: float
    noise: float
    quality: int
    cases: tuple[Case, ...]

    @property
    def name(self) -> str:
        jpeg = f", JPEG {self.quality}" if self.quality else ""
        return f"{self.kind} {self.radius:g}, noise {self.noise:g}{jpeg}"


Gains = dict[str, list[float]]
"""Decibels above the input for each case, by method."""
_Found = Sequence[tuple[Row, Gains]]


def main() -> None:
    options = _arguments()
    torch.set_num_threads(1)
    clean = [read_picture(file, options.crop + 2 * AROUND) for file in files(options.images, options.most)]
    engine = pipeline.Options(device=options.device, backend="torch")
    made = chosen(clean, options.crop, engine) if options.choose else judged(clean, engine, options)
    for text in made.values():
        print(f"\n{text}")
    for page in options.into:
        insert(made, page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Known blur undone by its shape, and by networks.")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--most", type=int, default=12, help="pictures, evenly taken from the folder")
    parser.add_argument("--crop", type=int, default=256, help="side of the central square that is judged")
    parser.add_argument("--choose", action="store_true", help="what the constants were chosen by")
    parser.add_argument("--own", action="store_true", help="leave the classical methods out: they are slow")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--into", type=Path, nargs="+", default=[], metavar="PAGE", help="put the tables into these pages"
    )
    return parser.parse_args()


# --- what is judged ------------------------------------------------------------------------


def judged(
    clean: Sequence[FloatArray], engine: pipeline.Options, options: argparse.Namespace
) -> dict[str, str]:
    """All methods on all rows, and the rule that follows: tables by name."""
    found: list[tuple[Row, Gains]] = []
    for row in rows(clean, options.crop, SHAPES, DIRT):
        classical = {} if options.own else _classical(row)
        gains = {**_by_shape(row, engine), **_by_networks(row, engine), **classical}
        found.append((row, gains))
        means = (f"{name} {np.mean(each):+.2f}" for name, each in gains.items())
        print(f"{row.name}: {', '.join(means)}", file=sys.stderr, flush=True)
    return {"known-blur": _means(found), "known-blur-rule": _rule(found)}


def _means(found: _Found) -> str:
    names = list(found[0][1])
    lines = [
        [row.name, f"{np.mean([psnr(case.clean, case.scan) for case in row.cases]):.2f}"]
        + [f"{np.mean(each):+.2f}" for each in gains.values()]
        for row, gains in found
    ]
    least = [f"{min(min(gains[name]) for _, gains in found):+.2f}" for name in names]
    return table(["blur", "input, dB", *names], [*lines, ["least of any picture", "", *least]])


def _by_shape(row: Row, options: pipeline.Options) -> Gains:
    (other,) = SPREAD.keys() - {row.kind}
    taken = psf.parametric(other, row.radius * SPREAD[row.kind] / SPREAD[other])
    return {
        **{
            _by_factor(factor): [_gain(case, by_shape(case, row, factor, options)) for case in row.cases]
            for factor in WRONG
        },
        OTHER: [_gain(case, undone(case, taken, options)) for case in row.cases],
    }


def _by_networks(row: Row, options: pipeline.Options) -> Gains:
    return {
        card.name: [_gain(case, run_model(case, card=card, options=options)) for case in row.cases]
        for card in cards.installed()
        if card.stage == "blur"
    }


def _classical(row: Row) -> Gains:
    """Each in the setting that is best for the row."""
    found = {}
    for method in sharpeners():
        if method.name.startswith("blind"):
            continue
        names = method.settings(row.kind, row.cases[0])
        tried = [
            [_gain(case, method.settings(row.kind, case)[name](case)) for case in row.cases] for name in names
        ]
        found[method.name] = max(tried, key=lambda gains: float(np.mean(gains)))
    return found


def _gain(case: Case, result: FloatArray) -> float:
    return psnr(case.clean, eight_bit(result)) - psnr(case.clean, case.scan)


def _rule(found: _Found) -> str:
    """For each shape, means over its dirt: the worse of wrong radii against the best network."""
    networks = [card.name for card in cards.installed() if card.stage == "blur"]
    lines = []
    for kind, radius in SHAPES:
        gains = [each for row, each in found if (row.kind, row.radius) == (kind, radius)]
        mean = {name: float(np.mean([each[name] for each in gains])) for name in gains[0]}
        worst = {
            doubt: min(mean[_by_factor(factor)] for factor in factors) for doubt, factors in DOUBTS.items()
        }
        network = max((mean[name] for name in networks), default=0.0)
        wins = [doubt for doubt, gain in worst.items() if gain >= max(network, 0) + GAIN]
        decibels = (f"{gain:+.2f}" for gain in (*worst.values(), mean[OTHER], network))
        lines.append([f"{kind} {radius:g}", *decibels, wins[-1] if wins else "never"])
    return table(["blur", *DOUBTS, OTHER, "best network", "shape wins if the radius is"], lines)


def _by_factor(factor: float) -> str:
    return "shape known" if factor == 1 else f"radius x {factor:g}"


# --- deconvolution ---------------------------------------------------------------------------


def by_shape(case: Case, row: Row, factor: float, options: pipeline.Options) -> FloatArray:
    """`undone` with a radius that is wrong by a factor."""
    return undone(case, psf.parametric(row.kind, row.radius * factor), options)


def undone(case: Case, kernel: FloatArray, options: pipeline.Options) -> FloatArray:
    """`scanmend.deconvolve` with a kernel, and the engine's denoiser."""
    with torch.inference_mode():
        sharp = deconvolve.deconvolve(
            _planes(case.scan),
            kernel,
            sigma=deconvolve.LEAST_LEVEL,
            denoise=denoiser(options),
            iterations=deconvolve.ITERATIONS,
        )
    return _pixels(sharp)


def denoiser(options: pipeline.Options) -> deconvolve.Denoise:
    """The fast model for noise."""
    card = next(card for card in cards.installed() if (card.stage, card.tier) == ("noise", "fast"))
    engine = pipeline.shared_engine(options.device, options.backend)

    def denoised(planes: torch.Tensor, level: float) -> torch.Tensor:
        runner = engine.runner([told(card, level * 255)], [card], grey=False)
        return _planes(runner.band(_pixels(planes)))

    return denoised


def _planes(pixels: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32))[None]


def _pixels(planes: torch.Tensor) -> FloatArray:
    return np.ascontiguousarray(planes[0].permute(1, 2, 0).numpy())


# --- pictures ----------------------------------------------------------------------------------


def rows(
    clean: Sequence[FloatArray],
    crop: int,
    shapes: Sequence[tuple[str, float]],
    dirt: Sequence[tuple[float, int]],
) -> Iterator[Row]:
    for kind, radius in shapes:
        for noise, quality in dirt:
            kernel = psf.parametric(kind, radius)
            made = tuple(_case(picture, crop, kernel, noise, quality) for picture in clean)
            yield Row(kind, radius, noise, quality, made)


def _case(clean: FloatArray, crop: int, kernel: FloatArray, noise: float, quality: int) -> Case:
    soft = encode_srgb(np.clip(convolved(decode_srgb(clean), kernel), 0, 1))
    scan = add_noise(_middle(soft, crop), noise, clipped=True)
    scan = _saved(scan, quality) if quality else scan
    return Case(_middle(clean, crop), scan, Truth(noise), None, Blur(kernel, linear=True))


def _middle(pixels: FloatArray, side: int) -> FloatArray:
    """The middle, with surroundings of AROUND / 2 at least also where a picture is small."""
    height, width = (min(side, size - AROUND) for size in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def _saved(scan: FloatArray, quality: int) -> FloatArray:
    file = io.BytesIO()
    Image.fromarray(np.rint(scan * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / 255


# --- what the constants were chosen by ------------------------------------------------------------

_Change = dict[str, object]

CHANGES: dict[str, _Change] = {
    "as it is": {},
    **{f"least level {level}": {"LEAST_LEVEL": level / 255} for level in (1, 2, 4)},
    **{f"first level {level}": {"FIRST_LEVEL": level / 255} for level in (25, 49)},
    **{f"{count} iterations": {"ITERATIONS": count} for count in (3, 6, 8)},
    "2 rounds": {"ROUNDS": 2},
    "all in the display range": {"to_linear": lambda x: x, "to_display": lambda x: x},
}
SOME_DIRT = ((0.5, 0), (1.0, 85))
SOME_SHAPES = (("defocus", 2.5), ("scanner", 1.2))


def chosen(clean: Sequence[FloatArray], crop: int, options: pipeline.Options) -> dict[str, str]:
    """Each constant changed alone: gains with the true radius, with wrong ones, and weighed by LIKELY."""
    found = list(rows(clean, crop, SOME_SHAPES, SOME_DIRT))
    lines = []
    for name, change in CHANGES.items():
        with _changed(change):
            gains = {factor: _mean_gain(found, factor, options) for factor in LIKELY}
        likely = sum(share * gains[factor] for factor, share in LIKELY.items())
        lines.append([name, *(f"{gain:+.2f}" for gain in (*gains.values(), likely))])
        print(*lines[-1], file=sys.stderr, flush=True)
    return {"known-blur-constants": table(["", *map(_by_factor, LIKELY), "weighed"], lines)}


def _mean_gain(found: Sequence[Row], factor: float, options: pipeline.Options) -> float:
    gains = [_gain(case, by_shape(case, row, factor, options)) for row in found for case in row.cases]
    return float(np.mean(gains))


@contextmanager
def _changed(change: _Change) -> Iterator[None]:
    before = {name: getattr(deconvolve, name) for name in change}
    try:
        for name, value in change.items():
            setattr(deconvolve, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(deconvolve, name, value)


if __name__ == "__main__":
    main()
