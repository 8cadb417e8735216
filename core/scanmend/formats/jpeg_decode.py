"""Decoding a JPEG's pixels so that damage is noticed.

libjpeg pads what is missing and goes on, with a warning that most programs ignore. Here
a warning is an error, once everything harmless has been taken out of the stream.
"""

from __future__ import annotations

import re

import imagecodecs
import numpy as np
import simplejpeg

from scanmend.errors import DamagedFile, FormatError, UnsupportedFormat
from scanmend.formats.jpeg_segments import (
    ADOBE,
    APP0,
    APP14,
    DNL,
    EOI,
    JFIF,
    SOI,
    SOS,
    Segment,
    Structure,
    pack,
)
from scanmend.image import Array

START, END = bytes((0xFF, SOI)), bytes((0xFF, EOI))
_COPY = "scan it again or use another copy"
_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_JFIF = pack(APP0, JFIF + bytes((1, 1, 0, 0, 1, 0, 1, 0, 0)))
# Pixels that a byte of coded data can stand for. Huffman: a block of 64 takes a bit for
# DC at least, and an MCU of 32 x 32 nine blocks at two bits in the sparsest legal frame.
# Lossless: a bit per sample. Arithmetic: no bound in principle, this one in practice.
_DENSEST, _DENSEST_LOSSLESS, _DENSEST_ARITHMETIC = 1024, 8, 65_536
_MOST_PADDING = 16
_PLAIN = (
    (r"Premature end of JPEG", "they end before the picture is complete"),
    (r"premature end of data segment", "a piece of them is missing"),
    (r"extraneous bytes", "bytes are left over, so what stands before them is wrong"),
    (r"bad Huffman code", "they contain codes that do not exist"),
    (r"found marker", "a restart marker is in the wrong place, so a piece is missing"),
)


def decode(data: bytes, structure: Structure, name: str) -> tuple[Array, str]:
    """Decodes the picture.

    Args:
        data: the file.
        structure: its walk.
        name: of the file, for messages.

    Returns:
        (H, W, 1, 3 or 4) or (H, W), uint8 or for more than 8 bits uint16; CMYK as amounts
        of ink; and a note where the data could not be checked for damage, else "".

    Raises:
        DamagedFile: libjpeg had to guess.
        UnsupportedFormat: libjpeg does not know this kind.
    """
    frame = structure.frame
    if frame.precision == 8:
        pixels, note = _strictly(data, structure, name)
    else:
        pixels = _unchecked(_clean(data, structure), name)
        note = f"the data of a {frame.precision}-bit JPEG cannot be checked for damage inside"
    if len(frame.components) == 4:
        # Adobe stores CMYK inverted, and everyone follows; TIFF and Scanmend mean ink.
        pixels = (2**frame.precision - 1 - pixels).astype(pixels.dtype, copy=False)
    return pixels, note


def _strictly(data: bytes, structure: Structure, name: str) -> tuple[Array, str]:
    space = _SPACES[len(structure.frame.components)]
    complaint = ""
    for padded in (True, False):
        stream = _clean(data, structure, padded=padded)
        try:
            return np.asarray(simplejpeg.decode_jpeg(stream, space, strict=True)), ""
        except ValueError as error:
            complaint = complaint or str(error)
        if "subsampling level" in complaint or (structure.frame.lossless and _is_unknown(complaint)):
            # TurboJPEG's interface knows six samplings, and lossless coding since version 3;
            # libjpeg itself knows more.
            return _unchecked(stream, name), "an unusual JPEG, whose data cannot be checked for damage inside"
        if "extraneous bytes" not in complaint:
            break
    raise _failure(name, complaint)


def check_claims(structure: Structure, name: str) -> None:
    """Refuses a header whose pixels the data cannot possibly hold, before room is made for them."""
    frame = structure.frame
    densest = _DENSEST_LOSSLESS if frame.lossless else _DENSEST
    if frame.arithmetic:
        densest = _DENSEST_ARITHMETIC
    if frame.height * frame.width > densest * (structure.coded_bytes + 8):
        raise DamagedFile(
            f"{name}: claims {frame.width} x {frame.height} pixels, but has only "
            f"{structure.coded_bytes} bytes of picture data",
            hint=_COPY,
        )


def _clean(data: bytes, structure: Structure, *, padded: bool = True) -> bytes:
    """The coded picture alone, with nothing left that libjpeg could complain about harmlessly.

    Args:
        data: the file.
        structure: its walk.
        padded: keep zero bytes behind the last code of a scan, which a few encoders add.
    """
    parts = [START]
    if any(len(s.payload) >= 14 for s in structure.named(APP0, JFIF)):
        parts.append(_JFIF)
    adobe = [s.payload for s in structure.named(APP14, ADOBE) if len(s.payload) >= 12]
    count = len(structure.frame.components)
    if adobe and count > 1:
        # libjpeg takes an unknown transform for YCbCr or YCCK, after a complaint.
        transform = 0 if adobe[-1][11] == 0 else count - 2
        parts.append(pack(APP14, ADOBE + bytes((0, 100, 0, 0, 0, 0, transform))))
    for segment in structure.segments:
        if segment.coded and segment.marker != DNL:
            end = segment.end if padded or segment.marker != SOS else _without_padding(data, segment)
            parts.append(data[segment.start : end])
    return b"".join((*parts, END))


def _without_padding(data: bytes, segment: Segment) -> int:
    start = max(segment.end - _MOST_PADDING, segment.start)
    end = start + len(data[start : segment.end].rstrip(b"\0"))
    return end + 1 if data[end - 1] == 0xFF else end  # FF 00 is a stuffed byte


def _unchecked(stream: bytes, name: str) -> Array:
    """Decodes with imagecodecs, which reports what stops libjpeg but not what it pads."""
    try:
        return np.asarray(imagecodecs.jpeg8_decode(stream))
    except (imagecodecs.Jpeg8Error, ValueError, RuntimeError) as error:
        raise _failure(name, str(error)) from error


def _is_unknown(complaint: str) -> bool:
    return re.search("unsupported|not supported|not implemented", complaint, re.IGNORECASE) is not None


def _failure(name: str, complaint: str) -> FormatError:
    if _is_unknown(complaint):
        return UnsupportedFormat(f"{name}: a kind of JPEG that libjpeg does not read ({complaint})")
    plain = next((words for pattern, words in _PLAIN if re.search(pattern, complaint)), "")
    said = f"{plain} (libjpeg: {complaint})" if plain else f"libjpeg says: {complaint}"
    return DamagedFile(f"{name}: the picture data are damaged: {said}", hint=_COPY)
