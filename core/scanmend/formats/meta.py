"""What can be carried from a file of one format into a file of another."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_ORIENTATION = 0x0112
_SHORT = 3


@dataclass(frozen=True)
class Metadata:
    r"""The metadata that every family knows how to write, in its raw form.

    Attributes:
        icc: an ICC profile.
        dpi: horizontal and vertical dots per inch.
        exif: a TIFF structure ("II*\0..." or "MM\0*..."), without the `Exif\0\0` that
            JPEG puts before it.
        xmp: an XMP packet.
        iptc: IIM datasets as they stand in TIFF tag 33723, without Photoshop's wrapper.
        orientation: EXIF value 1 to 8.
    """

    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    orientation: int = 1


def dpi_from_metre(x: int, y: int) -> tuple[float, float] | None:
    """Dots per inch from the dots per metre of PNG and BMP; None where either is missing.

    A whole number of dots per inch is meant where rounding or cutting off to dots per
    metre hid it: 11811 per metre stand for 300 per inch, 2834 for 72.
    """
    if x <= 0 or y <= 0:
        return None
    exact = (x * 0.0254, y * 0.0254)
    whole = (float(round(exact[0])), float(round(exact[1])))
    near = all(abs(a - b) < 0.0254 for a, b in zip(exact, whole, strict=True))
    return whole if near and all(whole) else exact


def dots_per_metre(dpi: tuple[float, float]) -> tuple[int, int]:
    """The nearest whole dots per metre, 1 to 2**31 - 1, horizontal and vertical."""
    x, y = (min(max(round(value / 0.0254), 1), 2**31 - 1) for value in dpi)
    return x, y


def orientation_of(exif: bytes | None) -> int:
    """The EXIF orientation, 1 to 8; 1 where it is missing, damaged or out of range."""
    found = _find_orientation(exif) if exif else None
    return found[1] if found and 1 <= found[1] <= 8 else 1


def with_orientation(exif: bytes | None, orientation: int) -> bytes | None:
    """The same EXIF, saying this orientation.

    A value that is there is changed in place; a missing one is added by writing the first
    directory again at the end, so that no other offset moves (TIFF 6.0, section 2).
    Damaged EXIF is given back as it is.
    """
    if exif is None:
        if orientation == 1:
            return None
        return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, _ORIENTATION, _SHORT, 1, orientation, 0, 0)
    if orientation_of(exif) == orientation:
        return exif
    order = _order(exif)
    found = _find_orientation(exif)
    if found:
        place = found[0]
        return exif[:place] + struct.pack(order + "H", orientation) + exif[place + 2 :]
    return _with_entry(exif, order, orientation)


def _order(exif: bytes) -> str:
    return {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4], "")


def _directory(exif: bytes, order: str) -> tuple[int, int] | None:
    """Where the first directory's entries begin and how many there are; None if damaged."""
    if not order or len(exif) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(order + "H", exif, start)
    return (start + 2, count) if start + 2 + 12 * count <= len(exif) else None


def _find_orientation(exif: bytes) -> tuple[int, int] | None:
    """The place of the orientation's two bytes and their value."""
    order = _order(exif)
    directory = _directory(exif, order)
    if directory is None:
        return None
    for place in range(directory[0], directory[0] + 12 * directory[1], 12):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", exif, place)
        if tag == _ORIENTATION and kind == _SHORT and count == 1:
            return place + 8, value
    return None


def _with_entry(exif: bytes, order: str, orientation: int) -> bytes:
    directory = _directory(exif, order)
    if directory is None:
        return exif
    start, count = directory
    entries = [exif[place : place + 12] for place in range(start, start + 12 * count, 12)]
    entries.append(struct.pack(order + "HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry)[0])
    following = exif[start + 12 * count : start + 12 * count + 4].ljust(4, b"\0")
    body = exif + b"\0" * (len(exif) % 2)
    moved = struct.pack(order + "H", len(entries)) + b"".join(entries) + following
    return body[:4] + struct.pack(order + "I", len(body)) + body[8:] + moved
