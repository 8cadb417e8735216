"""From a rendered part to a result in its place, and the original where it belongs.

Every step may be cut off at any instruction and done again: each first looks at what is on disk. Nothing
here ever replaces a file, and nothing is removed before its successor is synced.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from scanmend import sidecar
from scanmend.errors import PublishError, TargetExists
from scanmend.publish import place, sync_folder

from scanmend_daemon import disk, naming
from scanmend_daemon.config import Folder
from scanmend_daemon.ledger import Job, Ledger, State
from scanmend_daemon.words import name_key, shown

_MOST_NAMES = 10_000
_MOST_LOOKED_AT = 200
_GAP = 5
_RAISE = "if it is a real scan, raise limits.max_megapixels or limits.max_pages of its folder"
_CANNOT_MOVE = {errno.EACCES, errno.EPERM, errno.EROFS}

Say = Callable[[str], None]


class Delivery:
    """Publishes results and disposes of originals.

    Args:
        ledger: where each step is noted before the next begins.
        state: the daemon's own folder; `spool` below it holds the private copies.
        mark: tells the hidden files of this ledger from those of another.
        say: takes a sentence for the log.
    """

    def __init__(self, ledger: Ledger, state: Path, mark: str, say: Say) -> None:
        self.ledger, self.spool, self.mark, self.say = ledger, state / "spool", mark, say
        self._naming = threading.Lock()  # one name is chosen and reserved at a time
        self.spooling = threading.Lock()  # a private copy is dropped, or gets its row, and nothing between

    # --- the result ----------------------------------------------------------------------

    def part_of(self, job: Job, folder: Folder) -> Path:
        """Where a job's result is written before it has a name: hidden, in the folder it will stand in."""
        below = os.path.dirname(job.relpath)
        return folder.output / below / f".scanmend-{self.mark}-{job.id}.part"

    def reserve(
        self, job: Job, folder: Folder, part: Path, *, out_sha256: str, report: dict[str, object]
    ) -> Job:
        """Chooses the result's name and notes, in one commit, that the part is complete and gets it."""
        with self._naming:
            target = self._free_name(job, folder)
            self.ledger.rendered(
                job,
                part=str(part),
                target=str(target),
                key=name_key(str(target)),
                out_sha256=out_sha256,
                report=report,
            )
        return self._again(job)

    def _free_name(self, job: Job, folder: Folder) -> Path:
        names = naming.candidates(job.relpath, job.profile, index=job.id)
        for _, name in zip(range(_MOST_NAMES), names, strict=False):
            target = folder.output / name
            if not os.path.lexists(target) and not os.path.lexists(sidecar.sidecar_path(target)):
                holders = self.ledger.holders(name_key(str(target)), but=job.id)
                if not any(self._holds(holder, target) for holder in holders):
                    return target
        raise PublishError(
            f"{shown(folder.output)} holds {_MOST_NAMES} results of the name {shown(job.relpath)}",
            hint="empty it, or choose another output.name in the profile",
        )

    def _holds(self, holder: Job, target: Path) -> bool:
        """Whether another job's result needs the name, or one that some disks take for the same."""
        if holder.state != State.DONE:
            return True
        return holder.target != str(target) and os.path.lexists(holder.target or "")

    def taken_names(self, job: Job, folder: Folder) -> Iterator[Path]:
        """Files that may be its result from before: those with its names, until several in a row are free."""
        free = 0  # one alone may have been left out for a twin that differs in case, or was given up
        for name in itertools.islice(
            naming.candidates(job.relpath, job.profile, index=job.id), _MOST_LOOKED_AT
        ):
            target = folder.output / name
            free = 0 if os.path.lexists(target) else free + 1
            if free > _GAP:
                return
            if not free:
                yield target

    def adopt(self, job: Job, target: Path, digest: str, report: dict[str, object]) -> Job:
        """Takes a result that is already in its place for the job's own."""
        self.ledger.rendered(
            job,
            part=str(target.with_name(f".scanmend-{self.mark}-{job.id}.part")),
            target=str(target),
            key=name_key(str(target)),
            out_sha256=digest,
            report=report,
        )
        return self._again(job)

    def publish(self, job: Job, folder: Folder) -> Job:
        """Gives a rendered part its reserved name, or the next free one; then the job is published.

        Raises:
            LookupError: the part is gone; the job has to be rendered again.
            OSError: the disk or the share does not answer.
        """
        for _ in range(_MOST_NAMES):
            part, target = Path(job.part or ""), Path(job.target or "")
            beside = sidecar.sidecar_path(target)
            if os.path.lexists(target):
                if disk.hash_of(target) == job.out_sha256:
                    break  # it was given its name before we were stopped
            elif not os.path.lexists(part):
                self._withdraw_sidecar(job)
                raise LookupError(part)
            else:
                try:
                    self._place_sidecar(job, beside)
                    place(part, target)
                    break
                except TargetExists:
                    pass
            self._withdraw_sidecar(job)
            if not os.path.lexists(part):
                raise LookupError(part)
            job = self.reserve(
                job, folder, part, out_sha256=job.out_sha256 or "", report=dict(job.report or {})
            )
        sync_folder(Path(job.target or "").parent)
        disk.remove(Path(job.part or ""))
        self.ledger.published(job)
        return self._again(job)

    def _place_sidecar(self, job: Job, beside: Path) -> None:
        """The sidecar stands before its result, so no result is ever seen without it."""
        if not job.profile["output"]["sidecar"]:
            return
        data, part = self._sidecar(job), self._hidden(beside, job, "json")
        if os.path.lexists(beside):
            if not _holds_bytes(beside, data):
                raise TargetExists(f"{beside} exists already")
            disk.remove(part)  # linked, and cut off before it was removed
            return
        disk.write_new(part, data)
        place(part, beside)

    def _withdraw_sidecar(self, job: Job) -> None:
        """Takes back a sidecar whose result did not get the name; only if it is ours to the byte."""
        beside = sidecar.sidecar_path(Path(job.target or ""))
        disk.remove(self._hidden(beside, job, "json"))
        if job.profile["output"]["sidecar"] and _holds_bytes(beside, self._sidecar(job)):
            disk.remove(beside)

    def _hidden(self, beside: Path, job: Job, kind: str) -> Path:
        """Where a file of a job is written before it has its name; a kill may leave it beside that name."""
        return beside.with_name(f".scanmend-{self.mark}-{job.id}.{kind}.part")

    def _sidecar(self, job: Job) -> bytes:
        return sidecar.encode(
            dict(job.report or {}),
            source=os.path.basename(job.relpath),
            target=os.path.basename(job.target or ""),
        )

    # --- the original --------------------------------------------------------------------

    def dispose(self, job: Job, folder: Folder, sentence: str) -> Job:
        """Moves the original where the configuration wants it, then the job is done.

        An original that may not be moved stays where it is, which the log says: the result stands.

        Raises:
            OSError: the disk or the share does not answer; the job stays published.
        """
        if folder.originals is None:
            self._put_back(job, folder)  # it was on its way when the configuration changed
        else:
            try:
                self._archive(job, folder, folder.originals)
            except OSError as error:
                if error.errno not in _CANNOT_MOVE:
                    raise
                self._put_back(job, folder)
                self.say(f"{shown(job.relpath)}: the original stays where it is: {error.strerror}")
        self._withdraw_notes(job, folder)
        source = Path(job.folder) / job.relpath
        moved = folder.originals is not None and not os.path.lexists(source)
        disk.hold_fast(source)  # our private copy, which is synced, goes now
        self.ledger.done(job, sentence, moved=moved)
        self.release(job)
        return self._again(job)

    def release(self, job: Job) -> None:
        """Drops the private copy of a content that no job needs any more."""
        with self.spooling:
            if not self.ledger.in_use(job.sha256):
                with contextlib.suppress(OSError):  # else it is swept away at the next start
                    disk.remove(self.spool / job.sha256)

    def moving(self, job: Job) -> Path:
        """The hidden name, in the hot folder, of an original on its way to the archive."""
        source = Path(job.folder) / job.relpath
        return source.with_name(f".scanmend-{self.mark}-{job.id}.moving")

    def _archive(self, job: Job, folder: Folder, archive: Path) -> None:
        source, moving = Path(job.folder) / job.relpath, self.moving(job)
        for _ in range(_MOST_NAMES):
            target, there = self._archive_name(job, archive)
            if there and not os.path.lexists(source) and not os.path.lexists(moving):
                return None
            if job.archived != str(target):
                disk.make_folders(target.parent)
                self.ledger.archiving(job, str(target))
                job = self._again(job)
            self._take_away(job, folder, source, moving)
            # Another job may take the name between our look and our move: then there is a next name.
            with contextlib.suppress(TargetExists):
                return self._keep(job, folder, target, there=there)
        raise OSError(errno.EEXIST, "too many originals of this name", str(archive))

    def _archive_name(self, job: Job, archive: Path) -> tuple[Path, bool]:
        """Where the original goes, and whether this very content lies there already."""
        noted = [job.archived] if job.archived else self.ledger.archived(job)
        for path in map(Path, noted):
            if disk.hash_of(path) == job.sha256:
                return path, True
        if job.archived and not os.path.lexists(job.archived):
            return Path(job.archived), False
        head, tail = os.path.splitext(job.relpath)
        for number in range(1, _MOST_NAMES):
            below, base = os.path.split(job.relpath if number == 1 else f"{head}-{number}{tail}")
            target = archive / below / naming.fitted(base)
            if not os.path.lexists(target):
                return target, False
        raise OSError(errno.EEXIST, "too many originals of this name", str(archive))

    def _take_away(self, job: Job, folder: Folder, source: Path, moving: Path) -> None:
        """Hides the original, so that nobody else can change what we are about to keep."""
        if not os.path.lexists(moving) and disk.signature_of(source) == job.signature:
            source.rename(moving)
            sync_folder(moving.parent)
            if disk.signature_of(moving) != job.signature:
                self._put_back(job, folder)  # it was exchanged in that very moment
        disk.hold_fast(moving)
        # After a power cut some file systems show a file under both names; a rename of two links to
        # one file does nothing and calls it success.
        if os.path.lexists(moving) and os.path.lexists(source) and source.samefile(moving):
            disk.remove(source)

    def _keep(self, job: Job, folder: Folder, target: Path, *, there: bool) -> None:
        moving, spooled = self.moving(job), self.spool / job.sha256
        if not os.path.lexists(moving):
            # The scan was changed or taken away meanwhile; what was restored is kept all the same.
            if not there and spooled.exists():
                self._keep_copy(spooled, target, job)
            elif not there:
                self.say(f"{shown(job.relpath)}: the original is no longer there, and cannot be moved")
        elif there and disk.hash_of(moving) != job.sha256:
            self._put_back(job, folder)  # only what is kept twice may go
        elif there or not _placed_here(moving, target):
            if there:  # of an attempt that was cut off, perhaps before the folder was synced
                disk.remove(self._hidden(target, job, "original"))
                disk.hold_fast(target)
            else:
                self._keep_copy(moving, target, job)
            disk.remove(moving)
            sync_folder(moving.parent)

    def _keep_copy(self, origin: Path, target: Path, job: Job) -> None:
        """Copies across file systems, and trusts the copy only when its bytes are those we restored."""
        part = self._hidden(target, job, "original")
        disk.remove(part)
        handle = os.open(origin, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            found = os.fstat(handle)
            digest = disk.copy_hashed(handle, part)
        finally:
            os.close(handle)
        if digest != job.sha256:
            disk.remove(part)
            raise OSError(errno.EIO, "the copy differs from the scan", str(origin))
        with contextlib.suppress(OSError):
            os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))
        place(part, target)

    def _put_back(self, job: Job, folder: Folder) -> None:
        """Gives a file under its hidden name its own name again, or one beside it."""
        moving, source = self.moving(job), Path(folder.watch) / job.relpath
        head, tail = os.path.splitext(job.relpath)
        if not os.path.lexists(moving):
            return
        for number in range(1, _MOST_NAMES):
            with contextlib.suppress(TargetExists):
                place(moving, source if number == 1 else Path(folder.watch) / f"{head}-{number}{tail}")
                return

    # --- failures ------------------------------------------------------------------------

    def set_aside(self, job: Job, folder: Folder, failure: str, sentence: str, hint: str) -> Job:
        """Ends a job that cannot be done: a link to the scan and a sentence in the folder for failures."""
        if failure == "LimitExceeded" and "limits." not in hint:
            hint = _RAISE
        note: str | None = None
        try:
            self._take_back(job)
            disk.hold_fast(Path(job.folder) / job.relpath)
            note = self._note(job, folder, sentence, hint)
        except OSError as error:
            self.say(f"{shown(folder.failed)} cannot take a note: {error.strerror}")
            if disk.signature_of(Path(job.folder) / job.relpath) == job.signature:
                note = ""  # the scan lies safe in the hot folder
        # Without a note the private copy may be the last there is, and stays.
        self.ledger.fail(job, failure, sentence, hint, note=note)
        self.release(job)
        return self._again(job)

    def _note(self, job: Job, folder: Folder, sentence: str, hint: str) -> str:
        below, name = os.path.split(job.relpath)
        home = folder.failed / below
        disk.make_folders(home)
        lines = [f"{sentence}.", f"What to do: {hint}." if hint else ""]
        lines.append(f"Then say: scanmend retry {job.id}")
        data = "\n".join(line for line in lines if line).encode("utf-8", "backslashreplace") + b"\n"
        head, tail = os.path.splitext(name)
        for number in range(1, _MOST_NAMES):
            base = naming.fitted(name if number == 1 else f"{head}-{number}{tail}")
            scan, text = home / base, home / f"{base}.txt"
            if os.path.lexists(text) and not _holds_bytes(text, data):
                continue
            with contextlib.suppress(TargetExists):
                self._link_failed(job, scan)
                part = self._hidden(text, job, "txt")
                if os.path.lexists(text):
                    disk.remove(part)
                else:
                    disk.write_new(part, data)
                    place(part, text)
                return str(text)
        raise OSError(errno.EEXIST, "too many notes of this name", str(home))

    def _link_failed(self, job: Job, scan: Path) -> None:
        source = Path(job.folder) / job.relpath
        if os.path.lexists(scan):
            if scan.is_file() and (scan.samefile(source) if source.exists() else False):
                return
            if disk.hash_of(scan) == job.sha256:
                disk.remove(self._hidden(scan, job, "original"))
                return
            raise TargetExists(f"{scan} exists already")
        if disk.signature_of(source) == job.signature:
            try:
                os.link(source, scan)
            except OSError as error:
                if isinstance(error, FileExistsError):
                    raise TargetExists(f"{scan} exists already") from None
                # No link across disks; the scan lies safe in the hot folder, and the note names it.
            return
        if (self.spool / job.sha256).exists():  # the hot folder no longer holds what failed
            self._keep_copy(self.spool / job.sha256, scan, job)

    def _withdraw_notes(self, job: Job, folder: Folder) -> None:
        """Once a scan is restored its earlier failures no longer stand."""
        for earlier in self.ledger.of_file(job.folder, job.relpath):
            if earlier.note and Path(earlier.note).is_relative_to(folder.failed):
                self._take_back(earlier)
            if earlier.id == job.id:
                continue
            # One without a note has its only copy in the spool, where the state of the job keeps it.
            if earlier.state == State.FAILED and (earlier.note is not None or earlier.sha256 == job.sha256):
                self.ledger.superseded(earlier, job.id)
            elif earlier.note:
                self.ledger.unnoted(earlier)

    def _take_back(self, job: Job) -> None:
        """Removes a job's note, and the scan beside it if it is a mere link; an only copy is kept."""
        if not job.note:
            return
        linked = Path(job.note.removesuffix(".txt"))
        with contextlib.suppress(OSError):
            if linked.samefile(Path(job.folder) / job.relpath):
                disk.remove(linked)
        with contextlib.suppress(OSError):
            disk.remove(Path(job.note))

    def _again(self, job: Job) -> Job:
        return self.ledger.job(job.id) or replace(job, state=State.DONE)


def _placed_here(part: Path, target: Path) -> bool:
    """As `place`; False where the target lies on another file system."""
    try:
        place(part, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _holds_bytes(path: Path, data: bytes) -> bool:
    try:
        return not path.is_symlink() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
