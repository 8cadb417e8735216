"""What the pictures of a benchmark go through: a row of noise each, and the truth about it.

Every draw is seeded by the picture itself (`scanmend.evaluate.seed`), so that a picture has the same
noise whatever else lies in its folder, and results of slow methods can be kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scanmend.evaluate import add_noise, eight_bit, seed
from scanmend.image import FloatArray

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Truth:
    """What is known of a picture's noise, because it was drawn.

    Attributes:
        sigma: standard deviation, in 1/255.
        correlation: its lag-1 autocorrelation.
        curve: (tone, sigma) in [0, 1] where the level depends on tone.
        blur: of the grain, in pixels: its spectrum; 0 is white, None is unknown.
        grey: the noise is alike in the channels.
    """

    sigma: float
    correlation: float = 0.0
    curve: Curve = ()
    blur: float | None = None
    grey: bool = False


@dataclass(frozen=True, eq=False)
class Blur:
    """What blurred a picture: a kernel with a sum of one, applied in linear light or in the display range."""

    kernel: FloatArray
    linear: bool


@dataclass(frozen=True)
class Case:
    """A picture in one state: what a method gets, and what it should give back.

    Attributes:
        clean, scan: (H, W, 3) float32.
        truth: about scan - clean.
        file: the scan as a file, with its suffix; None where no 8-bit file can hold it.
        blur: what blurred it before the noise; None where nothing did, or where nobody knows.
        shift: pixels by which a result may lie off: it is then looked for, and luminance alone is judged.
    """

    clean: FloatArray
    scan: FloatArray
    truth: Truth
    file: tuple[bytes, str] | None
    blur: Blur | None = None
    shift: int = 0


@dataclass(frozen=True)
class Row:
    """One kind of noise; `group` says which table it stands in, and which settings are tried."""

    group: str
    name: str
    make: Callable[[FloatArray], Case]


def white(sigma: float, *, clipped: bool) -> Callable[[FloatArray], Case]:
    """Independent Gaussian noise: the protocol of the literature, and what a scan file leaves of it."""

    def make(clean: FloatArray) -> Case:
        scan = add_noise(clean, sigma, clipped=clipped)
        return Case(clean, scan, Truth(sigma, blur=0.0), png(scan) if clipped else None)

    return make


def grain(sigma: float, blur: float, *, grey: bool) -> Callable[[FloatArray], Case]:
    """Film grain in optical density: a blurred Gaussian field times sqrt(D (Dmax - D)), Dmax 3.

    Its amplitude is set so that the noise has `sigma` over the picture's display values. Selwyn's
    granularity of a random-dot emulsion; grey: the three layers carry the same grain.
    """

    def make(clean: FloatArray) -> Case:
        field = _clumped(clean.shape, blur, seed(clean), grey=grey)
        density = -np.log10(np.maximum(_to_linear(clean), 1e-3))
        granularity = np.sqrt(np.maximum(density * (3 - density) * 4 / 9, 0.02)) * field
        peak = 0.05
        for _ in range(8):
            drawn = _to_display(10.0 ** -(density + peak * granularity)) - clean
            peak *= sigma / 255 / max(float(drawn.std()), 1e-6)
        return _drawn(clean, drawn, blur=blur, grey=grey)

    return make


def poisson(slope: float, floor: float) -> Callable[[FloatArray], Case]:
    """A sensor's noise: variance slope * tone + floor squared, in units of [0, 1]."""

    def make(clean: FloatArray) -> Case:
        field = np.random.default_rng(seed(clean)).standard_normal(clean.shape)
        return _drawn(clean, field * np.sqrt(slope * clean + floor**2), blur=0.0)

    return make


def jpeg(quality: int, before: Callable[[FloatArray], Case] | None = None) -> Callable[[FloatArray], Case]:
    """JPEG as Pillow writes it, alone or after noise; the truth is of all that it and the noise did."""

    def make(clean: FloatArray) -> Case:
        buffer = io.BytesIO()
        scan = before(clean).scan if before else clean
        Image.fromarray(_samples(scan)).save(buffer, "JPEG", quality=quality)
        decoded = np.asarray(Image.open(buffer), np.float32) / np.float32(255)
        return pair(clean, decoded, (buffer.getvalue(), ".jpg"))

    return make


