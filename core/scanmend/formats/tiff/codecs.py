"""Compressed bytes of one segment to plain bytes or pixels, and back.

A decoder is handed the exact room that the header announces, so a bomb cannot grow; what
yields less than announced is damage, never padded.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import imagecodecs as _imagecodecs
import numpy as np

from scanmend.formats.tiff import jpeg, samples
from scanmend.formats.tiff import tags as t
from scanmend.image import Array

if TYPE_CHECKING:
    from scanmend.formats.tiff.coding import Coding, Picture

imagecodecs: Any = _imagecodecs  # its annotations miss that buffers of all kinds are welcome
Data = bytes | memoryview
Room = Callable[[tuple[int, ...], "np.dtype[Any]"], Array]
Decoder = Callable[["Data", "Picture", int, Room], Array]
STREAM_ERRORS = (zlib.error, lzma.LZMAError, EOFError)
_CHUNK = 2**20
# libdeflate 1 to 4 differ by 1 % in size and nothing in speed on noisy 16-bit scans; 6 costs a third.
_LEVEL = 4


class Damage(ValueError):  # noqa: N818 - as in `errors`
    """The bytes of a segment do not decode; the reader adds which segment of which page."""


def decode(data: Data, picture: Picture, rows: int, room: Room = np.empty) -> Array:
    """Decodes a segment into samples (rows, segment_width, depth) as stored.

    Args:
        data: the segment's bytes.
        picture: of a page, or of one plane where planes are separate.
        rows: the segment's height.
        room: makes the array to decode into, from shape and dtype.

    Raises:
        Damage: the data are corrupt or too short.
    """
    coding = picture.coding
    if coding.compression in t.PICTURES:
        return _fit(_DECODERS[coding.compression](data, picture, rows, room), rows, coding)
    if coding.reversed_bits:
        data = reverse_bits(data)
    if coding.compression in (t.CCITT_RLE, t.CCITT_G3, t.CCITT_G4):
        return _ccitt(data, picture, rows)
    if coding.subsampling != (1, 1):
        return _subsampled(data, coding, rows)
    buffer = room((rows * coding.row_bytes,), np.dtype(np.uint8))
    inflate(data, coding.compression, buffer)
    return samples.unpack(buffer, rows, coding)


def reverse_bits(data: Data) -> bytes:
    """Turns FillOrder 2 into FillOrder 1 and back."""
    return bytes(imagecodecs.bitorder_decode(bytes(data)))


def inflate(data: Data, compression: int, out: Array) -> None:
    """Decompresses into `out` (n,) uint8 until it is full; raises Damage where the data do not suffice."""
    try:
        got = _BYTES[compression](data, out)
    except (zlib.error, lzma.LZMAError, ValueError, RuntimeError) as error:
        raise Damage(str(error)) from error
    if got < len(out):
        raise Damage(f"it ends after {got} of {len(out)} bytes")


def _plain(data: Data, out: Array) -> int:
    got = min(len(data), len(out))
    out[:got] = np.frombuffer(data, np.uint8, got)
    return got


def _lzw(data: Data, out: Array) -> int:
    return len(imagecodecs.lzw_decode(data, out=out))


def _zstd(data: Data, out: Array) -> int:
    return len(imagecodecs.zstd_decode(data, out=out))


def _deflate(data: Data, out: Array) -> int:
    try:
        return len(imagecodecs.deflate_decode(data, out=out))
    except RuntimeError:
        # Twice as slow, but takes streams that hold more than they should, or lack a checksum.
        return _pour(Inflater(), data, out)


def _lzma(data: Data, out: Array) -> int:
    return _pour(Unlzma(), data, out)


def _packbits(data: Data, out: Array) -> int:
    try:
        return len(imagecodecs.packbits_decode(data, out=out))
    except RuntimeError:
        # Some encoders run on past the last row, by up to a packet or a row.
        wider = imagecodecs.packbits_decode(data, out=2 * len(out) + 128)
        return _plain(wider, out)


class Inflater:
    """A deflate stream that gives bytes piece by piece."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._rest: Data = b""

    @property
    def hungry(self) -> bool:
        """Whether it can give nothing more without being fed."""
        return not self._rest and not self._stream.eof

    def feed(self, data: Data) -> None:
        self._rest = data

    def take(self, most: int) -> bytes:
        """Up to `most` bytes; nothing where it needs food or is at its end."""
        data = self._stream.decompress(self._rest, most)
        self._rest = self._stream.unconsumed_tail
        return data

    @property
    def ended(self) -> bool:
        return self._stream.eof


