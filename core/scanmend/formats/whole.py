"""What the formats share that are read into memory and decoded in one go (JPEG, WebP, AVIF)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scanmend.errors import FormatError, LimitExceeded
from scanmend.formats.base import Limits, Page
from scanmend.image import Array, Layout, PageData

# No picture of these formats comes near it, and a file is held in memory once.
_MOST_BYTES = 2**31 - 1


def load(path: Path, limits: Limits) -> bytes:
    """The whole file.

    Raises:
        FormatError: it cannot be opened or read.
        LimitExceeded: it is larger than the limits allow, or than 2 GiB.
    """
    most = min(limits.file_bytes, _MOST_BYTES)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                raise LimitExceeded(f"{path.name}: the file is larger than {most} bytes")
            data = file.read(most + 1)
    except OSError as error:
        raise FormatError(f"{path.name}: cannot be read: {error.strerror or error}") from error
    if len(data) > most:
        raise LimitExceeded(f"{path.name}: the file is larger than {most} bytes")
    return data


def save(target: Path, data: bytes) -> None:
    """Writes a file that must not exist yet.

    Raises:
        FormatError: it exists or cannot be written.
    """
    try:
        with target.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise FormatError(f"{target.name}: cannot be written: {error.strerror or error}") from error


def check_layout(name: str, layout: Layout, limits: Limits) -> None:
    """Holds a header's claims against the limits.

    Raises:
        LimitExceeded: more pixels or bytes than allowed.
    """
    size = f"{layout.width} x {layout.height}"
    if layout.pixels > limits.megapixels * 1e6:
        raise LimitExceeded(
            f"{name}: claims {size} pixels, more than the {limits.megapixels:g} megapixels allowed",
            hint="a genuine scan of that size needs higher limits",
        )
    if layout.nbytes > limits.decoded_bytes:
        raise LimitExceeded(f"{name}: {size} pixels take more than the {limits.decoded_bytes} bytes allowed")


def gather(name: str, page: PageData) -> Array:
    """All bands of a page as one array (H, W, C).

    Raises:
        FormatError: the bands do not have the promised shape or type.
    """
    layout = page.layout
    pixels = np.empty((layout.height, layout.width, layout.channels), layout.dtype)
    top = 0
    for band in page.bands:
        if band.dtype != layout.dtype or band.shape[1:] != pixels.shape[1:]:
            raise FormatError(f"{name}: a band of {band.shape} {band.dtype} does not fit the page's layout")
        if top + len(band) > layout.height:
            raise FormatError(f"{name}: the bands have more rows than the page's {layout.height}")
        pixels[top : top + len(band)] = band
        top += len(band)
    if top != layout.height:
        raise FormatError(f"{name}: the bands have {top} rows, the page {layout.height}")
    return pixels


class WholePage(Page):
    """A page that is decoded once, when it is first read, and kept until the file closes.

    Args:
        name: the file's, for messages.
        layout: of the decoded pixels.
        decode: returns all of them, or raises a FormatError.
    """

    def __init__(self, name: str, layout: Layout, decode: Callable[[], Array]) -> None:
        self.index = 0
        self.layout = layout
        self._name = name
        self._decode: Callable[[], Array] | None = decode
        self._pixels: Array | None = None

    def read(self, top: int, bottom: int) -> Array:
        if not 0 <= top <= bottom <= self.layout.height:
            message = f"rows {top} to {bottom} of a page of {self.layout.height}"
            raise ValueError(message)
        if self._pixels is None:
            self._pixels = self._checked()
        # A copy, so that nobody paints into what later bands are cut from.
        return np.array(self._pixels[top:bottom])

    def release(self) -> None:
        """Gives the pixels back; reading is over."""
        self._pixels = None
        self._decode = None

    def _checked(self) -> Array:
        if self._decode is None:
            raise FormatError(f"{self._name}: the file is closed already")
        pixels = self._decode()
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        wanted = (self.layout.height, self.layout.width, self.layout.channels)
        if pixels.shape != wanted or pixels.dtype != self.layout.dtype:
            raise FormatError(f"{self._name}: decodes to {pixels.shape}, its header says {wanted}")
        return pixels
