"""EXIF between a TIFF's directories and the block that JPEG, PNG, WebP and AVIF embed.

The block is itself a TIFF structure (Exif 2.32, section 4.5), so values travel in their
own byte order as they are; only offsets are made anew. Offsets inside maker notes cannot
be, and are said to be lost where the notes move.
"""

from __future__ import annotations

from dataclasses import dataclass

from scanmend.errors import FormatError
from scanmend.formats.tiff import ifd
from scanmend.formats.tiff import tags as t

# What a person or a camera says about the picture; all else in a first directory describes pixels.
_DESCRIPTIVE = frozenset(
    {269, 270, 271, 272, 285, 297, 305, 306, 315, 316, 318, 319, 18246, 18249, 33432}
    | set(range(36864, 37600))
    | set(range(40091, 40096))
)
_RESOLUTION = frozenset({t.ORIENTATION, t.X_RESOLUTION, t.Y_RESOLUTION, t.RESOLUTION_UNIT})
_CHILDREN = (t.EXIF_IFD, t.GPS_IFD, t.INTEROP_IFD)
_MOST_DEPTH = 3


@dataclass(frozen=True)
class Item:
    """A tag on its way: its value in the byte order of its tree, or the directory it points to."""

    tag: int
    kind: int
    count: int
    data: bytes
    child: tuple[Item, ...] = ()


def collect(tags: ifd.Tags, most: int, *, resolution: bool) -> tuple[Item, ...]:
    """What a directory says about the picture, with its EXIF and GPS directories.

    Args:
        tags: of a first directory.
        most: bytes that all values together may take.
        resolution: whether orientation and resolution come along.

    Returns:
        Items in order of their tags; what cannot be read is left out.
    """
    wanted = _DESCRIPTIVE | _RESOLUTION if resolution else _DESCRIPTIVE
    return _items(tags, [most], wanted, _MOST_DEPTH)


def _items(tags: ifd.Tags, left: list[int], wanted: frozenset[int] | None, depth: int) -> tuple[Item, ...]:
    """Items of one directory; `wanted` None takes all, `left` counts down the bytes allowed."""
    found: dict[int, Item] = {}
    for entry in tags.ifd.entries:
        if entry.tag in found:
            continue
        item = _child(tags, entry, left, depth) if entry.tag in _CHILDREN else None
        if item is None and entry.tag not in _CHILDREN and (wanted is None or entry.tag in wanted):
            item = _value(tags, entry, left)
        if item is not None:
            found[entry.tag] = item
    return tuple(found[tag] for tag in sorted(found))


def _value(tags: ifd.Tags, entry: ifd.Entry, left: list[int]) -> Item | None:
    # Types 13 and above are offsets, or need BigTIFF.
    if not 0 < entry.size <= left[0] or entry.kind > 12:
        return None
    try:
        data = tags.source.read(entry.at, entry.size, t.name(entry.tag))
    except FormatError:
        return None
    left[0] -= entry.size
    return Item(entry.tag, entry.kind, entry.count, data)


def _child(tags: ifd.Tags, entry: ifd.Entry, left: list[int], depth: int) -> Item | None:
    if depth == 0:
        return None
    try:
        directory = ifd.read_ifd(tags.source, tags.form, tags.one(entry.tag, 0))
    except FormatError:
        return None
    items = _items(ifd.Tags(tags.source, tags.form, directory), left, None, depth - 1)
    return Item(entry.tag, t.LONG, 1, b"", items) if items else None


def gather(tags: ifd.Tags, most: int) -> bytes | None:
    """The EXIF block of a TIFF page, or None where it would say nothing but the resolution."""
    items = collect(tags, most, resolution=True)
    if all(item.tag in _RESOLUTION for item in items):
        return None
    form = ifd.Dialect(tags.form.order, big=False)
    head = (b"II*\0" if form.order == "<" else b"MM\0*") + form.pack("I", 8)
    return head + serialise(items, form, 8)


def serialise(items: tuple[Item, ...], form: ifd.Dialect, start: int) -> bytes:
    """A directory with its values and children, to stand at `start`; it is the last of its chain."""
    table_size = (8 if form.big else 2) + len(items) * form.entry + form.field
    table = form.pack(form.counter, len(items))
    body = b""
    for item in items:
        data = item.data
        at = start + table_size + len(body)
        if item.child:
            data = form.pack("I", at)
            body += serialise(item.child, form, at)
        elif len(data) > form.field:
            body += data
            data = form.pack(form.pointer, at)
        body += b"\0" * (len(body) % 2)
        table += form.pack("HHQ" if form.big else "HHI", item.tag, item.kind, item.count)
        table += data.ljust(form.field, b"\0")
    return table + form.pack(form.pointer, 0) + body


@dataclass(frozen=True)
class Block:
    """An EXIF block taken apart: its byte order, its items, and what could not be carried."""

    order: str
    items: tuple[Item, ...]
    notes: tuple[str, ...]


def parse(block: bytes | None, most: int) -> Block:
    """Takes an EXIF block apart; a damaged one yields a note and no items."""
    if not block:
        return Block("<", (), ())
    source = ifd.Memory(block, "the EXIF block")
    try:
        form, first = ifd.dialect(source)
        tags = ifd.Tags(source, form, ifd.read_ifd(source, form, first))
    except FormatError as error:
        return Block("<", (), (f"EXIF was left out: {error.message}",))
    items = collect(tags, most, resolution=False)
    return Block(form.order, items, tuple(_notes(tags, items)))


def _notes(tags: ifd.Tags, items: tuple[Item, ...]) -> list[str]:
    notes = []
    if any(inner.tag == t.MAKER_NOTE for item in items for inner in item.child):
        notes.append("the camera's maker notes moved; programs that follow offsets inside them may fail")
    if tags.ifd.next:
        notes.append("the EXIF thumbnail was left out")
    kept = {item.tag for item in items} | _RESOLUTION | {t.XMP, t.IPTC, t.ICC, t.PHOTOSHOP}
    lost = [
        tag
        for tag in dict.fromkeys(e.tag for e in tags.ifd.entries)
        if tag not in kept and tag > t.REFERENCE_BW
    ]
    if lost:
        notes.append(f"EXIF tags {', '.join(map(str, lost))} of the first directory were left out")
    return notes
