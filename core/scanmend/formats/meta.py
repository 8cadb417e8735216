"""What can be carried from a file of one format into a file of another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metadata:
    r"""The metadata that every family knows how to write, in its raw form.

    Attributes:
        icc: an ICC profile.
        dpi: horizontal and vertical dots per inch.
        exif: a TIFF structure ("II*\0..." or "MM\0*..."), without the `Exif\0\0` that
            JPEG puts before it.
        xmp: an XMP packet.
        iptc: IIM datasets as they stand in TIFF tag 33723, without Photoshop's wrapper.
        orientation: EXIF value 1 to 8.
    """

    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    orientation: int = 1
