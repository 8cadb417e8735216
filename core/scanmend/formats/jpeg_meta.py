"""What a JPEG's application segments say: profile, EXIF, XMP, IPTC, resolution, further pictures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from scanmend.errors import FormatError
from scanmend.formats import exif
from scanmend.formats.jpeg_segments import APP0, APP1, APP2, APP13, JFIF, Structure, pack

XMP = b"http://ns.adobe.com/xap/1.0/\0"
MOST_XMP = 65_502  # XMP specification part 3, section 1.1.3.1
_ICC = b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_MPF = b"MPF\0"
_IPTC = 0x0404
_MOST_PAYLOAD = 65_533
_ENTRIES = 0xB002  # MP Entry of CIPA DC-007, section 5.2.3.3


def icc_of(structure: Structure) -> tuple[bytes | None, str]:
    """The ICC profile put together (ICC.1:2010, B.4), and a note where that does not work out."""
    parts = [s.payload for s in structure.named(APP2, _ICC) if len(s.payload) >= 14]
    if not parts:
        return None, ""
    numbered = {part[12]: part[14:] for part in parts}
    if len(numbered) != len(parts) or set(numbered) != set(range(1, parts[0][13] + 1)):
        return None, "the ICC profile is incomplete: it is kept as it stands, but not used"
    return b"".join(numbered[number] for number in sorted(numbered)), ""


def exif_of(structure: Structure) -> tuple[bytes | None, str]:
    """The first EXIF block that is one, and a note where there are more."""
    blocks = [exif.strip(s.payload) for s in structure.named(APP1, exif.PREFIX)]
    usable = [block for block in blocks if exif.is_exif(block)]
    note = f"has {len(blocks)} EXIF blocks; the first counts, all are kept" if len(blocks) > 1 else ""
    return (usable[0] if usable else None), note


def xmp_of(structure: Structure) -> bytes | None:
    """The main XMP packet."""
    for segment in structure.named(APP1, XMP):
        return segment.payload[len(XMP) :]
    return None


def dpi_of(structure: Structure) -> tuple[float, float] | None:
    """Dots per inch as the JFIF segment says, else as EXIF says."""
    for segment in structure.named(APP0, JFIF):
        if len(segment.payload) >= 12:
            unit, x, y = struct.unpack_from(">BHH", segment.payload, 7)
            if unit in (1, 2) and x and y:
                scale = 2.54 if unit == 2 else 1.0
                return x * scale, y * scale
    return exif.resolution(exif_of(structure)[0])


def iptc_of(structure: Structure) -> bytes | None:
    """IIM datasets inside Photoshop's resource blocks."""
    parts = [s.payload[len(_PHOTOSHOP) :] for s in structure.named(APP13, _PHOTOSHOP)]
    for number, block in _resources(b"".join(parts)):
        if number == _IPTC:
            return block
    return None


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Image resource blocks: signature, number, Pascal name padded to even, size, data padded to even."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        start = at + 6 + (data[at + 6] + 2) // 2 * 2
        size = int.from_bytes(data[start : start + 4], "big")
        if start + 4 + size > len(data):
            return
        yield number, data[start + 4 : start + 4 + size]
        at = start + 4 + (size + 1) // 2 * 2


def icc_segments(icc: bytes) -> list[bytes]:
    """APP2 segments for a profile, in order.

    Raises:
        FormatError: it is too large for the 255 segments that JPEG numbers.
    """
    size = _MOST_PAYLOAD - len(_ICC) - 2
    parts = [icc[at : at + size] for at in range(0, len(icc), size)]
    if len(parts) > 255:
        raise FormatError(f"an ICC profile of {len(icc)} bytes does not fit into a JPEG")
    return [pack(APP2, _ICC + bytes((n, len(parts))) + part) for n, part in enumerate(parts, 1)]


def iptc_segments(iptc: bytes) -> list[bytes]:
    """APP13 segments that hold IIM datasets in one Photoshop resource."""
    block = b"8BIM" + struct.pack(">HHI", _IPTC, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    size = _MOST_PAYLOAD - len(_PHOTOSHOP)
    return [pack(APP13, _PHOTOSHOP + block[at : at + size]) for at in range(0, len(block), size)]


@dataclass(frozen=True)
class MoreIndex:
    """The index of further pictures behind the first (CIPA DC-007, Multi-Picture Format).

    Attributes:
        payload: of the APP2 segment.
        base: where its offsets count from, in the file.
        order: byte order, for struct.
        entries: where each 16-byte entry lies in the payload.
    """

    payload: bytes
    base: int
    order: str
    entries: tuple[int, ...]

    def pictures(self) -> Iterator[tuple[int, int, int]]:
        """Place of the entry, size and offset of each picture; the first one's offset is 0."""
        for at in self.entries:
            _, size, offset = struct.unpack_from(self.order + "III", self.payload, at)
            yield at, size, offset

    def lies_behind(self, end: int) -> bool:
        """Whether every further picture begins behind the first one's end."""
        return all(offset == 0 or self.base + offset >= end for _, _, offset in self.pictures())

    def moved(self, base: int, old_end: int, new_end: int) -> bytes:
        """The payload for a file whose first picture now ends elsewhere.

        Args:
            base: where offsets count from in the new file.
            old_end: behind the first picture's EOI in the old file.
            new_end: the same in the new file.

        Raises:
            FormatError: an offset no longer fits its 32 bits.
        """
        payload = bytearray(self.payload)
        for at, size, offset in self.pictures():
            new = (new_end, 0) if offset == 0 else (size, self.base + offset - old_end + new_end - base)
            if max(new) >= 2**32:
                raise FormatError("the file grows beyond what its index of further pictures can hold")
            struct.pack_into(self.order + "II", payload, at + 4, *new)
        return bytes(payload)


def more_of(structure: Structure) -> MoreIndex | None:
    """The index of further pictures, or None where there is none.

    Raises:
        FormatError: there is one that cannot be understood.
    """
    segments = structure.named(APP2, _MPF)
    if not segments:
        return None
    payload, start = segments[0].payload, segments[0].start
    block = payload[len(_MPF) :]
    if len(segments) > 1 or not exif.is_exif(block):
        raise FormatError("the index of further pictures (MPF) is damaged")
    order = "<" if block[:2] == b"II" else ">"
    try:
        entries = _mp_entries(block, order)
    except struct.error as error:
        raise FormatError("the index of further pictures (MPF) is damaged") from error
    return MoreIndex(payload, start + 4 + len(_MPF), order, tuple(len(_MPF) + at for at in entries))


def _mp_entries(block: bytes, order: str) -> list[int]:
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, _, size, offset = struct.unpack_from(order + "HHII", block, at)
        if tag == _ENTRIES:
            struct.unpack_from(f"{size}x", block, offset)  # all entries lie inside
            return list(range(offset, offset + size - 15, 16))
    raise struct.error
