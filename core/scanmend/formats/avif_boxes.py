"""The boxes of an AVIF file (ISO/IEC 14496-12, 23008-12, AV1 Image File Format 1.1), read and written.

Only still pictures: the `meta` box with its items and their properties. Every length is
held against its box and every count against the bytes that carry it; nothing recurses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scanmend.errors import DamagedFile, LimitExceeded, UnsupportedFormat

ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
XMP_TYPE = b"application/rdf+xml\0"
_MOST_ITEMS = 10_000
_MOST_BYTES = 2**24  # of a table; an ICC profile may be in it
_COPY = "use another copy of the file"


@dataclass(frozen=True)
class Box:
    """One box: its type and its content, without the header."""

    kind: bytes
    content: bytes

    def packed(self) -> bytes:
        return struct.pack(">I4s", len(self.content) + 8, self.kind) + self.content


@dataclass(frozen=True)
class Property:
    """A property of an item, and whether a reader must understand it."""

    box: Box
    essential: bool


@dataclass
class Item:
    """An item: a coded picture, or a block of metadata.

    Attributes:
        kind: "av01", "grid", "Exif", "mime" and others.
        content_type: of a "mime" item, with its closing zero.
        extents: offset and length of its parts in the file, or in `idat` where `inside`.
        properties: in the order of their association.
        references: items it points to, by the kind of reference.
    """

    kind: bytes = b""
    content_type: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    inside: bool = False
    properties: list[Property] = field(default_factory=list)
    references: dict[bytes, list[int]] = field(default_factory=dict)

    def named(self, kind: bytes) -> list[bytes]:
        """Contents of its properties of a kind."""
        return [p.box.content for p in self.properties if p.box.kind == kind]


@dataclass(frozen=True)
class Container:
    """A parsed file.

    Attributes:
        data: all of it.
        brands: major and compatible ones.
        primary: number of the picture to show.
        items: by number.
        idat: content of the box that holds small items.
        sequence: whether there is a track of pictures too.
    """

    data: bytes
    brands: frozenset[bytes]
    primary: int
    items: dict[int, Item]
    idat: bytes
    sequence: bool

    def content(self, number: int) -> bytes:
        """An item's bytes, as far as they lie inside the file."""
        item = self.items[number]
        source = self.idat if item.inside else self.data
        return b"".join(source[at : at + size] for at, size in item.extents)

    def pointing(self, reference: bytes, target: int) -> Iterator[int]:
        """Items whose reference of a kind points to an item."""
        for number, item in self.items.items():
            if target in item.references.get(reference, ()):
                yield number

    @property
    def alpha(self) -> int | None:
        """The item that holds the primary picture's alpha."""
        for number in self.pointing(b"auxl", self.primary):
            if any(ALPHA[:-1] in aux for aux in self.items[number].named(b"auxC")):
                return number
        return None


