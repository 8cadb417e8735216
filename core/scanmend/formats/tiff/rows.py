"""Rows of a page, decoded only as far as they are asked for.

Four ways, all with `read(top, bottom) -> (bottom - top, width, samples)` as stored:
plain strips are read by offset; a tall deflate or LZMA strip is a stream that runs
forward; everything else is decoded segment by segment with the last row of segments kept;
and where that row of segments is too large to hold, it is kept in a scratch file.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from scanmend.errors import DamagedFile, FormatError, LimitExceeded
from scanmend.formats.tiff import codecs, jpeg, samples
from scanmend.formats.tiff import tags as t

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanmend.formats.tiff.coding import Coding, Picture
    from scanmend.formats.tiff.ifd import Source
    from scanmend.image import Array

STREAM_FROM = 8 * 2**20  # decoded bytes of a strip from which it is worth a stream
SCRATCH_FROM = 256 * 2**20  # decoded bytes of a row of segments from which it goes to disk
_PIECE = 2**20


class Rows(Protocol):
    """Stored samples of a page (or of one plane), by rows."""

    def read(self, top: int, bottom: int) -> Array: ...

    def close(self) -> None: ...


def open_rows(source: Source, picture: Picture, where: str) -> Rows:
    """Chooses the way that suits how the page is stored."""
    coding = picture.coding
    if coding.compression == t.OJPEG:
        return _Whole(source, picture, where)
    if coding.planar:
        return _Planes(source, picture, where)
    if coding.compression == t.NONE and not coding.tiled and coding.subsampling == (1, 1):
        return _Plain(source, picture, where)
    streams = (t.DEFLATE, t.OLD_DEFLATE, t.LZMA)
    tall = not coding.tiled and coding.segment_bytes >= STREAM_FROM
    if coding.compression in streams and tall and coding.subsampling == (1, 1):
        return _Streams(source, picture, where)
    return _Segments(source, picture, where)


class _Base:
    """What the ways share: the page's data and how a segment is named in errors."""

    def __init__(self, source: Source, picture: Picture, where: str) -> None:
        self._source, self._picture, self._where = source, picture, where
        self._coding: Coding = picture.coding

    def _name(self, number: int) -> str:
        return f"{'tile' if self._coding.tiled else 'strip'} {number + 1} of {len(self._picture.offsets)}"

    def _bytes(self, number: int) -> codecs.Data:
        offset, count = int(self._picture.offsets[number]), int(self._picture.counts[number])
        return self._source.view(offset, count, f"{self._name(number)} of {self._where}")

    def _damage(self, number: int, error: Exception) -> DamagedFile:
        return DamagedFile(f"{self._where}: {self._name(number)} is damaged: {error}")

    def close(self) -> None:
        """Nothing to give back."""


