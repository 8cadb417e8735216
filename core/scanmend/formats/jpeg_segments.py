"""The marker segments of a JPEG file, walked without decoding (ITU-T T.81, annex B).

The walk is linear in the file and bounded: every length is held against the file's end,
and the number of segments and scans against what any encoder writes.
"""

from __future__ import annotations

import functools
import re
import struct
from dataclasses import dataclass

from scanmend.errors import DamagedFile, LimitExceeded, UnsupportedFormat
from scanmend.formats.jpeg_tables import Table, parse_dqt

SOI, EOI, SOS, DQT, DHT, DAC, DNL, DRI, EXP, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xCC, 0xDC, 0xDD, 0xDF, 0xFE
APP0, APP1, APP2, APP13, APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, DAC}
_CODED = FRAMES | {SOS, DQT, DHT, DAC, DNL, DRI, EXP}
_ALONE = frozenset((*range(0xD0, 0xD8), 0x01))  # restart markers and TEM carry no length
_READABLE = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA))
_KINDS = {
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "hierarchical",
    0xCB: "arithmetic-coded lossless",
    0xCD: "hierarchical",
    0xCE: "hierarchical",
    0xCF: "hierarchical",
}
_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_MOST_SEGMENTS = 20_000
_MOST_SCANS = 100  # encoders write a dozen; a scan of nothing costs a pass over all pixels
_COPY = "scan it again or use another copy"

JFIF = b"JFIF\0"
ADOBE = b"Adobe"


@dataclass(frozen=True)
class Segment:
    """One marker segment.

    Attributes:
        marker: its second byte.
        payload: what follows the length.
        start: of the marker in the file.
        end: behind the segment; behind the coded data, for SOS.
    """

    marker: int
    payload: bytes
    start: int
    end: int

    @property
    def coded(self) -> bool:
        """Whether it belongs to the coded picture rather than to what is said about it."""
        return self.marker in _CODED


@dataclass(frozen=True)
class Component:
    """A colour component of the frame: its id, sampling factors and table number."""

    number: int
    across: int
    down: int
    table: int


@dataclass(frozen=True)
class Frame:
    """The frame header (T.81, B.2.2)."""

    marker: int
    precision: int
    height: int
    width: int
    components: tuple[Component, ...]

    @property
    def progressive(self) -> bool:
        return self.marker in (0xC2, 0xCA)

    @property
    def lossless(self) -> bool:
        return self.marker == 0xC3

    @property
    def arithmetic(self) -> bool:
        return self.marker in (0xC9, 0xCA)


@dataclass(frozen=True)
class Structure:
    """A walked file.

    Attributes:
        segments: all of them, in order.
        frame: the one frame header.
        end: behind the EOI marker; what follows does not belong to the picture.
        notes: oddities that do no harm.
    """

    segments: tuple[Segment, ...]
    frame: Frame
    end: int
    notes: tuple[str, ...]

    def named(self, marker: int, prefix: bytes) -> list[Segment]:
        """Segments of a marker whose payload starts with a name, in order."""
        return [s for s in self.segments if s.marker == marker and s.payload.startswith(prefix)]

    @functools.cached_property
    def tables(self) -> dict[int, Table]:
        """Quantisation tables in force at the end of the header, by number."""
        found: dict[int, Table] = {}
        for segment in self.segments:
            if segment.marker == DQT:
                found.update(parse_dqt(segment.payload))
        return found

    @property
    def coded_bytes(self) -> int:
        return sum(s.end - s.start for s in self.segments if s.marker == SOS)

    @property
    def is_rgb(self) -> bool:
        """Whether three components are RGB rather than YCbCr, by the rules that libjpeg made common."""
        if self.named(APP0, JFIF):
            return False
        adobe = [s.payload for s in self.named(APP14, ADOBE) if len(s.payload) >= 12]
        if adobe:
            return adobe[-1][11] == 0
        return bytes(c.number for c in self.frame.components) == b"RGB"


