"""JPEG files (ITU-T T.81, JFIF, Adobe's extensions): reading, and restoring in place.

libjpeg pads what is missing and goes on, and so do most programs. Scanmend asks it to
report, and refuses a picture whose data are damaged. What libjpeg itself does not notice
- wrong bits that still form valid codes - nobody can, without a second copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scanmend import icc
from scanmend.errors import DamagedFile, FormatError
from scanmend.formats import jpeg_meta, whole
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.jpeg_decode import END, START, check_claims, decode
from scanmend.formats.jpeg_segments import APP1, JFIF, Frame, Segment, pack, walk
from scanmend.formats.jpeg_tables import quality_of
from scanmend.formats.jpeg_write import check_writable, coding_like, encode, write_new
from scanmend.formats.meta import Metadata, orientation_of
from scanmend.image import Array, Color, Layout, PageData

__all__ = ["JpegFile", "open_file", "sniff", "write_new"]

# Segments of the file, or None for new ones, with their bytes in the result.
_Pieces = list[tuple[Segment | None, bytes]]
_COLORS: dict[int, Color] = {1: "grey", 3: "rgb", 4: "cmyk"}
_PRECISIONS = {0xC0: (8,), 0xC3: tuple(range(2, 17))}


def sniff(head: bytes) -> bool:
    """Whether a file starts as JPEG does."""
    return head.startswith(b"\xff\xd8\xff") or head == START


def open_file(path: Path, limits: Limits) -> JpegFile:
    """Opens a JPEG file; see `JpegFile`."""
    return JpegFile(path, limits)


class JpegFile(ScanFile):
    """A JPEG file, walked and held in memory; its picture is decoded when first read.

    Raises:
        DamagedFile: it ends early or contradicts itself.
        LimitExceeded: it claims more than the limits allow.
        UnsupportedFormat: a process that common decoders do not know.
    """

    format = "jpeg"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._data = whole.load(path, limits)
        if not sniff(self._data[:3]):
            raise FormatError(f"{path.name}: is not a JPEG file")
        self._structure = walk(self._data, path.name)
        layout = _layout(self._structure.frame, path.name)
        whole.check_layout(path.name, layout, limits)
        check_claims(self._structure, path.name)
        self._profile, icc_note = jpeg_meta.icc_of(self._structure)
        self._exif, exif_note = jpeg_meta.exif_of(self._structure)
        self.xmp = jpeg_meta.xmp_of(self._structure)
        self.notes = (*self._structure.notes, *filter(None, (icc_note, exif_note)), *self._trailing_note())
        self._page = whole.WholePage(
            path.name, layout.replace(transfer=icc.transfer(self._profile)), self._decode
        )
        self.pages = (self._page,)
        self._describe()

    def close(self) -> None:
        self._page.release()
        self._data = b""

    def metadata(self) -> Metadata:
        return Metadata(
            icc=self._profile,
            dpi=self._page.dpi,
            exif=self._exif,
            xmp=self.xmp,
            iptc=jpeg_meta.iptc_of(self._structure),
            orientation=self._page.orientation,
        )

    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        if set(pages) - {0}:
            raise FormatError(f"{self.path.name}: a JPEG has one page only")
        notes: list[str] = []
        coded, kept = self._coded(), [s for s in self._structure.segments if not s.coded]
        if 0 in pages:
            coded, note = self._encoded(pages[0], options)
            notes += [note] if note else []
        pieces: _Pieces = [(s, pack(s.marker, s.payload)) for s in kept]
        if xmp is not None and xmp != self.xmp:
            notes += _put_xmp(pieces, xmp)
        self._move_index(pieces, len(coded))
        trailing = self._data[self._structure.end :]
        whole.save(target, b"".join((START, *(piece for _, piece in pieces), coded, END, trailing)))
        return tuple(notes)

    def _coded(self) -> bytes:
        return b"".join(self._data[s.start : s.end] for s in self._structure.segments if s.coded)

    def _encoded(self, page: PageData, options: OutputOptions) -> tuple[bytes, str]:
        name = self.path.name
        if self._page.refusal:
            raise FormatError(f"{name}: is {self._page.refusal}")
        check_writable(name, page.layout)
        old, new = self._page.layout, page.layout
        if (new.color, new.height, new.width) != (old.color, old.height, old.width):
            raise FormatError(f"{name}: the new picture has another size or colour than the file's")
        return encode(name, whole.gather(name, page), coding_like(self._structure, options.quality))

    def _move_index(self, pieces: _Pieces, coded: int) -> None:
        """Lets an index of further pictures point to where they are now."""
        index = self._more()
        end = len(START) + sum(len(piece) for _, piece in pieces) + coded + len(END)
        at = len(START)
        for number, (segment, piece) in enumerate(pieces):
            if index is not None and segment is not None and segment.payload is index.payload:
                base = at + index.base - segment.start
                moved = index.moved(base, self._structure.end, end)
                pieces[number] = (segment, pack(segment.marker, moved))
            at += len(piece)

    def _more(self) -> jpeg_meta.MoreIndex | None:
        index = jpeg_meta.more_of(self._structure)
        if index is not None and not index.lies_behind(self._structure.end):
            raise FormatError("the index of further pictures (MPF) points into the picture itself")
        return index

    def _trailing_note(self) -> tuple[str, ...]:
        count = len(self._data) - self._structure.end
        return (f"{count} bytes after the end of the picture were kept",) if count else ()

    def _describe(self) -> None:
        page, structure = self._page, self._structure
        frame = structure.frame
        page.icc, page.dpi = self._profile, jpeg_meta.dpi_of(structure)
        page.orientation = orientation_of(self._exif)
        table = structure.tables.get(frame.components[0].table)
        if table and not frame.lossless:
            page.jpeg_quality = quality_of(table)
        page.compression = _words(frame, page.jpeg_quality)
        page.refusal = _refusal(frame)
        try:
            index = self._more()
        except FormatError as error:
            page.refusal = page.refusal or f"a JPEG with more than one picture, and {error.message}"
        else:
            more = len(index.entries) - 1 if index else 0
            self.notes += (f"{more} further pictures behind the first were kept",) if more > 0 else ()

    def _decode(self) -> Array:
        pixels, note = decode(self._data, self._structure, self.path.name)
        self.notes += (note,) if note else ()
        return pixels


def _layout(frame: Frame, name: str) -> Layout:
    if frame.precision not in _PRECISIONS.get(frame.marker, (8, 12)):
        raise DamagedFile(f"{name}: claims {frame.precision} bits per sample, which is not possible")
    channels = len(frame.components)
    return Layout(
        frame.height,
        frame.width,
        channels,
        _COLORS[channels],
        np.dtype(np.uint8 if frame.precision <= 8 else np.uint16),
        frame.precision,
    )


def _words(frame: Frame, quality: int | None) -> str:
    kind = "lossless JPEG" if frame.lossless else "JPEG" if quality is None else f"JPEG quality {quality}"
    extras = [
        word
        for word, holds in (("progressive", frame.progressive), ("arithmetic-coded", frame.arithmetic))
        if holds
    ]
    return ", ".join([kind, *extras])


def _refusal(frame: Frame) -> str | None:
    if len(frame.components) == 4:
        return "a CMYK picture: convert it to RGB with its profile first"
    if frame.lossless:
        return "a lossless JPEG, which Scanmend does not write: convert it to TIFF or PNG first"
    if frame.precision != 8:
        return f"a {frame.precision}-bit JPEG, which Scanmend does not write: convert it to 16-bit TIFF first"
    return None


def _put_xmp(pieces: _Pieces, packet: bytes) -> list[str]:
    """Replaces the main packet, or adds one behind JFIF and EXIF; a note where it does not fit."""
    if len(packet) > jpeg_meta.MOST_XMP:
        return [f"an XMP packet of {len(packet)} bytes does not fit into a JPEG; the old one was left"]
    new = pack(APP1, jpeg_meta.XMP + packet)
    place = 0
    for number, (segment, _) in enumerate(pieces):
        if segment is None:
            continue
        if segment.marker == APP1 and segment.payload.startswith(jpeg_meta.XMP):
            pieces[number] = (None, new)
            return []
        if segment.payload.startswith((JFIF, b"JFXX\0", b"Exif\0\0")) and place == number:
            place = number + 1
    pieces.insert(place, (None, new))
    return []
