"""The file being written: bytes at places, bytes at the end, directories changed in place or moved."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, BinaryIO

from scanmend.errors import FormatError, PublishError
from scanmend.formats.tiff import tags as t
from scanmend.formats.tiff.ifd import Dialect, Entry, Ifd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Target:
    """A TIFF file open for writing.

    Raises from its methods:
        PublishError: the disk is full, or fails.
        FormatError: a classic TIFF would grow past 4 GiB.
    """

    def __init__(self, path: Path, form: Dialect) -> None:
        self.name, self.form = path.name, form
        with _writing(self.name):
            self.handle: BinaryIO = path.open("x+b")
        self.end = 0

    def __enter__(self) -> Target:  # noqa: PYI034 - Self is Python 3.11's
        return self

    def __exit__(self, *_: object) -> None:
        with _writing(self.name):
            self.handle.close()

    def fill(self, copy: Callable[[BinaryIO], None]) -> None:
        """Lets someone write the beginning of the file."""
        with _writing(self.name):
            copy(self.handle)
            self.end = self.handle.tell()

    def write(self, offset: int, data: bytes) -> None:
        with _writing(self.name):
            self.handle.seek(offset)
            self.handle.write(data)

    def reserve(self, size: int, align: int = 2) -> int:
        """Takes room at the end and returns its offset, even by default as values want it (TIFF 6.0, 2)."""
        start = -(-self.end // align) * align
        if start + size > self.form.most:
            raise FormatError(
                f"{self.name} would pass 4 GiB, the most that a classic TIFF can hold",
                hint="set output.compression to deflate, or write a new file of another format",
            )
        if start > self.end:
            self.write(self.end, bytes(start - self.end))
        self.end = start + size
        return start

    def append(self, data: bytes, align: int = 2) -> int:
        """Writes at the end and returns the offset."""
        start = self.reserve(len(data), align)
        self.write(start, data)
        return start

    def flush(self) -> None:
        with _writing(self.name):
            self.handle.flush()


@contextlib.contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PublishError(f"{name} cannot be written: {error.strerror or error}") from error


class Edit:
    """Changes to one directory.

    Values are changed where they stand if they fit and nothing else uses the place;
    otherwise they go to the end of the file. The table itself moves only if it grows.
    """

    def __init__(self, target: Target, directory: Ifd, sole: Callable[[int, int], bool]) -> None:
        self._target, self._form = target, target.form
        self.directory = directory
        self._entries = list(directory.entries)
        self._sole = sole
        self._changed = False
        self.offset = directory.offset

    def __contains__(self, tag: int) -> bool:
        return self._find(tag) >= 0

    def _find(self, tag: int) -> int:
        return next((at for at, entry in enumerate(self._entries) if entry.tag == tag), -1)

    def set_ints(self, tag: int, values: Sequence[int], kind: int = t.LONG) -> None:
        """Sets an integer tag, keeping its type where the values fit into it."""
        at = self._find(tag)
        if at >= 0 and self._entries[at].kind in (t.SHORT, t.LONG, t.LONG8):
            kind = self._entries[at].kind
        top = max(values)
        if kind == t.SHORT and top > 2**16 - 1:
            kind = t.LONG
        if kind == t.LONG and top > 2**32 - 1:
            kind = t.LONG8
        code = t.INTEGERS[kind]
        self.set(tag, kind, struct.pack(f"{self._form.order}{len(values)}{code}", *values))

    def set_int(self, tag: int, value: int, default: int | None = None) -> None:
        """Sets a single SHORT; a default that the file leaves out stays out."""
        if tag in self or value != default:
            self.set_ints(tag, (value,), t.SHORT)

    def set(self, tag: int, kind: int, data: bytes) -> None:
        """Sets a tag to a value in the file's byte order."""
        at = self._find(tag)
        old = self._entries[at] if at >= 0 else None
        count = len(data) // t.TYPE_SIZES[kind]
        if old and (old.kind, old.count) == (kind, count) and self._value(old) == data:
            return
        if len(data) <= self._form.field:
            entry = Entry(tag, kind, count, data.ljust(self._form.field, b"\0"), 0)
        else:
            offset = self._store(old, data)
            entry = Entry(tag, kind, count, self._form.pack(self._form.pointer, offset), offset)
        if old:
            self._entries[at] = entry
        else:
            self._entries.append(entry)
            self._entries.sort(key=lambda one: one.tag)
        self._changed = True

    def _value(self, entry: Entry) -> bytes:
        if entry.size <= self._form.field:
            return entry.field[: entry.size]
        self._target.handle.seek(entry.at)
        return self._target.handle.read(entry.size)

    def _store(self, old: Entry | None, data: bytes) -> int:
        fits = old is not None and self._form.field < old.size >= len(data)
        if old is not None and fits and self._sole(old.at, old.at + old.size):
            self._target.write(old.at, data)
            return old.at
        return self._target.append(data)

    def remove(self, *tags: int) -> None:
        kept = [entry for entry in self._entries if entry.tag not in tags]
        self._changed |= len(kept) != len(self._entries)
        self._entries = kept

    def place(self) -> None:
        """Writes the table, at its old place if it has not grown."""
        if not self._changed:
            return
        form = self._form
        table = form.pack(form.counter, len(self._entries))
        for entry in self._entries:
            table += form.pack("HHQ" if form.big else "HHI", entry.tag, entry.kind, entry.count) + entry.field
        table += form.pack(form.pointer, self.directory.next)
        if len(table) <= self.directory.size:
            self._target.write(self.offset, table)
        else:
            self.offset = self._target.append(table, 8 if form.big else 2)

    @property
    def link(self) -> int:
        """Where the pointer to the next directory stands."""
        head = 8 if self._form.big else 2
        return self.offset + head + len(self._entries) * self._form.entry
