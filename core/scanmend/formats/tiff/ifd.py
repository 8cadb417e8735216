"""The skeleton of a TIFF or BigTIFF file: header, image file directories, tag values.

Every offset and count is checked against the size of the file before anything is read
or allocated, and every walk ends: a directory is visited once.
TIFF 6.0, section 2; BigTIFF as in https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats.tiff import tags as t

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

_MOST_ENTRIES = 65535
_MOST_DIRECTORIES = 20_000  # sub-directories included; each costs a read
_MAP_FROM = 32 * 2**20  # bytes; a mapped segment costs no memory of its own


class Source:
    """The bytes of the file that is being read; safe to use from several threads.

    Plain reads rather than a memory map: a file that another program cuts short while it
    is mapped kills the process with SIGBUS, while a short read is an error like any other.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._handle: BinaryIO = path.open("rb")
        except OSError as error:
            raise FormatError(f"{path.name} cannot be opened: {error.strerror or error}") from error
        self.name = path.name
        self.size = os.fstat(self._handle.fileno()).st_size
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None

    def read(self, offset: int, length: int, what: str) -> bytes:
        """Reads exactly `length` bytes; `what` names them in the error."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise DamagedFile(f"{self.name}: {what} lies beyond the end of the file", hint=_CUT)
        try:
            with self._lock:
                self._handle.seek(offset)
                data = self._handle.read(length)
        except (OSError, ValueError) as error:
            raise DamagedFile(f"{self.name}: {what} cannot be read: {error}") from error
        if len(data) != length:
            raise DamagedFile(f"{self.name} became shorter while it was being read")
        return data

    def view(self, offset: int, length: int, what: str) -> bytes | memoryview:
        """As `read`, but maps what is too large to hold twice."""
        if length < _MAP_FROM or offset + length > self.size:
            return self.read(offset, length, what)
        with self._lock:
            if self._map is None:
                self._map = mmap.mmap(self._handle.fileno(), 0, access=mmap.ACCESS_READ)
            return memoryview(self._map)[offset : offset + length]

    def copy_to(self, target: BinaryIO) -> None:
        """Writes all bytes, from the very file that was parsed, even if its name now means another."""
        target.writelines(
            self.read(offset, min(2**20, self.size - offset), "the file")
            for offset in range(0, self.size, 2**20)
        )

    def close(self) -> None:
        self._handle.close()
        self._map = None  # unmapped when the last view is gone


class Memory(Source):
    """The same over bytes in memory, for a TIFF structure inside another file."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self.name, self.size = data, name, len(data)

    def read(self, offset: int, length: int, what: str) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise DamagedFile(f"{self.name}: {what} lies beyond its end")
        return self._data[offset : offset + length]

    def close(self) -> None:
        """Nothing to give back."""


_CUT = "it was probably cut short while it was copied or scanned"


@dataclass(frozen=True)
class Dialect:
    """Byte order ("<" or ">") and whether offsets take eight bytes (BigTIFF)."""

    order: str
    big: bool

    @property
    def field(self) -> int:
        """Bytes of an offset, and of an entry's value field."""
        return 8 if self.big else 4

    @property
    def pointer(self) -> str:
        return "Q" if self.big else "I"

    @property
    def counter(self) -> str:
        return "Q" if self.big else "H"

    @property
    def entry(self) -> int:
        return 20 if self.big else 12

    @property
    def most(self) -> int:
        """The largest offset that can be written down."""
        return 2**63 - 1 if self.big else 2**32 - 1

    def pack(self, code: str, *values: int) -> bytes:
        return struct.pack(self.order + code, *values)

    def number(self, code: str, data: bytes) -> int:
        (value,) = struct.unpack(self.order + code, data)
        return int(value)


@dataclass(frozen=True)
class Entry:
    """One tag: type, count and the value field as it stands; `at` is where the value's bytes are."""

    tag: int
    kind: int
    count: int
    field: bytes
    at: int

    @property
    def size(self) -> int:
        """Bytes of the value; 0 for an unknown type."""
        return t.TYPE_SIZES.get(self.kind, 0) * self.count


