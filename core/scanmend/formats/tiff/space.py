"""Which bytes of a TIFF file belong to what, and which may be used anew."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

import numpy as np

from scanmend.errors import DamagedFile
from scanmend.formats.tiff import tags as t
from scanmend.formats.tiff.ifd import Tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scanmend.formats.tiff.ifd import Dialect, Ifd, Source

Extent = tuple[int, int]  # start and end, exclusive
_GAP = 16  # writers align strips; what is narrower than that between two strips is padding
_MOST_SEGMENTS = 2**27


class Ledger:
    """All known extents of a file, by the directory that refers to them."""

    def __init__(self, source: Source, form: Dialect, directories: Sequence[Ifd]) -> None:
        self._segments: dict[int, list[Extent]] = {}
        self._others: list[Extent] = [(0, 2 * form.field)]
        self._own_jpeg: set[int] = set()
        for directory in directories:
            tags = Tags(source, form, directory)
            own = _extents(tags, t.STRIP_OFFSETS, t.STRIP_COUNTS)
            own += _extents(tags, t.TILE_OFFSETS, t.TILE_COUNTS)
            self._sort_stream(tags, own)
            self._segments[directory.offset] = own
            self._others.append((directory.offset, directory.offset + directory.size))
            self._others += [
                (entry.at, entry.at + entry.size)
                for entry in directory.entries
                if form.field < entry.size <= source.size - entry.at
            ]
        every = [*self._others, *(extent for found in self._segments.values() for extent in found)]
        self._starts = np.array([start for start, _ in every], np.int64)
        self._ends = np.array([end for _, end in every], np.int64)

    def _sort_stream(self, tags: Tags, own: list[Extent]) -> None:
        """JPEGInterchangeFormat is the picture itself, or a thumbnail beside a picture of another codec."""
        codec = tags.ifd.find(t.COMPRESSION)
        old_style = codec is not None and tags.form.number("H", codec.field[:2]) == t.OJPEG
        for start, end in _extents(tags, t.OLD_JPEG_START, t.OLD_JPEG_LENGTH):
            if old_style or any(start < other[1] and other[0] < end for other in own):
                self._own_jpeg.add(tags.ifd.offset)
                own.append((start, end))
            else:
                self._others.append((start, end))

    def owns_jpeg(self, directory: Ifd) -> bool:
        """Whether the tags of old-style JPEG describe the directory's own pixels."""
        return directory.offset in self._own_jpeg

    def free(self, directory: Ifd) -> list[Extent]:
        """What only this directory's segments occupy, merged and in order."""
        own = self._segments[directory.offset]
        used = list(self._others)
        for offset, segments in self._segments.items():
            if offset != directory.offset:
                used += segments
        return subtract(merge(own, _GAP), merge(used, 0))

    def sole(self, start: int, end: int) -> bool:
        """Whether exactly one thing is known to stand there, so that it may be overwritten."""
        return int(((self._starts < end) & (self._ends > start)).sum()) == 1


def _extents(tags: Tags, offsets_tag: int, counts_tag: int) -> list[Extent]:
    """What two tags of offsets and byte counts describe, as far as it lies within the file."""
    try:
        offsets = tags.array(offsets_tag, _MOST_SEGMENTS)
        counts = tags.array(counts_tag, _MOST_SEGMENTS)
    except DamagedFile:
        return []
    size = tags.source.size
    pairs = zip(offsets.tolist(), counts.tolist(), strict=False)
    return [(start, min(start + count, size)) for start, count in pairs if 0 < start < size and count > 0]


def merge(extents: Iterable[Extent], gap: int) -> list[Extent]:
    """Joins extents that touch or overlap, or are less than `gap` bytes apart."""
    joined: list[Extent] = []
    for start, end in sorted(extents):
        if joined and start <= joined[-1][1] + max(gap - 1, 0):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def subtract(extents: Sequence[Extent], used: Sequence[Extent]) -> list[Extent]:
    """What of the first is not in the second; both merged and in order."""
    left: list[Extent] = []
    at = 0
    for start, end in extents:
        while at < len(used) and used[at][1] <= start:
            at += 1
        position, probe = start, at
        while probe < len(used) and used[probe][0] < end:
            if used[probe][0] > position:
                left.append((position, used[probe][0]))
            position = max(position, used[probe][1])
            probe += 1
        if position < end:
            left.append((position, end))
    return left


class FreeList:
    """Extents that may be written to, handed out first fit."""

    def __init__(self) -> None:
        self._extents: list[Extent] = []
        self._cursor = 0
        self._largest = 0

    def add(self, extents: Iterable[Extent]) -> None:
        self._extents = merge([*self._extents, *extents], 0)
        self._cursor = 0
        self._largest = max((end - start for start, end in self._extents), default=0)

    def take_at(self, start: int, size: int) -> bool:
        """Takes exactly these bytes, if they are all free."""
        at = bisect.bisect_right(self._extents, (start, 2**63)) - 1
        if at < 0 or self._extents[at][1] < start + size or size == 0:
            return False
        begin, end = self._extents[at]
        self._extents[at : at + 1] = [
            piece for piece in ((begin, start), (start + size, end)) if piece[0] < piece[1]
        ]
        return True

    def take(self, size: int) -> int | None:
        """The start of `size` free bytes, or None.

        Goes on from where it last found some, and looks at the beginning again before it
        gives up: pages with many strips would otherwise pass the same crumbs over and over.
        """
        if size > self._largest:
            return None
        count = len(self._extents)
        for step in range(count):
            at = (self._cursor + step) % count
            start, end = self._extents[at]
            if end - start >= size:
                self._cursor = at
                self._extents[at] = (start + size, end)
                return start
        self._largest = size - 1
        return None