class Unlzma:
    """An LZMA stream that gives bytes piece by piece."""

    def __init__(self) -> None:
        self._stream = lzma.LZMADecompressor(memlimit=256 * 2**20)
        self._rest: Data = b""

    @property
    def hungry(self) -> bool:
        return self._stream.needs_input and not self._stream.eof

    def feed(self, data: Data) -> None:
        self._rest = data

    def take(self, most: int) -> bytes:
        if self._stream.eof:
            return b""
        data, self._rest = self._stream.decompress(bytes(self._rest), most), b""
        return data

    @property
    def ended(self) -> bool:
        return self._stream.eof


def _pour(stream: Inflater | Unlzma, data: Data, out: Array) -> int:
    stream.feed(data)
    done = 0
    while done < len(out):
        piece = stream.take(min(_CHUNK, len(out) - done))
        out[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
        if not piece and (stream.hungry or stream.ended):
            return done
    return done


def _ccitt(data: Data, picture: Picture, rows: int) -> Array:
    """Decodes twice with different bytes after the end: rows that change were never there.

    The decoder leaves missing rows white without a word.
    """
    coding = picture.coding
    # Horizontal mode or plain runs, two white pixels and two black, over and over.
    endings = (np.packbits([*map(int, "001011111" * 8)]), np.packbits([*map(int, "011111" * 8)]))
    plain = _fax(bytes(data), picture, rows)
    for ending in endings:
        try:
            other = _fax(bytes(data) + ending.tobytes() * 64, picture, rows)
        except Damage:
            other = None
        if other is None or not np.array_equal(plain, other):
            raise Damage("it ends before its last row")
    return plain.reshape(rows, coding.segment_width, 1)


def _fax(data: bytes, picture: Picture, rows: int) -> Array:
    width = picture.coding.segment_width
    try:
        if picture.coding.compression == t.CCITT_G3:
            out = imagecodecs.ccittfax3_decode(data, rows, width, t4options=picture.t4_options)
        elif picture.coding.compression == t.CCITT_G4:
            out = imagecodecs.ccittfax4_decode(data, rows, width)
        else:
            out = imagecodecs.ccittrle_decode(data, rows, width)
    except (ValueError, RuntimeError) as error:
        raise Damage(str(error)) from error
    pixels: Array = np.asarray(out)
    return pixels


def _subsampled(data: Data, coding: Coding, rows: int) -> Array:
    """Chunky YCbCr: blocks of luma samples followed by their one Cb and Cr (TIFF 6.0, section 21)."""
    across, down = coding.subsampling
    units = -(-coding.segment_width // across), -(-rows // down)
    buffer = np.empty(units[0] * units[1] * (across * down + 2), np.uint8)
    inflate(data, coding.compression, buffer)
    blocks = buffer.reshape(units[1], units[0], across * down + 2)
    out = np.empty((units[1] * down, units[0] * across, 3), np.uint8)
    luma = blocks[..., :-2].reshape(units[1], units[0], down, across)
    out[..., 0] = luma.transpose(0, 2, 1, 3).reshape(out.shape[:2])
    out[..., 1:] = blocks[..., -2:].repeat(down, axis=0).repeat(across, axis=1)
    return out[:rows, : coding.segment_width]


def _fit(pixels: Array, rows: int, coding: Coding) -> Array:
    """Crops what a picture codec delivers to the segment; the last strip may be coded at full height."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    height, width, depth = pixels.shape
    if height < rows or width < coding.segment_width or depth != coding.depth:
        raise Damage(f"it holds {width} x {height} pixels of {depth} samples, not what the page announces")
    if pixels.dtype != coding.dtype:
        raise Damage(f"its samples are {pixels.dtype}, not {coding.dtype}")
    return pixels[:rows, : coding.segment_width]


def _guarded(decoder: Callable[..., Any]) -> Decoder:
    """A decoder that is only given the room the header announces."""

    def run(data: Data, picture: Picture, rows: int, room: Room) -> Array:
        coding = picture.coding
        shape = (rows, coding.segment_width, coding.depth)
        out = room(shape if coding.depth > 1 else shape[:2], coding.dtype)
        try:
            pixels: Array = decoder(bytes(data), out=out)
        except (ValueError, RuntimeError, TypeError, IndexError) as error:
            raise Damage(str(error)) from error
        return pixels

    return run


def _jpeg(data: Data, picture: Picture, rows: int, room: Room) -> Array:
    coding = picture.coding
    size = (rows, coding.segment_width)
    try:
        return jpeg.decode(
            bytes(data), picture.jpeg_tables, coding.photometric, size, tiled=coding.tiled, room=room
        )
    except (ValueError, RuntimeError) as error:
        raise Damage(str(error)) from error


def _lerc(data: Data, picture: Picture, rows: int, room: Room) -> Array:
    """LERC, perhaps wrapped in deflate (1) or zstd (2), as LercParameters says."""
    if picture.lerc_wrapper:
        most = 2 * picture.coding.segment_bytes + 4096  # LERC falls back to raw samples and a header
        try:
            if picture.lerc_wrapper == 1:
                data = zlib.decompressobj().decompress(data, most)
            else:
                data = bytes(imagecodecs.zstd_decode(data, out=most))
        except (zlib.error, ValueError, RuntimeError) as error:
            raise Damage(str(error)) from error
    return _plain_lerc(data, picture, rows, room)


_plain_lerc = _guarded(imagecodecs.lerc_decode)
_DECODERS: dict[int, Decoder] = {
    t.JPEG: _jpeg,
    t.OJPEG: _jpeg,
    t.WEBP: _guarded(imagecodecs.webp_decode),
    t.LERC: _lerc,
    t.JPEG_2000: _guarded(imagecodecs.jpeg2k_decode),
    t.JPEG_XL: _guarded(imagecodecs.jpegxl_decode),
    t.JPEG_XL_DNG: _guarded(imagecodecs.jpegxl_decode),
}
_BYTES: dict[int, Callable[[Data, Array], int]] = {
    t.NONE: _plain,
    t.LZW: _lzw,
    t.DEFLATE: _deflate,
    t.OLD_DEFLATE: _deflate,
    t.PACKBITS: _packbits,
    t.ZSTD: _zstd,
    t.LZMA: _lzma,
}


def encode(pixels: Array, coding: Coding) -> bytes:
    """Encodes a segment (rows, segment_width, depth) losslessly; safe to call from several threads."""
    data = deflate(samples.pack(pixels, coding), coding)
    return reverse_bits(data) if coding.reversed_bits else data


def deflate(data: Array, coding: Coding) -> bytes:
    """Compresses packed bytes with the coding's codec."""
    codec = coding.compression
    if codec == t.NONE:
        return data.tobytes()
    if codec == t.LZW:
        return bytes(imagecodecs.lzw_encode(data))
    if codec == t.PACKBITS:  # no run may cross the end of a row (TIFF 6.0, section 9)
        return bytes(imagecodecs.packbits_encode(data.reshape(-1, coding.row_bytes), axis=-1))
    if codec == t.ZSTD:
        return bytes(imagecodecs.zstd_encode(data, 3))
    if codec == t.LZMA:
        return lzma.compress(data.tobytes(), lzma.FORMAT_XZ, lzma.CHECK_NONE, 1)
    return bytes(imagecodecs.deflate_encode(data, _LEVEL))
