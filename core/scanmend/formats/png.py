"""PNG: every colour type and depth is read; the rest of the file is copied byte for byte.

Portable Network Graphics (PNG) Specification, third edition (W3C, 2025). Pages are read
and written in bands; interlaced ones are decoded whole, into a scratch file when large.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scanmend import icc as profiles
from scanmend.errors import DamagedFile, FormatError, PublishError, UnsupportedFormat
from scanmend.formats import pngchunks
from scanmend.formats.base import FormatName, Limits, OutputOptions, ScanFile
from scanmend.formats.meta import (
    Metadata,
    dots_per_metre,
    dpi_from_metre,
    orientation_of,
    with_orientation,
)
from scanmend.formats.pngdata import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    SAMPLES,
    SIGNATURE,
    WIDEST,
    Header,
    Inflater,
    chunk,
    compress,
)
from scanmend.formats.pngpage import PngPage, layout_of
from scanmend.formats.whole import check_layout
from scanmend.image import Alpha, Array, Color, Layout, PageData, Transfer, change_depth

_COPY = 2**20
_KINDS: dict[tuple[Color, Alpha], int] = {
    ("grey", "none"): GREY,
    ("grey", "straight"): GREY_ALPHA,
    ("rgb", "none"): RGB,
    ("rgb", "straight"): RGB_ALPHA,
}
_WORDS = {
    GREY: "grey",
    RGB: "RGB",
    PALETTE: "indexed",
    GREY_ALPHA: "grey with alpha",
    RGB_ALPHA: "RGB with alpha",
}
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def sniff(head: bytes) -> bool:
    """Tells whether a file begins like a PNG."""
    return head.startswith(SIGNATURE)


def open_file(path: Path, limits: Limits) -> ScanFile:
    """Reads and checks every chunk but the picture data.

    Raises:
        DamagedFile: the file is cut off, or a checksum of what the picture needs is wrong.
        LimitExceeded: the header or a text asks for more than the limits allow.
        UnsupportedFormat: a critical chunk is unknown.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise FormatError(f"{path.name} cannot be read: {error.strerror}") from error
    try:
        return PngFile(path, file, limits)
    except BaseException:
        file.close()
        raise


