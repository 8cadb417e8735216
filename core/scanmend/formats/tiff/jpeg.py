"""JPEG streams inside TIFF: abbreviated ones with shared tables, and the old style of TIFF 6.0.

New style: TIFF Technical Note 2. The decoder pads a stream that ends early with grey, so
its end is looked for here first; and it allocates what the stream's own header says, so
that is read here first too.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from scanmend.formats.tiff import tags as t

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanmend.formats.tiff.ifd import Source
    from scanmend.image import Array

_SOI, _EOI, _SOS, _APP0, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB})
_MOST_MARKERS = 2000
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


@dataclass(frozen=True)
class Frame:
    """What the headers of a stream say.

    `scan` is where the first SOS marker stands, `unit` the width and height of an MCU.
    """

    height: int
    width: int
    components: int
    bits: int
    scan: int
    jfif: bool
    adobe: int | None
    unit: tuple[int, int]


def frame(data: bytes) -> Frame:
    """Reads the headers of a stream up to its first scan; raises ValueError where they are damaged."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("it does not begin as a JPEG stream")
    size: tuple[int, int, int, int] | None = None
    jfif, adobe, at, unit = False, None, 2, (8, 8)
    for _ in range(_MOST_MARKERS):
        at = _next_marker(data, at)
        if at < 0 or at + 4 > len(data):
            break
        marker = data[at + 1]
        if marker == _SOS and size:
            return Frame(*size, at, jfif, adobe, unit)
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker in _FRAMES and len(body) >= 6:
            bits, height, width, components = struct.unpack(">BHHB", body[:6])
            size = (height, width, components, bits)
            factors = body[7 : 6 + 3 * components : 3] if components > 1 else b"\x11"
            unit = (
                8 * max((f >> 4 for f in factors), default=1),
                8 * max((f & 15 for f in factors), default=1),
            )
        jfif |= marker == _APP0 and body[:5] == b"JFIF\0"
        if marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        at += 2 + length
    raise ValueError("its JPEG headers are damaged")


def _next_marker(data: bytes, at: int) -> int:
    """Skips fill bytes and rubbish between segments, as libjpeg does; -1 at the end."""
    at = data.find(b"\xff", at)
    while at >= 0 and data[at : at + 2] in (b"\xff\xff", b"\xff\x00"):
        at = data.find(b"\xff", at + 1)
    return at


def decode(
    data: bytes,
    tables: bytes | None,
    photometric: int,
    size: tuple[int, int],
    *,
    tiled: bool,
    room: Callable[[tuple[int, ...], np.dtype[Any]], Array],
) -> Array:
    """Decodes one stream.

    Args:
        data: from SOI to EOI.
        tables: an abbreviated stream with the tables that `data` lacks.
        photometric: what the page says the samples are; YCbCr becomes RGB.
        size: height and width that the page announces.
        tiled: of the page; a strip may be somewhat higher, a tile not.
        room: makes the array to decode into, from shape and dtype.

    Returns:
        (h, w) or (h, w, components), at least as large as `size`.
    """
    head = frame(data)
    height, width = size
    # Whole MCUs at the right and at the bottom are usual; more than that is not this page.
    if not (
        width <= head.width <= width + 64 and height <= head.height <= max(height + 64, 65535 * (not tiled))
    ):
        raise ValueError(
            f"its JPEG stream is {head.width} x {head.height} pixels large, not {width} x {height}"
        )
    if head.width * head.height > 4 * max(height * width, 2**20):
        raise ValueError(f"its JPEG stream is {head.width} x {head.height} pixels large")
    if data.find(b"\xff\xd9", head.scan) < 0:
        raise ValueError("its JPEG stream ends early")
    space, out = _spaces(head, photometric)
    shape = (head.height, head.width, head.components)[: 3 if head.components > 1 else 2]
    into = room(shape, np.dtype(np.uint8 if head.bits == 8 else np.uint16))
    pixels: Array = imagecodecs.jpeg_decode(
        data, tables=tables, colorspace=space, outcolorspace=out, out=into
    )
    return pixels


def _spaces(head: Frame, photometric: int) -> tuple[str | None, str | None]:
    """Colour spaces in and out, by the page's word unless the stream itself says YCbCr."""
    if head.components == 3:
        inside = photometric == t.YCBCR or (photometric == t.RGB and (head.jfif or head.adobe == 1))
        return ("YCBCR" if inside else "RGB"), "RGB"
    if head.components == 4:
        return ("YCCK" if head.adobe == 2 else "CMYK"), "CMYK"
    return None, None


def old_style(source: Source, pieces: list[bytes], start: int, length: int, rows: int) -> bytes:
    """Puts together the one stream of a page in the old style (TIFF 6.0, section 22).

    Three habits are known: the strips are the stream, perhaps with some bytes before it;
    the interchange stream is the headers and the strips are its scan; the interchange
    stream is all.

    Args:
        source: the file.
        pieces: bytes of the strips.
        start: JPEGInterchangeFormat, 0 where absent.
        length: its length, 0 where absent.
        rows: of a strip.
    """
    body = b"".join(pieces)
    begin = body.find(b"\xff\xd8\xff", 0, 64)
    if begin >= 0:
        return body[begin:]
    if not 0 < start < source.size:
        raise ValueError("it has no JPEG headers")
    stream = source.read(start, min(length or source.size, source.size - start), "the JPEG stream")
    if not body.startswith(b"\xff\xda"):
        return stream
    head = frame(stream + body)
    if len(pieces) > 1 and not _RESTART.search(body):
        body = _with_restarts(pieces, head, rows)
    return stream[: head.scan] + body


def _with_restarts(pieces: list[bytes], head: Frame, rows: int) -> bytes:
    """Says that every strip starts anew, as writers took for granted."""
    across, down = head.unit
    interval = -(-head.width // across) * -(-rows // down)
    body = struct.pack(">HHH", 0xFFDD, 4, interval & 0xFFFF)
    for number, piece in enumerate(pieces):
        body += piece
        if number < len(pieces) - 1:
            body += bytes((0xFF, 0xD0 + number % 8))
    return body
