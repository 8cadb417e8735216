"""Small windows in the frequency domain: the energy of each in a few rings of frequency.

A 16 x 16 DCT separates what white noise cannot tell apart: grain that the scanner has
blurred lies in the low rings, sensor noise in all of them, and the rings of one window
are independent of each other for any stationary Gaussian noise. So a window may be
chosen for being calm in some rings and judged in another without any bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.image import Array, FloatArray

SIDE = 16
"""Pixels on a window's side; at 8, grain of 1.6 px would hide half its variance in the window's plane."""

CORE = 7
"""Pixels on the side of a window's middle, whose covariance over windows is looked at."""

# Radii, in DCT indices, where rings begin. Ring 0 is the window's plane; ring 1 still holds
# gradients, so it helps to choose windows but never to judge noise.
_EDGES = (0.0, 1.2, 2.5, 4.5, 6.5, 9.0, 12.0, 15.0)
RINGS = len(_EDGES)

# For Gaussian noise cut off on one side, the variance that is left falls nearly linearly with the
# share p of clipped pixels: exactly 0.965 at p = 0.02, 0.915 at 0.05, 0.752 at 0.16.
_CLIP_SLOPE = 1.6
_CLIP_LIMIT = 0.2

OPPONENT: FloatArray = np.array(
    [np.ones(3) / 3**0.5, np.array([1, -1, 0]) / 2**0.5, np.array([1, 1, -2]) / 6**0.5], dtype=np.float32
)


def _dct_matrix() -> FloatArray:
    frequency, position = np.mgrid[:SIDE, :SIDE]
    matrix = np.sqrt(2 / SIDE) * np.cos(np.pi * (2 * position + 1) * frequency / (2 * SIDE))
    matrix[0] = np.sqrt(1 / SIDE)
    result: FloatArray = matrix.astype(np.float32)
    return result


def _squared_frequencies() -> FloatArray:
    down, across = (np.pi / SIDE * index.ravel() for index in np.mgrid[:SIDE, :SIDE])
    result: FloatArray = (down**2 + across**2).astype(np.float32)
    return result


def _ring_tables() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    down, across = (np.pi / SIDE * index.ravel() for index in np.mgrid[:SIDE, :SIDE])
    count = np.bincount(_RING)
    means = np.eye(RINGS)[_RING] / count
    tables = (count, means, (down**2 + across**2) @ means, (np.cos(down) + np.cos(across)) / 2 @ means)
    return tuple(table.astype(np.float32) for table in tables)  # type: ignore[return-value]


_DCT = _dct_matrix()
_RING = np.digitize(np.sqrt(_squared_frequencies()) * SIDE / np.pi, _EDGES) - 1
DOF, _RING_MEANS, OMEGA2, COSINE = _ring_tables()
# DOF: coefficients in each ring. OMEGA2: their mean squared angular frequency, in radians per pixel
# squared. COSINE: the mean cosine of the angular frequency along one axis, for the lag-1 product.


@dataclass(frozen=True)
class Patches:
    """The windows of a picture that can be judged.

    Attributes:
        energy: (n, planes, RINGS) mean squared DCT coefficient, in units of the display
            range squared; for white noise its expectation is the variance in every ring.
            Planes are luminance and two opponents in an orthonormal basis for three
            channels, else the channels themselves.
        quartic: (n, planes, RINGS) mean fourth power of the coefficients: thrice the square of the
            energy's expectation for Gaussian noise, more for detail.
        centre: (n, planes, CORE * CORE) the samples at the middle of each window.
        profile: (planes, SIDE * SIDE) mean over all windows of each coefficient's power
            against that of its ring.
        tone: (n,) mean over pixels and channels.
        constant: how many further windows have no noise at all, not even a rounding step.
        bordering: how many further windows reach into such an area.
    """

    energy: FloatArray
    quartic: FloatArray
    centre: FloatArray
    profile: FloatArray
    tone: FloatArray
    constant: int
    bordering: int

    @property
    def count(self) -> int:
        return len(self.tone)


def independent(decay: float) -> FloatArray:
    """(RINGS,): how many equal coefficients would vary as those of each ring do.

    Args:
        decay: the noise falls off as exp(-decay * omega^2) also within a ring.
    """
    fall = np.exp(-decay * _squared_frequencies())[:, None] * (_RING_MEANS > 0)
    fall /= fall.max(0)
    return np.asarray(fall.sum(0) ** 2 / (fall**2).sum(0), np.float32)


