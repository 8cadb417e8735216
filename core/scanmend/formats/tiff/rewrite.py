"""New pixels for old pages: surgery on a copy.

The file is copied byte for byte. New segments go where the page's old segments were, as
far as they fit, and to the end of the file otherwise; values of tags are changed in place.
So every other offset in the file stays true: those of EXIF, GPS and maker notes, of
thumbnails, and of private tags that nobody but their maker understands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanmend.errors import FormatError
from scanmend.formats.tiff import ifd, meaning, space
from scanmend.formats.tiff import tags as t
from scanmend.formats.tiff.encode import checked, encode_bands
from scanmend.formats.tiff.target import Edit, Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from scanmend.formats.base import Compression, OutputOptions
    from scanmend.formats.tiff.coding import Coding
    from scanmend.formats.tiff.file import TiffFile
    from scanmend.formats.tiff.page import TiffPage
    from scanmend.image import Layout, PageData

CODECS: dict[Compression, int] = {"none": t.NONE, "lzw": t.LZW, "deflate": t.DEFLATE, "zstd": t.ZSTD}
GIANT = 16 * 2**20  # bytes of a compressed strip that is cut into smaller ones
STRIP = 512 * 2**10  # bytes of a strip where we choose
_YCC = (t.YCC_COEFFICIENTS, t.YCC_SUBSAMPLING, t.YCC_POSITIONING, t.REFERENCE_BW)
# Tags whose values depend on how many bits a sample has, and what they are called where their loss matters.
_BY_DEPTH = {
    t.MIN_SAMPLE: "",
    t.MAX_SAMPLE: "",
    t.S_MIN_SAMPLE: "",
    t.S_MAX_SAMPLE: "",
    t.HALFTONE: "",
    t.REFERENCE_BW: "",
    t.GRAY_UNIT: "",
    t.GRAY_CURVE: "its grey response curve",
    t.TRANSFER_FUNCTION: "its transfer function",
}


def rewrite(
    file: TiffFile, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
) -> tuple[str, ...]:
    """Does what `ScanFile.rewrite` promises."""
    notes: list[str] = []
    with Target(target, file.form) as out:
        out.fill(file.source.copy_to)
        ledger = space.Ledger(file.source, file.form, ifd.tree(file.source, file.form, file.chain))
        surgery = _Surgery(file, out, ledger)
        for index in sorted(pages):
            notes += surgery.replace(file.pages[index], pages[index], options)
        if xmp is not None:
            surgery.set_xmp(xmp)
        surgery.finish()
        out.flush()
    return tuple(notes)


@dataclass
class _Placed:
    """Places for the segments of one page: their old one, another free one, or the end."""

    target: Target
    free: space.FreeList
    offsets: list[int]
    counts: list[int]
    keep: tuple[int, ...]  # old offsets, for uncompressed segments

    def place(self, number: int, size: int) -> int:
        offset = self._offset(number, size)
        self.offsets[number], self.counts[number] = offset, size
        return offset

    def _offset(self, number: int, size: int) -> int:
        if self.keep and self.free.take_at(self.keep[number], size):
            return self.keep[number]
        found = self.free.take(size)
        return self.target.reserve(size) if found is None else found


class _Surgery:
    """One rewriting, page by page."""

    def __init__(self, file: TiffFile, target: Target, ledger: space.Ledger) -> None:
        self._file, self._target, self._ledger = file, target, ledger
        self._free = space.FreeList()
        self._edits: dict[int, Edit] = {}

    def _edit(self, directory: ifd.Ifd) -> Edit:
        if directory.offset not in self._edits:
            self._edits[directory.offset] = Edit(self._target, directory, self._ledger.sole)
        return self._edits[directory.offset]

    def replace(self, page: TiffPage, data: PageData, options: OutputOptions) -> list[str]:
        """Gives a page new pixels."""
        where = f"{self._file.path.name}, page {page.index + 1}"
        _check(page.layout, data.layout, where)
        old, directory = page.picture.coding, page.tags.ifd
        new = recode(old, data.layout, options.compression)
        self._free.add(self._ledger.free(directory))
        same_place = new.compression == t.NONE and new.segments == old.segments
        placed = _Placed(
            self._target,
            self._free,
            [0] * new.segments,
            [0] * new.segments,
            tuple(page.picture.offsets.tolist()) if same_place and old.compression != t.OJPEG else (),
        )
        bands = (meaning.store(band, new) for band in checked(data.bands, data.layout, where))
        encode_bands(bands, new, self._target, placed)
        edit = self._edit(directory)
        self._set_places(edit, new, placed)
        if self._ledger.owns_jpeg(directory):
            edit.remove(*t.OLD_JPEG)
        return [f"page {page.index + 1}: {note}" for note in (*_describe(edit, old, new), *_news(old, new))]

    def _set_places(self, edit: Edit, new: Coding, placed: _Placed) -> None:
        tiled = new.tiled and t.TILE_OFFSETS in edit
        kind = t.LONG8 if self._file.form.big else t.LONG
        edit.set_ints(t.TILE_OFFSETS if tiled else t.STRIP_OFFSETS, placed.offsets, kind)
        edit.set_ints(t.TILE_COUNTS if tiled else t.STRIP_COUNTS, placed.counts, kind)

    def set_xmp(self, packet: bytes) -> None:
        """Puts the packet where the file keeps its own, else into its first page."""
        page = next((page for page in self._file.pages if t.XMP in page.tags), self._file.pages[0])
        entry = page.tags.ifd.find(t.XMP)
        kind = entry.kind if entry and t.TYPE_SIZES.get(entry.kind) == 1 else t.BYTE
        self._edit(page.tags.ifd).set(t.XMP, kind, packet)

    def finish(self) -> None:
        """Writes the changed directories, then the pointers to those that had to move."""
        for edit in self._edits.values():
            edit.place()
        form, chain = self._file.form, self._file.chain
        for edit in self._edits.values():
            if edit.offset == edit.directory.offset:
                continue
            link = form.field
            if edit.directory.number:
                before = chain[edit.directory.number - 1]
                moved = self._edits.get(before.offset)
                link = moved.link if moved else before.offset + before.size - form.field
            self._target.write(link, form.pack(form.pointer, edit.offset))


def _check(old: Layout, new: Layout, where: str) -> None:
    same = (new.height, new.width, new.channels, new.color, new.alpha) == (
        old.height,
        old.width,
        old.channels,
        old.color,
        old.alpha,
    )
    if not same:
        raise FormatError(f"{where}: the new pixels differ from the page in size or channels")


def recode(old: Coding, layout: Layout, compression: Compression) -> Coding:
    """How new pixels of this layout are stored in place of old ones."""
    codec = old.compression if compression == "same" else CODECS[compression]
    if compression == "deflate" and old.compression == t.OLD_DEFLATE:
        codec = t.OLD_DEFLATE
    if codec not in t.LOSSLESS:
        codec = t.DEFLATE
    gone = old.photometric in (t.PALETTE, t.YCBCR)
    new = old.replace(
        samples=layout.channels,
        bits=layout.bits,
        kind=layout.dtype.kind,
        photometric=t.RGB if gone and layout.color == "rgb" else old.photometric,
        compression=codec,
        subsampling=(1, 1),
        planar=old.planar and layout.channels > 1,
    )
    new = new.replace(predictor=_predictor(old, new))
    if not new.tiled and codec != t.NONE and new.segment_bytes > GIANT:
        new = new.replace(segment_height=max(1, STRIP // new.row_bytes))
    return new


def _predictor(old: Coding, new: Coding) -> int:
    if new.compression not in t.PREDICTED or new.packed:
        return 1
    alike = (old.compression, old.kind, old.photometric) == (new.compression, new.kind, new.photometric)
    if alike and not old.packed:
        return old.predictor
    return best_predictor(new)


def best_predictor(coding: Coding) -> int:
    """Differences of neighbours, in the form made for the sample type."""
    if coding.compression not in t.PREDICTED or coding.packed:
        return 1
    return 3 if coding.kind == "f" else 2


def _describe(edit: Edit, old: Coding, new: Coding) -> list[str]:
    """Changes the tags that say how pixels are stored, and drops those that have no meaning any more."""
    lost = []
    count = new.samples
    if (new.samples, new.bits) != (old.samples, old.bits):
        edit.set_ints(t.BITS, (new.bits,) * count, t.SHORT)
    if (new.samples, new.kind) != (old.samples, old.kind) and (t.SAMPLE_FORMAT in edit or new.kind != "u"):
        edit.set_ints(t.SAMPLE_FORMAT, ({"u": 1, "i": 2, "f": 3}[new.kind],) * count, t.SHORT)
    if new.compression != old.compression:
        edit.set_int(t.COMPRESSION, new.compression, t.NONE)
        edit.set_int(t.PREDICTOR, new.predictor, 1)
        edit.remove(t.JPEG_TABLES, t.T4_OPTIONS, t.T6_OPTIONS, t.LERC_PARAMETERS)
    elif new.predictor != old.predictor:
        edit.set_int(t.PREDICTOR, new.predictor, 1)
    if new.samples != old.samples:
        edit.set_int(t.SAMPLES, new.samples, 1)
    if new.photometric != old.photometric:
        edit.set_int(t.PHOTOMETRIC, new.photometric)
        edit.remove(t.COLOR_MAP, *_YCC)
    if old.compression in t.PICTURES:
        edit.remove(*_YCC[:3])
    if new.segment_height != old.segment_height and not new.tiled:
        edit.set_ints(t.ROWS_PER_STRIP, (new.segment_height,))
    if (new.bits, new.kind) != (old.bits, old.kind):
        lost = [words for tag, words in _BY_DEPTH.items() if words and tag in edit]
        edit.remove(*_BY_DEPTH)
    return [f"{words} does not fit its new depth and was left out" for words in lost]


def _news(old: Coding, new: Coding) -> list[str]:
    """What a person should know about how the pixels are stored now."""
    notes = []
    if old.compression not in t.LOSSLESS:
        name, now = t.COMPRESSIONS[old.compression], t.COMPRESSIONS[new.compression]
        stored = "uncompressed" if new.compression == t.NONE else f"with {now} compression"
        notes.append(f"its {name} data became new pixels, stored {stored} without loss")
    if old.photometric == t.PALETTE:
        notes.append("its palette gave way to RGB pixels")
    if old.bits == 1 and new.bits != 1:
        notes.append(f"its black and white pixels are stored with {new.bits} bits now")
    return notes
