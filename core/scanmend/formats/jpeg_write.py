"""Encoding a JPEG picture, and putting the coded part into the segments of another file.

Only tables and scans come from the encoder; its own application segments are dropped, so
that what the file says about itself stays as it was.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scanmend.errors import FormatError
from scanmend.formats import exif, whole
from scanmend.formats.base import OutputOptions
from scanmend.formats.jpeg_decode import END, START
from scanmend.formats.jpeg_meta import MOST_XMP, XMP, icc_segments, iptc_segments
from scanmend.formats.jpeg_segments import APP0, APP1, JFIF, Structure, pack, walk
from scanmend.formats.jpeg_tables import Table, finest, natural, tables
from scanmend.formats.meta import Metadata, with_orientation
from scanmend.image import Array, Layout, PageData

_FULL, _HALF_ACROSS, _HALF_BOTH = 0, 1, 2  # Pillow's names for 4:4:4, 4:2:2, 4:2:0
_SMALL = 60_000  # bytes that fit into Pillow's smallest buffer
_LARGEST = 65_500  # libjpeg's JPEG_MAX_DIMENSION
_FULL_COLOR_FROM = 90  # at this quality of a new file, halved colour would show first


@dataclass(frozen=True)
class Coding:
    """How to encode.

    Attributes:
        tables: one, or luminance and chrominance, in zigzag order.
        subsampling: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0.
        progressive: in several scans.
        rgb: store RGB as it is, instead of YCbCr.
    """

    tables: tuple[Table, ...]
    subsampling: int = _FULL
    progressive: bool = False
    rgb: bool = False


def coding_like(structure: Structure, quality: int) -> Coding:
    """The coding of a file's new pixels: nowhere coarser than the file's own, nor than `quality`."""
    luma, chroma = tables(quality)
    components = structure.frame.components
    own = [structure.tables[c.table] for c in components if c.table in structure.tables]
    progressive = structure.frame.progressive
    if len(components) == 1 or structure.is_rgb:
        return Coding((finest([luma, *own]),), progressive=progressive, rgb=len(components) > 1)
    pair = finest([luma, *own[:1]]), finest([chroma, *own[1:]])
    return Coding(pair, _subsampling(structure), progressive)


def _subsampling(structure: Structure) -> int:
    """What Pillow writes that is as fine as the file's own sampling, or finer."""
    luma, *chroma = structure.frame.components
    across = min(luma.across / c.across for c in chroma)
    down = min(luma.down / c.down for c in chroma)
    if across < 2:
        return _FULL
    return _HALF_ACROSS if down < 2 else _HALF_BOTH


def encode(name: str, pixels: Array, coding: Coding) -> tuple[bytes, str]:
    """Compresses a picture.

    Args:
        name: of the file, for messages.
        pixels: uint8 (H, W, 1) or (H, W, 3).
        coding: how.

    Returns:
        The coded segments from tables to the last scan, without EOI, and a note or "".
    """
    if max(pixels.shape[:2]) > _LARGEST:
        raise FormatError(
            f"{name}: a JPEG can be {_LARGEST} pixels wide or high at most", hint="write a TIFF"
        )
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    plain = _saved(image, coding, compact=False)
    # Optimised and progressive coding need the whole result in one buffer, for which
    # Pillow takes two bytes per pixel: very noisy pictures at the finest steps may not fit.
    if len(plain) < max(_SMALL, 1.8 * image.width * image.height):
        with contextlib.suppress(OSError):
            return _coded(_saved(image, coding, compact=True), name), ""
    note = "the picture is too detailed for progressive coding and was written as baseline JPEG"
    return _coded(plain, name), note if coding.progressive else ""


def _saved(image: Image.Image, coding: Coding, *, compact: bool) -> bytes:
    buffer = io.BytesIO()
    image.save(
        buffer,
        "JPEG",
        qtables=[natural(table) for table in coding.tables],
        subsampling=coding.subsampling,
        progressive=coding.progressive and compact,
        optimize=compact,
        keep_rgb=coding.rgb,
    )
    return buffer.getvalue()


def _coded(data: bytes, name: str) -> bytes:
    segments = walk(data, name).segments
    return b"".join(data[s.start : s.end] for s in segments if s.coded)


def check_writable(name: str, layout: Layout) -> None:
    """Raises a FormatError where a JPEG cannot hold these samples."""
    hint = "choose PNG or TIFF"
    if layout.alpha != "none":
        raise FormatError(f"{name}: a JPEG cannot hold transparency", hint=hint)
    if layout.color not in ("grey", "rgb") or layout.channels != layout.color_channels:
        raise FormatError(f"{name}: a JPEG is written from grey or RGB only, not {layout.color}", hint=hint)
    if layout.dtype != "uint8" or layout.bits != 8:
        raise FormatError(f"{name}: a JPEG holds 8 bits per sample, not {layout.bits}", hint=hint)


def write_new(
    target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
) -> tuple[str, ...]:
    """Writes a new JPEG file.

    Args:
        target: a path that does not exist yet.
        pages: one page of 8-bit grey or RGB.
        meta: carried as JFIF density, EXIF, XMP, ICC and IPTC segments.
        options: encoding; colour is stored in full (4:4:4) from quality 90 on, else 4:2:0.

    Returns:
        Sentences about what does not fit.

    Raises:
        FormatError: several pages, alpha, other colours or depths.
    """
    if len(pages) != 1:
        raise FormatError(f"{target.name}: a JPEG holds one picture, not {len(pages)}", hint="choose TIFF")
    (page,) = pages
    check_writable(target.name, page.layout)
    luma, chroma = tables(options.quality)
    sampling = _FULL if options.quality >= _FULL_COLOR_FROM else _HALF_BOTH
    steps = (luma,) if page.layout.color == "grey" else (luma, chroma)
    coded, note = encode(target.name, whole.gather(target.name, page), Coding(steps, sampling))
    head, notes = _head(meta)
    whole.save(target, b"".join((START, *head, coded, END)))
    return (*notes, *filter(None, [note]))


def _head(meta: Metadata) -> tuple[list[bytes], list[str]]:
    """Application segments in the usual order, and notes about what does not fit."""
    notes: list[str] = []
    parts = [pack(APP0, JFIF + struct.pack(">HBHHBB", 0x0101, *_density(meta.dpi), 0, 0))]
    block = with_orientation(meta.exif, meta.orientation)
    for prefix, content, what in ((exif.PREFIX, block, "EXIF block"), (XMP, meta.xmp, "XMP packet")):
        if content and len(content) <= MOST_XMP:
            parts.append(pack(APP1, prefix + content))
        elif content:
            notes.append(f"the {what} of {len(content)} bytes does not fit into a JPEG and was left out")
    try:
        parts += icc_segments(meta.icc) if meta.icc else []
    except FormatError as error:
        notes.append(f"{error.message} and was left out")
    parts += iptc_segments(meta.iptc) if meta.iptc else []
    return parts, notes


def _density(dpi: tuple[float, float] | None) -> tuple[int, int, int]:
    """Unit and densities of the JFIF segment; unit 0 says nothing but square pixels."""
    if dpi is None:
        return 0, 1, 1
    x, y = (round(value) for value in dpi)
    return (1, x, y) if min(x, y) >= 1 and max(x, y) <= 65_535 else (0, 1, 1)