@dataclass(frozen=True)
class Ifd:
    """A directory: where it stands, its entries in stored order, and where the next one is."""

    offset: int
    entries: tuple[Entry, ...]
    next: int
    size: int
    number: int = 0

    def find(self, tag: int) -> Entry | None:
        """The first entry with this tag, as libtiff chooses where a tag comes twice."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


def dialect(source: Source) -> tuple[Dialect, int]:
    """Reads the header: the dialect and the offset of the first directory."""
    head = source.read(0, min(16, source.size), "the header")
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise DamagedFile(f"{source.name} has no TIFF header")
    magic, size, zero = struct.unpack(order + "HHH", head[2:8])
    if magic == 42:
        return Dialect(order, big=False), struct.unpack(order + "I", head[4:8])[0]
    if magic != 43 or len(head) < 16:
        raise UnsupportedFormat(f"{source.name} is a variant of TIFF that Scanmend does not know")
    if (size, zero) != (8, 0):
        raise DamagedFile(f"{source.name} has a damaged BigTIFF header")
    return Dialect(order, big=True), struct.unpack(order + "Q", head[8:16])[0]


def read_ifd(source: Source, form: Dialect, offset: int, number: int = 0) -> Ifd:
    """Reads the directory at an offset."""
    what = f"directory {number + 1}"
    count_size = 8 if form.big else 2
    count = form.number(form.counter, source.read(offset, count_size, what))
    if not 0 < count <= _MOST_ENTRIES:
        raise DamagedFile(f"{source.name}: {what} claims {count} tags")
    table = source.read(offset + count_size, count * form.entry + form.field, what)
    entries = tuple(
        _entry(form, table[at : at + form.entry], offset + count_size + at)
        for at in range(0, count * form.entry, form.entry)
    )
    following = form.number(form.pointer, table[-form.field :])
    return Ifd(offset, entries, following, count_size + len(table), number)


def _entry(form: Dialect, data: bytes, at: int) -> Entry:
    tag, kind, count = struct.unpack(form.order + ("HHQ" if form.big else "HHI"), data[: -form.field])
    field = data[-form.field :]
    inline = t.TYPE_SIZES.get(kind, 0) * count <= form.field
    place = at + form.entry - form.field if inline else form.number(form.pointer, field)
    return Entry(tag, kind, count, field, place)


def chain(source: Source, form: Dialect, first: int, most: int) -> tuple[Ifd, ...]:
    """Reads the main chain of directories.

    Raises:
        DamagedFile: it loops, or leads out of the file.
        LimitExceeded: it has more than `most` members.
    """
    found: list[Ifd] = []
    seen: set[int] = set()
    offset = first
    while offset:
        if offset in seen:
            raise DamagedFile(f"{source.name}: the list of pages runs in a circle")
        if len(found) >= most:
            raise LimitExceeded(
                f"{source.name} has more than the {most} pages allowed",
                hint="raise the limit if you trust it",
            )
        seen.add(offset)
        found.append(read_ifd(source, form, offset, len(found)))
        offset = found[-1].next
    if not found:
        raise DamagedFile(f"{source.name} holds no picture")
    return tuple(found)


def tree(source: Source, form: Dialect, roots: Sequence[Ifd]) -> tuple[Ifd, ...]:
    """The chain with everything below it (EXIF, GPS, SubIFDs), each directory once.

    A sub-directory that cannot be read is left out: its bytes stay where they are anyway.
    """
    found = list(roots)
    seen = {ifd.offset for ifd in found}
    for ifd in found:  # grows while it is walked
        for offset in _children(source, form, ifd):
            if offset in seen or len(found) >= _MOST_DIRECTORIES:
                continue
            seen.add(offset)
            try:
                found.append(read_ifd(source, form, offset))
            except DamagedFile:
                continue
    return tuple(found)


def _children(source: Source, form: Dialect, ifd: Ifd) -> list[int]:
    offsets = [ifd.next] if ifd.next else []
    for tag in t.POINTERS:
        try:
            offsets += Tags(source, form, ifd).ints(tag, most=_MOST_DIRECTORIES)
        except DamagedFile:
            continue
    return offsets


class Tags:
    """Typed access to the values of one directory."""

    def __init__(self, source: Source, form: Dialect, ifd: Ifd) -> None:
        self.source, self.form, self.ifd = source, form, ifd

    def __contains__(self, tag: int) -> bool:
        return self.ifd.find(tag) is not None

    def raw(self, tag: int, most: int) -> bytes | None:
        """The value's bytes as they stand, or None where there is no such tag."""
        entry = self.ifd.find(tag)
        if entry is None:
            return None
        if entry.size > most:
            raise LimitExceeded(
                f"{self.source.name}: {t.name(tag)} takes {entry.size} bytes; {most} are allowed"
            )
        return self.source.read(entry.at, entry.size, t.name(tag))

    def array(self, tag: int, most: int) -> npt.NDArray[np.int64]:
        """The first `most` values of an integer tag; empty where there is no such tag."""
        entry = self.ifd.find(tag)
        if entry is None:
            return np.zeros(0, np.int64)
        code = t.INTEGERS.get(entry.kind)
        if code is None:
            raise DamagedFile(f"{self.source.name}: {t.name(tag)} does not hold whole numbers")
        count = min(entry.count, most)
        size = t.TYPE_SIZES[entry.kind]
        dtype = np.dtype(f"{self.form.order}{'i' if code.islower() else 'u'}{size}")
        data = self.source.read(entry.at, count * size, t.name(tag))
        values = np.frombuffer(data, dtype)
        if values.dtype.kind == "u" and size == 8 and (values > 2**63 - 1).any():
            raise DamagedFile(f"{self.source.name}: {t.name(tag)} lies beyond any file")
        return values.astype(np.int64)

    def ints(self, tag: int, *, most: int = 64) -> tuple[int, ...]:
        return tuple(self.array(tag, most).tolist())

    def one(self, tag: int, default: int) -> int:
        """The first value, or the default where there is none."""
        values = self.ints(tag, most=1)
        return values[0] if values else default

    def ratios(self, tag: int, most: int = 6) -> tuple[float, ...]:
        """Values of a RATIONAL, SRATIONAL, FLOAT, DOUBLE or integer tag; empty where any is not finite."""
        entry = self.ifd.find(tag)
        if entry is None:
            return ()
        if entry.kind in t.INTEGERS:
            return tuple(float(value) for value in self.ints(tag, most=most))
        code = {5: "II", 10: "ii", 11: "f", 12: "d"}.get(entry.kind)
        if code is None:
            return ()
        count = min(entry.count, most)
        data = self.source.read(entry.at, count * t.TYPE_SIZES[entry.kind], t.name(tag))
        values = struct.unpack(self.form.order + code * count, data)
        if len(code) == 2:
            if 0 in values[1::2]:
                return ()
            values = tuple(a / b for a, b in zip(values[::2], values[1::2], strict=True))
        return tuple(float(v) for v in values) if all(np.isfinite(values)) else ()
