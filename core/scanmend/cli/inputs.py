"""From the names on the command line to the scans they stand for, in an order that people expect."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend.errors import UsageError
from scanmend.formats import SUFFIXES
from scanmend.report import SIDECAR_SUFFIX, sidecar_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True)
class Input:
    """A scan to work on.

    Attributes:
        path: as it was named or found.
        root: the folder it was found below, whose sub-folders are mirrored; None where the
            file itself was named.
    """

    path: Path
    root: Path | None = None


def natural(text: str) -> tuple[tuple[str | int, ...], str]:
    """A sort key by which scan2 comes before scan10."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple(int(part) if part.isdecimal() else part for part in parts), text


def expand(names: Sequence[str], *, recursive: bool, without: Path | None = None) -> tuple[Input, ...]:
    """All scans that the names stand for, each once, in the order of the names.

    Folders and patterns give picture files only, in natural order: no hidden files, no results
    that have a sidecar beside them. A file that is named as it is stays whatever it is.

    Args:
        names: files, folders, or patterns that the shell has left alone.
        recursive: whether folders inside folders count.
        without: a folder of results, which may lie inside a folder of scans.

    Raises:
        UsageError: a pattern matches nothing, or a folder holds no pictures or cannot be read.
    """
    seen: set[str] = set()
    found: list[Input] = []
    for name in names:
        for item in _one(name, recursive=recursive, without=without):
            key = os.path.realpath(item.path)
            if key not in seen:
                seen.add(key)
                found.append(item)
    return tuple(found)


def _one(name: str, *, recursive: bool, without: Path | None) -> Iterator[Input]:
    path = Path(name)
    if os.path.isdir(name):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        yield from _some(_folder(path, recursive, without), f"the folder {name} holds no scans")
    elif os.path.lexists(name) or not glob.has_magic(name):
        yield Input(path)  # a missing file fails in its turn, as one of several
    else:
        yield from _some(_pattern(name, recursive, without), f"nothing matches {name}")


def _some(inputs: Iterable[Input], otherwise: str) -> Iterator[Input]:
    empty = True
    for item in inputs:
        empty = False
        yield item
    if empty:
        kinds = " ".join(sorted(SUFFIXES))
        raise UsageError(
            otherwise, hint=f"pictures are known by their endings: {kinds}; results are left out"
        )


def _pattern(pattern: str, recursive: bool, without: Path | None) -> Iterator[Input]:  # noqa: FBT001
    matches = sorted(glob.glob(pattern, recursive=True), key=natural)  # noqa: PTH207 - keeps the name as it was given
    for match in matches:
        path = Path(match)
        if path.is_dir() and "**" not in pattern:  # ** matches the folders on the way, too
            yield from _folder(path, recursive, without)
        elif path.is_file() and is_scan(path):
            yield Input(path)


def _folder(root: Path, recursive: bool, without: Path | None) -> Iterator[Input]:  # noqa: FBT001
    avoided = os.path.realpath(without) if without else ""
    for place, folders, files in os.walk(root, onerror=_unreadable):
        here = [name for name in folders if not name.startswith(".")]
        here = [name for name in here if os.path.realpath(Path(place, name)) != avoided]
        folders[:] = sorted(here, key=natural) if recursive else []
        for name in sorted(files, key=natural):
            path = Path(place, name)
            if is_scan(path):
                yield Input(path, root)


def _unreadable(error: OSError) -> None:
    """Without this, `os.walk` would pass over a folder that may not be read, and nobody would know."""
    raise UsageError(
        f"the folder {error.filename} cannot be read: {error.strerror}",
        hint="change its permissions, or leave it out",
    ) from error


def is_scan(path: Path) -> bool:
    """Whether a file found in a folder counts: a picture by its name, and none of our results."""
    known = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return known and not path.name.endswith(SIDECAR_SUFFIX) and not sidecar_path(path).exists()
