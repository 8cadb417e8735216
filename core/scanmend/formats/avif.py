"""AVIF files (AV1 Image File Format 1.1): still pictures of 8, 10 or 12 bits.

Pixels stay as stored: rotation and mirroring are properties (`irot`, `imir`) that are
read as an orientation and carried over, never applied. EXIF's own orientation does not
count in AVIF (MIAF, ISO/IEC 23000-22, section 7.3.6.8).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np

from scanmend import icc
from scanmend.errors import DamagedFile, FormatError, UnsupportedFormat
from scanmend.formats import exif, whole
from scanmend.formats.avif_boxes import XMP_TYPE, Container, Item, NewItem, build, parse
from scanmend.formats.avif_write import (
    UNSPECIFIED,
    Coding,
    color_profile,
    described,
    encode,
    no_codec,
    write_new,
)
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.meta import Metadata, with_orientation
from scanmend.image import Array, Layout, PageData

__all__ = ["AvifFile", "open_file", "sniff", "write_new"]

# EXIF orientation by `irot` (quarter turns to the left) and `imir` (None, 0: top and
# bottom change places, 1: left and right do); the turn comes first.
_ORIENTATIONS = {
    (0, None): 1,
    (1, None): 8,
    (2, None): 3,
    (3, None): 6,
    (0, 0): 4,
    (1, 0): 5,
    (2, 0): 2,
    (3, 0): 7,
    (0, 1): 2,
    (1, 1): 7,
    (2, 1): 4,
    (3, 1): 5,
}
# Properties of the picture that have nothing to do with how it is coded.
_CARRIED = (b"pasp", b"clli", b"mdcv", b"cclv", b"amve", b"clap", b"irot", b"imir")
_SAMPLINGS = {(0, 0): "444", (1, 0): "422", (1, 1): "420"}
_COPY = "use another copy of the file"


@dataclass(frozen=True)
class _Coding:
    """What an AV1 configuration says (`av1C`, AV1-ISOBMFF 2.3)."""

    bits: int
    grey: bool
    sampling: str


def sniff(head: bytes) -> bool:
    """Whether a file starts as AVIF does."""
    if head[4:8] != b"ftyp":
        return False
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, size - 3, 4))}
    return bool(brands & {b"avif", b"avis"})


def open_file(path: Path, limits: Limits) -> AvifFile:
    """Opens an AVIF file; see `AvifFile`."""
    return AvifFile(path, limits)


class AvifFile(ScanFile):
    """An AVIF file, its boxes read; its picture is decoded when first read.

    Raises:
        DamagedFile: its boxes do not fit together.
        LimitExceeded: it claims more than the limits allow.
        UnsupportedFormat: its picture is not coded in AV1.
    """

    format = "avif"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        data = whole.load(path, limits)
        if not sniff(data[:64]):
            raise FormatError(f"{path.name}: is not an AVIF file")
        self._container = parse(data, path.name)
        self._item = self._container.items[self._container.primary]
        self._coding = _coding(self._container, path.name)
        self._profile = _profile(self._item)
        self._exif, self.xmp = _exif(self._container), _xmp(self._container)
        layout = _layout(self._container, self._coding, path.name)
        layout = layout.replace(transfer=icc.transfer(self._profile))
        whole.check_layout(path.name, layout, limits)
        for item in self._container.items.values():
            for height, width in _sizes(item):
                whole.check_layout(path.name, layout.replace(height=height, width=width), limits)
        self._page = page = whole.WholePage(path.name, layout, self._decode)
        self.pages = (page,)
        page.icc, page.dpi = self._profile, exif.resolution(self._exif)
        page.orientation = _orientation(self._item)
        page.compression = f"AVIF, {self._coding.bits} bits"
        if self._container.sequence:
            page.refusal = "a sequence of pictures: export the one you want as TIFF or PNG"

    def close(self) -> None:
        self._page.release()

    def metadata(self) -> Metadata:
        page = self._page
        block = with_orientation(self._exif, page.orientation)
        return Metadata(page.icc, page.dpi, block, self.xmp, orientation=page.orientation)

    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        name = self.path.name
        if self._page.refusal:
            raise FormatError(f"{name}: is {self._page.refusal}")
        if set(pages) - {0}:
            raise FormatError(f"{name}: an AVIF has one page only")
        if 0 in pages:
            picture, notes = self._encoded(pages[0], options)
        else:
            picture, notes = self._unchanged(), []
        behind = described(self._exif, self.xmp if xmp is None else xmp)
        whole.save(target, build([*picture, *behind]))
        return (*notes, *self._lost())

    def _encoded(self, page: PageData, options: OutputOptions) -> tuple[list[NewItem], list[str]]:
        name, old, new = self.path.name, self._page.layout, page.layout
        if (new.color, new.alpha, new.height, new.width) != (old.color, old.alpha, old.height, old.width):
            raise FormatError(f"{name}: the new picture has another size or colour than the file's")
        carried = [p for p in self._item.properties if p.box.kind in _CARRIED]
        carried = [*color_profile(self._profile), *carried]
        return encode(
            name, page, Coding(options.quality, self._coding.sampling, _meaning(self._item), carried)
        )

    def _unchanged(self) -> list[NewItem]:
        container = self._container
        if self._item.kind != b"av01":
            raise FormatError(f"{self.path.name}: a picture in tiles can only be written anew")
        picture = [NewItem(b"av01", container.content(container.primary), self._item.properties)]
        alpha = container.alpha
        if alpha is not None:
            properties = container.items[alpha].properties
            picture.append(NewItem(b"av01", container.content(alpha), properties, b"auxl"))
        return picture

    def _lost(self) -> Iterator[str]:
        """What is neither the picture, nor its alpha, EXIF or XMP."""
        container = self._container
        tiles = self._item.references.get(b"dimg", [])
        known = {container.primary, container.alpha, *tiles}
        if container.alpha is not None:
            known.update(container.items[container.alpha].references.get(b"dimg", []))
        known.update(container.pointing(b"cdsc", container.primary))
        others = [
            item.kind.decode("latin-1") for number, item in container.items.items() if number not in known
        ]
        if others:
            yield f"{len(others)} further items ({', '.join(sorted(set(others)))}) were not carried over"

    def _decode(self) -> Array:
        data = self._container.data
        if self._container.sequence:
            # Asked for one frame of several, imagecodecs (2026.3) writes beyond its array;
            # the still picture alone is safe.
            data = build(self._unchanged())
        try:
            pixels = imagecodecs.avif_decode(data)
        except ImportError as error:
            raise no_codec(self.path.name) from error
        except (imagecodecs.AvifError, ValueError, RuntimeError) as error:
            raise DamagedFile(
                f"{self.path.name}: the picture data are damaged (libavif: {error})", hint=_COPY
            ) from error
        return np.asarray(pixels)


def _coding(container: Container, name: str) -> _Coding:
    """How the picture, or the first tile of a grid, is coded."""
    item = container.items[container.primary]
    tiles = [container.items[n] for n in item.references.get(b"dimg", []) if n in container.items]
    for candidate in (item, *tiles[:1]):
        for content in candidate.named(b"av1C"):
            if len(content) >= 4:
                flags = content[2]
                bits = (12 if flags & 0x20 else 10) if flags & 0x40 else 8
                sampling = _SAMPLINGS.get((flags >> 3 & 1, flags >> 2 & 1), "444")
                return _Coding(bits, bool(flags & 0x10), sampling)
    kind = item.kind.decode("latin-1")
    raise UnsupportedFormat(
        f"{name}: its picture is not coded in AV1 ({kind})", hint="export it as TIFF or PNG"
    )


def _sizes(item: Item) -> Iterator[tuple[int, int]]:
    """Heights and widths that an item claims (`ispe`)."""
    for content in item.named(b"ispe"):
        if len(content) >= 12:
            width, height = struct.unpack_from(">II", content, 4)
            yield height, width


def _layout(container: Container, coding: _Coding, name: str) -> Layout:
    sizes = list(_sizes(container.items[container.primary]))
    if not sizes or 0 in sizes[0]:
        raise DamagedFile(f"{name}: does not say how large its picture is", hint=_COPY)
    alpha = container.alpha is not None
    return Layout(
        *sizes[0],
        (1 if coding.grey else 3) + alpha,
        "grey" if coding.grey else "rgb",
        np.dtype(np.uint8 if coding.bits == 8 else np.uint16),
        coding.bits,
        alpha="straight" if alpha else "none",
    )


def _orientation(item: Item) -> int:
    turns = [content[0] & 3 for content in item.named(b"irot") if content]
    mirrors: list[int | None] = [content[0] & 1 for content in item.named(b"imir") if content]
    return _ORIENTATIONS[(turns or [0])[0], (mirrors or [None])[0]]


def _profile(item: Item) -> bytes | None:
    for content in item.named(b"colr"):
        if content[:4] in (b"prof", b"rICC"):
            return content[4:]
    return None


def _meaning(item: Item) -> tuple[int, int]:
    """Primaries and transfer that the file declares."""
    for content in item.named(b"colr"):
        if content[:4] == b"nclx" and len(content) >= 8:
            primaries, transfer = struct.unpack_from(">HH", content, 4)
            return primaries, transfer
    return UNSPECIFIED


def _exif(container: Container) -> bytes | None:
    for number in container.pointing(b"cdsc", container.primary):
        content = container.content(number) if container.items[number].kind == b"Exif" else b""
        if len(content) > 4:
            skip = 4 + int.from_bytes(content[:4], "big")  # where the TIFF structure starts
            block = exif.strip(content[skip:])
            if exif.is_exif(block):
                return block
    return None


def _xmp(container: Container) -> bytes | None:
    for number in container.pointing(b"cdsc", container.primary):
        item = container.items[number]
        if item.kind == b"mime" and item.content_type == XMP_TYPE:
            return container.content(number)
    return None
