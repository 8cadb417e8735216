"""Looks through a hot folder: the truth about what lies in it, whatever events said or did not say.

A walk needs memory for the depth of the tree, not for its size: names stream out of the kernel and
out of the generator one by one. It goes from folder to folder over file descriptors and never
follows a symbolic link, so that a folder exchanged for a link leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from scanmend.endings import SUFFIXES

from scanmend_daemon.ignore import Ignore

_SIDECARS = (".yaml", ".yml")  # settings for a scan or a folder, not scans

# Windows walks by path; there folders cannot be exchanged for links without a privilege.
_BY_DESCRIPTOR = os.scandir in os.supports_fd and os.open in os.supports_dir_fd


@dataclass(frozen=True, slots=True)
class Entry:
    """A scan as the folder shows it now.

    Attributes:
        relpath: below the hot folder, parts joined with "/", undecodable bytes surrogate-escaped.
        size: bytes.
        mtime_ns: as the disk says; never compared with this machine's clock.
        nlink: names that the file has.
    """

    relpath: str
    size: int
    mtime_ns: int
    ino: int
    dev: int
    nlink: int

    @property
    def signature(self) -> str:
        """Changes whenever the file does, as far as a look without reading can tell."""
        return f"{self.ino}:{self.size}:{self.mtime_ns}"


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something that is not taken as a scan.

    Attributes:
        relpath: as an entry's.
        reason: goes on after "NAME is left out: ".
        unread: a folder that could not be looked into, so that its scans may be there unseen.
    """

    relpath: str
    reason: str
    unread: bool = False


def entry_of(relpath: str, info: os.stat_result) -> Entry:
    """What a stat says about a scan."""
    return Entry(relpath, info.st_size, info.st_mtime_ns, info.st_ino, info.st_dev, info.st_nlink)


def odd_name(name: str) -> str | None:
    """Why a regular file of this name is not a scan; None if it is one."""
    ending = os.path.splitext(name)[1].lower()
    if ending in SUFFIXES:
        return None
    return f"{ending or 'a name without an ending'} is not a picture that Scanmend reads"


def odd_kind(mode: int) -> str | None:
    """Why something with this mode is not a scan; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    kinds = (
        (stat.S_ISLNK, "a symbolic link, and links are never followed"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for fits, text in kinds if fits(mode)), "a device")


def walk(
    root: str,
    *,
    ignore: Ignore,
    recursive: bool = True,
    max_depth: int = 32,
    skip: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[Entry | Oddity]:
    """Streams what lies in a hot folder, in no particular order.

    Left out without a word: hidden and ignored names, YAML sidecars, folders named in `skip`.

    Args:
        root: may itself be reached through a link; nothing below is.
        ignore: which names are left out.
        recursive: whether sub-folders are looked into.
        max_depth: folders below each other.
        skip: (st_dev, st_ino) of folders of our own.

    Raises:
        OSError: the root itself cannot be read. Anything below only yields an `Oddity`.
    """
    top = _open_root(root)
    try:
        yield from _Walk(ignore, recursive, max_depth, skip).folder(top, "", 0, ())
    finally:
        _close(top)


@dataclass(frozen=True, slots=True)
class _Walk:
    ignore: Ignore
    recursive: bool
    max_depth: int
    skip: frozenset[tuple[int, int]]

    def folder(
        self, place: int | str, relpath: str, depth: int, above: tuple[tuple[int, int], ...]
    ) -> Iterator[Entry | Oddity]:
        """Everything below an open folder; `above` are the identities of those it lies in."""
        info = os.stat(place)
        me = (info.st_dev, info.st_ino)
        if me in self.skip:
            return
        if me in above:  # a bind mount of a folder into itself has no end
            yield Oddity(relpath, "the same folder as one that it lies in")
            return
        with os.scandir(place) as names:
            for item in names:
                below = f"{relpath}/{item.name}" if relpath else item.name
                yield from self._item(item, place, below, depth, (*above, me))

    def _item(
        self,
        item: os.DirEntry[str],
        place: int | str,
        relpath: str,
        depth: int,
        above: tuple[tuple[int, int], ...],
    ) -> Iterator[Entry | Oddity]:
        try:
            is_dir = item.is_dir(follow_symlinks=False)
            if self.ignore.rule(relpath, is_dir=is_dir) is not None:
                return
            if is_dir:
                yield from self._below(item.name, place, relpath, depth + 1, above)
            elif not item.name.lower().endswith(_SIDECARS):
                yield self._file(item, relpath)
        except OSError as error:
            if error.errno != errno.ENOENT:  # gone since its name was read: then it is not there
                yield Oddity(relpath, f"it cannot be looked at: {error.strerror}", unread=True)

    def _file(self, item: os.DirEntry[str], relpath: str) -> Entry | Oddity:
        info = item.stat(follow_symlinks=False)
        reason = odd_kind(info.st_mode) or odd_name(item.name)
        return Oddity(relpath, reason) if reason else entry_of(relpath, info)

    def _below(
        self, name: str, place: int | str, relpath: str, depth: int, above: tuple[tuple[int, int], ...]
    ) -> Iterator[Entry | Oddity]:
        if not self.recursive:
            return
        if depth > self.max_depth:
            yield Oddity(relpath, f"it lies deeper than {self.max_depth} folders", unread=True)
            return
        inner = _open_below(place, name)
        try:
            yield from self.folder(inner, relpath, depth, above)
        finally:
            _close(inner)


def _open_root(root: str) -> int | str:
    if _BY_DESCRIPTOR:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return root


def _open_below(place: int | str, name: str) -> int | str:
    if isinstance(place, int):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=place)
    return os.path.join(place, name)


def _close(place: int | str) -> None:
    if isinstance(place, int):
        os.close(place)
