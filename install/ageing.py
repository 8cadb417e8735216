"""Ages a clean picture into a scan of an old print, so that the demo can tell what restoring brings back.

The order is that of a print's life: dyes fade a little and the paper yellows; the emulsion's
grain was there from the start; then a scanner adds light-dependent and constant noise and
rounds to 16 bits. Every number is drawn with one seed, so two runs give the same scan.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import ImageCms
from skimage import data

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Picture = npt.NDArray[np.float64]

SEED = 1926
DPI = 600
DATE = (2026, 1, 1, 12, 0, 0)

FADING = (0.94, 0.97, 0.90)
"""Share of density that is left in the red-, green- and blue-absorbing dyes: yellow fades first."""
PAPER = (0.010, 0.015, 0.040)
"""Density of the yellowed paper in the same three layers. Light: no network mends fading yet."""
GRAIN = 0.11
"""Peak standard deviation of the grain, in optical density."""
CLUMPS = ((0.55, 0.8), (1.2, 0.6))
"""Radius in pixels (a Gaussian's sigma) and share of amplitude of fine grain and of clumps."""
SHARED = 0.6
"""Share of the grain's variance that all three layers have in common."""
SHOT, READ = 3e-4, 2.5e-3
"""The scanner's variance is SHOT x light + READ^2, in linear light with white at 1."""

SOURCE = "Eileen Collins, NASA portrait, public domain; aged synthetically for the Scanmend demo"


@dataclass(frozen=True)
class Aged:
    """scan: (H, W, 3) uint16, sRGB curve; print: the same without grain and noise, float in [0, 1]."""

    scan: npt.NDArray[np.uint16]
    print: Picture


def portrait() -> Picture:
    """The sample: (512, 512, 3) in [0, 1], sRGB; a NASA photograph in the public domain.

    It lies inside the scikit-image package, so nothing is downloaded.
    """
    return np.asarray(data.astronaut(), np.float64) / 255  # type: ignore[no-untyped-call]


def age(clean: Picture, seed: int = SEED) -> Aged:
    """Ages (H, W, 3) sRGB in [0, 1]."""
    random = np.random.default_rng(seed)
    density = -np.log10(np.maximum(to_linear(clean), 1e-3)) * FADING + PAPER
    grainy = density + granularity(density) * grain(clean.shape[:2], random)
    light = 10**-grainy
    light += np.sqrt(SHOT * light + READ**2) * random.standard_normal(light.shape)
    scan = np.rint(to_display(light) * 65535).astype(np.uint16)
    return Aged(scan, to_display(10**-density))


def granularity(density: Picture) -> Picture:
    """Standard deviation of the grain at each density: sqrt(D (Dmax - D)), a random-dot emulsion's law."""
    most = 3.0
    shape = np.clip(density * (most - density) * 4 / most**2, 0.03, 1)
    return np.asarray(GRAIN * np.sqrt(shape))


def grain(size: tuple[int, int], random: np.random.Generator) -> Picture:
    """Clumped noise of unit variance: (H, W, 3), its layers partly alike."""
    total = np.zeros((*size, 3))
    for radius, share in CLUMPS:
        common, own = random.standard_normal((*size, 1)), random.standard_normal((*size, 3))
        total += share * blur(np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own, radius)
    return np.asarray(total / total.std())


def blur(noise: Picture, radius: float) -> Picture:
    """A Gaussian in the frequency domain, edges wrapped, brought back to unit variance."""
    rows = np.fft.fftfreq(noise.shape[0])[:, None, None]
    columns = np.fft.rfftfreq(noise.shape[1])[None, :, None]
    response = np.exp(-2 * (np.pi * radius) ** 2 * (rows**2 + columns**2))
    smooth = np.fft.irfft2(np.fft.rfft2(noise, axes=(0, 1)) * response, s=noise.shape[:2], axes=(0, 1))
    return np.asarray(smooth / smooth.std())


def to_linear(x: Picture) -> Picture:
    """SRGB to linear light (IEC 61966-2-1)."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_display(x: Picture) -> Picture:
    """Linear light, clipped to [0, 1], to sRGB."""
    x = np.clip(x, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def write_scan(path: Path, pixels: npt.NDArray[np.uint16]) -> None:
    """Writes what a scanner would: a 48-bit LZW TIFF with a profile, a resolution and a caption."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", *DATE)  # ICC.1:2010, 7.2.8: the only bytes that differ between runs
    ascii_tag, byte_tag = 2, 1
    texts: list[tuple[int, str]] = [
        (271, "Example"),  # Make
        (272, "Flatbed 600"),  # Model
        (315, "NASA"),  # Artist
        (33432, "Public domain"),  # Copyright
    ]
    packet = XMP.encode()
    tags: list[tuple[int, int, int, Any, bool]] = [
        *((tag, ascii_tag, len(text) + 1, text, True) for tag, text in texts),
        (700, byte_tag, len(packet), packet, True),
    ]
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        compression="lzw",
        predictor=True,
        rowsperstrip=64,
        resolution=(DPI, DPI),
        resolutionunit="INCH",
        description=SOURCE,
        software="Scanmend demo",
        datetime="{}:{:02}:{:02} {:02}:{:02}:{:02}".format(*DATE),
        iccprofile=bytes(profile),
        extratags=tags,
        metadata=None,
    )


XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:City="Houston">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Portrait, summer of 1992</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
