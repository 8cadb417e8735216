"""Bands of stored samples to segments in a file, encoded by a few threads while the caller computes."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scanmend.errors import FormatError
from scanmend.formats.tiff import codecs, samples
from scanmend.formats.tiff import tags as t

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanmend.formats.tiff.coding import Coding
    from scanmend.formats.tiff.target import Target
    from scanmend.image import Array, Layout

_THREADS = min(4, max(2, os.cpu_count() or 2))  # the codecs release Python's lock
_WAITING = 32 * 2**20  # bytes of samples that may wait to be encoded


class Places(Protocol):
    """Decides where a segment goes."""

    def place(self, number: int, size: int) -> int: ...


def encode_bands(bands: Iterable[Array], coding: Coding, target: Target, places: Places) -> None:
    """Writes a page, given as stored samples (h, width, samples) from top to bottom.

    Memory is in proportion to a band, a row of segments and what waits for the encoders.
    """
    if coding.compression == t.NONE and not coding.tiled:
        _write_plain(bands, coding, target, places)
        return
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="tiff") as pool:
        pending: deque[tuple[int, int, Future[bytes]]] = deque()
        waiting = 0
        try:
            for number, pixels in _segments(bands, coding):
                pending.append((number, pixels.nbytes, pool.submit(codecs.encode, pixels, coding)))
                waiting += pixels.nbytes
                while pending and (waiting > _WAITING or pending[0][2].done()):
                    waiting -= _write_next(pending, target, places)
            while pending:
                _write_next(pending, target, places)
        finally:
            pool.shutdown(cancel_futures=True)


def _write_next(pending: deque[tuple[int, int, Future[bytes]]], target: Target, places: Places) -> int:
    number, size, future = pending.popleft()
    data = future.result()
    target.write(places.place(number, len(data)), data)
    return size


def _segments(bands: Iterable[Array], coding: Coding) -> Iterator[tuple[int, Array]]:
    """Cuts bands into numbered segments (rows, segment_width, depth), padded where they are tiles."""
    for row, block in enumerate(_blocks(bands, coding)):
        for plane in range(coding.planes):
            part = block[..., plane : plane + 1] if coding.planar else block
            for column in range(coding.across):
                left = column * coding.segment_width
                pixels = part[:, left : left + coding.segment_width]
                if coding.tiled:
                    pixels = samples.pad(pixels, coding.segment_height, coding.segment_width)
                yield (plane * coding.down + row) * coding.across + column, pixels


def _blocks(bands: Iterable[Array], coding: Coding) -> Iterator[Array]:
    """Regroups bands by rows of segments; every block is new, as encoders may still hold the last."""
    block, filled, row = None, 0, 0
    for band in bands:
        top = 0
        while top < len(band):
            if block is None:
                height = min(coding.segment_height, coding.height - row * coding.segment_height)
                block, filled = np.empty((height, coding.width, coding.samples), coding.dtype), 0
            count = min(len(block) - filled, len(band) - top)
            block[filled : filled + count] = band[top : top + count]
            filled, top = filled + count, top + count
            if filled == len(block):
                yield block
                block, row = None, row + 1


def _write_plain(bands: Iterable[Array], coding: Coding, target: Target, places: Places) -> None:
    """Uncompressed strips are as long as their geometry says, so rows can be written as they come."""
    starts: dict[int, int] = {}
    top = 0
    for band in bands:
        done = 0
        while done < len(band):
            row, within = divmod(top, coding.segment_height)
            count = min(len(band) - done, coding.rows(row) - within)
            for plane in range(coding.planes):
                number = plane * coding.down + row
                if within == 0:
                    starts[number] = places.place(number, coding.rows(row) * coding.row_bytes)
                part = (
                    band[done : done + count, :, plane : plane + 1]
                    if coding.planar
                    else band[done : done + count]
                )
                data = codecs.encode(part, coding)
                target.write(starts[number] + within * coding.row_bytes, data)
            top, done = top + count, done + count


def checked(bands: Iterable[Array], layout: Layout, where: str) -> Iterator[Array]:
    """Passes bands on, making sure that they are what the layout promises, no more and no less."""
    rows = 0
    for band in bands:
        if band.shape[1:] != (layout.width, layout.channels) or band.dtype != layout.dtype:
            raise FormatError(f"{where}: a band of {band.shape} {band.dtype} does not fit the page's layout")
        rows += len(band)
        if rows > layout.height:
            raise FormatError(f"{where}: the bands have more rows than the page's {layout.height}")
        yield band
    if rows != layout.height:
        raise FormatError(f"{where}: the bands have {rows} rows, the page {layout.height}")
