"""The classical methods, each with the settings among which its best is chosen for every row.

The choice is made on the very pictures that are judged, by the mean PSNR: nobody who restores a
scan has that knowledge, so it favours these methods. All are told the true sigma; for grey grain
BM3D is told to filter the luminance alone. On grain BM3D has a second row, told the true spectrum,
which nothing measures on a real scan: what could be reached, not what can be set.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from degrade import Case, Truth, transfer
from scanmend.image import FloatArray

Run = Callable[[Case], FloatArray]
INFORMED = "BM3D, spectrum told"
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Method:
    """A method in all its settings.

    Attributes:
        name: in the tables.
        version: of the program; part of the key under which results are kept.
        settings: what to try in a group of rows, on a case like the one given: a name and a run each.
            Empty where the method cannot work on such a case.
        kept: whether results may be kept from run to run.
        wall: seconds are wall time, not the processor's.
    """

    name: str
    version: str
    settings: Callable[[str, Case], dict[str, Run]]
    kept: bool = True
    wall: bool = False


def classical() -> tuple[Method, ...]:
    """Those that are installed; a line on standard output names the others."""
    found = [
        _packaged("BM3D", "bm3d", _bm3d_settings),
        _packaged(INFORMED, "bm3d", _informed_settings),
        _packaged("non-local means", "opencv-python-headless", _nlm_settings),
        _packaged("wavelets", "scikit-image", _wavelet_settings),
        _gmic(),
    ]
    return tuple(method for method in found if method)


def _packaged(name: str, package: str, settings: Callable[[str, Case], dict[str, Run]]) -> Method | None:
    try:
        return Method(name, f"{package} {version(package)}", settings)
    except PackageNotFoundError:
        print(f"{name} is left out: pip install {package}")
        return None


# --- BM3D, the authors' package ------------------------------------------------------------


_LEVELS = {"grain": (1.0, 1.5, 2.2), "sensor": (1.0, 1.25), "jpeg": (1.0, 1.6, 2.4), "mixed": (1.4, 2.0)}


def _bm3d_settings(group: str, case: Case) -> dict[str, Run]:
    """As published for white noise; else levels about the truth, and the spectrum where it is known.

    The grids are small because a run on 256 pixels square takes ten seconds; what they hold
    came out best among wider ones on two training pictures.
    """
    if group in ("white", "unclipped"):
        return {"": partial(_bm3d, level=1.0)}
    grey = case.truth.grey
    return {
        f"{'luminance, ' if grey else ''}{level:g} sigma": partial(_bm3d, level=level, luminance=grey)
        for level in _LEVELS.get(group, (0.7, 1.0, 1.4, 2.0))
    }


def _informed_settings(group: str, case: Case) -> dict[str, Run]:
    if group != "grain":
        return {}
    return {
        f"{level:g} sigma": partial(_bm3d, level=level, spectral=True, luminance=case.truth.grey)
        for level in (0.8, 1.0)
    }


def _bm3d(case: Case, *, level: float, spectral: bool = False, luminance: bool = False) -> FloatArray:
    bm3d = _bm3d_package()
    scan = case.scan.astype(np.float64)
    sigma = _power(case.truth, scan.shape[:2], level) if spectral else level * case.truth.sigma / 255
    if not luminance:
        return np.asarray(bm3d.bm3d_rgb(scan, sigma))
    luma = scan @ LUMA
    return scan + (bm3d.bm3d(luma, sigma) - luma)[..., None]


def _power(truth: Truth, shape: tuple[int, ...], level: float) -> FloatArray:
    """The grain's power spectrum as the package wants it: its mean is variance times pixels."""
    power = transfer(*shape, truth.blur or 0.0) ** 2
    return power / power.mean() * (level * truth.sigma / 255) ** 2 * power.size


@cache
def _bm3d_package():  # noqa: ANN202 - a module
    if not hasattr(np, "trapz"):
        setattr(np, "trapz", np.trapezoid)  # noqa: B010 - bm4d 4.2 asks NumPy 2.4 for it by its old name
    import bm3d  # noqa: PLC0415 - optional

    return bm3d


# --- non-local means, OpenCV -----------------------------------------------------------------


