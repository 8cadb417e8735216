"""How well the noise of a single picture is measured: known noise on clean pictures, several estimators.

    python benchmarks/quality/measure.py --images FOLDER [--every N]

White noise, blurred grain and Poisson-Gaussian noise are added to every picture, clipped and
rounded to 8 bit as a scan file is; the last rows go through JPEG as well. The truth is the
standard deviation of the noise as it was drawn, for JPEG of what the codec has left of it.
A picture's own noise counts as an error here, which shows at sigma 2. Seeds are fixed by the
picture's place in the sorted folder. Baselines: J. Immerkaer, doi:10.1006/cviu.1996.0060; the
median absolute deviation of the finest wavelet (Donoho and Johnstone, doi:10.1093/biomet/81.3.425);
the smallest eigenvalue over weakly textured patches (Liu, Tanaka, Okutomi, doi:10.1109/TIP.2013.2283400).
"""

from __future__ import annotations

import argparse
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scanmend.measure import measure_array

Pixels = npt.NDArray[np.float32]
Noise = Callable[[np.random.Generator, Pixels], Pixels]
CLEAN = 1.2  # of 255: what a clean picture may measure at most


def white(sigma: float) -> Noise:
    """Independent Gaussian noise in every sample; sigma of 255."""
    return lambda rng, clean: (rng.standard_normal(clean.shape) * sigma / 255).astype(np.float32)


def grain(sigma: float, blur: float, *, grey: bool = False) -> Noise:
    """Gaussian noise blurred by `blur` pixels and brought back to sigma; grey: alike in the channels."""

    def draw(rng: np.random.Generator, clean: Pixels) -> Pixels:
        height, width, channels = clean.shape
        field = rng.standard_normal((height, width, 1 if grey else channels))
        down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
        fall = np.exp(-2 * (np.pi * blur) ** 2 * (down**2 + across**2))[..., None]
        field = np.fft.irfft2(np.fft.rfft2(field, axes=(0, 1)) * fall, (height, width), axes=(0, 1))
        field *= sigma / 255 / field.std()
        return np.broadcast_to(field, clean.shape).astype(np.float32)

    return draw


def poisson_gaussian(slope: float, floor: float) -> Noise:
    """Variance slope * tone + floor squared, in units of [0, 1]."""
    return lambda rng, clean: (rng.standard_normal(clean.shape) * np.sqrt(slope * clean + floor**2)).astype(
        np.float32
    )


ROWS: dict[str, tuple[Noise, int | None]] = {
    **{f"white {sigma}": (white(sigma), None) for sigma in (2, 5, 10, 15, 25, 50)},
    **{
        f"grain {sigma}, {blur} px{' grey' if grey else ''}": (grain(sigma, blur, grey=grey), None)
        for sigma in (5, 15)
        for blur in (0.4, 0.8, 1.2, 1.6)
        for grey in (False, True)
    },
    "Poisson-Gaussian low": (poisson_gaussian(0.0005, 2 / 255), None),
    "Poisson-Gaussian high": (poisson_gaussian(0.004, 2 / 255), None),
    **{f"white {sigma}, JPEG 90": (white(sigma), 90) for sigma in (5, 10, 25)},
    "grain 15, 1.2 px, JPEG 90": (grain(15, 1.2), 90),
}


def immerkaer(pixels: Pixels) -> float:
    """Mean absolute response of the difference of two Laplacians, mean over channels."""
    second = pixels[:, :-2] - 2 * pixels[:, 1:-1] + pixels[:, 2:]
    response = second[:-2] - 2 * second[1:-1] + second[2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(response).mean())


def wavelet(pixels: Pixels) -> float:
    """scikit-image's estimate, mean over channels."""
    from skimage.restoration import estimate_sigma  # noqa: PLC0415 - only the benchmark needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(estimate_sigma(pixels, channel_axis=2, average_sigmas=True))  # type: ignore[no-untyped-call]


def weak_texture(pixels: Pixels, side: int = 7, rounds: int = 3) -> float:
    """Liu, Tanaka and Okutomi: smallest eigenvalue of the patches whose gradients are noise's alone."""
    return float(np.mean([_weakly_textured(pixels[..., c], side, rounds) for c in range(pixels.shape[2])]))


