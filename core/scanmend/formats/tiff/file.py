"""A TIFF or BigTIFF file: its pages, its metadata, and its rewriting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.meta import Metadata
from scanmend.formats.tiff import exif, ifd
from scanmend.formats.tiff import tags as t
from scanmend.formats.tiff.page import TiffPage
from scanmend.formats.tiff.rewrite import rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scanmend.image import PageData

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_OLD_REDUCED = 2  # value of SubfileType


def sniff(head: bytes) -> bool:
    """Whether a file begins like TIFF or BigTIFF, in either byte order."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class TiffFile(ScanFile):
    """An open TIFF file."""

    format = "tiff"
    pages: tuple[TiffPage, ...]

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self.source = ifd.Source(path)
        try:
            self._open()
        except BaseException:
            self.source.close()
            raise

    def __enter__(self) -> TiffFile:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def _open(self) -> None:
        name, size = self.path.name, self.source.size
        if size > self._limits.file_bytes:
            raise LimitExceeded(f"{name} has {size:,} bytes; {self._limits.file_bytes:,} are allowed")
        self.form, first = ifd.dialect(self.source)
        self.chain = ifd.chain(self.source, self.form, first, self._limits.pages)
        listed = [tags for tags in map(self.tags, self.chain) if _full_size(tags)]
        if not listed:
            raise UnsupportedFormat(f"{name} holds thumbnails only, no full-size picture")
        if t.DNG_VERSION in listed[0] or t.DNG_VERSION in self.tags(self.chain[0]):
            raise UnsupportedFormat(
                f"{name} is a camera raw file (DNG)", hint="develop it and export it as 16-bit TIFF"
            )
        self.pages = tuple(
            TiffPage(tags, index, f"{name}, page {index + 1}" if len(listed) > 1 else name, self._limits)
            for index, tags in enumerate(listed)
        )
        notes = [note for page in self.pages for note in page.notes]
        self.xmp = self._block(t.XMP, notes)
        self.iptc = self._block(t.IPTC, notes)
        self.notes = tuple(notes)

    def tags(self, directory: ifd.Ifd) -> ifd.Tags:
        """Typed access to a directory's values."""
        return ifd.Tags(self.source, self.form, directory)

    def _block(self, tag: int, notes: list[str]) -> bytes | None:
        """A block of metadata from the first page that has it."""
        for page in self.pages:
            try:
                data = page.tags.raw(tag, self._limits.metadata_bytes)
            except DamagedFile as error:
                notes.append(error.message)
                continue
            if data:
                return data
        return None

    def metadata(self) -> Metadata:
        page = self.pages[0]
        block = exif.gather(page.tags, self._limits.metadata_bytes)
        return Metadata(page.icc, page.dpi, block, self.xmp, self.iptc, page.orientation)

    def close(self) -> None:
        for page in self.pages:
            page.close()
        self.source.close()

    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        if unknown := sorted(set(pages) - set(range(len(self.pages)))):
            raise FormatError(f"{self.path.name} has no page {unknown[0] + 1}")
        return rewrite(self, target, pages, xmp=xmp, options=options)


def _full_size(tags: ifd.Tags) -> bool:
    return not (
        tags.one(t.SUBFILE, 0) & (_REDUCED | _MASK)
        or tags.one(t.OLD_SUBFILE, 1) == _OLD_REDUCED
        or tags.one(t.PHOTOMETRIC, 1) == t.MASK
    )


def open_file(path: Path, limits: Limits) -> TiffFile:
    """Reads the headers of a TIFF file; nothing is decoded.

    Raises:
        DamagedFile: it contradicts itself, loops, or ends before its pixels do.
        UnsupportedFormat: it is compressed or composed in a way that cannot be read.
        LimitExceeded: it asks for more than the limits allow.
    """
    return TiffFile(path, limits)
