"""EXIF as JPEG, WebP and AVIF embed it: its prefix, and the resolution inside.

EXIF is a TIFF structure (TIFF 6.0, section 2; Exif 2.32, section 4.6). Only its first
directory is looked at, with every count bounded by the block's own length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

PREFIX = b"Exif\0\0"
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 0x011A, 0x011B, 0x0128
_SHORT, _RATIONAL = 3, 5
_NO_UNIT, _INCH, _CENTIMETRE = 1, 2, 3


def is_exif(block: bytes) -> bool:
    """Whether a block starts as EXIF does, without the `Exif` prefix."""
    return len(block) >= 8 and block[:4] in (b"II*\0", b"MM\0*")


def strip(block: bytes) -> bytes:
    """The TIFF structure of a block that may carry JPEG's `Exif` prefix."""
    return block.removeprefix(PREFIX)


def resolution(block: bytes | None) -> tuple[float, float] | None:
    """Horizontal and vertical dots per inch; None where the block does not say or is damaged."""
    if block is None or not is_exif(block):
        return None
    order = "<" if block[:2] == b"II" else ">"
    found = {tag: value for tag, value in _values(block, order) if value}
    x, y = found.get(_X_RESOLUTION), found.get(_Y_RESOLUTION)
    if x is None or y is None or found.get(_UNIT) == _NO_UNIT:
        return None
    scale = 2.54 if found.get(_UNIT) == _CENTIMETRE else 1.0
    return x * scale, y * scale


def _values(block: bytes, order: str) -> Iterator[tuple[int, float]]:
    """Numbers of the first directory, as far as its entries lie inside the block."""
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return
    (count,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHII", block, at)
        if kind == _SHORT:
            yield tag, struct.unpack_from(order + "H", block, at + 8)[0]
        elif kind == _RATIONAL and value + 8 <= len(block):
            above, below = struct.unpack_from(order + "II", block, value)
            yield tag, above / below if below else 0.0


def with_resolution(block: bytes | None, dpi: tuple[float, float] | None) -> bytes | None:
    """The same EXIF block with a resolution, for formats that say it nowhere else.

    Args:
        block: a TIFF structure, or None.
        dpi: horizontal and vertical, or None.

    Returns:
        The block itself where it has a resolution already, is damaged, or `dpi` is None.
        Else the first directory is written again at the block's end, so that no other
        offset moves.
    """
    if dpi is None or resolution(block) is not None or (block is not None and not is_exif(block)):
        return block
    block = block or struct.pack("<2sHIHI", b"II", 42, 8, 0, 0)
    order = "<" if block[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", block, 4)
    if start + 2 > len(block):
        return block
    (count,) = struct.unpack_from(order + "H", block, start)
    end = start + 2 + 12 * count
    if end > len(block):
        return block
    values = block.ljust(len(block) + len(block) % 2, b"\0")
    place = len(values)
    for value in dpi:
        values += struct.pack(order + "II", min(round(value * 1000), 2**32 - 1), 1000)
    new = {
        _X_RESOLUTION: struct.pack(order + "HHII", _X_RESOLUTION, _RATIONAL, 1, place),
        _Y_RESOLUTION: struct.pack(order + "HHII", _Y_RESOLUTION, _RATIONAL, 1, place + 8),
        _UNIT: struct.pack(order + "HHIHH", _UNIT, _SHORT, 1, _INCH, 0),
    }
    for at in range(start + 2, end, 12):
        (tag,) = struct.unpack_from(order + "H", block, at)
        new.setdefault(tag, block[at : at + 12])
    following = block[end : end + 4].ljust(4, b"\0")
    directory = struct.pack(order + "H", len(new)) + b"".join(new[tag] for tag in sorted(new)) + following
    return values[:4] + struct.pack(order + "I", len(values)) + values[8:] + directory