def pair(clean: FloatArray, scan: FloatArray, file: tuple[bytes, str] | None = None) -> Case:
    """A case whose noise nobody drew: its level and correlation are those of the difference."""
    noise = scan - clean
    truth = Truth(float(np.sqrt(np.mean(noise**2)) * 255), _lag_one(noise))
    return Case(clean, scan, truth, file or png(scan))


ROWS = (
    *(Row("white", f"white {s}", white(s, clipped=True)) for s in (15, 25, 50)),
    *(Row("unclipped", f"white {s}, unclipped", white(s, clipped=False)) for s in (15, 25, 50)),
    *(
        Row("grain", f"grain {s}, {blur} px, {'grey' if grey else 'colour'}", grain(s, blur, grey=grey))
        for blur in (0.8, 1.2)
        for grey in (False, True)
        for s in (5, 10, 15)
    ),
    Row("sensor", "Poisson-Gaussian, weak", poisson(0.0005, 2 / 255)),
    Row("sensor", "Poisson-Gaussian, strong", poisson(0.004, 2 / 255)),
    *(Row("jpeg", f"JPEG {quality}", jpeg(quality)) for quality in (30, 50, 75)),
    Row("mixed", "white 10, JPEG 75", jpeg(75, white(10, clipped=True))),
    Row("mixed", "white 25, JPEG 50", jpeg(50, white(25, clipped=True))),
    Row("mixed", "grain 10, 0.8 px, colour, JPEG 75", jpeg(75, grain(10, 0.8, grey=False))),
)


def _drawn(clean: FloatArray, drawn: FloatArray, *, blur: float, grey: bool = False) -> Case:
    scan = eight_bit(np.asarray(clean + drawn, np.float32))
    truth = Truth(float(drawn.std() * 255), _lag_one(drawn), _curve(clean, drawn), blur, grey)
    return Case(clean, scan, truth, png(scan))


def _clumped(shape: tuple[int, ...], blur: float, number: int, *, grey: bool) -> FloatArray:
    """A Gaussian field blurred by `blur` pixels (periodic), of unit variance."""
    height, width, channels = shape
    field = np.random.default_rng(number).standard_normal((height, width, 1 if grey else channels))
    fall = transfer(height, width, blur)[..., None]
    field = np.fft.ifft2(np.fft.fft2(field, axes=(0, 1)) * fall, axes=(0, 1)).real
    return np.broadcast_to(field / field.std(), shape)


def transfer(height: int, width: int, blur: float) -> FloatArray:
    """The Fourier transform of a Gaussian blur: (H, W), 1 at frequency 0."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    return np.exp(-2 * (np.pi * blur) ** 2 * (down**2 + across**2))


def _curve(clean: FloatArray, drawn: FloatArray, bins: int = 8) -> Curve:
    """The noise level by tone, where a picture has enough pixels of that tone."""
    tone = np.repeat((clean @ np.array([0.299, 0.587, 0.114]))[..., None], clean.shape[2], axis=2)
    places = np.minimum((tone * bins).astype(int), bins - 1)
    found = [(tone[places == n], drawn[places == n]) for n in range(bins)]
    return tuple((float(t.mean()), float(values.std())) for t, values in found if values.size >= 600)


def _lag_one(noise: FloatArray) -> float:
    power = float(np.mean(noise**2))
    along, down = np.mean(noise[:, 1:] * noise[:, :-1]), np.mean(noise[1:] * noise[:-1])
    return float(np.clip((along + down) / 2 / max(power, 1e-12), 0, 0.95))


def _to_linear(x: FloatArray) -> FloatArray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _to_display(x: FloatArray) -> FloatArray:
    x = np.clip(x, 0, 1)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 1e-6) ** (1 / 2.4) - 0.055)


def _samples(pixels: FloatArray) -> FloatArray:
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def png(scan: FloatArray) -> tuple[bytes, str]:
    """A picture as a file of 8 bits, and its suffix."""
    buffer = io.BytesIO()
    Image.fromarray(_samples(scan)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), ".png"
