"""WebP files (RFC 9649): a RIFF of chunks, of which only the picture's own are replaced.

Lossless files stay lossless, and the colour under transparent pixels stays too. What
WebP's decoder does not notice - its entropy codes have no checksums - stays unnoticed.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from scanmend import icc
from scanmend.errors import DamagedFile, FormatError, UnsupportedFormat
from scanmend.formats import exif, whole
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.meta import Metadata, orientation_of, with_orientation
from scanmend.image import Array, Layout, PageData

_PICTURE = (b"VP8 ", b"VP8L", b"ALPH")
_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG, _ANIMATION_FLAG = 0x20, 0x10, 0x08, 0x04, 0x02
_FLAGS = {b"ICCP": _ICC_FLAG, b"EXIF": _EXIF_FLAG, b"XMP ": _XMP_FLAG}
_LARGEST = 16_383  # pixels of a side
_MOST_CHUNKS = 10_000
_COPY = "use another copy of the file"

Chunk = tuple[bytes, bytes]  # its name and its content, without padding


@dataclass(frozen=True)
class _Header:
    """What the chunks say about the picture."""

    width: int
    height: int
    alpha: bool
    animated: bool
    lossless: bool


def sniff(head: bytes) -> bool:
    """Whether a file starts as WebP does."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def open_file(path: Path, limits: Limits) -> WebpFile:
    """Opens a WebP file; see `WebpFile`."""
    return WebpFile(path, limits)


class WebpFile(ScanFile):
    """A WebP file, its chunks listed; its picture is decoded when first read.

    Raises:
        DamagedFile: it ends early or has no picture.
        LimitExceeded: it claims more than the limits allow.
    """

    format = "webp"

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        data = whole.load(path, limits)
        if not sniff(data[:12]):
            raise FormatError(f"{path.name}: is not a WebP file")
        self._chunks, self._trailing = _walk(data, path.name)
        header = _header(self._chunks, path.name)
        self._lossless = header.lossless
        self._profile, block = self._first(b"ICCP"), self._first(b"EXIF")
        self._exif = exif.strip(block) if block is not None else None
        self.xmp = self._first(b"XMP ")
        layout = Layout(
            header.height,
            header.width,
            4 if header.alpha else 3,
            "rgb",
            np.dtype(np.uint8),
            8,
            alpha="straight" if header.alpha else "none",
            transfer=icc.transfer(self._profile),
        )
        whole.check_layout(path.name, layout, limits)
        self._page = page = whole.WholePage(path.name, layout, self._decode)
        self.pages = (page,)
        page.icc, page.dpi = self._profile, exif.resolution(self._exif)
        page.orientation = orientation_of(self._exif)
        page.compression = "lossless WebP" if header.lossless else "lossy WebP"
        if header.animated:
            page.refusal = "an animation: export the picture you want as TIFF or PNG"
        count = len(self._trailing)
        self.notes = (f"{count} bytes after the end of the picture were kept",) if count else ()

    def close(self) -> None:
        self._page.release()

    def metadata(self) -> Metadata:
        page = self._page
        return Metadata(page.icc, page.dpi, self._exif, self.xmp, orientation=page.orientation)

    def rewrite(
        self, target: Path, pages: Mapping[int, PageData], *, xmp: bytes | None, options: OutputOptions
    ) -> tuple[str, ...]:
        if set(pages) - {0}:
            raise FormatError(f"{self.path.name}: a WebP has one page only")
        chunks = list(self._chunks)
        if 0 in pages:
            chunks = _with_picture(chunks, self._encoded(pages[0], options))
        if xmp is not None:
            chunks = _with_xmp(chunks, xmp)
        if chunks != self._chunks:
            chunks = _with_header(chunks, self._page.layout)
        whole.save(target, _riff(chunks) + self._trailing)
        return ()

    def _encoded(self, page: PageData, options: OutputOptions) -> list[Chunk]:
        old, new = self._page.layout, page.layout
        if self._page.refusal:
            raise FormatError(f"{self.path.name}: is {self._page.refusal}")
        if (new.color, new.alpha, new.height, new.width) != (old.color, old.alpha, old.height, old.width):
            raise FormatError(f"{self.path.name}: the new picture has another size or colour than the file's")
        _check_writable(self.path.name, new)
        pixels = whole.gather(self.path.name, page)
        return _encode(self.path.name, pixels, options.quality, lossless=self._lossless)

    def _first(self, name: bytes) -> bytes | None:
        return next((content for chunk, content in self._chunks if chunk == name), None)

    def _decode(self) -> Array:
        layout = self._page.layout
        try:
            pixels = imagecodecs.webp_decode(_riff(self._chunks), index=0, hasalpha=layout.alpha != "none")
        except (imagecodecs.WebpError, ValueError, RuntimeError) as error:
            raise DamagedFile(
                f"{self.path.name}: the picture data are damaged (libwebp: {error})", hint=_COPY
            ) from error
        return np.asarray(pixels)


