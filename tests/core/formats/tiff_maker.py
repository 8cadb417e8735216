"""TIFF files made by hand, down to the byte, for what no library would write."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scanmend.formats import tiff
from scanmend.formats.base import Limits, OutputOptions, Page
from scanmend.image import PageData

Array = npt.NDArray[Any]
LIMITS = Limits()
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 16: 8}
CODES = {3: "H", 4: "I", 16: "Q"}
PIXEL_TAGS = {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 324, 325, 339}
PIXEL_TAGS |= {347, 529, 530, 531, 532, *range(512, 522), 292, 293}


@dataclass
class Made:
    """One page: its tags as (type, values) and the bytes of its segments."""

    tags: dict[int, tuple[int, Sequence[int] | bytes]]
    segments: list[bytes]
    offsets: list[int] = field(default_factory=list)


def grey_page(pixels: Array, rows: int, **more: Any) -> Made:
    """An uncompressed 8-bit grey page in strips; `more` adds or replaces tags as t270=(2, b'...')."""
    height, width = pixels.shape
    tags: dict[int, tuple[int, Sequence[int] | bytes]] = {
        256: (3, [width]),
        257: (3, [height]),
        258: (3, [8]),
        259: (3, [1]),
        262: (3, [1]),
        277: (3, [1]),
        278: (3, [rows]),
    }
    tags.update({int(name[1:]): value for name, value in more.items()})
    return Made(tags, [pixels[top : top + rows].tobytes() for top in range(0, height, rows)])


def build(pages: Sequence[Made], order: str = "<", loop: int | None = None) -> bytes:
    """A classic TIFF: header, all segments, then directories with their values behind them.

    Args:
        pages: segments with the same bytes object are stored once and shared.
        order: byte order.
        loop: makes the last directory point back to that one.
    """
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    stored: dict[int, int] = {}
    for page in pages:
        for segment in page.segments:
            if id(segment) not in stored:
                stored[id(segment)] = len(out)
                out += segment + b"\0" * (len(segment) % 2)
        page.offsets = [stored[id(segment)] for segment in page.segments]
    link, places = 4, []
    for page in pages:
        tags = dict(page.tags)
        tags.setdefault(273, (4, page.offsets))
        tags.setdefault(279, (4, [len(segment) for segment in page.segments]))
        place = len(out)
        places.append(place)
        struct.pack_into(order + "I", out, link, place)
        link = place + 2 + 12 * len(tags)
        out += directory(tags, order, place)
    if loop is not None:
        struct.pack_into(order + "I", out, link, places[loop])
    return bytes(out)


def directory(tags: dict[int, tuple[int, Sequence[int] | bytes]], order: str, place: int) -> bytes:
    """A directory to stand at `place`, with the values that do not fit into it."""
    body = b""
    start = place + 2 + 12 * len(tags) + 4
    table = struct.pack(order + "H", len(tags))
    for tag, (kind, values) in sorted(tags.items()):
        data = values if isinstance(values, bytes) else pack(kind, values, order)
        table += struct.pack(order + "HHI", tag, kind, len(data) // SIZES[kind])
        if len(data) > 4:
            table += struct.pack(order + "I", start + len(body))
            body += data + b"\0" * (len(data) % 2)
        else:
            table += data.ljust(4, b"\0")
    return table + struct.pack(order + "I", 0) + body


def pack(kind: int, values: Sequence[int], order: str) -> bytes:
    return struct.pack(f"{order}{len(values)}{CODES.get(kind, 'I' if kind == 5 else 'B')}", *values)


def bands(pixels: Array, rows: int = 13) -> Iterator[Array]:
    """The picture in bands of some rows."""
    for top in range(0, len(pixels), rows):
        yield pixels[top : top + rows]


def whole(page: Page, rows: int = 11) -> Array:
    """A page read in bands that fit no strip."""
    height = page.layout.height
    return np.concatenate([page.read(top, min(top + rows, height)) for top in range(0, height, rows)])


def read_all(path: Path) -> list[Array]:
    with tiff.open_file(path, LIMITS) as file:
        return [whole(page) for page in file.pages]


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[Array], Array] | None = None,
    *,
    only: Sequence[int] | None = None,
    xmp: bytes | None = None,
    options: OutputOptions | None = None,
    **layout: Any,
) -> tuple[str, ...]:
    """Sends pages through `rewrite`, changed by a function of all their pixels."""
    with tiff.open_file(source, LIMITS) as file:
        pages = {}
        for page in file.pages:
            if only is None or page.index in only:
                pixels = whole(page)
                pixels = change(pixels) if change else pixels
                pages[page.index] = PageData(page.layout.replace(**layout), bands(pixels))
        return file.rewrite(target, pages, xmp=xmp, options=options or OutputOptions())


def raw_tags(path: Path, number: int = 0) -> dict[int, tuple[int, int, bytes]]:
    """Type, count and value bytes of every tag of a directory of the main chain, pixel tags apart."""
    with tiff.open_file(path, LIMITS) as file:
        tags = file.tags(file.chain[number])
        return {
            entry.tag: (entry.kind, entry.count, tags.raw(entry.tag, 2**30) or b"")
            for entry in tags.ifd.entries
            if entry.tag not in PIXEL_TAGS
        }


def noise(shape: tuple[int, ...], dtype: str = "u1", seed: int = 1) -> Array:
    """Smooth enough to compress, noisy enough to notice a wrong byte."""
    random = np.random.default_rng(seed)
    walk = np.cumsum(random.normal(0, 1, shape), axis=1)
    unit = (walk - walk.min()) / max(float(np.ptp(walk)), 1e-9)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return unit.astype(kind)
    info = np.iinfo(kind)
    return (unit * (float(info.max) - float(info.min)) * 0.999 + float(info.min)).astype(kind)
