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
