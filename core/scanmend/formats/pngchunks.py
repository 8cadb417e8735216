"""The chunks of a PNG: a bounded walk, and what the ancillary ones say (PNG specification, section 11)."""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from scanmend.errors import DamagedFile, LimitExceeded
from scanmend.formats.base import Limits
from scanmend.formats.pngdata import DEPTHS, SIGNATURE, Header, chunk

XMP = b"XML:com.adobe.xmp"
_PROFILE = b"Raw profile type "  # ImageMagick's way to keep EXIF, IPTC and XMP; exiftool's for IPTC
_MOST_CHUNKS = 2**20
_PIECE = 2**20
_AGAIN = "scan or copy it again"


@dataclass(frozen=True)
class Chunk:
    """Where a chunk stands: its length field is at `offset`, its data at `offset + 8`."""

    name: bytes
    offset: int
    length: int
    sound: bool

    @property
    def end(self) -> int:
        return self.offset + 12 + self.length


@dataclass(frozen=True)
class Walk:
    """All chunks up to the first damage to a critical one.

    Attributes:
        chunks: in their order, the damaged one left out.
        damage: what ended the walk before IEND; empty where nothing did.
        rest: offset and length of what is left of picture data that the file's end cuts off.
    """

    chunks: tuple[Chunk, ...]
    damage: str = ""
    rest: tuple[int, int] = (0, 0)


def walk(file: BinaryIO, size: int, name: str) -> Walk:
    """Finds every chunk and checks every checksum.

    Raises:
        LimitExceeded: there are more than a million chunks.
    """
    chunks: list[Chunk] = []
    offset = len(SIGNATURE)
    while offset < size:
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:
            return Walk(tuple(chunks), "it ends early")
        length, kind = struct.unpack(">I4s", head)
        if not kind.isalpha() or length > 2**31 - 1:
            return Walk(tuple(chunks), f"there is no chunk where one should be, at byte {offset}")
        found = Chunk(kind, offset, length, sound=offset + 12 + length <= size and _sound(file, kind, length))
        if found.end > size:
            rest = (offset + 8, min(length, size - offset - 8)) if kind == b"IDAT" else (0, 0)
            return Walk(tuple(chunks), "it ends early", rest)
        # Picture data have a second checksum, of the pixels themselves, which has the last word.
        if not found.sound and kind[:1].isupper() and kind != b"IDAT":
            return Walk(tuple(chunks), f"the checksum of its {kind.decode()} chunk at byte {offset} is wrong")
        chunks.append(found)
        if kind == b"IEND":
            return Walk(tuple(chunks))
        if len(chunks) > _MOST_CHUNKS:
            raise LimitExceeded(f"{name} has more than {_MOST_CHUNKS} chunks", hint=_AGAIN)
        offset = found.end
    return Walk(tuple(chunks), "it ends early")


def _sound(file: BinaryIO, kind: bytes, length: int) -> bool:
    checksum = zlib.crc32(kind)
    while length:
        piece = file.read(min(length, _PIECE))
        if not piece:
            return False
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
    return file.read(4) == checksum.to_bytes(4, "big")


def header(body: bytes, name: str) -> Header:
    """Checks IHDR.

    Raises:
        DamagedFile: it says what no PNG may say.
    """
    if len(body) != 13:
        raise DamagedFile(f"{name} is damaged: its header has {len(body)} bytes, not 13", hint=_AGAIN)
    width, height, depth, kind, method, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if not 0 < width < 2**31 or not 0 < height < 2**31:
        raise DamagedFile(f"{name} is damaged: its header says {width} x {height} pixels", hint=_AGAIN)
    if depth not in DEPTHS.get(kind, ()):
        raise DamagedFile(
            f"{name} is damaged: its header says {depth} bits with colour type {kind}", hint=_AGAIN
        )
    if method or filtering or interlace > 1:
        raise DamagedFile(f"{name} is damaged: its header names a compression no PNG has", hint=_AGAIN)
    return Header(width, height, depth, kind, bool(interlace))