class PngFile(ScanFile):
    """An open PNG."""

    format: FormatName = "png"

    def __init__(self, path: Path, file: BinaryIO, limits: Limits) -> None:
        self.path, self._file = path, file
        self._size = file.seek(0, 2)
        self._open(limits)
        self._texts = pngchunks.Ancillary(file, self._chunks, limits, path.name)
        self.xmp = self._texts.xmp
        self._colors()
        self._page.icc = self._texts.icc
        self._page.orientation = orientation_of(self._texts.exif)
        self._page.dpi = self._dpi()
        self._page.layout = self._layout.replace(transfer=self._transfer())
        self._page.refusal = self._refusal()
        self._page.compression = f"deflate, {self._header.depth}-bit {_WORDS[self._header.kind]}"
        self.pages = (self._page,)
        self.notes = tuple(self._oddities())

    def close(self) -> None:
        self._page.close()
        self._file.close()

    def metadata(self) -> Metadata:
        """What can be carried into a file of another format."""
        page, texts = self._page, self._texts
        return Metadata(page.icc, page.dpi, texts.exif, self.xmp, texts.iptc, page.orientation)

    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        """Copies every chunk in its order, with new picture data and packet where they are given.

        Raises:
            FormatError: the new pixels are of another size, or of a layout that PNG lacks.
            UnsupportedFormat: the picture is an animation.
        """
        del options  # PNG is lossless and has one codec
        page = pages.get(0)
        if page and self._page.refusal:
            raise UnsupportedFormat(f"{self.path.name} is {self._page.refusal}")
        fresh = self._header if page is None else self._fresh(page.layout)
        notes = self._changes(fresh)
        try:
            with target.open("xb") as out:
                out.write(SIGNATURE)
                for piece in self._copy(page, fresh, xmp):
                    out.write(piece)
        except OSError as error:
            raise PublishError(f"{target.name} cannot be written: {error.strerror}") from error
        return notes

    def _open(self, limits: Limits) -> None:
        """Finds the chunks, checks what the picture needs, and makes the page."""
        name = self.path.name
        found = pngchunks.walk(self._file, self._size, name)
        self._chunks = found.chunks
        names = [part.name for part in self._chunks]
        if unknown := [part for part in names if part[:1].isupper() and part not in _CRITICAL]:
            what = unknown[0].decode()
            raise UnsupportedFormat(
                f"{name} is a PNG with the extension {what}", hint="export it as plain PNG"
            )
        if names[:1] != [b"IHDR"] or names.count(b"IHDR") > 1:
            raise self._damage(found.damage or "its header is not in its place")
        self._header = pngchunks.header(self._body(b"IHDR") or b"", name)
        self._layout = layout_of(self._header, keyed=self._body(b"tRNS") is not None)
        check_layout(name, self._layout, limits)
        if self._header.row_bytes(self._header.width) // max(1, self._header.bits // 8) > WIDEST:
            raise UnsupportedFormat(f"{name} is wider than PNG decoders take", hint="write a TIFF")
        ranges = [(part.offset + 8, part.length) for part in self._chunks if part.name == b"IDAT"]
        if found.damage:
            raise self._damage(found.damage, self._readable([*ranges, found.rest]))
        if not ranges:
            raise self._damage("it holds no picture data")
        broken = [part.offset for part in self._chunks if part.name == b"IDAT" and not part.sound]
        if broken and not self._intact(ranges):
            what = f"the checksum of its IDAT chunk at byte {broken[0]} is wrong"
            raise self._damage(what, self._readable(ranges))
        if set(names[names.index(b"IDAT") :][: len(ranges)]) != {b"IDAT"}:
            raise self._damage("its picture data stand in several places")
        self._page = PngPage(self._file, name, self._header, self._layout, ranges)

    def _damage(self, what: str, readable: str = "") -> DamagedFile:
        return DamagedFile(f"{self.path.name} is damaged: {what}{readable}", hint="scan or copy it again")

    def _intact(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Whether the picture data inflate to their full length and agree with their own checksum."""
        inflater, left = Inflater(self._file, ranges), self._header.scanline_bytes()
        try:
            while left and (part := inflater.take(min(_COPY, left))):
                left -= len(part)
            return not left and not inflater.take(1) and inflater.finished
        except zlib.error:
            return False

    def _readable(self, ranges: Sequence[tuple[int, int]]) -> str:
        """How much of the picture the sound data hold, in words; inflates them once, keeping nothing."""
        inflater, got = Inflater(self._file, ranges), 0
        whole = self._header.scanline_bytes()
        try:
            while got < whole and (part := inflater.take(min(_COPY, whole - got))):
                got += len(part)
        except zlib.error:
            pass
        if self._header.interlaced:
            return f"; {100 * got // whole} % of its picture data can be read"
        rows = got // (self._header.row_bytes(self._header.width) + 1)
        return f"; {rows} of its {self._header.height} rows can be read"

    def _body(self, name: bytes) -> bytes | None:
        """The first sound chunk of this name, at most 1 KiB of it; larger ones are not asked for."""
        for found in self._chunks:
            if found.name == name and found.sound:
                self._file.seek(found.offset + 8)
                return self._file.read(min(found.length, 1024))
        return None

    def _colors(self) -> None:
        """Palette and transparent colour (sections 11.2.2 and 11.3.1.1)."""
        alpha = self._body(b"tRNS")
        kind, count = self._header.kind, SAMPLES[self._header.kind]
        if kind == PALETTE:
            plain = self._body(b"PLTE") or b""
            if not plain or len(plain) % 3 or len(plain) > 768:
                raise self._damage("its palette is missing or cut off")
            palette = np.frombuffer(plain, np.uint8).reshape(-1, 3)
            if alpha is not None:
                opacity = np.frombuffer(alpha[: len(palette)].ljust(len(palette), b"\xff"), np.uint8)
                palette = np.concatenate([palette, opacity[:, None]], axis=1)
            self._page.palette = palette
        elif kind in (GREY, RGB) and alpha is not None:
            if len(alpha) != 2 * count:
                raise self._damage("its transparent colour is cut off")
            self._page.key = np.frombuffer(alpha, ">u2").astype(np.uint16)

    def _dpi(self) -> tuple[float, float] | None:
        body = self._body(b"pHYs") or b""
        if len(body) != 9 or body[8] != 1:  # other units tell the pixel's shape alone
            return None
        return dpi_from_metre(*struct.unpack(">II", body[:8]))

    def _transfer(self) -> Transfer:
        """In the order of precedence that section 4.3 gives: cICP, iCCP, sRGB, gAMA."""
        coded = self._body(b"cICP")
        if coded and len(coded) == 4:
            return "linear" if coded[1] == 8 else "display"  # ITU-T H.273, table 3
        if self._texts.icc is not None:
            return profiles.transfer(self._texts.icc)
        if self._body(b"sRGB") is not None:
            return "display"
        return "linear" if self._body(b"gAMA") == struct.pack(">I", 100000) else "display"

    def _refusal(self) -> str | None:
        control = self._body(b"acTL")
        if control and int.from_bytes(control[:4], "big") > 1:
            return "an animation: export the frame you want as a plain PNG"
        return None

    def _oddities(self) -> Iterator[str]:
        if self._header.kind == PALETTE:
            yield "the picture is indexed; restored, it is written as RGB"
        for found in self._chunks:
            if not found.sound and found.name == b"IDAT":
                yield "the checksum of an IDAT chunk is wrong, but the pixels agree with their own"
            elif not found.sound:
                yield f"the checksum of its {found.name.decode()} chunk is wrong; it was kept, but not read"
        if b"iCCP" in [found.name for found in self._chunks] and self._texts.icc is None:
            yield "its colour profile is damaged; it was kept as it is"
        if rest := self._size - self._chunks[-1].end:
            yield f"{rest} bytes after the end of the picture were kept"

    def _fresh(self, layout: Layout) -> Header:
        """The header for new pixels of this layout."""
        old = self._layout
        same = (layout.height, layout.width, layout.color, layout.alpha)
        if same != (old.height, old.width, old.color, old.alpha):
            raise FormatError(f"{self.path.name}: the new pixels are not of the old size and kind")
        return _header(self.path.name, layout)

    def _changes(self, fresh: Header) -> tuple[str, ...]:
        if (old := self._header) == fresh:
            return ()
        if (old.depth, old.kind) == (fresh.depth, fresh.kind):
            return ("the picture is no longer interlaced",)
        before, after = (f"{header.depth}-bit {_WORDS[header.kind]}" for header in (old, fresh))
        notes = [f"the picture is now {after} instead of {before}"]
        names = {found.name for found in self._chunks} & self._dropped(fresh)
        if names:
            lost = ", ".join(sorted(name.decode() for name in names))
            notes.append(f"chunks that described the old samples were left out: {lost}")
        return tuple(notes)

    def _dropped(self, fresh: Header) -> set[bytes]:
        old = self._header
        if (old.depth, old.kind) == (fresh.depth, fresh.kind):
            return set()
        return {b"tRNS", b"sBIT", b"bKGD"} | ({b"PLTE", b"hIST"} if old.kind == PALETTE else set())

    def _copy(self, page: PageData | None, fresh: Header, xmp: bytes | None) -> Iterator[bytes]:
        """The whole new file but its signature, in pieces."""
        first = next(found.offset for found in self._chunks if found.name == b"IDAT")
        old_xmp = set(self._texts.xmp_chunks) if xmp is not None else set()
        dropped = self._dropped(fresh)
        for found in self._chunks:
            if xmp is not None and found.offset == min(old_xmp, default=first):
                yield pngchunks.xmp_chunk(xmp)
            if found.offset in old_xmp or found.name in dropped:
                continue
            if page and found.name == b"IHDR":
                yield _header_chunk(fresh)
            elif page and found.name == b"IDAT":
                if found.offset == first:
                    yield from _picture(self.path.name, page)
            else:
                yield from self._bytes(found.offset, found.end)
        yield from self._bytes(self._chunks[-1].end, self._size)

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        for offset in range(start, end, _COPY):
            self._file.seek(offset)
            yield self._file.read(min(_COPY, end - offset))


def write_new(
    target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
) -> tuple[str, ...]:
    """Writes a new PNG of one page.

    Samples of other depths than 8 and 16 bits are scaled up, and sBIT tells the depth they
    came from, so that they can be recovered exactly (section 12.4).

    Raises:
        FormatError: there are several pages, or the layout is one that PNG lacks.
    """
    del options  # PNG is lossless and has one codec
    if len(pages) != 1:
        raise FormatError(f"PNG holds one page, not {len(pages)}", hint="write a TIFF")
    page, bits = _scaled(pages[0]), pages[0].layout.bits
    header = _header(target.name, page.layout)
    exif = with_orientation(meta.exif, meta.orientation)
    try:
        with target.open("xb") as out:
            out.write(SIGNATURE + _header_chunk(header))
            if bits != header.depth:
                out.write(chunk(b"sBIT", bytes([bits] * SAMPLES[header.kind])))
            dpi = dots_per_metre(meta.dpi) if meta.dpi else None
            out.writelines(pngchunks.new_chunks(meta.icc, dpi, exif))
            if meta.xmp:
                out.write(pngchunks.xmp_chunk(meta.xmp))
            if meta.iptc:
                out.write(pngchunks.iptc_chunk(meta.iptc))
            out.writelines(_picture(target.name, page))
            out.write(chunk(b"IEND", b""))
    except OSError as error:
        raise PublishError(f"{target.name} cannot be written: {error.strerror}") from error
    return ()


def _header(name: str, layout: Layout) -> Header:
    kind = _KINDS.get((layout.color, layout.alpha))
    if (
        kind is None
        or layout.dtype.kind != "u"
        or layout.dtype.itemsize > 2
        or layout.channels != SAMPLES[kind]
    ):
        raise FormatError(
            f"PNG cannot hold the {layout.color} pixels of {name}, {layout.channels} x {layout.dtype}",
            hint="write a TIFF",
        )
    return Header(layout.width, layout.height, 8 * layout.dtype.itemsize, kind, interlaced=False)


def _header_chunk(header: Header) -> bytes:
    fields = (header.width, header.height, header.depth, header.kind, 0, 0, 0)
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def _picture(name: str, page: PageData) -> Iterator[bytes]:
    for body in compress(_checked(name, page), page.layout.width, page.layout.channels):
        yield chunk(b"IDAT", body)


def _checked(name: str, page: PageData) -> Iterator[Array]:
    """The page's bands, which must be what its layout says."""
    layout, rows = page.layout, 0
    for band in page.bands:
        rows += len(band)
        if (
            band.shape[1:] != (layout.width, layout.channels)
            or band.dtype != layout.dtype
            or rows > layout.height
        ):
            raise FormatError(f"{name}: a band {band.shape} of {band.dtype} does not fit the page")
        if len(band):
            yield band
    if rows != layout.height:
        raise FormatError(f"{name}: the new picture has {rows} rows, not {layout.height}")


def _scaled(page: PageData) -> PageData:
    """Samples of uncommon depths stretched to the whole range of 8 or 16 bits."""
    layout = page.layout
    bits = 8 * layout.dtype.itemsize
    if layout.bits == bits or layout.dtype.kind != "u" or bits > 16:
        return page
    full = layout.replace(bits=bits)
    return PageData(full, (change_depth(band, layout, full) for band in page.bands))
