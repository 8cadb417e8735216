"""One page of a TIFF file: its header read and checked, its pixels on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from scanmend.errors import DamagedFile, FormatError
from scanmend.formats import jpeg_tables
from scanmend.formats.base import Limits, Page
from scanmend.formats.tiff import coding, meaning
from scanmend.formats.tiff import tags as t
from scanmend.formats.tiff.rows import Rows, open_rows
from scanmend.icc import transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanmend.formats.tiff.ifd import Source, Tags
    from scanmend.image import Array

_CENTIMETRE, _INCH = 3, 2
_DQT = b"\xff\xdb"
_T = TypeVar("_T")


class TiffPage(Page):
    """A full-size picture of the main chain.

    Attributes:
        tags: of its directory.
        picture: how its samples are stored.
        notes: oddities of its metadata.
    """

    def __init__(self, tags: Tags, index: int, where: str, limits: Limits) -> None:
        self.tags, self.index, self._where = tags, index, where
        self.notes: list[str] = []
        self.picture = coding.describe(tags, where, limits)
        self.icc = self._optional("its ICC profile", lambda: tags.raw(t.ICC, limits.metadata_bytes))
        self.dpi = self._optional("its resolution", self._read_dpi)
        turned = self._optional("its orientation", lambda: tags.one(t.ORIENTATION, 1)) or 1
        self.orientation = turned if turned in range(1, 9) else 1
        inks = self._optional("its inks", lambda: tags.one(t.INK_SET, 1))
        meant = meaning.interpret(self.picture, transfer(self.icc), process_inks=inks == 1)
        self.layout, self.refusal = meant.layout, meant.refusal
        self.bilevel = self.picture.coding.bits == 1
        self.jpeg_quality = self._quality()
        words = t.COMPRESSIONS[self.picture.coding.compression]
        self.compression = f"{words} quality {self.jpeg_quality}" if self.jpeg_quality else words
        self._rows: Rows | None = None
        self._source: Source | None = tags.source

    def read(self, top: int, bottom: int) -> Array:
        if not 0 <= top < bottom <= self.layout.height:
            message = f"rows {top} to {bottom} of a page of {self.layout.height}"
            raise ValueError(message)
        if self._source is None:
            raise FormatError(f"{self._where}: the file is closed already")
        if self._rows is None:
            self._rows = open_rows(self._source, self.picture, self._where)
        return meaning.present(self._rows.read(top, bottom), self.picture)

    def release(self) -> None:
        """Gives back what was kept between bands."""
        if self._rows is not None:
            self._rows.close()
        self._rows = None

    def close(self) -> None:
        self.release()
        self._source = None

    def _optional(self, what: str, read: Callable[[], _T]) -> _T | None:
        """A value whose damage must not keep anybody from the pixels: its bytes are copied as they are."""
        try:
            return read()
        except DamagedFile as error:
            self.notes.append(f"page {self.index + 1}: {what} cannot be read: {error.message}")
            return None

    def _read_dpi(self) -> tuple[float, float] | None:
        pair = (*self.tags.ratios(t.X_RESOLUTION, 1), *self.tags.ratios(t.Y_RESOLUTION, 1))
        unit = self.tags.one(t.RESOLUTION_UNIT, _INCH)
        if len(pair) != 2 or min(pair) <= 0 or unit not in (_INCH, _CENTIMETRE):
            return None
        scale = 2.54 if unit == _CENTIMETRE else 1.0
        return pair[0] * scale, pair[1] * scale

    def _quality(self) -> int | None:
        """From the first quantisation table, in the shared tables or in the first strip."""
        if self.picture.coding.compression != t.JPEG:
            return None
        data = self.picture.jpeg_tables or b""
        if _DQT not in data:
            size = min(int(self.picture.counts[0]), 4096)
            data = self.tags.source.read(int(self.picture.offsets[0]), size, "the first strip")
        at = data.find(_DQT)
        if at < 0:
            return None
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        tables = jpeg_tables.parse_dqt(data[at + 4 : at + 2 + length])
        return jpeg_tables.quality_of(tables[min(tables)]) if tables else None
