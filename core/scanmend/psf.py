"""Point-spread functions: what a shaken camera, a lens out of focus and a scanner's optics make of a point.

All kernels are (side, side) float32 with odd side and a sum of one, centred on their own centroid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scanmend.image import FloatArray

Kind = Literal["motion", "defocus", "scanner"]
KINDS: tuple[Kind, ...] = ("motion", "defocus", "scanner")
MOST_RADIUS = 30.0
"""Of any kernel, in pixels."""
_FINER = 8
"""Samples of a pixel along each side where a shape's edge crosses it."""
_STEPS, _MOMENTS = 240, 600
"""Positions of a shaking camera, and moments between them at which its light is drawn."""

LENGTHS = (3.0, 40.0)
"""Extent of drawn camera shake in pixels, log-uniform."""
DISKS = (0.8, 8.0)
"""Radius of drawn defocus in pixels, log-uniform."""
SOFTNESS = (0.5, 2.5)
"""Standard deviation of drawn scanner and lens softness in pixels, log-uniform."""


@dataclass(frozen=True, eq=False)
class Psf:
    """A point-spread function.

    Attributes:
        kind: what made it.
        radius: in pixels: of the disk for defocus; standard deviation, geometric mean of both axes, for
            scanner; half the extent along the main direction for motion.
        angle: degrees from horizontal, counter-clockwise, 0 to 180: the direction of motion; 0 for others.
        kernel: (side, side) float32, sum one.
    """

    kind: Kind
    radius: float
    angle: float
    kernel: FloatArray


def disk(radius: float, *, blades: int = 0, turn: float = 0.0) -> FloatArray:
    """A lens out of focus: a disk, or the polygon that a stopped-down aperture leaves of it.

    Args:
        radius: in pixels, 0 to 30.
        blades: corners of the polygon, 0 for a disk; its area is that of the disk.
        turn: of the polygon, in radians.
    """
    down, across = _grid(math.ceil(radius + 1))
    distance = np.hypot(down, across)
    limit: float | np.ndarray = radius
    if blades:
        corner = math.pi / blades
        angle = (np.arctan2(down, across) - turn) % (2 * corner) - corner
        inner = radius * math.sqrt(math.pi / (blades * math.tan(corner)))
        limit = inner / np.cos(angle)
    return _pooled(np.clip((limit - distance) * _FINER + 0.5, 0, 1))


def gaussian(down: float, across: float | None = None, *, turn: float = 0.0, box: float = 0.0) -> FloatArray:
    """Optics that are a little soft, as scanners' are.

    Args:
        down: standard deviation along columns, in pixels, 0 to 10.
        across: along rows; as `down` if not given.
        turn: of both axes, in radians.
        box: the way that a line sensor moves during its exposure, in pixels, along columns.
    """
    across = down if across is None else across
    y, x = _grid(math.ceil(3.5 * max(down, across) + box / 2 + 1))
    y, x = y * math.cos(turn) - x * math.sin(turn), y * math.sin(turn) + x * math.cos(turn)
    # A pixel is a square: its own integral is in the mean over the finer samples.
    if box:
        offsets = (np.arange(_FINER) + 0.5) / _FINER * box - box / 2
        along = np.mean([_bell(y - offset, down) for offset in offsets], axis=0)
    else:
        along = _bell(y, down)
    return _pooled(along * _bell(x, across))


def trajectory(rng: np.random.Generator, extent: float) -> FloatArray:
    """A camera's shake during the exposure, as the path of a point in the picture.

    A random walk with inertia and sudden pushes, after Boracchi and Foi, "Modeling the performance of
    image restoration from motion blur", TIP 2012; now and then a straight line. Where the camera rests, more
    light falls.

    Args:
        rng: draws the path.
        extent: largest distance of the path's points along its main direction, in pixels, 0 to 60.
    """
    return _drawn(_path(rng, extent))


def draw(kind: Kind, rng: np.random.Generator) -> Psf:
    """A point-spread function of a kind, of the strengths that old photographs show."""
    if kind == "motion":
        path = _path(rng, _log_uniform(rng, *LENGTHS))
        angle, half = _main_direction(path)
        return Psf(kind, half, angle, _drawn(path))
    if kind == "defocus":
        radius = _log_uniform(rng, *DISKS)
        blades = int(rng.choice([0, 0, 5, 6, 7, 8]))
        soft = gaussian(rng.uniform(0.25, 0.6))
        shape = disk(radius, blades=blades, turn=rng.uniform(0, math.pi))
        return Psf(kind, radius, 0.0, convolved(shape, soft))
    down = _log_uniform(rng, *SOFTNESS)
    across = down * float(np.exp(rng.normal(0, 0.15)))
    turn = rng.uniform(0, math.pi) if rng.random() < 0.3 else 0.0
    box = float(rng.choice([0.0, 1.0]))
    return Psf(kind, math.sqrt(down * across), 0.0, gaussian(down, across, turn=turn, box=box))