def walk(data: bytes, name: str) -> Structure:
    """Finds all segments of a JPEG file, up to its EOI marker.

    Args:
        data: the file.
        name: of the file, for messages.

    Raises:
        DamagedFile: the file ends before EOI, or its segments contradict each other.
        UnsupportedFormat: a process of T.81 that no common decoder knows.
        LimitExceeded: more segments or scans than any encoder writes.
    """
    segments: list[Segment] = []
    stray, at, scans = 0, 2, 0
    while True:
        found = _MARKER.search(data, at)
        if found is None:
            raise _cut_off(name, scans)
        stray += len(data[at : found.start()].rstrip(b"\xff"))  # fill bytes are legal
        marker, at = data[found.end() - 1], found.end()
        if marker == EOI:
            break
        if marker in _ALONE:
            stray += 2
            continue
        if marker == SOI:
            raise DamagedFile(f"{name}: a second picture begins inside the first", hint=_COPY)
        segment = _segment(data, name, marker, at, scans)
        segments.append(segment)
        scans += marker == SOS
        at = segment.end
        if len(segments) > _MOST_SEGMENTS or scans > _MOST_SCANS:
            raise LimitExceeded(f"{name}: more than {len(segments) - 1} segments or {_MOST_SCANS} scans")
    notes = (f"{stray} stray bytes between the segments were left out",) if stray else ()
    return Structure(tuple(segments), _only_frame(segments, name), at, notes)


def _cut_off(name: str, scans: int) -> DamagedFile:
    where = "its end marker is missing" if scans else "it ends before the picture begins"
    return DamagedFile(f"{name}: the file is cut off, {where}", hint=_COPY)


def _segment(data: bytes, name: str, marker: int, at: int, scans: int) -> Segment:
    """The segment whose length stands at `at`."""
    length = int.from_bytes(data[at : at + 2], "big")
    if at + 2 > len(data) or at + length > len(data):
        raise _cut_off(name, scans)
    if length < 2:
        raise DamagedFile(f"{name}: a segment at byte {at - 2} claims {length} bytes", hint=_COPY)
    end = at + length
    if marker == SOS:
        found = _END_OF_SCAN.search(data, end)
        if found is None:
            raise _cut_off(name, 1)
        end = found.start()
    return Segment(marker, data[at + 2 : at + length], at - 2, end)


def _only_frame(segments: list[Segment], name: str) -> Frame:
    frames = [number for number, s in enumerate(segments) if s.marker in FRAMES]
    scans = [number for number, s in enumerate(segments) if s.marker == SOS]
    if not frames:
        raise DamagedFile(f"{name}: has no frame header, so its size is unknown", hint=_COPY)
    first = segments[frames[0]]
    if first.marker not in _READABLE:
        raise UnsupportedFormat(
            f"{name}: is a {_KINDS[first.marker]} JPEG, which hardly any program reads",
            hint="convert it to TIFF with the program that wrote it",
        )
    if len(frames) > 1:
        raise DamagedFile(f"{name}: has {len(frames)} frame headers instead of one", hint=_COPY)
    if not scans or scans[0] < frames[0]:
        raise DamagedFile(f"{name}: has a header but no picture data behind it", hint=_COPY)
    return _frame(first, name)


def _frame(segment: Segment, name: str) -> Frame:
    payload = segment.payload
    if len(payload) < 6 or len(payload) != 6 + 3 * payload[5]:
        raise DamagedFile(f"{name}: the frame header has a wrong length", hint=_COPY)
    precision, height, width, count = struct.unpack_from(">BHHB", payload)
    components = tuple(
        Component(payload[at], payload[at + 1] >> 4, payload[at + 1] & 15, payload[at + 2])
        for at in range(6, len(payload), 3)
    )
    if height == 0:
        raise UnsupportedFormat(f"{name}: its height is only known after the first scan (DNL)", hint=_COPY)
    if width == 0 or any(not (1 <= c.across <= 4 and 1 <= c.down <= 4) for c in components):
        raise DamagedFile(f"{name}: the frame header makes no sense", hint=_COPY)
    if count not in (1, 3, 4):
        raise UnsupportedFormat(f"{name}: has {count} colour components; 1, 3 and 4 are known")
    return Frame(segment.marker, precision, height, width, components)


def pack(marker: int, payload: bytes) -> bytes:
    """A marker segment with its length; the payload has at most 65533 bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