def _weakly_textured(plane: Pixels, side: int, rounds: int) -> float:
    from scipy.stats import gamma  # noqa: PLC0415 - only the benchmark needs it

    windows = np.lib.stride_tricks.sliding_window_view(plane, (side, side))[::4, ::4].reshape(-1, side * side)
    energy = np.zeros(len(windows), np.float64)
    for axis in (0, 1):
        difference = np.gradient(plane, axis=axis)
        squares = np.lib.stride_tricks.sliding_window_view(difference**2, (side, side))
        energy += squares[::4, ::4].sum((2, 3)).ravel()
    # A centred difference of white noise has half its variance: 2 * side^2 of them in a patch.
    shape, chosen = side * side / 2, windows
    sigma = 0.0
    for _ in range(rounds + 1):
        centred = chosen - chosen.mean(0)
        sigma = float(np.sqrt(max(np.linalg.eigvalsh(centred.T @ centred / max(1, len(chosen) - 1))[0], 0)))
        limit = sigma**2 * gamma.ppf(1 - 1e-6, shape, scale=2.0 / shape * side * side / 2)
        weak = energy < limit
        if weak.sum() < 2 * side * side:
            break
        chosen = windows[weak]
    return sigma


BASELINES: dict[str, Callable[[Pixels], float]] = {
    "Immerkaer": immerkaer,
    "wavelet MAD": wavelet,
    "Liu et al.": weak_texture,
}
ESTIMATORS = ("scanmend", *BASELINES)


def sigmas(pixels: Pixels) -> tuple[tuple[float, ...], float]:
    """What each estimator says, ours first, and our correlation."""
    ours = measure_array(pixels)
    return (ours.sigma, *(estimate(pixels) for estimate in BASELINES.values())), ours.correlation


def as_file(pixels: Pixels, quality: int | None) -> Pixels:
    """Clipped and rounded to 8 bit, through JPEG where a quality is given."""
    samples = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    if quality is not None:
        buffer = io.BytesIO()
        Image.fromarray(samples).save(buffer, "JPEG", quality=quality)
        samples = np.asarray(Image.open(buffer))
    return np.asarray(samples / np.float32(255), np.float32)


def errors(
    paths: list[Path],
) -> tuple[dict[str, list[tuple[float, ...]]], list[tuple[float, ...]], list[float]]:
    """Relative errors by row and picture, sigmas of the clean pictures, errors of the correlation."""
    by_row: dict[str, list[tuple[float, ...]]] = {row: [] for row in ROWS}
    clean_sigmas, correlations = [], []
    for place, path in enumerate(paths):
        clean: Pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / np.float32(255)
        clean_sigmas.append(tuple(sigma * 255 for sigma in sigmas(clean)[0]))
        for row, (noise, quality) in ROWS.items():
            drawn = noise(np.random.default_rng(place), clean)
            noisy = as_file(clean + drawn, quality)
            truth = float((drawn if quality is None else noisy - as_file(clean, quality)).std())
            found, correlation = sigmas(noisy)
            by_row[row].append(tuple(abs(sigma / truth - 1) for sigma in found))
            if quality is None:
                lag = float((drawn[:, 1:] * drawn[:, :-1]).mean() / truth**2)
                correlations.append(abs(correlation - lag))
    return by_row, clean_sigmas, correlations


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, required=True, help="a folder of clean pictures")
    parser.add_argument("--every", type=int, default=1, help="take every N-th picture (default: all)")
    options = parser.parse_args()
    paths = sorted(
        path for path in options.images.iterdir() if path.suffix in {".png", ".avif", ".tif", ".jpg", ".webp"}
    )[:: options.every]
    by_row, clean_sigmas, correlations = errors(paths)
    print(f"{len(paths)} pictures; relative error of sigma in %, median / 90th percentile")
    print(f"{'':28}" + "".join(f"{name:>18}" for name in ESTIMATORS))
    for row, found in by_row.items():
        cells = (f"{100 * np.median(c):6.1f} /{100 * np.percentile(c, 90):7.1f}" for c in np.array(found).T)
        print(f"{row:28}" + "".join(f"{cell:>18}" for cell in cells))
    print(
        f"{'clean below 1.2, share in %':28}"
        + "".join(f"{100 * s:18.1f}" for s in _share_clean(clean_sigmas))
    )
    print(
        f"correlation, absolute error: median {np.median(correlations):.3f}, "
        f"90th percentile {np.percentile(correlations, 90):.3f}"
    )


def _share_clean(clean_sigmas: list[tuple[float, ...]]) -> list[float]:
    return [float((column < CLEAN).mean()) for column in np.array(clean_sigmas).T]


if __name__ == "__main__":
    main()
