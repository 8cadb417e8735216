"""Puts results in their place in one step, or not at all.

A result is written into a new hidden folder beside its target, `.scanmend-XXXXXXXX`, which only its
owner can enter and whose name cannot be foreseen: the writer gets a path that does not exist yet,
and whatever else it leaves there goes too. Then the file is synced and linked or renamed to its
name, and the folder that holds it is synced. Whatever happens before that last step, the old file
stands; a process killed on the way leaves that one hidden folder and nothing else.

Files that belong together are published in the order given: name the sidecar first and the result
last, and no result is ever seen without its sidecar.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend.errors import PublishError, TargetExists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.EACCES}
"""What network shares answer that cannot sync a folder, or do not let it be opened."""
_OTHER = "choose another name"
_OTHER_OR_OVERWRITE = "choose another name, or allow overwriting"


@contextmanager
def staged(target: Path, *, overwrite: bool = False, source: Path | None = None) -> Iterator[Path]:
    """Yields a path to write to, and publishes what was written there when the block ends well.

    Args:
        target: where the result goes; its folder must exist.
        overwrite: whether a file that stands there may be replaced, in one step.
        source: the scan; a target that is the same file is refused whatever `overwrite` says.

    Yields:
        A path in a new hidden folder beside the target, with the target's name, at which nothing
        exists yet. Permissions follow the umask, never the source's.

    Raises:
        TargetExists: something stands there, or appeared in the meantime, and `overwrite` is False.
        PublishError: the folder is missing or not writable, the target is a symbolic link, a
            folder or the source, the name is too long, the disk is full, or nothing was written.
    """
    with staged_together([target], overwrite=overwrite, source=source) as (temp,):
        yield temp


@contextmanager
def staged_together(
    targets: Sequence[Path], *, overwrite: bool = False, source: Path | None = None
) -> Iterator[tuple[Path, ...]]:
    """As `staged`, for files that belong together, published in the order given.

    Name the result last: it then never stands without the others. Should a later one fail, those
    already published are taken back. Where the file system has no hard links, one that replaced
    an older file stays: the older one cannot be kept beside it.
    """
    with contextlib.ExitStack() as stack:
        files = []
        for target in targets:
            _check(target, source, overwrite=overwrite)
            files.append(_File(target, stack.enter_context(_hidden_folder(target))))
        try:
            yield tuple(file.temp for file in files)
            for file in files:
                _check(file.target, source, overwrite=overwrite)
                file.sync()
            _publish_all(files, overwrite=overwrite)
        except Exception as error:
            if isinstance(error, PublishError) or not _is_full(error):
                raise
            written = sum(file.written() for file in files)
            stack.close()  # what was written counts as free again
            raise _disk_full(targets[0].parent, f"more than {written}") from error


def place(part: Path, target: Path) -> None:
    """Gives a finished file its name in one step, without replacing anything, and syncs the folder.

    The file has to be complete and synced, in the target's own file system. Hard links serve where there are
    any; else a rename that refuses to replace; else, in file systems with neither, an empty file
    reserves the name first, which a process killed just then leaves behind. Between the link and the end of
    the call both names may be seen; afterwards `part` is gone.

    Raises:
        TargetExists: something stands there; `part` is as it was.
        OSError: as the system says it.
    """
    try:
        _link_or_rename(part, target)
    except FileExistsError:
        raise TargetExists(f"{target} has appeared in the meantime", hint=_OTHER) from None
    sync_folder(target.parent)
    part.unlink(missing_ok=True)


def _link_or_rename(part: Path, target: Path) -> None:
    try:
        if os.name == "nt":
            part.rename(target)  # never replaces on Windows
        else:
            target.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not _renamed(part, target):
            target.touch(exist_ok=False)
            part.replace(target)


def _renamed(part: Path, target: Path) -> bool:
    """Renames without replacing; False where the system or the file system cannot.

    Raises:
        OSError: the name is taken, or the rename fails otherwise.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    at_cwd, no_replace = -100, 1
    if rename(at_cwd, os.fsencode(part), at_cwd, os.fsencode(target), no_replace) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(target))


def copy_verbatim(source: Path, temp: Path) -> None:
    """Copies a file byte for byte, without its permissions, to a path that `staged` gave.

    Raises:
        PublishError: the disk is full, or the source cannot be read.
    """
    try:
        shutil.copyfile(source, temp)
    except OSError as error:
        if not _is_full(error):
            raise PublishError(f"{source} cannot be copied: {error.strerror}") from error
        temp.unlink(missing_ok=True)
        raise _disk_full(temp.parent.parent, str(source.stat().st_size)) from error


@contextmanager
def full_disk_in_words(folder: Path) -> Iterator[None]:
    """For files that are written without `staged`: a full disk under a block becomes a PublishError."""
    try:
        yield
    except Exception as error:
        if isinstance(error, PublishError) or not _is_full(error):
            raise
        raise _disk_full(folder, "more") from error