def _walk(data: bytes, name: str) -> tuple[list[Chunk], bytes]:
    """The chunks inside the RIFF, and what lies behind it."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise DamagedFile(
            f"{name}: the file is cut off, {end - len(data)} of its {end} bytes are missing", hint=_COPY
        )
    chunks: list[Chunk] = []
    at = 12
    while at + 8 <= end and len(chunks) < _MOST_CHUNKS:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            raise DamagedFile(f"{name}: a chunk claims {size} bytes, more than the file has", hint=_COPY)
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return chunks, data[end + end % 2 :]  # some writers leave the last padding out of the count


def _header(chunks: list[Chunk], name: str) -> _Header:
    found = dict(reversed(chunks))
    lossless = b"VP8L" in found
    if b"VP8X" in found and len(found[b"VP8X"]) >= 10:
        head = found[b"VP8X"]
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (4, 7))
        animated = bool(head[0] & _ANIMATION_FLAG) or b"ANMF" in found
        if not animated and not lossless and b"VP8 " not in found:
            raise DamagedFile(f"{name}: has no picture in it", hint=_COPY)
        return _Header(width, height, bool(head[0] & _ALPHA_FLAG), animated, lossless)
    if lossless and len(found[b"VP8L"]) >= 5 and found[b"VP8L"][0] == 0x2F:
        bits = int.from_bytes(found[b"VP8L"][1:5], "little")
        alpha = bool(bits >> 28 & 1)
        return _Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, alpha, animated=False, lossless=True)
    head = found.get(b"VP8 ", b"")
    if len(head) >= 10 and head[3:6] == b"\x9d\x01\x2a":
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", head, 6))
        if width and height:
            return _Header(width, height, alpha=False, animated=False, lossless=False)
    raise DamagedFile(f"{name}: has no picture in it", hint=_COPY)


def _riff(chunks: Sequence[Chunk]) -> bytes:
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _with_picture(chunks: list[Chunk], picture: list[Chunk]) -> list[Chunk]:
    """The picture's chunks replaced, in the place of the first of them."""
    place = next(number for number, (kind, _) in enumerate(chunks) if kind in _PICTURE)
    kept = [chunk for chunk in chunks if chunk[0] not in _PICTURE]
    return kept[:place] + picture + kept[place:]


def _with_xmp(chunks: list[Chunk], packet: bytes) -> list[Chunk]:
    for number, (kind, _) in enumerate(chunks):
        if kind == b"XMP ":
            return [*chunks[:number], (kind, packet), *chunks[number + 1 :]]
    # After the picture, and after EXIF: the order of RFC 9649, section 2.7.
    place = max(n for n, (kind, _) in enumerate(chunks) if kind in (*_PICTURE, b"EXIF", b"ANMF")) + 1
    return [*chunks[:place], (b"XMP ", packet), *chunks[place:]]


