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
_NO_UNIT, _CENTIMETRE = 1, 3


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
