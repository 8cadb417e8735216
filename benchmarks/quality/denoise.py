"""Denoising beside the classical methods, in one run on the same noisy pictures.

    python benchmarks/quality/denoise.py --images FOLDER [--sigmas 15 25 50] [--most N] [--json FILE]

Protocol: white Gaussian noise of sigma / 255, seeded by the picture's place in the sorted list;
the noisy picture is clipped and rounded to 8 bits, as a scan file is (`--unclipped` leaves it
float). Every method but "blind" is told the true sigma. Results are rounded to 8 bits; PSNR is
over all RGB samples, SSIM as scikit-image computes it (Gaussian window, sigma 1.5); means over
pictures. Seconds are wall time for a megapixel, load of the machine included.

Methods: the shipped networks; BM3D (the authors' package `bm3d`, colour); OpenCV's coloured
non-local means, h chosen per sigma from the best of four on the first two pictures; wavelets
(BayesShrink, scikit-image, colour-space aware, cycle-spun would cost 16 times).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import bm3d
import cv2
import numpy as np
from PIL import Image
from scanmend import cards, measure
from scanmend.engine import Engine
from scanmend.image import Array, FloatArray
from scanmend.plan import Step
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_wavelet

Method = Callable[[FloatArray, float], FloatArray]
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".avif", ".bmp"}


@dataclass(frozen=True)
class Row:
    """One method at one noise level: means over the pictures."""

    method: str
    sigma: int
    psnr: float
    ssim: float
    seconds_per_megapixel: float
    pictures: int


def main() -> None:
    options = _arguments()
    pictures = [_picture(file, options.crop) for file in _files(options.images, options.most)]
    methods = _methods(options.methods, options.device, options.backend)
    rows: list[Row] = []
    for sigma in options.sigmas:
        noisy = [_noisy(p, sigma, seed, clip=not options.unclipped) for seed, p in enumerate(pictures)]
        for name, make in methods.items():
            rows.append(_score(name, make(pictures[:2], noisy[:2], sigma), sigma, pictures, noisy))
            print(_line(rows[-1]), flush=True)
    print(_table(rows, options.sigmas))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def _score(name: str, method: Method, sigma: int, clean: list[FloatArray], noisy: list[FloatArray]) -> Row:
    psnr, ssim, seconds, megapixels = [], [], 0.0, 0.0
    for truth, scan in zip(clean, noisy, strict=True):
        started = time.perf_counter()
        result = method(scan, sigma / 255)
        seconds += time.perf_counter() - started
        megapixels += truth.shape[0] * truth.shape[1] / 1e6
        result = np.rint(np.clip(result, 0, 1) * 255) / 255
        psnr.append(float(-10 * np.log10(np.mean((result - truth) ** 2))))
        ssim.append(
            float(
                structural_similarity(
                    truth,
                    result,
                    channel_axis=2,
                    data_range=1.0,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                )
            )
        )
    return Row(name, sigma, statistics.mean(psnr), statistics.mean(ssim), seconds / megapixels, len(clean))


Maker = Callable[[list[FloatArray], list[FloatArray], int], Method]


def _methods(wanted: list[str], device: str, backend: str) -> dict[str, Maker]:
    engine = Engine(device, backend=backend)
    known: dict[str, Maker] = {"noisy": lambda *_: lambda scan, _sigma: scan}
    for card in cards.installed():
        if card.stage == "noise":
            known[card.name] = lambda *_, name=card.name: _network(engine, name, blind=False)  # type: ignore[misc]
            known[f"{card.name} blind"] = lambda *_, name=card.name: _network(engine, name, blind=True)  # type: ignore[misc]
    known["bm3d"] = lambda *_: _bm3d
    known["nlm"] = _best_nlm
    known["wavelets"] = lambda *_: _wavelets
    return {name: known[name] for name in wanted or known}


def _network(engine: Engine, name: str, *, blind: bool) -> Method:
    """The network at full strength, told the true sigma, or what was measured."""

    def run(scan: FloatArray, sigma: float) -> FloatArray:
        step = Step("noise", name, 1.0, 0.0, sigma)
        if blind:
            facts = measure.measure_array(scan.astype(np.float32))
            step = Step("noise", name, 1.0, 0.0, facts.sigma, facts.correlation, facts.curve)
        return engine.runner([step], cards.installed(), grey=False).band(scan.astype(np.float32))

    return run


def _bm3d(scan: FloatArray, sigma: float) -> FloatArray:
    result: FloatArray = bm3d.bm3d_rgb(scan.astype(np.float64), sigma)
    return result


def _best_nlm(clean: list[FloatArray], noisy: list[FloatArray], sigma: int) -> Method:
    """Non-local means with the h, of 0.5 to 1.1 sigma, that serves the first pictures best."""

    def at(share: float) -> Method:
        def run(scan: FloatArray, level: float) -> FloatArray:
            h = share * level * 255
            eight = np.rint(np.clip(scan, 0, 1) * 255).astype(np.uint8)
            return cv2.fastNlMeansDenoisingColored(eight, None, h, h, 7, 21).astype(np.float32) / 255

        return run

    scores = {share: _score("nlm", at(share), sigma, clean, noisy).psnr for share in (0.5, 0.7, 0.9, 1.1)}
    return at(max(scores, key=lambda share: scores[share]))


def _wavelets(scan: FloatArray, sigma: float) -> FloatArray:
    result: FloatArray = denoise_wavelet(
        scan, sigma=sigma, channel_axis=2, convert2ycbcr=True, method="BayesShrink", rescale_sigma=True
    )
    return result


def _noisy(clean: FloatArray, sigma: int, seed: int, *, clip: bool) -> FloatArray:
    noise = np.random.default_rng(seed).normal(0, sigma / 255, clean.shape)
    scan = clean + noise
    return (np.rint(np.clip(scan, 0, 1) * 255) / 255 if clip else scan).astype(np.float32)


def _picture(file: Path, crop: int | None) -> FloatArray:
    with Image.open(file) as image:
        pixels: Array = np.asarray(image.convert("RGB"))
    if crop:
        top, left = (max((side - crop) // 2, 0) for side in pixels.shape[:2])
        pixels = pixels[top : top + crop, left : left + crop]
    return pixels.astype(np.float32) / 255


def _files(folder: Path, most: int | None) -> list[Path]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise SystemExit(f"there are no pictures in {folder}")
    return files[:: max(1, len(files) // most)][:most] if most else files


def _line(row: Row) -> str:
    return (
        f"{row.method:20} sigma {row.sigma:3}  {row.psnr:6.2f} dB  SSIM {row.ssim:.4f}"
        f"  {row.seconds_per_megapixel:6.2f} s/MP"
    )


def _table(rows: list[Row], sigmas: list[int]) -> str:
    """A Markdown table: methods down, noise levels across, PSNR / SSIM in each cell."""
    names = list(dict.fromkeys(row.method for row in rows))
    cells = {(row.method, row.sigma): f"{row.psnr:.2f} / {row.ssim:.3f}" for row in rows}
    head = "| method | " + " | ".join(f"sigma {sigma}" for sigma in sigmas) + " |"
    lines = [f"| {name} | " + " | ".join(cells[name, sigma] for sigma in sigmas) + " |" for name in names]
    return "\n".join((f"\n{rows[0].pictures} pictures\n", head, "|---" * (len(sigmas) + 1) + "|", *lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Denoising beside the classical methods.")
    parser.add_argument("--images", type=Path, required=True, help="folder with clean pictures")
    parser.add_argument("--sigmas", type=int, nargs="+", default=[15, 25, 50])
    parser.add_argument("--most", type=int, help="take this many pictures, spread over the folder")
    parser.add_argument("--crop", type=int, help="take the central square of this side: BM3D is slow")
    parser.add_argument("--methods", nargs="+", default=[], help="only these rows")
    parser.add_argument("--unclipped", action="store_true", help="leave the noisy pictures float")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
