"""BMP: read through Pillow once the header has been checked; written in bands.

Headers as in Microsoft's "Bitmap Header Types" and "BITMAPV5HEADER" (wingdi.h).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, ImageFile

from scanmend import icc as profiles
from scanmend.errors import DamagedFile, FormatError, PublishError, UnsupportedFormat
from scanmend.formats.base import FormatName, Limits, OutputOptions, ScanFile
from scanmend.formats.meta import Metadata, dots_per_metre, dpi_from_metre
from scanmend.formats.whole import WholePage, check_layout, load
from scanmend.image import Alpha, Array, Color, Layout, PageData

_AGAIN = "scan or copy it again"
_EXPORT = "export it as TIFF or PNG"
_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_BITS = (1, 4, 8, 16, 24, 32)
_RAW, _RLE8, _RLE4, _FIELDS = 0, 1, 2, 3
_CODECS = {_RAW: "uncompressed", _RLE8: "RLE8", _RLE4: "RLE4", _FIELDS: "uncompressed"}
_EMBEDDED = 0x4D424544  # 'MBED'
_SRGB = 0x73524742  # 'sRGB'
_MODES: dict[str, tuple[Color, Alpha]] = {
    "L": ("grey", "none"),
    "RGB": ("rgb", "none"),
    "RGBA": ("rgb", "straight"),
}


@dataclass(frozen=True)
class Header:
    """What the two headers of a BMP say; `icc` is the range of an embedded profile."""

    start: int
    size: int
    width: int
    height: int
    bits: int
    codec: int
    per_metre: tuple[int, int]
    icc: tuple[int, int]

    @property
    def stride(self) -> int:
        """Bytes of a row, which are a multiple of four."""
        return (self.width * self.bits + 31) // 32 * 4


def sniff(head: bytes) -> bool:
    """Tells whether a file begins like a BMP: its mark, and a header of less than 256 bytes."""
    return head[:2] == b"BM" and head[15:18] == b"\0\0\0"


def open_file(path: Path, limits: Limits) -> ScanFile:
    """Checks the headers and that the file holds all rows they promise.

    Raises:
        DamagedFile: the header says what cannot be, or the file is too short.
        LimitExceeded: the header asks for more than the limits allow.
        UnsupportedFormat: it is compressed in a way that Pillow does not read.
    """
    data = load(path, limits)
    header = _header(data, path.name)
    # What the page decodes to is known before it is decoded, at four samples a pixel at most.
    check_layout(path.name, Layout(header.height, header.width, 4, "rgb", np.dtype("u1"), 8), limits)
    if header.codec in (_RAW, _FIELDS) and header.start + header.stride * header.height > len(data):
        rows = max(0, len(data) - header.start) // header.stride
        raise DamagedFile(
            f"{path.name} is damaged: it ends early; {rows} of its {header.height} rows can be read",
            hint=_AGAIN,
        )
    return BmpFile(path, data, header)


class BmpFile(ScanFile):
    """An open BMP, held in memory."""

    format: FormatName = "bmp"

    def __init__(self, path: Path, data: bytes, header: Header) -> None:
        self.path, self._header = path, header
        mode = _mode(data, path.name)
        color, alpha = _MODES[mode]
        icc = data[header.icc[0] : sum(header.icc)] or None
        layout = Layout(
            height=header.height,
            width=header.width,
            channels=len(mode),
            color=color,
            dtype=np.dtype("u1"),
            bits=8,
            alpha=alpha,
            transfer=profiles.transfer(icc),
        )
        page = WholePage(path.name, layout, lambda: _decode(data, mode, path.name))
        page.icc = icc
        page.dpi = dpi_from_metre(*header.per_metre)
        page.compression = f"{_CODECS[header.codec]}, {header.bits} bits"
        self._page, self.pages = page, (page,)

    def close(self) -> None:
        self._page.release()

    def metadata(self) -> Metadata:
        """What can be carried into a file of another format."""
        return Metadata(icc=self._page.icc, dpi=self._page.dpi)

    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        """Writes a BMP of 8, 24 or 32 bits with the same resolution and profile.

        Raises:
            FormatError: the new pixels are of another size, or of a layout that BMP lacks.
        """
        del options  # BMP is written uncompressed
        layout = self._page.layout
        page = pages.get(0) or PageData(layout, iter([self._page.read(0, layout.height)]))
        if (page.layout.height, page.layout.width) != (layout.height, layout.width):
            raise FormatError(f"{self.path.name}: the new pixels are not of the old size")
        per_metre = self._header.per_metre
        _write(target, page, self._page.icc, per_metre if min(per_metre) > 0 else (0, 0))
        notes = ["BMP has no place for XMP; what was done stands in the report alone"] if xmp else []
        bits = 8 * page.layout.channels
        if bits != self._header.bits:
            notes.append(f"the picture is now stored in {bits} bits instead of {self._header.bits}")
        return tuple(notes)


def write_new(
    target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
) -> tuple[str, ...]:
    """Writes a new BMP of one page, bottom up as most programs expect it.

    Raises:
        FormatError: there are several pages, or the layout is one that BMP lacks.
    """
    del options  # BMP is written uncompressed
    if len(pages) != 1:
        raise FormatError(f"BMP holds one page, not {len(pages)}", hint="write a TIFF")
    _write(target, pages[0], meta.icc, dots_per_metre(meta.dpi) if meta.dpi else (0, 0))
    lost = {"EXIF": meta.exif, "XMP": meta.xmp, "IPTC": meta.iptc, "orientation": meta.orientation != 1}
    return tuple(f"BMP has no place for {what}; it was left out" for what, value in lost.items() if value)


def _header(data: bytes, name: str) -> Header:
    if len(data) < 26:
        raise DamagedFile(f"{name} is damaged: it ends inside its header", hint=_AGAIN)
    start, size = struct.unpack_from("<II", data, 10)
    if size not in _HEADERS:
        raise UnsupportedFormat(f"{name} is a BMP with a rare header of {size} bytes", hint=_EXPORT)
    if len(data) < 14 + size:
        raise DamagedFile(f"{name} is damaged: it ends inside its header", hint=_AGAIN)
    codec, per_metre, icc = _RAW, (0, 0), (0, 0)
    if size == 12:
        width, height, planes, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, planes, bits, codec = struct.unpack_from("<iiHHI", data, 18)
        per_metre = struct.unpack_from("<ii", data, 38)
    if size == 124 and struct.unpack_from("<I", data, 14 + 56)[0] == _EMBEDDED:
        offset, length = struct.unpack_from("<II", data, 14 + 112)
        icc = (14 + offset, length)
    if width <= 0 or height in (0, -(2**31)):
        raise DamagedFile(f"{name} is damaged: its header says {width} x {height} pixels", hint=_AGAIN)
    if bits not in _BITS or planes > 1:
        raise DamagedFile(f"{name} is damaged: its header says {bits} bits in {planes} planes", hint=_AGAIN)
    if codec not in _CODECS:
        raise UnsupportedFormat(f"{name} is a BMP with compression {codec}", hint=_EXPORT)
    return Header(start, size, width, abs(height), bits, codec, per_metre, icc)


def _image(data: bytes, name: str) -> ImageFile.ImageFile:
    try:
        # Not Image.open: its limit on pixels is global to the process, and ours has been checked.
        return BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError, struct.error, KeyError, IndexError, OverflowError) as error:
        raise UnsupportedFormat(f"{name} cannot be read as BMP: {error}", hint=_EXPORT) from error


def _mode(data: bytes, name: str) -> str:
    """The mode that the pixels are turned into: whatever keeps every colour, in 8 bits a sample."""
    mode = _image(data, name).mode
    return {"1": "L", "L": "L", "RGBA": "RGBA"}.get(mode, "RGB")


def _decode(data: bytes, mode: str, name: str) -> Array:
    image = _image(data, name)
    try:
        return np.asarray(image.convert(mode))
    # A decoder may raise anything on bytes made to mislead it.
    except Exception as error:
        raise DamagedFile(f"{name} is damaged: its pixels cannot be read ({error})", hint=_AGAIN) from error


def _write(target: Path, page: PageData, icc: bytes | None, per_metre: tuple[int, int]) -> None:
    layout = page.layout
    legal = {("grey", "none"): 1, ("rgb", "none"): 3, ("rgb", "straight"): 4}
    if layout.dtype != np.uint8 or legal.get((layout.color, layout.alpha)) != layout.channels:
        raise FormatError(
            f"BMP cannot hold the {layout.color} pixels of {target.name}, {layout.channels} x {layout.dtype}",
            hint="write a TIFF or PNG",
        )
    head, stride = _new_headers(layout, icc, per_metre), (layout.width * layout.channels + 3) // 4 * 4
    if len(head) + stride * layout.height + len(icc or b"") >= 2**32:
        raise FormatError("BMP cannot hold more than 4 GiB", hint="write a TIFF or PNG")
    try:
        with target.open("xb") as out:
            out.write(head)
            for top, rows in _stored(target.name, page, stride):
                out.seek(len(head) + (layout.height - top - len(rows)) * stride)
                out.write(rows[::-1].tobytes())
            out.seek(len(head) + stride * layout.height)
            out.write(icc or b"")
    except OSError as error:
        raise PublishError(f"{target.name} cannot be written: {error.strerror}") from error


def _new_headers(layout: Layout, icc: bytes | None, per_metre: tuple[int, int]) -> bytes:
    """File header, bitmap header (version 5 where there is alpha or a profile) and grey palette."""
    bits, fields = 8 * layout.channels, layout.alpha != "none"
    size = 124 if fields or icc else 40
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256)) if bits == 8 else b""
    start = 14 + size + len(palette)
    body = (layout.width * layout.channels + 3) // 4 * 4 * layout.height
    head = struct.pack(
        "<IiiHHIIiiII",
        *(size, layout.width, layout.height, 1, bits, _FIELDS if fields else _RAW, body, *per_metre),
        *(len(palette) // 4, 0),
    )
    if size == 124:
        masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000) if fields else (0, 0, 0, 0)
        head += struct.pack("<4II48xI", *masks, _EMBEDDED if icc else _SRGB, 4)  # 4: perceptual intent
        head += struct.pack("<III", start - 14 + body if icc else 0, len(icc or b""), 0)
    return struct.pack("<2sIHHI", b"BM", start + body + len(icc or b""), 0, 0, start) + head + palette


def _stored(name: str, page: PageData, stride: int) -> Iterator[tuple[int, Array]]:
    """Each band's top row and its rows as BMP stores them: blue first, padded to four bytes."""
    layout, top = page.layout, 0
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[layout.channels]
    for band in page.bands:
        if band.shape[1:] != (layout.width, layout.channels) or band.dtype != layout.dtype:
            raise FormatError(f"{name}: a band {band.shape} of {band.dtype} does not fit the page")
        rows = np.zeros((len(band), stride), np.uint8)
        rows[:, : layout.width * layout.channels] = band[..., order].reshape(len(band), -1)
        if top + len(band) > layout.height:
            break
        yield top, rows
        top += len(band)
    if top != layout.height:
        raise FormatError(f"{name}: the new picture has not {layout.height} rows")
