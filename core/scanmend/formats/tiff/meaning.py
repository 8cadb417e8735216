"""What the stored samples of a page mean: their `Layout`, and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scanmend.formats.tiff import tags as t
from scanmend.image import Alpha, Array, Color, Layout

if TYPE_CHECKING:
    from scanmend.formats.tiff.coding import Coding, Picture
    from scanmend.image import Transfer

_COLORS: dict[int, tuple[Color, int]] = {
    t.WHITE_IS_ZERO: ("grey", 1),
    t.BLACK_IS_ZERO: ("grey", 1),
    t.MASK: ("grey", 1),
    t.RGB: ("rgb", 3),
    t.PALETTE: ("rgb", 1),
    t.YCBCR: ("rgb", 3),
    t.CMYK: ("cmyk", 4),
    t.LAB: ("lab", 3),
    t.ICC_LAB: ("lab", 3),
    t.ITU_LAB: ("lab", 3),
}
_ALPHAS: dict[int, Alpha] = {1: "premultiplied", 2: "straight"}


@dataclass(frozen=True)
class Meaning:
    """A page's layout, and why it cannot be restored, or None."""

    layout: Layout
    refusal: str | None


def interpret(picture: Picture, transfer: Transfer, *, process_inks: bool = True) -> Meaning:
    """Says what the samples mean once `present` has been applied.

    Args:
        picture: how they are stored.
        transfer: what the page's ICC profile says.
        process_inks: whether four inks are cyan, magenta, yellow and black.
    """
    coding = picture.coding
    color, stored = _COLORS.get(coding.photometric, ("other", coding.samples))
    extra = coding.samples - stored
    if (
        extra < 0
        or (color == "cmyk" and not process_inks)
        or (stored == 1 and extra > 1 + len(coding.extras))
    ):
        color, extra = "other", 0
    alpha = _ALPHAS.get(coding.extras[0], "none") if extra and coding.extras else "none"
    if coding.photometric != t.PALETTE and stored == 1 and extra > 1 and alpha == "none":
        color = "other"
    layout = Layout(
        height=coding.height,
        width=coding.width,
        channels=coding.samples + (2 if coding.photometric == t.PALETTE and color == "rgb" else 0),
        color=color,
        dtype=_dtype(picture),
        bits=_bits(picture),
        alpha=alpha,
        transfer=transfer,
    )
    return Meaning(layout, _refusal(coding, layout))


def _dtype(picture: Picture) -> np.dtype[np.generic]:
    table = _palette(picture)
    return picture.coding.dtype if table is None else table.dtype


def _bits(picture: Picture) -> int:
    table = _palette(picture)
    if table is not None:
        return 8 * table.dtype.itemsize
    return 8 if picture.coding.bits == 1 else picture.coding.bits


def _palette(picture: Picture) -> Array | None:
    """The colour table as (n, 3) uint8 where that loses nothing, else uint16."""
    table = picture.color_map
    if table is None:
        return None
    high = table >> 8
    if ((table == high * 257) | (table == high * 256)).all():
        return high.astype(np.uint8)
    return table


def _refusal(coding: Coding, layout: Layout) -> str | None:
    if coding.photometric in (t.CFA, t.LINEAR_RAW):
        return "a camera's raw data: develop it into an RGB TIFF first"
    if coding.bits == 1:
        return "a bilevel picture of pure black and white: there is nothing to restore"
    if coding.kind == "i":
        return "a picture with signed samples: convert it to unsigned ones first"
    if layout.color == "cmyk":
        return "a CMYK picture: convert it to RGB with its profile first"
    if layout.color == "lab":
        return "a Lab picture: convert it to RGB first"
    if layout.color == "other":
        return (
            f"{coding.samples} channels that are neither grey nor RGB: split the picture into grey ones first"
        )
    if coding.kind == "u" and coding.bits == 64:
        return "a picture with 64-bit integers: convert it to 16 bits first"
    if any(kind in _ALPHAS for kind in coding.extras[1:]):
        return "a picture whose transparency is not its first extra channel: reorder its channels first"
    return None


def present(stored: Array, picture: Picture) -> Array:
    """Turns stored samples (h, w, samples) into those that the layout promises."""
    coding = picture.coding
    if picture.converts:
        return _from_ycbcr(stored, picture)
    table = _palette(picture)
    if table is not None:
        return _expand(stored, table, coding)
    if coding.photometric == t.WHITE_IS_ZERO:
        stored = invert(stored, coding)
    if coding.bits == 1:
        stored = stored * np.uint8(255)
    return stored


def store(pixels: Array, coding: Coding) -> Array:
    """Turns pixels of a layout (h, w, channels) into samples as the coding stores them."""
    return invert(pixels, coding) if coding.photometric == t.WHITE_IS_ZERO else pixels


def invert(stored: Array, coding: Coding) -> Array:
    """Turns white-is-zero into black-is-zero and back; alpha and other extras stay."""
    out: Array = stored.copy()
    grey = out[..., :1]
    if coding.kind == "f":
        np.subtract(1, grey, out=grey)
    elif coding.kind == "i":
        np.invert(grey, out=grey)
    else:
        np.subtract(np.array(2**coding.bits - 1, coding.dtype), grey, out=grey)
    return out


def _expand(stored: Array, table: Array, coding: Coding) -> Array:
    colors: Array = table[stored[..., 0]]
    if coding.samples == 1:
        return colors
    # Alpha beside indices is as deep as they are; stretch it to the depth of the colours.
    scale = (2 ** (8 * table.dtype.itemsize) - 1) / (2**coding.bits - 1)
    extra = np.rint(stored[..., 1:] * scale).astype(table.dtype)
    return np.concatenate((colors, extra), axis=2)


def _from_ycbcr(stored: Array, picture: Picture) -> Array:
    """YCbCr to RGB as TIFF 6.0 (section 21) defines it, with the page's own coefficients."""
    red, green, blue = picture.luma
    low, high = picture.reference[0::2], picture.reference[1::2]
    values = stored.astype(np.float32)
    luma = (values[..., 0] - low[0]) * (255 / ((high[0] - low[0]) or 255))
    cb = (values[..., 1] - low[1]) * (127 / ((high[1] - low[1]) or 127))
    cr = (values[..., 2] - low[2]) * (127 / ((high[2] - low[2]) or 127))
    r = cr * (2 - 2 * red) + luma
    b = cb * (2 - 2 * blue) + luma
    g = (luma - blue * b - red * r) / (green or 1)
    rgb: Array = np.clip(np.rint(np.stack((r, g, b), axis=2)), 0, 255).astype(np.uint8)
    return rgb
