"""Scans for the tests in GIMP: made here, and cut out of real ones."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.core.serving import noisy

SIDES = (150, 200)
"""Rows and columns of the scans made here."""


def make(folder: Path) -> dict[str, Path]:
    """Writes noisy scans: rgb8, grey8, alpha8, rgb16, grey16, alpha16, adobe16: the last with its profile."""
    rgb, grey = noisy(*SIDES), noisy(*SIDES, channels=1)
    rgba = np.concatenate([rgb, _fading()], axis=2)
    for name, pixels in (("rgb8", rgb), ("grey8", grey[..., 0]), ("alpha8", rgba)):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    deep = {"rgb16": _deep(rgb, 1), "grey16": _deep(grey, 2)[..., 0], "adobe16": _deep(rgb, 3)}
    for name, samples in deep.items():
        _write_tiff(folder / f"{name}.tif", samples, adobe_rgb() if name == "adobe16" else None)
    deep_alpha = np.concatenate([_deep(rgb, 4), _fading().astype(np.uint16) * 257], axis=2)
    tifffile.imwrite(folder / "alpha16.tif", deep_alpha, photometric="rgb", extrasamples=["unassalpha"])
    return {path.stem: path for path in sorted(folder.iterdir())}


def cut(data: Path, folder: Path, side: int = 512) -> dict[str, Path]:
    """Cuts the middle out of each kind of real scan in the collection `data`."""
    for path in (
        data / "oldphotos" / "ddcolor_keller_chaplin_1919.jpg",
        data / "oldphotos" / "piedimonte_cotonificio_retro_convento.jpg",
        data / "oldphotos" / "prokudin_00963v.jpg",
        data / "oldphotos" / "msbopb_scratch_a.png",
        data / "noref" / "rni15_movie.png",
    ):
        with Image.open(path) as image:
            whole = image if image.mode in {"L", "RGB"} else image.convert("RGB")
            left, top = max(0, (whole.width - side) // 2), max(0, (whole.height - side) // 2)
            box = (left, top, min(whole.width, left + side), min(whole.height, top + side))
            Image.fromarray(np.asarray(whole.crop(box))).save(folder / f"{path.stem}.png")
    return {path.stem: path for path in sorted(folder.iterdir())}


def adobe_rgb() -> bytes:
    """An ICC profile with Adobe RGB (1998)'s primaries and gamma 2.19921875, relative to D50."""
    columns = {
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
        b"wtpt": (0.96420, 1.0, 0.82491),
    }
    tags = {name: b"XYZ \0\0\0\0" + _fixed(*values) for name, values in columns.items()}
    curve = b"curv" + struct.pack(">IIH2x", 0, 1, 0x0233)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"cprt"] = b"text\0\0\0\0" + b"none\0\0\0\0"
    words = b"A wide RGB\0"
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(words)) + words + bytes(78 + 1)
    table, bodies, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", at + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(bodies), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _fixed(0.9642, 1.0, 0.82491)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _deep(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint16]:
    """16 bit that 8 bit cannot hold."""
    fine = np.random.default_rng(seed).integers(0, 257, pixels.shape)
    return np.minimum(pixels.astype(np.int64) * 257 + fine, 65535).astype(np.uint16)


def _fading() -> NDArray[np.uint8]:
    """An alpha channel with clear, half clear and full parts."""
    ramp = np.clip(np.linspace(-60, 330, SIDES[1]), 0, 255).astype(np.uint8)
    return np.repeat(ramp[None, :, None], SIDES[0], axis=0)


def _write_tiff(path: Path, samples: NDArray[np.uint16], profile: bytes | None) -> None:
    photometric = "rgb" if samples.ndim == 3 else "minisblack"
    tifffile.imwrite(path, samples, photometric=photometric, iccprofile=profile)