def _nlm_settings(group: str, case: Case) -> dict[str, Run]:
    del group
    colour = 0.3 if case.truth.grey else 1.0
    return {f"h {share:g} sigma": partial(_nlm, share=share, colour=colour) for share in _NLM}


_NLM = (0.25, 0.35, 0.5, 0.7, 0.9, 1.1)


def _nlm(case: Case, *, share: float, colour: float) -> FloatArray:
    """Buades et al. in CIELAB; OpenCV takes 8 bits only, so noise beyond black and white is clipped."""
    import cv2  # noqa: PLC0415 - optional

    cv2.setNumThreads(1)
    h = share * case.truth.sigma
    eight = np.rint(np.clip(case.scan, 0, 1) * 255).astype(np.uint8)
    return cv2.fastNlMeansDenoisingColored(eight, None, h, colour * h, 7, 21).astype(np.float32) / 255


# --- wavelets, scikit-image --------------------------------------------------------------------


def _wavelet_settings(group: str, case: Case) -> dict[str, Run]:
    del group, case
    return {f"{level:g} sigma": partial(_wavelets, level=level) for level in (0.7, 1.0, 1.4, 2.0)}


def _wavelets(case: Case, *, level: float) -> FloatArray:
    """BayesShrink in YCbCr, the mean of 16 shifts (Coifman and Donoho): slower, better than one."""
    from skimage.restoration import denoise_wavelet  # noqa: PLC0415 - optional

    total = np.zeros(case.scan.shape)
    for shift in itertools.product(range(4), repeat=2):
        shrunk = denoise_wavelet(
            np.roll(case.scan, shift, axis=(0, 1)),
            sigma=level * case.truth.sigma / 255,
            channel_axis=-1,
            convert2ycbcr=True,
            method="BayesShrink",
            rescale_sigma=True,
        )
        total += np.roll(shrunk, tuple(-step for step in shift), axis=(0, 1))
    return total / 16


# --- G'MIC, the program, as GIMP's plug-in of that name uses it ----------------------------------

_PROGRAM = "gmic"
_TIMEOUT = 600


def _gmic() -> Method | None:
    if not shutil.which(_PROGRAM):
        print("G'MIC is left out: its program gmic is not installed")
        return None
    said = subprocess.run([_PROGRAM, "version"], capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).split()
    number = next((word.strip(".,") for word in words if word[:1].isdigit()), "of unknown version")
    return Method("G'MIC", f"gmic {number}", _gmic_settings)


def _gmic_settings(group: str, case: Case) -> dict[str, Run]:
    """Filters that did best on training pictures: patches, anisotropic smoothing, Haar wavelets."""
    del group
    sigma = case.truth.sigma
    commands = {
        **{f"denoise 10, {s:g} sigma": ("denoise", f"10,{s * sigma:.3f},5,6") for s in (0.4, 0.7)},
        **{
            f"smooth {s:g} sigma": ("smooth", f"{s * sigma:.3f},0.3,0.6,0.6,1.1")
            for s in (0.3, 0.6, 1.2, 2.4)
        },
        **{f"haar {t:g}": ("denoise_haar", f"{t:g}") for t in (0.7, 1.0, 1.4)},
    }
    return {name: partial(_filtered, command=command) for name, command in commands.items()}


def _filtered(case: Case, *, command: tuple[str, str]) -> FloatArray:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "scan.cimg"), Path(folder, "result.cimg")
        source.write_bytes(_to_cimg(case.scan * np.float32(255)))
        subprocess.run(
            [_PROGRAM, "-v", "-1", str(source), *command, "-output", str(target)],
            check=True,
            capture_output=True,
            timeout=_TIMEOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        return _from_cimg(target.read_bytes()) / np.float32(255)


def _to_cimg(pixels: FloatArray) -> bytes:
    """CImg's own format: a line for the type, one for the sides, then the planes."""
    height, width, channels = pixels.shape
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), "<f4")
    return f"1 float little_endian\n{width} {height} 1 {channels}\n".encode() + planes.tobytes()


def _from_cimg(data: bytes) -> FloatArray:
    _kind, sides, samples = data.split(b"\n", 2)
    width, height, _depth, channels = (int(side) for side in sides.split()[:4])
    return np.frombuffer(samples, "<f4").reshape(channels, height, width).transpose(1, 2, 0)
