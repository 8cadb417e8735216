"""What the pictures of the deblurring benchmark go through, and how far a result may lie off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bench import files
from degrade import Blur, Case, Truth, pair, png
from scanmend.evaluate import deblur, eight_bit, read_picture, seed
from scanmend.image import FloatArray

LEVIN_NOISE = 2.55  # of 255: the one percent of the literature
SHIFT = 8
"""Pixels by which blurred photographs and their sharp counterparts may lie apart, each way."""


@dataclass(frozen=True)
class Row:
    """One kind of blur: its table, its name, and its pictures."""

    group: str
    name: str
    cases: tuple[Case, ...]


def drawn(clean: Sequence[FloatArray], family: str) -> Row:
    """A family of `scanmend.evaluate.deblur`: the product's own protocol."""
    return Row(family, family, tuple(_drawn(picture, family) for picture in clean))


def _drawn(picture: FloatArray, family: str) -> Case:
    made = deblur.made(picture, family)
    known = Blur(made.psf.kernel, linear=True) if made.psf else None
    return Case(made.clean, made.scan, Truth(deblur.NOISE if known else 0.0), png(made.scan), known)


def levin(clean: Sequence[FloatArray], kernels: Sequence[FloatArray], *, clipped: bool) -> Row:
    """Every picture with every kernel and noise of one percent, blurred in the display range as papers do.

    Clipped ones are rounded to 8 bits, as a file is.
    """
    cases = tuple(
        _levin(picture, kernel, n, clipped=clipped) for picture in clean for n, kernel in enumerate(kernels)
    )
    return Row("levin", "levin, 8 bits" if clipped else "levin", cases)


def _levin(picture: FloatArray, kernel: FloatArray, number: int, *, clipped: bool) -> Case:
    noise = np.random.default_rng([seed(picture), number]).normal(0, LEVIN_NOISE / 255, picture.shape)
    scan = (deblur.convolved(picture, kernel) + noise).astype(np.float32)
    scan = eight_bit(scan) if clipped else scan
    known = Blur(kernel, linear=False)
    return Case(picture, scan, Truth(LEVIN_NOISE), png(scan) if clipped else None, known)


def photographs(folder: Path) -> Row:
    """Blurred photographs beside sharp ones: `input` and `target`, with files of the same names.

    The central 512 pixels count: looking for the shift takes its time.
    """
    inputs, targets = folder / "input", folder / "target"
    names = [file.relative_to(inputs) for file in files(inputs)]
    if missing := [name for name in names if not (targets / name).is_file()]:
        raise SystemExit(f"{inputs / missing[0]} has no counterpart in {targets}")
    read = ((read_picture(targets / name), read_picture(inputs / name)) for name in names)
    cases = tuple(replace(pair(clean, scan), shift=SHIFT) for clean, scan in read)
    return Row("photographs", folder.resolve().name, cases)


def spread(case: Case) -> float:
    """Standard deviation of a case's blur along its widest direction, in pixels; 0 where none is known."""
    if case.blur is None:
        return 0.0
    kernel = case.blur.kernel
    places = np.mgrid[: kernel.shape[0], : kernel.shape[1]].reshape(2, -1)
    return float(np.sqrt(np.linalg.eigvalsh(np.cov(places, aweights=kernel.ravel(), ddof=0)).max()))


def read_kernels(path: Path) -> tuple[FloatArray, ...]:
    """Kernels from a MATLAB file with a cell array `kernels`, as that of Levin et al. (CVPR 2009).

    They are moved by whole pixels so that their centroids lie in the middle: a blind method cannot know
    where a kernel's origin is.
    """
    return tuple(centred(np.asarray(kernel, np.float32)) for kernel in _cells(path))


def _cells(path: Path) -> Iterator[FloatArray]:
    if path.read_bytes()[:10] != b"MATLAB 7.3":
        from scipy.io import loadmat  # noqa: PLC0415 - optional

        yield from loadmat(path)["kernels"].ravel()
        return
    try:
        import h5py  # noqa: PLC0415 - optional
    except ImportError as error:
        raise SystemExit(f"{path} is a MATLAB 7.3 file: pip install h5py") from error
    with h5py.File(path) as file:
        for place in np.asarray(file["kernels"]).ravel():
            yield np.asarray(file[place]).T  # MATLAB counts columns first


def centred(kernel: FloatArray) -> FloatArray:
    """A kernel of an odd side whose centroid is within half a pixel of its middle; sum one."""
    down, across = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    total = kernel.sum()
    at = int(np.rint((kernel * down).sum() / total)), int(np.rint((kernel * across).sum() / total))
    reach = max(*at, kernel.shape[0] - 1 - at[0], kernel.shape[1] - 1 - at[1])
    placed = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    top, left = reach - at[0], reach - at[1]
    placed[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel / total
    return placed
