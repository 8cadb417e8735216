"""The picture data of a PNG: scanlines, filters, samples, Adam7 (PNG specification, sections 7 to 10).

Scanlines are filtered byte by byte, each against its left, upper and upper left neighbour.
Undoing that is sequential along the row, which NumPy cannot do fast, so libpng does it:
a block of scanlines is wrapped as a small PNG of plain bytes. Filtering is not sequential
(the encoder knows all neighbours) and is NumPy.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import imagecodecs
import numpy as np

from scanmend.errors import DamagedFile
from scanmend.image import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
# Start and step of each pass's columns and rows (section 8.2).
ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
WIDEST = 1_000_000  # pixels and rows that libpng decodes at once

_BLOCK = 4 * 2**20  # bytes of scanlines undone at once
_FILTER_BLOCK = 2**20  # bytes filtered at once; each needs about 25 bytes of scratch
_PIECE = 256 * 2**10
_IDAT = 512 * 2**10
# Depth and colour type whose pixel is as many bytes as the filters look to the left.
_BYTE_WISE = {
    1: (8, GREY),
    2: (8, GREY_ALPHA),
    3: (8, RGB),
    4: (8, RGB_ALPHA),
    6: (16, RGB),
    8: (16, RGB_ALPHA),
}


@dataclass(frozen=True)
class Header:
    """IHDR (section 11.2.1), checked."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool

    @property
    def bits(self) -> int:
        """Bits of a stored pixel."""
        return self.depth * SAMPLES[self.kind]

    def row_bytes(self, width: int) -> int:
        """Bytes of a scanline of so many pixels, without its filter byte."""
        return (width * self.bits + 7) // 8

    def passes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each pass's picture; one where there is no interlacing."""
        if not self.interlaced:
            return ((self.width, self.height),)
        return tuple(
            (len(range(x, self.width, dx)), len(range(y, self.height, dy))) for x, dx, y, dy in ADAM7
        )

    def scanline_bytes(self) -> int:
        """All that the data inflate to, and so the most that may be inflated."""
        return sum(h * (self.row_bytes(w) + 1) for w, h in self.passes() if w)


class Inflater:
    """Inflates the IDAT chunks of an open file as one stream, forwards.

    Args:
        file: open for reading.
        ranges: offset and length of each chunk's data.
    """

    def __init__(self, file: BinaryIO, ranges: Iterable[tuple[int, int]]) -> None:
        self._stream = zlib.decompressobj()
        self._pieces = _pieces(file, ranges)

    @property
    def finished(self) -> bool:
        """Whether the stream has come to its end, and its checksum (RFC 1950) was right."""
        return self._stream.eof

    def take(self, count: int) -> bytes:
        """The next `count` bytes, fewer only where the data end.

        Raises:
            zlib.error: the stream is damaged.
        """
        parts = []
        while count and not self._stream.eof:
            data = self._stream.unconsumed_tail or next(self._pieces, b"")
            part = self._stream.decompress(data, min(count, _BLOCK))
            parts.append(part)
            count -= len(part)
            if not data and not part:
                break
        return b"".join(parts)