def _with_header(chunks: list[Chunk], layout: Layout) -> list[Chunk]:
    """A VP8X chunk in front whose flags say what is there; none where nothing needs one."""
    kinds = {kind for kind, _ in chunks}
    old = next((content for kind, content in chunks if kind == b"VP8X"), None)
    alpha = layout.alpha != "none"
    rest = [chunk for chunk in chunks if chunk[0] != b"VP8X"]
    if old is None and kinds <= {b"VP8 ", b"VP8L"} and _header(rest, "").alpha == alpha:
        return rest
    flags = (old[0] if old else 0) & ~(_ALPHA_FLAG | sum(_FLAGS.values()))
    flags |= _ALPHA_FLAG if alpha else 0
    flags |= sum(flag for kind, flag in _FLAGS.items() if kind in kinds)
    sizes = b"".join((size - 1).to_bytes(3, "little") for size in (layout.width, layout.height))
    return [(b"VP8X", bytes((flags,)) + (old[1:4] if old else bytes(3)) + sizes), *rest]


def _check_writable(name: str, layout: Layout) -> None:
    hint = "choose PNG or TIFF"
    extra = layout.channels - layout.color_channels - (layout.alpha != "none")
    if layout.color not in ("grey", "rgb") or layout.alpha == "premultiplied" or extra:
        raise FormatError(
            f"{name}: a WebP is written from grey or RGB only, with or without alpha", hint=hint
        )
    if layout.dtype != "uint8" or layout.bits != 8:
        raise FormatError(f"{name}: a WebP holds 8 bits per sample, not {layout.bits}", hint=hint)
    if max(layout.width, layout.height) > _LARGEST:
        raise FormatError(f"{name}: a WebP can be {_LARGEST} pixels wide or high at most", hint=hint)


def _encode(name: str, pixels: Array, quality: int, *, lossless: bool) -> list[Chunk]:
    """The picture's chunks for uint8 pixels (H, W, 3 or 4)."""
    buffer = io.BytesIO()
    options = {"quality": 75} if lossless else {"quality": quality, "alpha_quality": 100}
    try:
        Image.fromarray(pixels).save(buffer, "WEBP", lossless=lossless, exact=True, method=4, **options)
    except (OSError, ValueError, MemoryError) as error:
        raise UnsupportedFormat(f"{name}: cannot be encoded as WebP ({error})", hint="choose TIFF") from error
    chunks, _ = _walk(buffer.getvalue(), name)
    return [chunk for chunk in chunks if chunk[0] in _PICTURE]


def write_new(
    target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
) -> tuple[str, ...]:
    """Writes a new WebP file, lossless at quality 100 and lossy below.

    Args:
        target: a path that does not exist yet.
        pages: one page of 8-bit grey or RGB, with or without straight alpha.
        meta: carried as ICCP, EXIF and XMP chunks; resolution as EXIF.
        options: encoding.

    Returns:
        Sentences about what WebP does not hold.

    Raises:
        FormatError: several pages, other colours or depths, more than 16383 pixels a side.
    """
    if len(pages) != 1:
        raise FormatError(f"{target.name}: a WebP holds one picture, not {len(pages)}", hint="choose TIFF")
    (page,) = pages
    _check_writable(target.name, page.layout)
    pixels, notes = whole.gather(target.name, page), []
    if page.layout.color == "grey":
        pixels = np.concatenate([pixels[:, :, :1]] * 3 + [pixels[:, :, 1:]], axis=2)
        notes.append("WebP knows no grey pictures: the grey was written as colour")
    if meta.iptc:
        notes.append("WebP has no place for IPTC data outside XMP: they were left out")
    picture = _encode(target.name, pixels, options.quality, lossless=options.quality == 100)
    block = with_orientation(exif.with_resolution(meta.exif, meta.dpi), meta.orientation)
    before = [(b"ICCP", meta.icc)] if meta.icc else []
    behind = [(kind, part) for kind, part in ((b"EXIF", block), (b"XMP ", meta.xmp)) if part]
    whole.save(target, _riff(_with_header([*before, *picture, *behind], page.layout)))
    return tuple(notes)
