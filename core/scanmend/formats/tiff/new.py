"""A fresh TIFF, for pages that come from another format or change theirs."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING

from scanmend.formats.base import Limits
from scanmend.formats.tiff import exif, meaning
from scanmend.formats.tiff import tags as t
from scanmend.formats.tiff.coding import Coding
from scanmend.formats.tiff.encode import checked, encode_bands
from scanmend.formats.tiff.ifd import Dialect
from scanmend.formats.tiff.rewrite import CODECS, STRIP, best_predictor
from scanmend.formats.tiff.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from scanmend.formats.base import OutputOptions
    from scanmend.formats.meta import Metadata
    from scanmend.image import Color, Layout, PageData

_BIG_FROM = 3_900_000_000  # bytes of pixels; incompressible ones grow a little
_PHOTOMETRIC: dict[Color, int] = {
    "grey": t.BLACK_IS_ZERO,
    "rgb": t.RGB,
    "cmyk": t.CMYK,
    "lab": t.LAB,
    "other": t.BLACK_IS_ZERO,
}
_RATIO = 10_000  # largest denominator of a resolution that is no whole number
_MOST_DPI = 2.0**32 / _RATIO - 1  # so that the numerator fits too


def write_new(
    target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
) -> tuple[str, ...]:
    """Writes a TIFF, or a BigTIFF where the pixels might pass 4 GiB.

    Deflate with a predictor unless the options name a codec; strips of about half a
    mebibyte, which every program reads. ICC, resolution and orientation go to every
    page, all other metadata to the first.

    Args:
        target: a path that does not exist yet.
        pages: consumed in order.
        meta: what to carry; EXIF becomes directories of the first page.
        options: encoding.

    Returns:
        Sentences about what could not be carried.

    Raises:
        FormatError: bands do not fit their layout.
        PublishError: the disk is full, or fails.
    """
    block = exif.parse(meta.exif, Limits.metadata_bytes)
    form = Dialect(block.order, big=sum(page.layout.nbytes for page in pages) > _BIG_FROM)
    with Target(target, form) as out:
        link = _header(out)
        for index, page in enumerate(pages):
            coding = _coding(page.layout, options, form)
            placed = _Appended(out, coding.segments)
            where = f"{target.name}, page {index + 1}"
            bands = (meaning.store(band, coding) for band in checked(page.bands, page.layout, where))
            encode_bands(bands, coding, out, placed)
            items = [*_pixel_items(coding, page.layout, placed, form), *_shared_items(meta, form)]
            if len(pages) > 1:
                items += [_ints(form, t.SUBFILE, (2,), t.LONG)]
            if index == 0:
                items += [*block.items, *_first_items(meta)]
            link = _append_ifd(out, items, link)
        out.flush()
    return block.notes


class _Appended:
    """Segments one after the other."""

    def __init__(self, target: Target, number: int) -> None:
        self._target = target
        self.offsets, self.counts = [0] * number, [0] * number

    def place(self, number: int, size: int) -> int:
        self.offsets[number], self.counts[number] = self._target.reserve(size), size
        return self.offsets[number]


def _header(out: Target) -> int:
    """Writes the header and returns where the pointer to the first directory stands."""
    form = out.form
    head = b"II" if form.order == "<" else b"MM"
    head += form.pack("HHHQ", 43, 8, 0, 0) if form.big else form.pack("HI", 42, 0)
    out.append(head)
    return form.field


def _append_ifd(out: Target, items: Iterable[exif.Item], link: int) -> int:
    """Writes a directory, ties it to the chain, and returns where its own next pointer stands."""
    form = out.form
    ordered = tuple(sorted(items, key=lambda item: item.tag))
    start = out.reserve(0, 8)
    out.append(exif.serialise(ordered, form, start), 8)
    out.write(link, form.pack(form.pointer, start))
    return start + (8 if form.big else 2) + len(ordered) * form.entry


def _coding(layout: Layout, options: OutputOptions, form: Dialect) -> Coding:
    kind = layout.dtype.kind
    coding = Coding(
        order=form.order,
        height=layout.height,
        width=layout.width,
        samples=layout.channels,
        bits=layout.bits,
        kind="f" if kind == "f" else "i" if kind == "i" else "u",
        photometric=_PHOTOMETRIC[layout.color],
        compression=CODECS.get(options.compression, t.DEFLATE),
        predictor=1,
        planar=False,
        reversed_bits=False,
        tiled=False,
        segment_height=layout.height,
        segment_width=layout.width,
        extras=_extras(layout),
    )
    rows = min(layout.height, max(1, STRIP // coding.row_bytes))
    return coding.replace(predictor=best_predictor(coding), segment_height=rows)


def _extras(layout: Layout) -> tuple[int, ...]:
    colors = 1 if layout.color == "other" else layout.color_channels
    extras = [0] * (layout.channels - colors)
    if extras and layout.alpha != "none":
        extras[0] = 1 if layout.alpha == "premultiplied" else 2
    return tuple(extras)


def _ints(form: Dialect, tag: int, values: Sequence[int], kind: int = t.SHORT) -> exif.Item:
    data = struct.pack(f"{form.order}{len(values)}{t.INTEGERS[kind]}", *values)
    return exif.Item(tag, kind, len(values), data)


def _pixel_items(coding: Coding, layout: Layout, placed: _Appended, form: Dialect) -> list[exif.Item]:
    wide = t.LONG8 if form.big else t.LONG
    items = [
        _ints(form, t.WIDTH, (layout.width,), t.LONG),
        _ints(form, t.HEIGHT, (layout.height,), t.LONG),
        _ints(form, t.BITS, (coding.bits,) * coding.samples),
        _ints(form, t.COMPRESSION, (coding.compression,)),
        _ints(form, t.PHOTOMETRIC, (coding.photometric,)),
        _ints(form, t.STRIP_OFFSETS, placed.offsets, wide),
        _ints(form, t.SAMPLES, (coding.samples,)),
        _ints(form, t.ROWS_PER_STRIP, (coding.segment_height,), t.LONG),
        _ints(form, t.STRIP_COUNTS, placed.counts, wide),
        _ints(form, t.PLANAR, (1,)),
        _ints(form, t.SAMPLE_FORMAT, ({"u": 1, "i": 2, "f": 3}[coding.kind],) * coding.samples),
    ]
    if coding.predictor != 1:
        items.append(_ints(form, t.PREDICTOR, (coding.predictor,)))
    if coding.extras:
        items.append(_ints(form, t.EXTRA_SAMPLES, coding.extras))
    return items


def _shared_items(meta: Metadata, form: Dialect) -> list[exif.Item]:
    items = [_ints(form, t.ORIENTATION, (meta.orientation,))]
    if meta.dpi:
        items += [_ratio(form, t.X_RESOLUTION, meta.dpi[0]), _ratio(form, t.Y_RESOLUTION, meta.dpi[1])]
        items.append(_ints(form, t.RESOLUTION_UNIT, (2,)))
    if meta.icc:
        items.append(exif.Item(t.ICC, t.UNDEFINED, len(meta.icc), meta.icc))
    return items


def _ratio(form: Dialect, tag: int, value: float) -> exif.Item:
    ratio = Fraction(min(max(value, 0.0), _MOST_DPI)).limit_denominator(_RATIO)
    return exif.Item(tag, t.RATIONAL, 1, form.pack("II", ratio.numerator, ratio.denominator))


def _first_items(meta: Metadata) -> list[exif.Item]:
    items = []
    if meta.xmp:
        items.append(exif.Item(t.XMP, t.BYTE, len(meta.xmp), meta.xmp))
    if meta.iptc:
        items.append(exif.Item(t.IPTC, t.UNDEFINED, len(meta.iptc), meta.iptc))
    return items