class _Reader:
    """Numbers from a box's content; running over its end is an error."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.content):
            raise struct.error
        return self.content[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def full(self) -> tuple[int, int]:
        """Version and flags of a full box."""
        return self.number(1), self.number(3)


def parse(data: bytes, name: str) -> Container:
    """Reads the boxes of an AVIF file.

    Args:
        data: the file.
        name: of the file, for messages.

    Raises:
        DamagedFile: a box does not fit into its parent, or has no picture in it.
        LimitExceeded: more items than any writer makes.
        UnsupportedFormat: a sequence without a still picture.
    """
    try:
        top = list(_boxes(data))
        brands = next(box.content for box in top if box.kind == b"ftyp")
        meta = next((box.content for box in top if box.kind == b"meta"), b"")
        sequence = brands[:4] == b"avis" or any(box.kind == b"moov" for box in top)
        inner = {box.kind: box.content for box in _boxes(meta[4:])}
        if any(len(inner.get(kind, b"")) > _MOST_BYTES for kind in (b"iinf", b"iloc", b"iref", b"iprp")):
            raise LimitExceeded(f"{name}: has a table of more than {_MOST_BYTES} bytes")
        items = _items(inner)
        primary = _primary(inner.get(b"pitm", b""))
    except (struct.error, StopIteration) as error:
        raise DamagedFile(
            f"{name}: the file is cut off, or its boxes do not fit together", hint=_COPY
        ) from error
    if len(items) > _MOST_ITEMS:
        raise LimitExceeded(f"{name}: has more than {_MOST_ITEMS} items")
    if primary not in items and sequence:
        raise UnsupportedFormat(
            f"{name}: is a sequence of pictures", hint="export the one you want as TIFF or PNG"
        )
    if primary not in items:
        raise DamagedFile(f"{name}: has no still picture in it", hint=_COPY)
    for item in items.values():
        room = len(inner.get(b"idat", b"")) if item.inside else len(data)
        beyond = any(at + size > room for at, size in item.extents)
        # Overlapping extents could unpack a small file into a huge item.
        if beyond or sum(size for _, size in item.extents) > room:
            raise DamagedFile(f"{name}: the file is cut off, a part of its picture is missing", hint=_COPY)
    kinds = frozenset(brands[at : at + 4] for at in (0, *range(8, len(brands), 4)))
    return Container(data, kinds, primary, items, inner.get(b"idat", b""), sequence)


def _boxes(content: bytes) -> Iterator[Box]:
    """Boxes that fill a content; a struct.error where one does not fit."""
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, start)
            start += 8
        end = at + size if size else len(content)
        if end < start or end > len(content):
            raise struct.error
        # Media data is found through the item locations; no need to copy it.
        yield Box(kind, b"" if kind == b"mdat" else content[start:end])
        at = end


def _items(inner: dict[bytes, bytes]) -> dict[int, Item]:
    items: dict[int, Item] = {}
    for number, kind, content_type in _infos(inner.get(b"iinf", b"")):
        items[number] = Item(kind, content_type)
    for number, inside, extents in _locations(inner.get(b"iloc", b"")):
        if number in items:
            items[number].inside, items[number].extents = inside, extents
    for number, kind, targets in _references(inner.get(b"iref", b"")):
        if number in items:
            items[number].references.setdefault(kind, []).extend(targets)
    for number, properties in _associations(inner.get(b"iprp", b"")):
        if number in items:
            items[number].properties += properties
    return items


def _primary(content: bytes) -> int:
    if not content:
        return -1
    reader = _Reader(content)
    version, _ = reader.full()
    return reader.number(4 if version else 2)


def _infos(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, type and content type of each item (iinf, infe)."""
    if not content:
        return
    for box in _boxes(content[6:] if content[0] == 0 else content[8:]):
        reader = _Reader(box.content)
        version, _ = reader.full()
        if box.kind != b"infe" or version < 2:
            continue
        number = reader.number(4 if version > 2 else 2)
        reader.take(2)
        kind = reader.take(4)
        _, _, rest = reader.content[reader.at :].partition(b"\0")
        yield number, kind, rest.partition(b"\0")[0] + b"\0"


