"""The classical methods of the deblurring benchmark, in plain NumPy.

Each has a few settings, of which the best is chosen for every row on the very pictures that are judged:
nobody who restores a scan has that knowledge, so it favours these methods. Where blur was made in linear
light, those that are told the kernel work in linear light, or in the display range where that does better.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from degrade import Case
from methods import Method, Run
from scanmend import psf
from scanmend.evaluate.deblur import convolved, transfer
from scanmend.image import FloatArray, decode_srgb, encode_srgb

VERSION = "1"
"""Raised whenever a method here changes: part of the key under which results are kept."""
_TOLD = "kernel told"


def sharpeners() -> tuple[Method, ...]:
    """Blind ones, and those that are told the true kernel."""
    return (
        Method("unsharp mask", VERSION, _unsharp_settings),
        Method("blind Richardson-Lucy", VERSION, _blind_settings),
        Method(f"Wiener, {_TOLD}", VERSION, _wiener_settings),
        Method(f"Richardson-Lucy, {_TOLD}", VERSION, _lucy_settings),
    )


# --- unsharp mask ------------------------------------------------------------------------


def _unsharp_settings(group: str, case: Case) -> dict[str, Run]:
    del group, case
    return {
        f"radius {radius:g}, amount {amount:g}": partial(_unsharp, radius=radius, amount=amount)
        for radius in (1.0, 2.0, 4.0)
        for amount in (0.3, 0.6, 1.0, 2.0)
    }


def _unsharp(case: Case, *, radius: float, amount: float) -> FloatArray:
    return case.scan + amount * (case.scan - convolved(case.scan, psf.gaussian(radius)))


# --- Wiener's filter ---------------------------------------------------------------------


def _wiener_settings(group: str, case: Case) -> dict[str, Run]:
    del group
    if case.blur is None:
        return {}
    return {
        f"{'linear' if linear else 'display'}, {level:g}": partial(_wiener, level=level, linear=linear)
        for linear in ((False, True) if case.blur.linear else (False,))
        for level in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    }


def _wiener(case: Case, *, level: float, linear: bool) -> FloatArray:
    """Wiener's filter for noise that is white and pictures whose power falls with the square of frequency."""
    picture = decode_srgb(case.scan) if linear else case.scan
    height, width = picture.shape[:2]
    wide = np.pad(picture, ((0, height), (0, width), (0, 0)), "symmetric")  # no seam where it wraps around
    kernel = transfer(case.blur.kernel, wide.shape[:2])[..., None]
    down, across = np.fft.fftfreq(2 * height)[:, None], np.fft.rfftfreq(2 * width)[None]
    ratio = level * (down**2 + across**2)[..., None]
    spectrum = np.fft.rfft2(wide, axes=(0, 1)) * np.conj(kernel) / (np.abs(kernel) ** 2 + ratio)
    sharp = np.fft.irfft2(spectrum, wide.shape[:2], axes=(0, 1))[:height, :width].astype(np.float32)
    return encode_srgb(np.clip(sharp, 0, 1)) if linear else sharp


# --- Richardson-Lucy ---------------------------------------------------------------------


def _lucy_settings(group: str, case: Case) -> dict[str, Run]:
    del group
    if case.blur is None:
        return {}
    return {f"{rounds} rounds": partial(_lucy, rounds=rounds) for rounds in (10, 30)}


def _lucy(case: Case, *, rounds: int) -> FloatArray:
    """Richardson (1972) and Lucy (1974): the picture most likely under Poisson noise, stopped early."""
    linear = case.blur.linear
    scan = decode_srgb(np.clip(case.scan, 0, 1)) if linear else np.clip(case.scan, 0, 1)
    sharp = lucy(scan, case.blur.kernel, rounds)
    return encode_srgb(np.clip(sharp, 0, 1)) if linear else sharp


def lucy(scan: FloatArray, kernel: FloatArray, rounds: int) -> FloatArray:
    """So many rounds of Richardson-Lucy on a picture (H, W, C) with its edges mirrored."""
    reach = 2 * len(kernel)
    wide = np.pad(scan, ((reach, reach), (reach, reach), (0, 0)), "symmetric")
    spectrum = transfer(kernel, wide.shape[:2])[..., None].astype(np.complex64)
    sharp = np.maximum(wide, 1e-3)
    for _ in range(rounds):
        ratio = wide / np.maximum(_filtered(sharp, spectrum), 1e-4)
        sharp = sharp * np.maximum(_filtered(ratio, np.conj(spectrum)), 0)
    return sharp[reach:-reach, reach:-reach]


def _filtered(picture: FloatArray, spectrum: FloatArray) -> FloatArray:
    from scipy import fft  # noqa: PLC0415 - optional; in single precision, which NumPy lacks

    known = fft.rfft2(picture, axes=(0, 1)) * spectrum
    return fft.irfft2(known, picture.shape[:2], axes=(0, 1))


# --- Richardson-Lucy without the kernel --------------------------------------------------


def _blind_settings(group: str, case: Case) -> dict[str, Run]:
    del group, case
    return {f"start {radius:g}": partial(_blind, radius=radius) for radius in (1.0, 2.0, 4.0)}


def _blind(case: Case, *, radius: float) -> FloatArray:
    """Fish et al. (1995), doi:10.1364/JOSAA.12.000058: kernel and picture by turns, from a round start."""
    scan = np.clip(case.scan, 0, 1)
    luma = np.maximum(scan @ np.array([0.299, 0.587, 0.114], np.float32), 1e-3)[..., None]
    kernel = psf.gaussian(radius)
    sharp = luma
    for _ in range(5):
        kernel = _kernel_rounds(luma[..., 0], sharp[..., 0], kernel)
        sharp = lucy(luma, kernel, 5)
    return lucy(scan, kernel, 10)


def _kernel_rounds(scan: FloatArray, sharp: FloatArray, kernel: FloatArray, rounds: int = 5) -> FloatArray:
    """Richardson-Lucy with the parts exchanged: the kernel is looked for, within its square."""
    reach = len(kernel) // 2
    known = np.fft.rfft2(sharp)
    total = float(sharp.sum())
    for _ in range(rounds):
        blurred = np.fft.irfft2(known * transfer(kernel, scan.shape), scan.shape)
        ratio = scan / np.maximum(blurred, 1e-4)
        shares = np.fft.irfft2(np.fft.rfft2(ratio) * np.conj(known), scan.shape) / total
        around = np.roll(shares, (reach, reach), axis=(0, 1))[: len(kernel), : len(kernel)]
        kernel = kernel * np.maximum(around, 0)
        kernel = (kernel / kernel.sum()).astype(np.float32)
    return kernel
