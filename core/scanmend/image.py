"""What the samples of a page are, and how they reach the networks and come back.

A page travels as horizontal bands, never whole: a band is an array (h, W, C) in the
file's own sample type, colour samples first, then alpha, then whatever else the file
carries. The networks see float32 RGB in [0, 1] in the file's own transfer curve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float32]
Color = Literal["grey", "rgb", "cmyk", "lab", "other"]
Alpha = Literal["none", "straight", "premultiplied"]
Transfer = Literal["display", "linear"]

_COLOR_CHANNELS = {"grey": 1, "rgb": 3, "cmyk": 4, "lab": 3}


@dataclass(frozen=True)
class Layout:
    """The shape and meaning of a page's samples, as `Page.read` returns them.

    Attributes:
        height, width: pixels of the stored grid; EXIF orientation is not applied.
        channels: all samples of a pixel: colour, then alpha, then `extra` others.
        color: what the colour samples are. White is the highest value for grey and
            rgb, whatever the file's own convention.
        alpha: none, straight (unassociated) or premultiplied (associated).
        dtype: native-endian NumPy type of the samples.
        bits: significant bits of an integer sample (12-bit data in uint16: 12);
            for floats the size of the type.
        transfer: "linear" where the profile says gamma 1.0, else "display".
    """

    height: int
    width: int
    channels: int
    color: Color
    dtype: np.dtype[Any]
    bits: int
    alpha: Alpha = "none"
    transfer: Transfer = "display"

    @property
    def color_channels(self) -> int:
        """How many of the channels are colour; all of them for "other"."""
        return _COLOR_CHANNELS.get(self.color, self.channels)

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def nbytes(self) -> int:
        """Bytes of the whole page, decoded."""
        return self.pixels * self.channels * self.dtype.itemsize

    @property
    def white(self) -> float:
        """The sample value that stands for 1.0."""
        return 1.0 if self.dtype.kind == "f" else float(2**self.bits - 1)

    def replace(self, **changes: Any) -> Layout:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class PageData:
    """A page on its way into a file.

    Attributes:
        layout: of the bands, which may differ from the source page's (depth, colour).
        bands: arrays (h, W, C) of `layout.dtype`, top to bottom, heights adding up to
            `layout.height`; consumed once.
    """

    layout: Layout
    bands: Iterator[Array]


def to_float(band: Array, layout: Layout) -> FloatArray:
    """The colour of a band as the networks see it.

    Args:
        band: (h, W, C) of `layout.dtype`, grey or rgb.
        layout: what the samples are.

    Returns:
        (h, W, 1 or 3) float32 in [0, 1], display curve. Premultiplied colour is divided by
        its alpha; colour under fully transparent pixels, which may hold anything, is
        replaced by that of its surroundings so that it cannot bleed into them; samples
        that are no number become 0.
    """
    scaled = band.astype(np.float32)
    if layout.white != 1.0:
        scaled *= np.float32(1.0 / layout.white)
    color = scaled[..., : layout.color_channels]
    if layout.alpha != "none":
        alpha = scaled[..., layout.color_channels, None]
        if layout.alpha == "premultiplied":
            color = np.divide(color, alpha, out=np.zeros_like(color), where=alpha > 0)
        if not alpha.all():
            color = _fill_transparent(color, alpha > 0)
    if layout.dtype.kind == "f":
        color = np.nan_to_num(color, nan=0.0, posinf=1.0, neginf=0.0)
    color = np.clip(color, 0.0, 1.0)
    return encode_srgb(color) if layout.transfer == "linear" else color


def apply_change(band: Array, source: Layout, target: Layout, before: FloatArray, after: FloatArray) -> Array:
    """Puts a restored picture back into a band's own samples.

    What is added to a sample is the change, not the restored value: samples that did not
    change stay exact, and floats outside [0, 1] keep their headroom.

    Args:
        band: (h, W, C) of the source layout.
        source: the band's layout.
        target: the result's; only sample type and bits may differ.
        before: what `to_float(band, source)` gave.
        after: (h, W, 1 or 3) float32, the restored picture, display curve.

    Returns:
        (h, W, C) of the target layout; alpha and extra samples are only rescaled, and
        colour under fully transparent pixels stays as it was.
    """
    restored = np.clip(after, 0.0, 1.0)
    if source.transfer == "linear":
        restored, before = decode_srgb(restored), decode_srgb(before)
    change = restored - before
    if source.alpha != "none":
        alpha = band[..., source.color_channels, None].astype(np.float32) / np.float32(source.white)
        change *= alpha if source.alpha == "premultiplied" else alpha > 0
    exact = change_depth(band, source, target)
    colors = source.color_channels
    if target.dtype.kind == "f":
        exact[..., :colors] += change.astype(target.dtype, copy=False)
        return exact
    changed = exact[..., :colors].astype(np.float32 if target.bits <= 16 else np.float64)
    changed += change * np.float32(target.white)
    np.rint(changed, out=changed)
    exact[..., :colors] = np.clip(changed, 0, target.white).astype(target.dtype)
    return exact


def change_depth(band: Array, source: Layout, target: Layout) -> Array:
    """A copy of a band in another sample type, white staying white."""
    if source.dtype == target.dtype and source.bits == target.bits:
        return band.copy()
    scaled = band.astype(np.float64) * (target.white / source.white)
    if target.dtype.kind == "f":
        return scaled.astype(target.dtype)
    return np.clip(np.rint(scaled), 0, target.white).astype(target.dtype)


def encode_srgb(linear: FloatArray) -> FloatArray:
    """Linear light to the sRGB curve (IEC 61966-2-1), [0, 1] to [0, 1]."""
    low = linear * np.float32(12.92)
    high = np.float32(1.055) * np.power(linear, np.float32(1 / 2.4)) - np.float32(0.055)
    return np.where(linear <= 0.0031308, low, high).astype(np.float32, copy=False)


def decode_srgb(display: FloatArray) -> FloatArray:
    """The sRGB curve to linear light, [0, 1] to [0, 1]."""
    low = display / np.float32(12.92)
    high = np.power((display + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    return np.where(display <= 0.04045, low, high).astype(np.float32, copy=False)


def _fill_transparent(color: FloatArray, opaque: npt.NDArray[np.bool_]) -> FloatArray:
    """Fills pixels of (h, W, C) that are not opaque (h, W, 1) with the mean of opaque ones near them."""
    weight = opaque.astype(np.float32)
    if not weight.any():
        return np.zeros_like(color)
    height, width = color.shape[:2]
    coarse = _halve(color * weight), _halve(weight)
    known = np.divide(coarse[0], coarse[1], out=np.zeros_like(coarse[0]), where=coarse[1] > 0)
    if coarse[1].min() == 0 and max(known.shape[:2]) > 1:
        known = _fill_transparent(known, coarse[1] > 0)
    filled = known.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(opaque, color, filled)


def _halve(plane: FloatArray) -> FloatArray:
    """Sums 2 x 2 blocks; odd sides are extended by zeros."""
    height, width = plane.shape[:2]
    padded = np.pad(plane, ((0, height % 2), (0, width % 2), (0, 0)))
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, plane.shape[2])
    return blocks.sum(axis=(1, 3), dtype=np.float32)
