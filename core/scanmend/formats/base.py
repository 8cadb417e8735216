"""What a file format offers: the terms every module in this folder shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from scanmend import endings
from scanmend.formats.meta import Metadata
from scanmend.image import Array, Layout, PageData

FormatName = endings.FormatName
Compression = Literal["same", "none", "lzw", "deflate", "zstd"]


@dataclass(frozen=True)
class Limits:
    """What a file may ask for; checked against the header, before anything is decoded.

    Attributes:
        megapixels: largest page, in millions of pixels.
        pages: most pages in one file.
        file_bytes: largest file.
        decoded_bytes: most bytes that one page may take decoded.
        metadata_bytes: most bytes of one metadata block (ICC, XMP, text chunk), unpacked.
    """

    megapixels: float = 1000.0
    pages: int = 1000
    file_bytes: int = 16 * 2**30
    decoded_bytes: int = 16 * 2**30
    metadata_bytes: int = 64 * 2**20


@dataclass(frozen=True)
class OutputOptions:
    """How pixels are encoded.

    Attributes:
        quality: 1 to 100, for lossy formats. The source's own quantisation is kept
            where it is finer.
        compression: of TIFF pages; "same" keeps the source's codec where it can be written.
    """

    quality: int = 95
    compression: Compression = "same"


class Page(ABC):
    """One picture of a file; its header is read, its pixels are not.

    Attributes:
        index: position in the file, from 0.
        layout: shape and meaning of what `read` returns.
        dpi: horizontal and vertical, or None where the file does not say.
        icc: the embedded ICC profile.
        orientation: EXIF value 1 to 8. Pixels stay as stored; the tag stays too.
        compression: the codec, in words, for people ("LZW", "JPEG quality 87").
        jpeg_quality: the quality that libjpeg's scale gives the luminance table, for
            data that has been through JPEG; None otherwise.
        refusal: why the pixels cannot be restored ("a CMYK picture: convert it to RGB
            with its profile first"), or None. They can be read and kept all the same.
        bilevel: pure black and white, one bit: refused because there is nothing to restore.
    """

    index: int
    layout: Layout
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    orientation: int = 1
    compression: str = ""
    jpeg_quality: int | None = None
    refusal: str | None = None
    bilevel: bool = False

    @abstractmethod
    def read(self, top: int, bottom: int) -> Array:
        """Decodes rows top to bottom (exclusive): (bottom - top, W, C) of `layout.dtype`.

        Bands may be asked for in any order; asking top to bottom is fast and takes
        memory in proportion to the band, wherever the format allows.

        Raises:
            DamagedFile: the data end early or contradict themselves. Never pads silently.
        """


class ScanFile(ABC):
    """An open picture file. Use as a context manager; the file is opened read-only.

    Attributes:
        path: where it is.
        format: its family.
        pages: the full-size pictures; thumbnails and masks are kept but not listed.
        xmp: the main XMP packet, or None.
        notes: sentences about oddities that a person should know ("12 bytes after the
            end of the picture were kept").
    """

    path: Path
    format: FormatName
    pages: tuple[Page, ...]
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()

    def __enter__(self) -> ScanFile:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Gives back the file handle and any scratch space; may be called twice."""

    @abstractmethod
    def metadata(self) -> Metadata:
        """What can be carried into a file of another format."""

    @abstractmethod
    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        """Writes a copy whose listed pages have new pixels and whose every other byte of meaning stays.

        Metadata, other pages, thumbnails and unknown blocks are carried over as they
        are; only tags that describe the encoding of the new pixels change. Pages are
        consumed in rising order of their index, each top to bottom.

        Args:
            target: a path that does not exist yet; on an error it may be left half
                written, and the caller removes it.
            pages: new pixels by page index; a layout may differ in dtype and bits (depth)
                and, for indexed pages, in that they are now RGB.
            xmp: the packet to put in place of the file's own; None leaves the file's own.
            options: encoding.

        Returns:
            Sentences about anything that could not be kept.
        """