class Ancillary:
    """What the sound ancillary chunks say, unpacked within the limits.

    Attributes:
        icc, exif, xmp, iptc: as in `Metadata`.
        xmp_chunks: offsets of all chunks that hold an XMP packet.

    Raises:
        LimitExceeded: a block is larger, packed or unpacked, than `limits.metadata_bytes`.
    """

    def __init__(self, file: BinaryIO, chunks: Sequence[Chunk], limits: Limits, name: str) -> None:
        self.icc: bytes | None = None
        self.exif: bytes | None = None
        self.xmp: bytes | None = None
        self.iptc: bytes | None = None
        self.xmp_chunks: list[int] = []
        self._file, self._most, self._name = file, limits.metadata_bytes, name
        self._spent = 0
        readers = {b"iCCP": self._profile, b"eXIf": self._exif, b"iTXt": self._international}
        readers |= {b"zTXt": self._text, b"tEXt": self._text}
        for found in chunks:
            if found.sound and found.name in readers:
                readers[found.name](found)

    def _body(self, found: Chunk) -> bytes:
        if found.length > self._most:
            raise self._excess(found)
        self._file.seek(found.offset + 8)
        return self._file.read(found.length)

    def _excess(self, found: Chunk) -> LimitExceeded:
        return LimitExceeded(
            f"{self._name}: its {found.name.decode()} chunk holds more than {self._most} bytes of metadata",
            hint="a picture does not need that much; do not trust this file",
        )

    def _unpack(self, packed: bytes, found: Chunk) -> bytes | None:
        """None where the data are damaged; the whole file's texts share one allowance."""
        stream = zlib.decompressobj()
        room = self._most - self._spent
        try:
            text = stream.decompress(packed, room + 1)
        except zlib.error:
            return None
        if len(text) > room:
            raise self._excess(found)
        self._spent += len(text)
        return text

    def _profile(self, found: Chunk) -> None:
        packed = self._body(found).partition(b"\0")[2]
        if self.icc is None and packed[:1] == b"\0":
            self.icc = self._unpack(packed[1:], found)

    def _exif(self, found: Chunk) -> None:
        self.exif = self._body(found).removeprefix(b"Exif\0\0")

    def _international(self, found: Chunk) -> None:
        keyword, _, rest = self._body(found).partition(b"\0")
        text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        if rest[:1] == b"\1":
            text = self._unpack(text, found) or b""
        if keyword == XMP:
            self.xmp = self.xmp or text or None
            self.xmp_chunks.append(found.offset)

    def _text(self, found: Chunk) -> None:
        keyword, _, text = self._body(found).partition(b"\0")
        if found.name == b"zTXt":
            text = self._unpack(text[1:], found) or b""
        if not keyword.startswith(_PROFILE):
            return
        body, kind = _from_hex(text), keyword.removeprefix(_PROFILE)
        if kind in (b"exif", b"APP1") and body.startswith(b"Exif\0\0"):
            self.exif = self.exif or body[6:]
        elif kind == b"iptc":
            self.iptc = self.iptc or _iptc(body)
        elif kind == b"xmp":
            self.xmp = self.xmp or body or None
            self.xmp_chunks.append(found.offset)


def _from_hex(text: bytes) -> bytes:
    """ImageMagick's form: a line feed, a name, a length, then lines of hexadecimal digits."""
    digits = b"".join(text.strip().split(b"\n")[2:]).translate(None, b" \r\t")
    try:
        return binascii.unhexlify(digits)
    except binascii.Error:
        return b""


def _iptc(body: bytes) -> bytes | None:
    """IIM datasets, bare or inside Photoshop's image resource 0x0404."""
    if body.startswith(b"\x1c"):
        return body
    at = 0
    while body[at : at + 4] == b"8BIM" and at + 12 <= len(body):
        number, named = struct.unpack_from(">HB", body, at + 4)
        at += 6 + (named + 2) // 2 * 2
        size = int.from_bytes(body[at : at + 4], "big")
        if number == 0x0404:
            return body[at + 4 : at + 4 + size] or None
        at += 4 + (size + 1) // 2 * 2
    return None


def xmp_chunk(packet: bytes) -> bytes:
    """An uncompressed iTXt chunk, as XMP Specification Part 3, section 1.1.5, asks for."""
    return chunk(b"iTXt", XMP + b"\0\0\0\0\0" + packet)


def new_chunks(icc: bytes | None, dpi: tuple[int, int] | None, exif: bytes | None) -> Iterator[bytes]:
    """The chunks of a new file that stand before its picture data; `dpi` in dots per metre."""
    if icc:
        yield chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9))
    if dpi:
        yield chunk(b"pHYs", struct.pack(">IIB", *dpi, 1))
    if exif:
        yield chunk(b"eXIf", exif)


def iptc_chunk(iptc: bytes) -> bytes:
    """IPTC in the form that exiftool and ImageMagick read and write."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    digits = resource.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = f"\niptc\n{len(resource):8}\n{lines}\n".encode("ascii")
    return chunk(b"zTXt", _PROFILE + b"iptc\0\0" + zlib.compress(text, 9))