# --- refusing ----------------------------------------------------------------------------


def _check(target: Path, source: Path | None, *, overwrite: bool) -> None:
    """Refuses what could be known before any work is done; asked again just before publishing."""
    try:
        found = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return  # a missing folder is met when the hidden one is made in it
    except OSError as error:
        raise _refused(target, error) from error
    except ValueError as error:  # a NUL in it
        raise PublishError(f"{str(target)!r} is no file name", hint=_OTHER) from error
    if source is not None and _same_file(source, target):
        raise PublishError(f"{target} is the scan itself, which is never written to", hint=_OTHER)
    if stat.S_ISLNK(found.st_mode):
        raise PublishError(f"{target} is a symbolic link, which is never written through", hint=_OTHER)
    if stat.S_ISDIR(found.st_mode):
        raise PublishError(f"{target} is a folder", hint=_OTHER)
    if not overwrite:
        raise TargetExists(f"{target} exists already", hint=_OTHER_OR_OVERWRITE)


def _same_file(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target)
    except OSError:  # one of them is not there, or a link to nowhere
        return False


def _refused(target: Path, error: OSError) -> PublishError:
    folder = target.parent
    if error.errno == errno.ENAMETOOLONG:
        return PublishError(f"the name {target.name} is too long for {folder}", hint="choose a shorter one")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return PublishError(f"the folder {folder} does not exist", hint="create it first")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PublishError(
            f"the folder {folder} cannot be written to", hint="change its permissions or choose another"
        )
    return PublishError(f"{target} cannot be written: {error.strerror}")


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error; a format's own error may stand before it."""
    for _ in range(8):
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__ if error else None
    return False


def _disk_full(folder: Path, needed: str) -> PublishError:
    free = shutil.disk_usage(folder).free
    return PublishError(
        f"no room in {folder}: {free} bytes are free, {needed} bytes are needed",
        hint="free some space or choose another folder",
    )


# --- writing -----------------------------------------------------------------------------


@contextmanager
def _hidden_folder(target: Path) -> Iterator[Path]:
    try:
        folder = Path(tempfile.mkdtemp(prefix=".scanmend-", dir=target.parent))
    except OSError as error:
        if _is_full(error):
            raise _disk_full(target.parent, "a few more") from error
        raise _refused(target, error) from error
    try:
        yield folder
    finally:
        # A folder that cannot be removed must not turn a published result into a failure.
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _File:
    """A file on its way from its hidden folder to its name."""

    target: Path
    folder: Path

    @property
    def temp(self) -> Path:
        return self.folder / self.target.name

    def written(self) -> int:
        try:
            return self.temp.stat().st_size
        except OSError:
            return 0

    def sync(self) -> None:
        try:
            with self.temp.open("r+b") as file:  # Windows syncs only what is open for writing
                os.fsync(file.fileno())
        except FileNotFoundError:
            raise PublishError(f"nothing was written for {self.target}") from None

    def publish(self, *, overwrite: bool) -> Callable[[], object]:
        """Gives the file its name; returns what takes that back."""
        remove = partial(self.target.unlink, missing_ok=True)
        if not overwrite:
            self._publish_new()
            return remove
        old = self.folder / ("0" if self.target.name != "0" else "1")
        try:
            old.hardlink_to(self.target)
            take_back: Callable[[], object] = partial(old.replace, self.target)
        except FileNotFoundError:
            take_back = remove
        except OSError:  # no hard links here
            take_back = _nothing
        self.temp.replace(self.target)
        return take_back

    def _publish_new(self) -> None:
        """Gives the file its name, unless something has taken it: one of several writers wins."""
        try:
            _link_or_rename(self.temp, self.target)
        except FileExistsError:
            raise TargetExists(
                f"{self.target} has appeared in the meantime", hint=_OTHER_OR_OVERWRITE
            ) from None


def _nothing() -> None:
    pass


def _publish_all(files: Sequence[_File], *, overwrite: bool) -> None:
    done: list[Callable[[], object]] = []
    try:
        for file in files:
            done.append(_in_words(file, overwrite=overwrite))
            sync_folder(file.target.parent)  # each before the next, so that a power cut keeps the order
    except BaseException:
        for take_back in reversed(done):
            with contextlib.suppress(OSError):
                take_back()
        raise


def _in_words(file: _File, *, overwrite: bool) -> Callable[[], object]:
    try:
        return file.publish(overwrite=overwrite)
    except OSError as error:
        if _is_full(error):
            raise
        raise _refused(file.target, error) from error


def sync_folder(folder: Path) -> None:
    """Makes names that were given or taken in a folder survive a power cut, where the system can.

    Raises:
        OSError: the disk failed; file systems that merely cannot sync a folder are let pass.
    """
    if os.name == "nt":
        return  # Windows cannot open a folder to sync it
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
