"""Scripted scanners: the ways in which files come into a hot folder, as programs that write and pause.

A script writes to its path and yields how long it pauses, in units of the folder's quiet time, or a
question that has to be answered with yes before it goes on. It notes each moment at which its file is whole.
"""

from __future__ import annotations

import heapq
import io
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from tests.daemon.live import hashed

SIDE = 64  # so that half a picture is more than the zeros that a dark one may end in
FORMATS = ("plain.tif", "lzw.tif", "16 bit.tif", "jpg", "png", "bmp")
_COMPRESSION = {"lzw.tif": "lzw", "16 bit.tif": "deflate"}
_LOOK_AGAIN = 0.05

Pause = float | Callable[[], bool]


def picture(kind: str, seed: int) -> bytes:
    """A picture of full variety in one of `FORMATS`: no part of it is like another one's."""
    random = np.random.default_rng(seed)
    wide = random.integers(1, 255, (SIDE, SIDE, 3))
    file = io.BytesIO()
    if kind.endswith(".tif"):
        pixels = (wide * 257).astype(np.uint16) if kind == "16 bit.tif" else wide.astype(np.uint8)
        tifffile.imwrite(file, pixels, photometric="rgb", compression=_COMPRESSION.get(kind), metadata=None)
    elif kind == "jpg":
        Image.fromarray(wide.astype(np.uint8)).save(file, "jpeg", quality=92)
    else:
        Image.fromarray(wide.astype(np.uint8)).save(file, kind)
    return file.getvalue()


@dataclass
class Scribe:
    """One file on its way into a hot folder.

    Attributes:
        path: where the script writes.
        kind: one of `FORMATS`.
        seed: of its pictures.
        gap: how long it pauses, in quiet times.
        published: whether a content has its result.
        whole: hashes of all states in which the file was complete, in order; the last is `final`.
        final: what has to be restored in the end; None where the file never becomes whole.
    """

    path: Path
    kind: str
    seed: int
    gap: float
    published: Callable[[str], bool]
    whole: list[str] = field(default_factory=list)
    final: str | None = None

    def picture(self, version: int = 0) -> bytes:
        """The n-th picture that comes under this name."""
        return picture(self.kind, self.seed * 100 + version)

    def is_whole(self) -> None:
        """Notes that the file is complete just now."""
        self.final = hashed(self.path.read_bytes())
        self.whole.append(self.final)


Script = Callable[[Scribe], Iterator[Pause]]


def slow_stream(scribe: Scribe) -> Iterator[Pause]:
    """Held open, written piece by piece."""
    data = scribe.picture()
    with scribe.path.open("wb", buffering=0) as file:
        for piece in _pieces(data, 0.09, 0.49, 0.9):
            file.write(piece)
            yield scribe.gap
    scribe.is_whole()


def first_bytes(scribe: Scribe) -> Iterator[Pause]:
    """A line that stalls after one byte, after four and after forty."""
    data = scribe.picture()
    for start, end in itertools.pairwise((0, 1, 4, 40, len(data))):
        with scribe.path.open("ab", buffering=0) as file:
            file.write(data[start:end])
        if end < len(data):
            yield scribe.gap
    scribe.is_whole()


def size_preset(scribe: Scribe) -> Iterator[Pause]:
    """SMB: the size first, then the content, with a stall in the middle."""
    data = scribe.picture()
    with scribe.path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        yield scribe.gap
        for piece in _pieces(data, 0.3, 0.5):
            file.write(piece)
            yield scribe.gap
    scribe.is_whole()


def preset_and_closed(scribe: Scribe) -> Iterator[Pause]:
    """The same by a server that closes the file after each block: nobody has it open meanwhile."""
    data = scribe.picture()
    scribe.path.write_bytes(b"")
    os.truncate(scribe.path, len(data))
    place = 0
    for piece in _pieces(data, 0.3, 0.5):
        yield scribe.gap
        with scribe.path.open("r+b", buffering=0) as file:
            file.seek(place)
            place += file.write(piece)
    scribe.is_whole()


def reopened(scribe: Scribe) -> Iterator[Pause]:
    """Opened anew for each block."""
    scribe.path.write_bytes(b"")
    for number, piece in enumerate(_pieces(scribe.picture(), 0.33, 0.66)):
        if number:
            yield scribe.gap
        with scribe.path.open("ab", buffering=0) as file:
            file.write(piece)
    scribe.is_whole()


def pages(scribe: Scribe) -> Iterator[Pause]:
    """A document feeder that appends page after page: each of them leaves a whole file."""
    random = np.random.default_rng(scribe.seed)
    for number in range(3):
        if number:
            yield scribe.gap
        page = random.integers(1, 255, (SIDE, SIDE, 3)).astype(np.uint8)
        compression = _COMPRESSION.get(scribe.kind)
        tifffile.imwrite(
            scribe.path, page, photometric="rgb", compression=compression, append=number > 0, metadata=None
        )
        scribe.is_whole()


def late_pages(scribe: Scribe) -> Iterator[Pause]:
    """The same, each page after the result of those before: too late for any rule."""
    for _ in pages(scribe):
        yield lambda: scribe.published(scribe.whole[-1])