def _locations(content: bytes) -> Iterator[tuple[int, bool, list[tuple[int, int]]]]:
    """Number, whether in idat, and extents of each item (iloc)."""
    if not content:
        return
    reader = _Reader(content)
    version, _ = reader.full()
    sizes, more = reader.number(1), reader.number(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15
    for _ in range(reader.number(4 if version > 1 else 2)):
        number = reader.number(4 if version > 1 else 2)
        method = reader.number(2) & 15 if version else 0
        reader.take(2)
        base = reader.number(base_size)
        extents = []
        count = reader.number(2)
        if count > 1 and offset_size + length_size == 0:
            raise struct.error  # extents of no bytes could be claimed without end
        for _ in range(count):
            reader.take(index_size if version else 0)
            offset = reader.number(offset_size)
            extents.append((base + offset, reader.number(length_size)))
        yield number, method == 1, extents


def _references(content: bytes) -> Iterator[tuple[int, bytes, list[int]]]:
    if not content:
        return
    size = 4 if content[0] else 2
    for box in _boxes(content[4:]):
        reader = _Reader(box.content)
        source = reader.number(size)
        yield source, box.kind, [reader.number(size) for _ in range(reader.number(2))]


def _associations(content: bytes) -> Iterator[tuple[int, list[Property]]]:
    """Properties of each item (ipco, ipma)."""
    boxes = list(_boxes(content))
    known = [box for parent in boxes if parent.kind == b"ipco" for box in _boxes(parent.content)]
    for reader in (_Reader(box.content) for box in boxes if box.kind == b"ipma"):
        version, flags = reader.full()
        wide = 2 if flags & 1 else 1
        for _ in range(reader.number(4)):
            number = reader.number(4 if version else 2)
            found = [reader.number(wide) for _ in range(reader.number(1))]
            high = 0x8000 if wide == 2 else 0x80
            chosen = [(value & (high - 1), bool(value & high)) for value in found]
            yield number, [Property(known[i - 1], must) for i, must in chosen if 0 < i <= len(known)]


@dataclass(frozen=True)
class NewItem:
    """An item to be written; `reference` says how it points to the first one."""

    kind: bytes
    content: bytes
    properties: Sequence[Property] = ()
    reference: bytes = b""
    content_type: bytes = b""


def build(items: Sequence[NewItem]) -> bytes:
    """A file of these items; the first one is the picture to show."""
    known: list[Box] = []
    rows = [_association(number, item, known) for number, item in enumerate(items, 1)]
    ipma = Box(b"ipma", struct.pack(">II", 0, len(rows)) + b"".join(rows))
    iprp = Box(b"iprp", Box(b"ipco", b"".join(box.packed() for box in known)).packed() + ipma.packed())
    infos = b"".join(_info(number, item).packed() for number, item in enumerate(items, 1))
    references = b"".join(
        Box(item.reference, struct.pack(">HHH", number, 1, 1)).packed()
        for number, item in enumerate(items, 1)
        if item.reference
    )
    before = Box(b"hdlr", struct.pack(">II4s12sB", 0, 0, b"pict", bytes(12), 0)).packed()
    before += Box(b"pitm", struct.pack(">IH", 0, 1)).packed()
    behind = Box(b"iinf", struct.pack(">IH", 0, len(items)) + infos).packed()
    behind += Box(b"iref", bytes(4) + references).packed() if references else b""
    behind += iprp.packed()
    ftyp = Box(b"ftyp", b"avif" + bytes(4) + b"avifmif1miaf").packed()
    locations = Box(b"iloc", bytes(8 + 14 * len(items))).packed()
    start = len(ftyp) + 12 + len(before) + len(locations) + len(behind) + 8
    meta = Box(b"meta", bytes(4) + before + _locate(items, start).packed() + behind)
    return ftyp + meta.packed() + Box(b"mdat", b"".join(item.content for item in items)).packed()


def _association(number: int, item: NewItem, known: list[Box]) -> bytes:
    row = struct.pack(">HB", number, len(item.properties))
    for entry in item.properties:
        if entry.box not in known:
            known.append(entry.box)
        row += bytes((known.index(entry.box) + 1 | (0x80 if entry.essential else 0),))
    return row


def _info(number: int, item: NewItem) -> Box:
    return Box(b"infe", struct.pack(">IHH4sB", 2 << 24, number, 0, item.kind, 0) + item.content_type)


def _locate(items: Sequence[NewItem], start: int) -> Box:
    rows = []
    for number, item in enumerate(items, 1):
        rows.append(struct.pack(">HHHII", number, 0, 1, start, len(item.content)))
        start += len(item.content)
    return Box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(items)) + b"".join(rows))