def unevenness(profile: FloatArray) -> FloatArray:
    """(planes, RINGS): how unevenly power lies within a ring, its fall with frequency set aside.

    1 where evenly, as for any noise that is alike in all directions; up to the size of the
    ring where one coefficient holds all of it, as for a halftone screen or a woven cloth.

    Args:
        profile: as `Patches` has it.
    """
    logs = np.log(np.maximum(profile, 1e-6))
    x = _squared_frequencies() - OMEGA2[_RING]
    slope = (logs * x) @ _RING_MEANS / (x**2 @ _RING_MEANS)
    level = np.exp(logs - slope[:, _RING] * x)
    return np.asarray(level**2 @ _RING_MEANS / (level @ _RING_MEANS) ** 2, np.float32)


def join(parts: Sequence[Patches], planes: int) -> Patches:
    """All patches of several pictures or windows as one set."""
    empty = np.zeros((0, planes, RINGS), np.float32)
    profile = sum((part.count * part.profile for part in parts), np.zeros((planes, SIDE * SIDE)))
    return Patches(
        energy=np.concatenate([empty, *(part.energy for part in parts)]),
        quartic=np.concatenate([empty, *(part.quartic for part in parts)]),
        centre=np.concatenate([np.zeros((0, planes, CORE * CORE), np.float32), *(p.centre for p in parts)]),
        profile=np.asarray(profile / max(1, sum(part.count for part in parts)), np.float32),
        tone=np.concatenate([empty[:, 0, 0], *(part.tone for part in parts)]),
        constant=sum(part.constant for part in parts),
        bordering=sum(part.bordering for part in parts),
    )


def cut(pixels: FloatArray, stride: int, step: float) -> Patches:
    """Cuts a picture into overlapping windows and measures each.

    Saturated windows are left out, as clipping has taken their noise away, and so are windows
    that reach into a border without noise; windows with a few clipped pixels have their
    energy corrected for it.

    Args:
        pixels: (H, W, C) in [0, 1]; NaN marks pixels that must not count.
        stride: pixels from one window to the next.
        step: the rounding step of the samples; 0 where it is negligible.
    """
    blocks = np.lib.stride_tricks.sliding_window_view(pixels, (SIDE, SIDE), axis=(0, 1))
    blocks = blocks[::stride, ::stride].reshape(-1, pixels.shape[2], SIDE, SIDE)
    clipped = ((blocks <= 0) | (blocks >= 1)).mean((2, 3), dtype=np.float32)
    spread = np.ptp(blocks, axis=(2, 3)).max(1)
    whole = np.isfinite(spread) & (clipped.max(1) < _CLIP_LIMIT)
    constant = whole & (spread <= max(1.01 * step, 1e-6))
    bordering = whole & ~constant & _half_empty(blocks)
    kept = whole & ~constant & ~bordering
    blocks, clipped = blocks[kept], clipped[kept]
    squares = np.square(_spectrum(blocks))
    energy = squares @ _RING_MEANS
    profile = (squares / np.maximum(energy, 1e-12)[..., _RING]).sum(0) / max(1, len(squares))
    quartic = np.square(squares) @ _RING_MEANS
    unclipped = (1 - _CLIP_SLOPE * clipped.mean(1))[:, None, None]
    return Patches(
        energy=energy / unclipped,
        quartic=quartic / unclipped**2,
        centre=_centre(blocks),
        profile=profile,
        tone=blocks.mean((1, 2, 3)),
        constant=int(constant.sum()),
        bordering=int(bordering.sum()),
    )


def _centre(blocks: FloatArray) -> FloatArray:
    count, channels = blocks.shape[:2]
    first = (SIDE - CORE) // 2
    middle = blocks[..., first : first + CORE, first : first + CORE].reshape(count, channels, CORE * CORE)
    return OPPONENT @ middle if channels == len(OPPONENT) else middle.copy()


def _half_empty(blocks: FloatArray) -> Array:
    """Windows that reach into a mount, a frame or a filled border: one outer line is all of one colour."""
    lines = np.stack([blocks[..., 0, :], blocks[..., -1, :], blocks[..., 0], blocks[..., -1]], 2)
    return np.asarray((np.ptp(lines, axis=3).max(1) == 0).any(1))


def _spectrum(blocks: FloatArray) -> FloatArray:
    count, channels = blocks.shape[:2]
    spectrum: FloatArray = (blocks @ _DCT.T).swapaxes(2, 3) @ _DCT.T
    spectrum = spectrum.reshape(count, channels, SIDE * SIDE)
    return OPPONENT @ spectrum if channels == len(OPPONENT) else spectrum