def placeholder(scribe: Scribe) -> Iterator[Pause]:
    """An empty file first, the content later, at once."""
    scribe.path.touch()
    yield scribe.gap
    scribe.path.write_bytes(scribe.picture())
    scribe.is_whole()


def renamed(scribe: Scribe) -> Iterator[Pause]:
    """A temporary name in the same folder, and the real one when it is finished."""
    name = scribe.path.name
    temporary = scribe.path.with_name(f"{name}.part" if scribe.seed % 2 else f".{name}.tmp")
    with temporary.open("wb", buffering=0) as file:
        for piece in _pieces(scribe.picture(), 0.5):
            file.write(piece)
            yield scribe.gap
    temporary.rename(scribe.path)
    scribe.is_whole()


def moved_in_early(scribe: Scribe) -> Iterator[Pause]:
    """Moved in from elsewhere and written on there: a rename proves nothing."""
    data = scribe.picture()
    elsewhere = scribe.path.parent.parent.parent / f"elsewhere-{scribe.seed}"
    elsewhere.write_bytes(data[: len(data) // 2])
    elsewhere.rename(scribe.path)
    yield scribe.gap
    with scribe.path.open("ab") as file:
        file.write(data[len(data) // 2 :])
    scribe.is_whole()


def died_short(scribe: Scribe) -> Iterator[Pause]:
    """The client dies with half of it written."""
    data = scribe.picture()
    with scribe.path.open("wb", buffering=0) as file:
        file.write(data[: len(data) // 2])
        yield scribe.gap


def died_preset(scribe: Scribe) -> Iterator[Pause]:
    """The client dies after it set the size and wrote half of it."""
    data = scribe.picture()
    with scribe.path.open("wb", buffering=0) as file:
        file.truncate(len(data))
        file.write(data[: len(data) // 2])
        yield scribe.gap


def sent_again(scribe: Scribe) -> Iterator[Pause]:
    """The client dies, comes back and sends the same file once more."""
    yield from died_short(scribe)
    yield 2 * scribe.gap
    scribe.path.write_bytes(scribe.picture())
    scribe.is_whole()


def overwritten(scribe: Scribe) -> Iterator[Pause]:
    """Overwritten in place soon after it was finished: while it settles, is queued, is worked on."""
    scribe.path.write_bytes(scribe.picture())
    scribe.is_whole()
    for version in (1, 2):
        yield scribe.gap * (0.6 + scribe.seed % 7 / 10)
        with scribe.path.open("r+b", buffering=0) as file:
            file.truncate(file.write(scribe.picture(version)))
        scribe.is_whole()


def name_used_again(scribe: Scribe) -> Iterator[Pause]:
    """A scanner that starts at SCAN0001 each morning."""
    for version in range(3):
        data = scribe.picture(version)
        scribe.path.unlink(missing_ok=True)
        scribe.path.write_bytes(data)
        scribe.is_whole()
        yield lambda: scribe.published(scribe.whole[-1])


def replaced(scribe: Scribe) -> Iterator[Pause]:
    """An editor that writes a new file and renames it over the old one."""
    for version in range(2):
        fresh = scribe.path.with_name(f".{scribe.path.name}.fresh")
        fresh.write_bytes(scribe.picture(version))
        fresh.rename(scribe.path)
        scribe.is_whole()
        yield scribe.gap


SCRIPTS: dict[str, Script] = {
    script.__name__: script
    for script in (
        slow_stream, first_bytes, size_preset, preset_and_closed, reopened, pages, late_pages, placeholder,
        renamed, moved_in_early, died_short, died_preset, sent_again, overwritten, name_used_again, replaced,
    )
}  # fmt: skip
DYING = ("died_short", "died_preset")
EACH_ONE = ("name_used_again", "late_pages")
"""Scripts that wait for each result, so that every state they note gets one."""


def fits(script: str, kind: str) -> bool:
    """Whether the way of writing exists for the format: only TIFF grows by pages."""
    return "pages" not in script or kind.endswith(".tif")


def play(scribes: Sequence[tuple[Scribe, Script]], quiet: float, patience: float) -> None:
    """Runs scripts side by side until all have ended; their pauses are theirs alone."""
    turns = [(0.0, number, script(scribe)) for number, (scribe, script) in enumerate(scribes)]
    asked: dict[int, Callable[[], bool]] = {}
    began = time.monotonic()
    while turns:
        due, number, script = heapq.heappop(turns)
        time.sleep(max(0.0, began + due - time.monotonic()))
        now = time.monotonic() - began
        assert now < patience, f"{scribes[number][0].path.name} was never restored"
        if number in asked and not asked[number]():
            heapq.heappush(turns, (now + _LOOK_AGAIN, number, script))
            continue
        asked.pop(number, None)
        pause = next(script, None)
        if callable(pause):
            asked[number] = pause
            heapq.heappush(turns, (now, number, script))
        elif pause is not None:
            heapq.heappush(turns, (now + pause * quiet, number, script))


def _pieces(data: bytes, *shares: float) -> Iterator[bytes]:
    """The data, cut at these shares of its length."""
    cuts = [0, *(int(len(data) * share) for share in shares), len(data)]
    return (data[start:end] for start, end in itertools.pairwise(cuts))