class _Plain(_Base):
    """Uncompressed strips: rows stand at known offsets."""

    def read(self, top: int, bottom: int) -> Array:
        coding = self._coding
        out = np.empty((bottom - top, coding.width, coding.samples), coding.dtype)
        for strip in range(top // coding.segment_height, -(-bottom // coding.segment_height)):
            base = strip * coding.segment_height
            first, last = max(top, base), min(bottom, base + coding.segment_height)
            offset = int(self._picture.offsets[strip]) + (first - base) * coding.row_bytes
            data = self._source.read(offset, (last - first) * coding.row_bytes, self._name(strip))
            if coding.reversed_bits:
                data = codecs.reverse_bits(data)
            out[first - top : last - top] = samples.unpack(
                np.frombuffer(data, np.uint8), last - first, coding
            )
        return out


class _Segments(_Base):
    """Strips or tiles, a row of them at a time; the last one is kept for the next band."""

    def __init__(self, source: Source, picture: Picture, where: str) -> None:
        super().__init__(source, picture, where)
        self._kept: tuple[int, Array] | None = None

    def read(self, top: int, bottom: int) -> Array:
        coding = self._coding
        out = np.empty((bottom - top, coding.width, coding.samples), coding.dtype)
        for row in range(top // coding.segment_height, -(-bottom // coding.segment_height)):
            base = row * coding.segment_height
            end = min(base + coding.segment_height, coding.height)
            first, last = max(top, base), min(bottom, end)
            if (first, last) == (base, end) and (self._kept is None or self._kept[0] != row):
                self._fill(row, out[first - top : last - top])
            else:
                out[first - top : last - top] = self._block(row)[first - base : last - base]
        return out

    def close(self) -> None:
        self._kept = None

    def _block(self, row: int) -> Array:
        if self._kept is not None and self._kept[0] == row:
            return self._kept[1]
        coding = self._coding
        self._kept = None
        if coding.across == 1 and not coding.tiled:
            block = self._decode(row, row)
        else:
            height = min(coding.segment_height, coding.height - row * coding.segment_height)
            block = self._room((height, coding.width, coding.samples), coding.dtype)
            self._fill(row, block)
        self._kept = (row, block)
        return block

    def _fill(self, row: int, out: Array) -> None:
        coding = self._coding
        for column in range(coding.across):
            pixels = self._decode(row * coding.across + column, row)
            left = column * coding.segment_width
            width = min(coding.segment_width, coding.width - left)
            out[:, left : left + width] = pixels[: len(out), :width]

    def _decode(self, number: int, row: int) -> Array:
        data = self._bytes(number)
        try:
            return codecs.decode(data, self._picture, self._coding.rows(row), self._room)
        except codecs.Damage as error:
            raise self._damage(number, error) from error
        except MemoryError as error:
            raise LimitExceeded(f"{self._where}: {self._name(number)} does not fit into memory") from error

    def _room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """An empty array, in a scratch file where it is large."""
        size = math.prod(shape) * dtype.itemsize
        return np.empty(shape, dtype) if size < SCRATCH_FROM else _scratch(shape, dtype, size, self._where)


def _scratch(shape: tuple[int, ...], dtype: np.dtype[Any], size: int, where: str) -> Array:
    """An array in an unnamed file, which goes when the array goes.

    Refuses early where the disk is too full: writing to a map of a full disk kills the process.
    """
    folder = tempfile.gettempdir()
    try:
        free = shutil.disk_usage(folder).free
        if free < size + 64 * 2**20:
            raise FormatError(
                f"{where} needs {size >> 20:,} MiB of scratch space, but {folder} has {free >> 20:,} MiB",
                hint="free some space, or set TMPDIR to a folder on a larger disk",
            )
        with tempfile.TemporaryFile() as file:  # the map keeps it alive
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise FormatError(f"{where}: no scratch file can be made in {folder}: {error}") from error


class _Streams(_Base):
    """Tall deflate or LZMA strips, decompressed forward; going back starts the strip anew."""

    def __init__(self, source: Source, picture: Picture, where: str) -> None:
        super().__init__(source, picture, where)
        make = codecs.Unlzma if self._coding.compression == t.LZMA else codecs.Inflater
        self._make: Callable[[], codecs.Inflater | codecs.Unlzma] = make
        self._strip = -1
        self._stream = make()
        self._fed = self._done = 0

    def read(self, top: int, bottom: int) -> Array:
        coding = self._coding
        out = np.empty((bottom - top, coding.width, coding.samples), coding.dtype)
        for strip in range(top // coding.segment_height, -(-bottom // coding.segment_height)):
            base = strip * coding.segment_height
            first, last = max(top, base), min(bottom, base + coding.segment_height)
            try:
                data = self._take(strip, (first - base) * coding.row_bytes, (last - base) * coding.row_bytes)
            except (codecs.Damage, *codecs.STREAM_ERRORS) as error:
                self._strip = -1
                raise self._damage(strip, error) from error
            out[first - top : last - top] = samples.unpack(data, last - first, coding)
        return out

    def _take(self, strip: int, start: int, stop: int) -> Array:
        """Decompressed bytes start to stop of a strip."""
        if strip != self._strip or start < self._done:
            self._strip, self._stream, self._fed, self._done = strip, self._make(), 0, 0
        while self._done < start:
            self._done += len(self._pull(min(_PIECE, start - self._done)))
        out = np.empty(stop - start, np.uint8)
        while self._done < stop:
            piece = self._pull(min(_PIECE, stop - self._done))
            out[self._done - start : self._done - start + len(piece)] = np.frombuffer(piece, np.uint8)
            self._done += len(piece)
        if self._done == self._coding.rows(strip) * self._coding.row_bytes:
            self._pull(1, last=True)  # makes the decoder compare its checksum
        return out

    def _pull(self, most: int, *, last: bool = False) -> bytes:
        """The next bytes, at least one unless it is the last call."""
        count = int(self._picture.counts[self._strip])
        while True:
            piece = self._stream.take(most)
            if piece or (last and self._stream.ended):
                return piece
            if self._stream.ended or (self._stream.hungry and self._fed >= count):
                if last:
                    return b""
                raise codecs.Damage(f"it ends after {self._done:,} bytes")
            if self._stream.hungry:
                offset, length = (
                    int(self._picture.offsets[self._strip]) + self._fed,
                    min(_PIECE, count - self._fed),
                )
                data = self._source.read(offset, length, self._name(self._strip))
                self._stream.feed(codecs.reverse_bits(data) if self._coding.reversed_bits else data)
                self._fed += length


class _Planes(_Base):
    """Separate planes, each read as a picture of its own; subsampled chroma is repeated."""

    def __init__(self, source: Source, picture: Picture, where: str) -> None:
        super().__init__(source, picture, where)
        per_plane = self._coding.down * self._coding.across
        self._planes = [
            open_rows(
                source,
                replace(
                    picture,
                    coding=self._coding.plane(number),
                    offsets=picture.offsets[number * per_plane : (number + 1) * per_plane],
                    counts=picture.counts[number * per_plane : (number + 1) * per_plane],
                ),
                f"{where}, plane {number + 1}",
            )
            for number in range(self._coding.samples)
        ]

    def read(self, top: int, bottom: int) -> Array:
        coding = self._coding
        out = np.empty((bottom - top, coding.width, coding.samples), coding.dtype)
        for number, plane in enumerate(self._planes):
            across, down = coding.subsampling if number in (1, 2) else (1, 1)
            start = top // down
            rows = plane.read(start, -(-bottom // down))
            if (across, down) != (1, 1):
                rows = rows.repeat(down, axis=0).repeat(across, axis=1)
                rows = rows[top - start * down :][: bottom - top, : coding.width]
            out[..., number] = rows[..., 0]
        return out

    def close(self) -> None:
        for plane in self._planes:
            plane.close()


class _Whole(_Base):
    """A page in old-style JPEG, decoded in one piece."""

    def __init__(self, source: Source, picture: Picture, where: str) -> None:
        super().__init__(source, picture, where)
        self._pixels: Array | None = None

    def read(self, top: int, bottom: int) -> Array:
        if self._pixels is None:
            self._pixels = self._decode()
        return np.array(self._pixels[top:bottom])

    def close(self) -> None:
        self._pixels = None

    def _decode(self) -> Array:
        pieces = [bytes(self._bytes(number)) for number in range(len(self._picture.offsets))]
        coding = self._coding.replace(
            segment_height=self._coding.height, segment_width=self._coding.width, tiled=False
        )
        try:
            data = jpeg.old_style(self._source, pieces, *self._picture.old_jpeg, self._coding.segment_height)
            return codecs.decode(data, replace(self._picture, coding=coding), coding.height)
        except ValueError as error:
            raise DamagedFile(
                f"{self._where} is in old-style JPEG of a kind that cannot be decoded: {error}",
                hint="open it in the program that made it and save it anew",
            ) from error
