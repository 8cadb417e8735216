"""The pixels of a PNG as a page: decoded in bands, or whole where they are interlaced."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from scanmend.errors import DamagedFile, FormatError
from scanmend.formats.base import Page
from scanmend.formats.pngdata import ADAM7, GREY, GREY_ALPHA, RGB_ALPHA, Header, Inflater, Rows, samples
from scanmend.image import Alpha, Array, Color, Layout

_AGAIN = "scan or copy it again"
_IN_MEMORY = 256 * 2**20  # decoded bytes of an interlaced page beyond which it goes to a scratch file


def layout_of(header: Header, *, keyed: bool) -> Layout:
    """What `PngPage.read` returns; `keyed` where one colour stands for transparency."""
    alpha: Alpha = "straight" if header.kind in (GREY_ALPHA, RGB_ALPHA) or keyed else "none"
    color: Color = "grey" if header.kind in (GREY, GREY_ALPHA) else "rgb"
    bits = 16 if header.depth == 16 else 8
    channels = (1 if color == "grey" else 3) + (alpha == "straight")
    return Layout(header.height, header.width, channels, color, np.dtype(f"u{bits // 8}"), bits, alpha)


class PngPage(Page):
    """The one page of a PNG.

    Args:
        file: open for reading, for as long as the page is used.
        name: of the file, for errors.
        header: of the file.
        layout: what `layout_of` says, with the transfer that the file's profile names.
        ranges: offset and length of the data of each IDAT chunk.

    Attributes:
        palette: (n, 3 or 4) uint8, the colours of an indexed picture.
        key: (channels,) uint16, the one colour that stands for transparency.
    """

    index = 0

    def __init__(
        self, file: BinaryIO, name: str, header: Header, layout: Layout, ranges: Sequence[tuple[int, int]]
    ) -> None:
        self.header, self.layout = header, layout
        self.palette: Array | None = None
        self.key: Array | None = None
        self._file, self._name, self._ranges = file, name, ranges
        self._rows: Rows | None = None
        self._inflater: Inflater | None = None
        self._whole: Array | None = None
        self._scratch: BinaryIO | None = None

    def read(self, top: int, bottom: int) -> Array:
        """Rows top to bottom; going back to an earlier row starts the stream anew.

        Raises:
            DamagedFile: the data end early or contradict themselves.
            FormatError: there are no such rows.
        """
        if not 0 <= top <= bottom <= self.layout.height:
            raise FormatError(f"{self._name} has no rows {top} to {bottom}")
        if self.header.interlaced:
            self._whole = self._deinterlaced() if self._whole is None else self._whole
            part: Array = self._whole[top:bottom].copy()
            return part
        band = np.empty((bottom - top, self.layout.width, self.layout.channels), self.layout.dtype)
        done = 0
        for block in self._from(top).take(bottom - top):
            band[done : done + len(block)] = self._pixels(block, self.header.width)
            done += len(block)
        if bottom == self.layout.height:
            self._finish()
        return band

    def close(self) -> None:
        self._whole = None
        if self._scratch:
            self._scratch.close()

    def _from(self, top: int) -> Rows:
        if self._rows is None or self._rows.position > top:
            self._inflater = Inflater(self._file, self._ranges)
            self._rows = Rows(self._inflater, self.header, self.header.width, self._name)
        rows, self._rows = self._rows, None  # a damaged stream is not gone on with
        for _ in rows.take(top - rows.position):
            pass
        self._rows = rows
        return rows

    def _finish(self) -> None:
        """Reads the stream's checksum (RFC 1950), which stands after the last row."""
        try:
            if self._inflater:
                self._inflater.take(1)
        except zlib.error as error:
            raise DamagedFile(
                f"{self._name} is damaged: the checksum of its pixels is wrong", hint=_AGAIN
            ) from error
        self._rows = None

    def _deinterlaced(self) -> Array:
        layout = self.layout
        shape = (layout.height, layout.width, layout.channels)
        if layout.nbytes > _IN_MEMORY:
            self._scratch = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the file
            whole: Array = np.memmap(self._scratch, layout.dtype, "w+", shape=shape)
        else:
            whole = np.empty(shape, layout.dtype)
        self._inflater = Inflater(self._file, self._ranges)
        for (x, dx, y, dy), (width, height) in zip(ADAM7, self.header.passes(), strict=True):
            if not width:
                continue
            row = y
            for block in Rows(self._inflater, self.header, width, self._name).take(height):
                whole[row : row + len(block) * dy : dy, x::dx] = self._pixels(block, width)
                row += len(block) * dy
        self._finish()
        return whole

    def _pixels(self, rows: Array, width: int) -> Array:
        """Scanlines as samples of the layout: palette looked up, small depths scaled, key made alpha."""
        raw = samples(rows, self.header, width)
        if self.palette is not None:
            if raw.max() >= len(self.palette):
                raise DamagedFile(
                    f"{self._name} is damaged: it uses colours that its palette lacks", hint=_AGAIN
                )
            colors: Array = self.palette[raw[..., 0]]
            return colors
        scaled = raw * np.uint8(255 // (2**self.header.depth - 1)) if self.header.depth < 8 else raw
        if self.key is None:
            return scaled
        alpha = np.where((raw == self.key).all(axis=2, keepdims=True), 0, int(self.layout.white))
        return np.concatenate([scaled, alpha.astype(scaled.dtype)], axis=2)