def _pieces(file: BinaryIO, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    for offset, length in ranges:
        for start in range(0, length, _PIECE):
            file.seek(offset + start)
            yield file.read(min(_PIECE, length - start))


class Rows:
    """Unfiltered scanlines of one pass, top to bottom.

    Args:
        inflater: stands before the pass's first scanline.
        header: of the file.
        width: pixels of the pass's rows.
        name: of the file, for the error.
    """

    def __init__(self, inflater: Inflater, header: Header, width: int, name: str) -> None:
        self.position = 0
        self._inflater = inflater
        self._bytes = header.row_bytes(width)
        self._left = max(1, header.bits // 8)
        self._above = bytes(self._bytes)
        self._name = name

    def take(self, rows: int) -> Iterator[Array]:
        """Yields blocks (n, row bytes) of uint8 that add up to `rows`.

        Raises:
            DamagedFile: the data end early or cannot be inflated.
        """
        most = min(max(1, _BLOCK // (self._bytes + 1)), WIDEST - 1)
        while rows:
            block = self._block(min(rows, most))
            self.position += len(block)
            rows -= len(block)
            yield block

    def _block(self, rows: int) -> Array:
        wanted = rows * (self._bytes + 1)
        try:
            data = self._inflater.take(wanted)
        except zlib.error as error:
            raise self._damage("its compressed data are damaged") from error
        if len(data) < wanted:
            raise self._damage("its data end early", more=len(data) // (self._bytes + 1))
        try:
            block = undo_filters(data, self._bytes, self._left, self._above)
        except imagecodecs.PngError as error:
            raise self._damage("a row's filter type is unknown") from error
        self._above = block[-1].tobytes()
        return block

    def _damage(self, what: str, more: int = 0) -> DamagedFile:
        return DamagedFile(
            f"{self._name} is damaged: {what} after row {self.position + more}", hint="scan or copy it again"
        )


def undo_filters(data: bytes, row_bytes: int, left: int, above: bytes) -> Array:
    """Undoes the filters of consecutive scanlines.

    Args:
        data: scanlines, each led by its filter type.
        row_bytes: of a scanline, without the filter type.
        left: distance in bytes to the left neighbour: 1, 2, 3, 4, 6 or 8.
        above: the unfiltered row before the first one, zeros at the top.

    Returns:
        (n, row_bytes) uint8.

    Raises:
        imagecodecs.PngError: a filter type is unknown.
    """
    depth, kind = _BYTE_WISE[left]
    rows = len(data) // (row_bytes + 1)
    lines = np.frombuffer(data, np.uint8).reshape(rows, row_bytes + 1)
    if not lines[:, 0].any():  # nothing to undo: indexed pictures, and writers in a hurry
        return np.ascontiguousarray(lines[:, 1:])
    head = struct.pack(">IIBBBBB", row_bytes // left, rows + 1, depth, kind, 0, 0, 0)
    body = zlib.compress(b"\0" + above + data, 0)
    png = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    samples = imagecodecs.png_decode(png)
    if depth == 16:
        samples = samples.astype(">u2")
    plain: Array = samples.reshape(rows + 1, -1).view(np.uint8)[1:]
    return plain


def samples(rows: Array, header: Header, width: int) -> Array:
    """Scanlines (n, row bytes) as samples (n, width, C) of uint8 or native uint16, not scaled."""
    count = SAMPLES[header.kind]
    if header.depth == 16:
        wide: Array = rows.view(">u2").astype(np.uint16)
        return wide.reshape(len(rows), width, count)
    if header.depth == 8:
        narrow: Array = rows.reshape(len(rows), width, count)
        return narrow
    per_byte = 8 // header.depth
    shifts = np.arange(8 - header.depth, -1, -header.depth, dtype=np.uint8)
    spread = (rows[:, :, None] >> shifts) & np.uint8(2**header.depth - 1)
    small: Array = spread.reshape(len(rows), rows.shape[1] * per_byte, 1)[:, :width]
    return small


def compress(bands: Iterable[Array], width: int, channels: int) -> Iterator[bytes]:
    """Filters and deflates bands (h, width, channels) of uint8 or uint16 into IDAT bodies.

    The filter of each row is the one with the least sum of absolute differences, as the
    specification advises (section 12.8). Memory is in proportion to a megabyte, not to the band.
    """
    packer = zlib.compressobj(6)
    above: Array | None = None
    out = bytearray()
    for band in bands:
        stored = np.ascontiguousarray(band, dtype=">u2" if band.dtype.itemsize == 2 else np.uint8)
        left = channels * stored.dtype.itemsize
        rows = stored.reshape(len(band), width * channels).view(np.uint8)
        step = max(1, _FILTER_BLOCK // rows.shape[1])
        for top in range(0, len(rows), step):
            block = rows[top : top + step]
            out += packer.compress(apply_filters(block, left, above))
            above = block[-1].copy()
            while len(out) >= _IDAT:
                yield bytes(out[:_IDAT])
                del out[:_IDAT]
    out += packer.flush()
    for start in range(0, len(out), _IDAT):
        yield bytes(out[start : start + _IDAT])


def apply_filters(rows: Array, left: int, above: Array | None) -> bytes:
    """Scanlines for rows (n, bytes) of uint8: each led by the filter type that suits it best."""
    before = np.zeros_like(rows)
    before[:, left:] = rows[:, :-left]
    up = np.zeros_like(rows)
    up[1:] = rows[:-1]
    if above is not None:
        up[0] = above
    corner = np.zeros_like(rows)
    corner[:, left:] = up[:, :-left]
    average = ((before.astype(np.uint16) + up) >> 1).astype(np.uint8)
    guesses = (np.zeros_like(rows), before, up, average, _paeth(before, up, corner))
    lines = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    least = np.full(len(rows), 2**62, np.int64)
    for kind, guess in enumerate(guesses):
        rest = rows - guess
        cost = np.minimum(rest, -rest).sum(axis=1, dtype=np.int64)
        better = cost < least
        least[better] = cost[better]
        lines[better, 0] = kind
        lines[better, 1:] = rest[better]
    return lines.tobytes()


def _paeth(left: Array, up: Array, corner: Array) -> Array:
    """The neighbour nearest to left + up - corner, in that order on a tie (section 9.4)."""
    across = up.astype(np.int16) - corner
    down = left.astype(np.int16) - corner
    to_left, to_up, to_corner = np.abs(across), np.abs(down), np.abs(across + down)
    nearest = np.where(to_up <= to_corner, up, corner)
    chosen: Array = np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)
    return chosen


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum (section 5.3)."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