def convolved(one: FloatArray, other: FloatArray) -> FloatArray:
    """Both blurs, one after the other: the full convolution."""
    side = len(one) + len(other) - 1
    spectrum = np.fft.rfft2(one, (side, side)) * np.fft.rfft2(other, (side, side))
    return _unit(np.maximum(np.fft.irfft2(spectrum, (side, side)), 0))


def cropped(kernel: FloatArray, side: int) -> FloatArray:
    """The kernel in a square of an odd side: cut, or with zeros around it; sum one."""
    spare = (side - len(kernel)) // 2
    if spare >= 0:
        return _unit(np.pad(kernel, spare))
    return _unit(kernel[-spare:spare, -spare:spare])


def parametric(kind: str, radius: float) -> FloatArray:
    """The plain kernel of a kind that one number describes: a disk, or a round Gaussian.

    Raises:
        ValueError: it is camera shake, which a radius does not describe.
    """
    if kind == "defocus":
        return disk(radius)
    if kind == "scanner":
        return gaussian(radius)
    raise ValueError(f"{kind} is not described by its radius alone")


# --- shapes ------------------------------------------------------------------------------


def _grid(reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions (down, across) of finer samples over 2 reach + 1 pixels."""
    samples = (np.arange((2 * reach + 1) * _FINER) + 0.5) / _FINER - reach - 0.5
    return samples[:, None], samples[None, :]


def _pooled(fine: np.ndarray) -> FloatArray:
    """Means over pixels of finer samples."""
    side = len(fine) // _FINER
    return _unit(fine.reshape(side, _FINER, side, _FINER).mean(axis=(1, 3)))


def _bell(distance: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * (distance / max(sigma, 1e-3)) ** 2)


def _unit(kernel: np.ndarray) -> FloatArray:
    return np.asarray(kernel / kernel.sum(), np.float32)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


# --- camera shake ------------------------------------------------------------------------


def _path(rng: np.random.Generator, extent: float) -> np.ndarray:
    """(steps,) complex positions around their mean, as far apart as wished."""
    path = _walk(rng) if rng.random() < 0.85 else np.linspace(-1, 1, 9) * np.exp(2j * np.pi * rng.random())
    path = path[: max(int(len(path) * rng.uniform(0.15, 1)), 8)]  # an exposure is short or long
    moments = np.linspace(0, len(path) - 1, _MOMENTS)
    path = np.interp(moments, np.arange(len(path)), path)
    path = path - path.mean()
    _, half = _main_direction(path)
    return path * (extent / 2 / max(half, 1e-6))


def _walk(rng: np.random.Generator) -> np.ndarray:
    inertia, pushes = rng.uniform(0.85, 0.995), 0.02 * rng.random()
    shiver, centripetal = 0.6 * rng.random() ** 2, 0.01 * rng.random()
    velocity = np.exp(2j * np.pi * rng.random())
    noise = rng.normal(size=(_STEPS, 2)) @ np.array([1, 1j])
    pushed = rng.random(_STEPS) < pushes
    position, path = 0j, np.empty(_STEPS, complex)
    for step in range(_STEPS):
        if pushed[step]:
            velocity += 2 * abs(velocity) * np.exp(1j * (np.pi + rng.normal(0, 0.7)))
        velocity = inertia * velocity + shiver * (1 - inertia) * 4 * noise[step] - centripetal * position
        velocity += (1 - inertia) * velocity / max(abs(velocity), 1e-6)
        position += velocity
        path[step] = position
    return path


def _main_direction(path: np.ndarray) -> tuple[float, float]:
    """(degrees counter-clockwise, half the extent) along the direction in which the points spread most."""
    points = np.stack([path.real, path.imag])
    values, vectors = np.linalg.eigh(np.cov(points))
    axis = vectors[:, int(np.argmax(values))]
    along = axis @ points
    return math.degrees(math.atan2(-axis[1], axis[0])) % 180, float(along.max() - along.min()) / 2


def _drawn(path: np.ndarray) -> FloatArray:
    """The path as a kernel, each position shared out among four pixels, real part to the right."""
    reach = math.ceil(max(np.abs(path.real).max(), np.abs(path.imag).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    x, y = path.real + reach, path.imag + reach
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right_share, low_share = x - left, y - top
    for down, weight_down in ((0, 1 - low_share), (1, low_share)):
        for across, weight_across in ((0, 1 - right_share), (1, right_share)):
            np.add.at(kernel, (top + down, left + across), weight_down * weight_across)
    return _unit(kernel)
