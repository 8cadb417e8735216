"""How the pixels of one page are stored: geometry, samples, codec; checked against the limits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from scanmend.errors import DamagedFile, LimitExceeded, UnsupportedFormat
from scanmend.formats.tiff import tags as t

if TYPE_CHECKING:
    from scanmend.formats.base import Limits
    from scanmend.formats.tiff.ifd import Tags

SampleKind = Literal["u", "i", "f"]
_KINDS: dict[int, SampleKind] = {1: "u", 2: "i", 3: "f", 4: "u"}
_MOST_SAMPLES = 4096
_MOST_SEGMENT_EDGE = 2**26


@dataclass(frozen=True)
class Coding:
    """What turns samples into bytes and back. A segment is a strip or a tile.

    Attributes:
        order: byte order of the file, "<" or ">".
        bits: of a stored sample, all samples alike.
        kind: u, i or f, as in NumPy.
        planar: each sample in a plane of its own.
        reversed_bits: FillOrder 2.
        segment_height, segment_width: of a strip or tile; the last strip may be lower.
        subsampling: luma samples per chroma sample, across and down; (1, 1) where the codec
            itself takes care of it.
    """

    order: str
    height: int
    width: int
    samples: int
    bits: int
    kind: SampleKind
    photometric: int
    compression: int
    predictor: int
    planar: bool
    reversed_bits: bool
    tiled: bool
    segment_height: int
    segment_width: int
    extras: tuple[int, ...] = ()
    subsampling: tuple[int, int] = (1, 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The native type that holds a stored sample."""
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.bits)
        return np.dtype(f"{self.kind}{size}")

    @property
    def packed(self) -> bool:
        """Whether samples do not fill whole NumPy types."""
        return self.bits != 8 * self.dtype.itemsize

    @property
    def planes(self) -> int:
        return self.samples if self.planar else 1

    @property
    def depth(self) -> int:
        """Samples of a pixel within one segment."""
        return 1 if self.planar else self.samples

    @property
    def across(self) -> int:
        return -(-self.width // self.segment_width)

    @property
    def down(self) -> int:
        return -(-self.height // self.segment_height)

    @property
    def segments(self) -> int:
        return self.planes * self.down * self.across

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a segment; rows start at whole bytes."""
        return (self.segment_width * self.depth * self.bits + 7) // 8

    @property
    def segment_bytes(self) -> int:
        return self.segment_height * self.row_bytes

    def rows(self, row: int) -> int:
        """The stored height of the segments in a row of segments."""
        return (
            self.segment_height
            if self.tiled
            else min(self.segment_height, self.height - row * self.segment_height)
        )

    def plane(self, number: int) -> Coding:
        """The coding of one plane as a picture of its own; chroma planes may be smaller."""
        across, down = self.subsampling if number in (1, 2) else (1, 1)
        return self.replace(
            samples=1,
            planar=False,
            subsampling=(1, 1),
            height=-(-self.height // down),
            width=-(-self.width // across),
            segment_height=-(-self.segment_height // down),
            segment_width=-(-self.segment_width // across),
        )

    def replace(self, **changes: Any) -> Coding:
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class Picture:
    """A page's coding with where its segments are and the tables its codec needs."""

    coding: Coding
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    jpeg_tables: bytes | None = None
    old_jpeg: tuple[int, int] = (0, 0)
    t4_options: int = 0
    lerc_wrapper: int = 0
    color_map: npt.NDArray[np.uint16] | None = None
    luma: tuple[float, ...] = (0.299, 0.587, 0.114)
    reference: tuple[float, ...] = (0, 255, 128, 255, 128, 255)

    @property
    def converts(self) -> bool:
        """Whether samples arrive as YCbCr; JPEG decoders deliver RGB, but for separate planes."""
        coding = self.coding
        whole = coding.compression in t.PICTURES and not coding.planar
        return coding.photometric == t.YCBCR and not whole


def describe(tags: Tags, where: str, limits: Limits) -> Picture:
    """Reads the coding of a page and the places of its segments.

    Args:
        tags: of its directory.
        where: names the page in messages ("scan.tif, page 2").
        limits: what the page may ask for.
    """
    coding = _coding(tags, where, limits)
    coding = _refine(coding, tags, where)
    offsets, counts = _places(tags, coding, where)
    return Picture(
        coding,
        offsets,
        counts,
        jpeg_tables=tags.raw(t.JPEG_TABLES, limits.metadata_bytes),
        old_jpeg=(tags.one(t.OLD_JPEG_START, 0), tags.one(t.OLD_JPEG_LENGTH, 0)),
        t4_options=tags.one(t.T4_OPTIONS, 0),
        lerc_wrapper=(*tags.ints(t.LERC_PARAMETERS), 0, 0)[1],
        color_map=_color_map(tags, coding, where),
        luma=_floats(tags, t.YCC_COEFFICIENTS, Picture.luma),
        reference=_floats(tags, t.REFERENCE_BW, Picture.reference),
    )


def _floats(tags: Tags, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    values = tags.ratios(tag)
    return values if len(values) == len(default) else default


def _coding(tags: Tags, where: str, limits: Limits) -> Coding:
    height, width = _size(tags, where, limits)
    samples = tags.one(t.SAMPLES, 1)
    if not 1 <= samples <= _MOST_SAMPLES:
        raise DamagedFile(f"{where} claims {samples} samples in a pixel")
    bits, kind = _sample_type(tags, samples, where)
    if height * width * samples * bits > 8 * limits.decoded_bytes:
        raise LimitExceeded(
            f"{where} would take {height * width * samples * bits // 8:,} bytes decoded; "
            f"{limits.decoded_bytes:,} are allowed"
        )
    tiled = t.TILE_WIDTH in tags and t.TILE_HEIGHT in tags
    rows, columns = _segment_size(tags, height, width, tiled=tiled)
    if not (0 < rows <= _MOST_SEGMENT_EDGE and 0 < columns <= _MOST_SEGMENT_EDGE):
        raise DamagedFile(f"{where} claims strips or tiles of {columns} x {rows} pixels")
    if rows * columns * samples * bits > 8 * max(limits.decoded_bytes, 2**20):
        raise LimitExceeded(f"{where} has tiles of {columns} x {rows} pixels, larger than the limits allow")
    photometric = tags.one(t.PHOTOMETRIC, t.BLACK_IS_ZERO if samples < 3 else t.RGB)
    return Coding(
        order=tags.form.order,
        height=height,
        width=width,
        samples=samples,
        bits=bits,
        kind=kind,
        photometric=photometric,
        compression=tags.one(t.COMPRESSION, t.NONE) & 0xFFFF,
        predictor=tags.one(t.PREDICTOR, 1),
        planar=tags.one(t.PLANAR, 1) == 2 and samples > 1,
        reversed_bits=tags.one(t.FILL_ORDER, 1) == 2,
        tiled=tiled,
        segment_height=rows,
        segment_width=columns,
        extras=tags.ints(t.EXTRA_SAMPLES, most=_MOST_SAMPLES)[:samples],
    )


def _size(tags: Tags, where: str, limits: Limits) -> tuple[int, int]:
    height, width = tags.one(t.HEIGHT, 0), tags.one(t.WIDTH, 0)
    if height <= 0 or width <= 0:
        raise DamagedFile(f"{where} claims to be {width} x {height} pixels large")
    if height * width > limits.megapixels * 1e6:
        raise LimitExceeded(
            f"{where} is {width} x {height} pixels large, {height * width / 1e6:,.0f} megapixels; "
            f"{limits.megapixels:,.0f} are allowed",
            hint="raise the limit if you trust the file",
        )
    return height, width


def _segment_size(tags: Tags, height: int, width: int, *, tiled: bool) -> tuple[int, int]:
    if tiled:
        return tags.one(t.TILE_HEIGHT, 0), tags.one(t.TILE_WIDTH, 0)
    # Absent, or 2**32 - 1: all in one strip.
    return min(tags.one(t.ROWS_PER_STRIP, height), height), width


def _sample_type(tags: Tags, samples: int, where: str) -> tuple[int, SampleKind]:
    bits = set(tags.ints(t.BITS, most=samples)) or {1}
    formats = set(tags.ints(t.SAMPLE_FORMAT, most=samples)) or {1}
    if len(bits) > 1 or len(formats) > 1:
        raise UnsupportedFormat(f"{where} mixes samples of different types")
    size, form = bits.pop(), formats.pop()
    kind = _KINDS.get(form)
    if kind is None:
        raise UnsupportedFormat(f"{where} holds complex numbers, not a picture")
    known = (16, 32, 64) if kind == "f" else (8, 16, 32, 64) if kind == "i" else (*range(1, 25), 32, 64)
    if size not in known:
        raise (UnsupportedFormat if 0 < size <= 128 else DamagedFile)(
            f"{where} has samples of {size} bits, which Scanmend does not read"
        )
    return size, kind


def _refine(coding: Coding, tags: Tags, where: str) -> Coding:
    """Settles what depends on the codec, and refuses what cannot be decoded."""
    codec = coding.compression
    if codec not in t.COMPRESSIONS:
        raise UnsupportedFormat(
            f"{where} is compressed in a way that Scanmend does not read (compression {codec})",
            hint="save it again with LZW or deflate compression",
        )
    if codec in t.PREDICTED:
        allowed = (1, 3) if coding.packed else (1, 2, 3) if coding.kind == "f" else (1, 2)
        if coding.predictor not in allowed:
            raise DamagedFile(f"{where} has predictor {coding.predictor}, which does not fit its samples")
    else:
        coding = coding.replace(predictor=1)
    if codec in (t.CCITT_RLE, t.CCITT_G3, t.CCITT_G4) and (coding.bits, coding.samples) != (1, 1):
        raise DamagedFile(f"{where} is no bilevel picture, though its compression says so")
    if coding.photometric == t.YCBCR and not (codec in t.PICTURES and not coding.planar):
        return _subsampled(coding, tags, where)
    return coding


def _subsampled(coding: Coding, tags: Tags, where: str) -> Coding:
    pair = (*tags.ints(t.YCC_SUBSAMPLING), 2, 2)[:2] if t.YCC_SUBSAMPLING in tags else (2, 2)
    if coding.samples != 3 or coding.bits != 8 or coding.kind != "u":
        raise UnsupportedFormat(f"{where} is a YCbCr picture of an unusual kind")
    if not set(pair) <= {1, 2, 4}:
        raise DamagedFile(f"{where} claims chroma subsampling of {pair[0]} x {pair[1]}")
    if coding.predictor != 1 and not coding.planar and pair != (1, 1):
        raise UnsupportedFormat(f"{where} combines a predictor with chroma subsampling")
    return coding.replace(subsampling=(pair[0], pair[1]))


def _places(tags: Tags, coding: Coding, where: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Offsets and byte counts of all segments, each known to lie within the file."""
    number = coding.segments
    # Some old programs describe tiles with the tags of strips.
    tiled = coding.tiled and t.TILE_OFFSETS in tags
    offsets = tags.array(t.TILE_OFFSETS if tiled else t.STRIP_OFFSETS, number)
    counts = tags.array(t.TILE_COUNTS if tiled else t.STRIP_COUNTS, number)
    if coding.compression == t.OJPEG:
        return _old_jpeg_places(tags, offsets, counts)
    if len(offsets) < number:
        raise DamagedFile(f"{where} lists {len(offsets)} of its {number} strips or tiles")
    whole = coding.compression == t.NONE and coding.subsampling == (1, 1)
    if whole:
        counts = _plain_counts(coding, where, counts)
    elif len(counts) < number:
        if number > 1:
            raise DamagedFile(f"{where} does not say how long its strips or tiles are")
        counts = tags.source.size - offsets
    _check_places(tags, coding, where, offsets, counts)
    return offsets, counts


def _plain_counts(coding: Coding, where: str, stated: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sizes of uncompressed segments follow from the geometry; stated ones that are too small are damage."""
    per_plane = coding.down * coding.across
    rows = np.full(per_plane, coding.segment_height, np.int64)
    if not coding.tiled:
        rows[-1] = coding.rows(coding.down - 1)
    needed = np.tile(rows * coding.row_bytes, coding.planes)
    if len(stated) == len(needed):
        short = np.flatnonzero(stated < needed)
        if len(short):
            raise DamagedFile(
                f"{where}: {_segment_name(coding, short[0])} holds {stated[short[0]]} bytes "
                f"where {needed[short[0]]} are needed"
            )
    return needed


def _old_jpeg_places(
    tags: Tags, offsets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Only what lies within the file; the decoder decides whether it suffices."""
    number = min(len(offsets), len(counts))
    offsets, counts = offsets[:number], counts[:number]
    inside = (offsets > 0) & (counts > 0) & (offsets < tags.source.size)
    offsets = offsets[inside]
    return offsets, np.minimum(counts[inside], tags.source.size - offsets)


def _check_places(
    tags: Tags,
    coding: Coding,
    where: str,
    offsets: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    size = tags.source.size
    missing = np.flatnonzero((offsets <= 0) | (counts <= 0))
    if len(missing):
        raise DamagedFile(f"{where}: {_segment_name(coding, missing[0])} is missing")
    beyond = np.flatnonzero((offsets > size) | (counts > size - np.minimum(offsets, size)))
    if len(beyond):
        raise DamagedFile(
            f"{where}: {_segment_name(coding, beyond[0])} lies beyond the end of the file",
            hint="it was probably cut short while it was copied or scanned",
        )


def _segment_name(coding: Coding, number: int) -> str:
    return f"{'tile' if coding.tiled else 'strip'} {int(number) + 1} of {coding.segments}"


def _color_map(tags: Tags, coding: Coding, where: str) -> npt.NDArray[np.uint16] | None:
    """The palette as (2**bits, 3)."""
    if coding.photometric != t.PALETTE:
        return None
    if coding.bits > 16 or coding.kind != "u":
        raise DamagedFile(f"{where} has a palette but samples that cannot index it")
    values = tags.array(t.COLOR_MAP, 3 * 2**coding.bits)
    if len(values) < 3 * 2**coding.bits:
        raise DamagedFile(f"{where} has a palette that is too short")
    table: npt.NDArray[np.uint16] = values.reshape(3, -1).T.astype(np.uint16)
    # Old programs wrote 8-bit palettes, as libtiff knows.
    return np.multiply(table, 257, dtype=np.uint16) if table.max() < 256 else table
