"""Encoding AVIF pictures, and laying out new files around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np

from scanmend.errors import FormatError, UnsupportedFormat
from scanmend.formats import exif, whole
from scanmend.formats.avif_boxes import ALPHA, XMP_TYPE, Box, Container, NewItem, Property, build, parse
from scanmend.formats.base import OutputOptions
from scanmend.formats.meta import Metadata, with_orientation
from scanmend.image import Array, Layout, PageData

UNSPECIFIED = (2, 2)  # primaries and transfer of ISO/IEC 23091-2
_SRGB = (1, 13)
# `irot` and `imir` by EXIF orientation.
_TURNS = {2: (0, 1), 3: (2, None), 4: (0, 0), 5: (1, 0), 6: (3, None), 7: (3, 0), 8: (1, None)}
_LARGEST = 32_768  # libavif's default limit of a side
_MOST_BITS = 12
_SPEED = 6  # of libavif's 0 (slowest) to 10; slower ones save few bytes at high quality


@dataclass(frozen=True)
class Coding:
    """How to encode.

    Attributes:
        quality: 0 to 100; 100 is lossless.
        sampling: of the colour, "444", "422" or "420".
        meaning: primaries and transfer that the file declares.
        carried: properties of the picture besides the encoder's own.
    """

    quality: int
    sampling: str = "444"
    meaning: tuple[int, int] = UNSPECIFIED
    carried: Sequence[Property] = ()


def no_codec(name: str) -> UnsupportedFormat:
    """The error of an installation that lacks the codec."""
    return UnsupportedFormat(
        f"{name}: this installation's imagecodecs knows no AVIF", hint="install its wheel"
    )


def described(block: bytes | None, xmp: bytes | None) -> list[NewItem]:
    """EXIF and XMP as items that describe the picture."""
    items = [NewItem(b"Exif", bytes(4) + block, reference=b"cdsc")] if block else []
    if xmp:
        items.append(NewItem(b"mime", xmp, reference=b"cdsc", content_type=XMP_TYPE))
    return items


def color_profile(profile: bytes | None) -> list[Property]:
    """An ICC profile as a property."""
    return [Property(Box(b"colr", b"prof" + profile), essential=False)] if profile else []


def encode(name: str, page: PageData, coding: Coding) -> tuple[list[NewItem], list[str]]:
    """Encodes a page.

    Args:
        name: of the file, for messages.
        page: grey or RGB, with or without straight alpha.
        coding: how.

    Returns:
        The picture and, if there is one, its alpha; and notes.

    Raises:
        FormatError: AVIF does not hold these samples.
    """
    _check_writable(name, page.layout)
    pixels, bits, notes = _depth(whole.gather(name, page), page.layout)
    colors = page.layout.color_channels
    made = _coded(name, pixels[:, :, :colors], bits, coding)
    picture = NewItem(
        b"av01", made.content(made.primary), [*made.items[made.primary].properties, *coding.carried]
    )
    if page.layout.alpha == "none":
        return [picture], notes
    return [picture, _alpha(name, pixels[:, :, colors:], bits, coding)], notes


def _coded(name: str, pixels: Array, bits: int, coding: Coding) -> Container:
    """A file of the encoder's, whose picture is taken out of it."""
    grey = pixels.shape[2] == 1
    try:
        data = imagecodecs.avif_encode(
            np.ascontiguousarray(pixels[:, :, 0] if grey else pixels),
            level=coding.quality,
            bitspersample=bits,
            pixelformat="400" if grey else coding.sampling,
            primaries=coding.meaning[0],
            transfer=coding.meaning[1],
            speed=_SPEED,
            numthreads=1,  # the result depends on it, and must not depend on the machine
        )
    except ImportError as error:
        raise no_codec(name) from error
    except (imagecodecs.AvifError, ValueError, RuntimeError) as error:
        raise UnsupportedFormat(f"{name}: cannot be encoded as AVIF ({error})", hint="choose TIFF") from error
    return parse(bytes(data), name)


def _alpha(name: str, plane: Array, bits: int, coding: Coding) -> NewItem:
    """Alpha as a grey picture of its own, without loss, that turns with the other one.

    Encoded apart, since the encoder drops alpha that is opaque everywhere (AVIF 1.1, section 4).
    """
    made = _coded(name, plane, bits, Coding(quality=100))
    properties = [p for p in made.items[made.primary].properties if p.box.kind != b"colr"]
    aux = Property(Box(b"auxC", bytes(4) + ALPHA), essential=False)
    turned = [p for p in coding.carried if p.box.kind in (b"clap", b"irot", b"imir")]
    return NewItem(b"av01", made.content(made.primary), [*properties, aux, *turned], b"auxl")


def _depth(pixels: Array, layout: Layout) -> tuple[Array, int, list[str]]:
    """Samples of at most 12 bits, and how many they have."""
    if layout.bits in (8, 10, 12):
        return pixels, layout.bits, []
    scaled = np.empty(pixels.shape, np.uint16)
    for row, new in zip(pixels, scaled, strict=True):
        new[...] = (row.astype(np.uint32) * 4095 + int(layout.white) // 2) // int(layout.white)
    return scaled, _MOST_BITS, [f"AVIF holds 12 bits at most: {layout.bits} were rounded to 12"]


def _check_writable(name: str, layout: Layout) -> None:
    hint = "choose PNG or TIFF"
    extra = layout.channels - layout.color_channels - (layout.alpha != "none")
    if layout.color not in ("grey", "rgb") or layout.alpha == "premultiplied" or extra:
        raise FormatError(
            f"{name}: an AVIF is written from grey or RGB only, with or without alpha", hint=hint
        )
    if layout.dtype not in ("uint8", "uint16"):
        raise FormatError(f"{name}: an AVIF holds 8 to 12 bits per sample, not {layout.dtype}", hint=hint)
    if max(layout.width, layout.height) > _LARGEST:
        raise FormatError(f"{name}: an AVIF can be {_LARGEST} pixels wide or high at most", hint=hint)


def write_new(
    target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
) -> tuple[str, ...]:
    """Writes a new AVIF file with full colour resolution.

    Args:
        target: a path that does not exist yet.
        pages: one page of grey or RGB, with or without straight alpha; 8, 10 or 12 bits,
            other integers are rounded to 12.
        meta: carried as colour profile, EXIF, XMP, `irot` and `imir`; resolution as EXIF.
        options: encoding; quality 100 is lossless.

    Returns:
        Sentences about what AVIF does not hold.

    Raises:
        FormatError: several pages, other colours or types.
    """
    if len(pages) != 1:
        raise FormatError(
            f"{target.name}: an AVIF is written with one picture, not {len(pages)}", hint="choose TIFF"
        )
    carried = [*color_profile(meta.icc), *_turns(meta.orientation)]
    coding = Coding(options.quality, "444", UNSPECIFIED if meta.icc else _SRGB, carried)
    picture, notes = encode(target.name, pages[0], coding)
    if meta.iptc:
        notes.append("AVIF has no place for IPTC data outside XMP: they were left out")
    block = with_orientation(exif.with_resolution(meta.exif, meta.dpi), meta.orientation)
    whole.save(target, build([*picture, *described(block, meta.xmp)]))
    return tuple(notes)


def _turns(orientation: int) -> list[Property]:
    turn, mirror = _TURNS.get(orientation, (0, None))
    found = [Property(Box(b"irot", bytes((turn,))), essential=True)] if turn else []
    if mirror is not None:
        found.append(Property(Box(b"imir", bytes((mirror,))), essential=True))
    return found
