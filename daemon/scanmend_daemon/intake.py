"""A settled scan becomes a job: a private copy, its hash, a look at every page, a row in the ledger.

Nothing of the hot folder is changed here. Until the row is committed, the scan's place in the hot folder
is all there is, and whatever a kill leaves in the spool is swept away at the next start.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from scanmend.errors import ProfileError, ScanmendError
from scanmend.publish import sync_folder

from scanmend_daemon import disk, lease, safely
from scanmend_daemon.config import Folder
from scanmend_daemon.delivery import Delivery
from scanmend_daemon.ledger import FRESH, LIVE, Job, Ledger, State
from scanmend_daemon.resolve import Profiles, Resolved, own_settings
from scanmend_daemon.trouble import Failure, Trouble, Where
from scanmend_daemon.words import shown, size

_TRIES = 3
_REMEMBERED = 1000
_SPARE = 64 * 2**20
"""Bytes that stay free on the daemon's own disk."""


class Prober(Protocol):
    """What intake asks of the engine."""

    def probe(self, path: Path, *, name: str, limits: Mapping[str, float]) -> dict[str, Any]:
        """Decodes every page of a file.

        Raises:
            Failure: it is no picture, is damaged or too large.
            Trouble: there is no engine.
        """


@dataclass(frozen=True)
class Taken:
    """The scan is a job now, or was one before."""

    job: Job
    new: bool


@dataclass(frozen=True)
class Held:
    """The scan stays where it is; `kind` says what ends that: time, a change, settings, a person."""

    reason: str
    kind: str


@dataclass(frozen=True)
class Gone:
    """The file changed or vanished while it was looked at; a later look decides."""


@dataclass(frozen=True)
class Known:
    """There is nothing to do: this content was seen under this name, or is our own work."""

    job: int
    sentence: str


Outcome = Taken | Held | Gone | Known


class Intake:
    """Takes scans in, one at a time for each thread that calls.

    Args:
        released: signatures of files that a person has let through although they look unfinished.
        stop: asked between two pieces of a copy.
    """

    def __init__(
        self,
        ledger: Ledger,
        delivery: Delivery,
        profiles: Profiles,
        prober: Prober,
        *,
        stop: Callable[[], bool],
    ) -> None:
        self.ledger, self.delivery, self.profiles, self.prober = ledger, delivery, profiles, prober
        self.spool, self.stop = delivery.spool, stop
        self.released: set[tuple[str, str, str]] = set()
        self._crashes: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(
        self,
        folder: Folder,
        relpath: str,
        signature: str,
        *,
        lane: int = FRESH,
        patient: bool = True,
        again: bool = False,
        origin: Path | None = None,
    ) -> Outcome:
        """Takes one settled scan in.

        Args:
            folder: the hot folder.
            relpath: the scan's path below it.
            signature: of the scan as the walk saw it.
            lane: its place in the queue.
            patient: whether a damaged file may still be on its way; False makes it a failure.
            again: a person asked for it, though it was restored before.
            origin: another place of the same content, where it is no longer in the hot folder.

        Raises:
            Trouble: the disk or the engine is not fit for work.
            Cancelled: the daemon stops.
        """
        try:
            resolved = self.profiles.resolve(folder, relpath)
        except ProfileError as error:
            return Held(str(error), "settings")
        own = own_settings(relpath)
        if folder.sidecar == "required" and shown(own) not in resolved.sources:
            return Held(f"it waits for its settings {shown(os.path.basename(own))}", "settings")
        incoming = self.spool / f".in-{secrets.token_hex(8)}"
        arrival = _Arrival(folder, relpath, signature, resolved, incoming, lane, again=again)
        try:
            copied = self._copy(arrival, origin)
            return self._judge(copied, patient=patient) if isinstance(copied, _Arrival) else copied
        finally:
            with contextlib.suppress(OSError):  # else it is swept away at the next start
                disk.remove(incoming)

    # --- copying -------------------------------------------------------------------------

    def _copy(self, arrival: _Arrival, origin: Path | None) -> _Arrival | Outcome:
        handle = self._opened(arrival, origin)
        if not isinstance(handle, int):
            return handle
        try:
            before = os.fstat(handle)
            if origin is None:
                if disk.signature(before) != arrival.signature:
                    return Gone()
                if lease.writer_of(handle):
                    return Held("another program still has it open for writing", "time")
            if before.st_size > arrival.folder.limits.max_bytes:
                return self._too_large(arrival, before.st_size)
            self._need_room(before.st_size)
            digest = self._copied(handle, arrival)
            after = os.fstat(handle)
        finally:
            os.close(handle)
        if disk.signature(after) != disk.signature(before):
            return Gone()
        return replace(arrival, sha256=digest, size=after.st_size)

    def _opened(self, arrival: _Arrival, origin: Path | None) -> int | Outcome:
        try:
            if origin is not None:
                return os.open(origin, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            return safely.open_scan_file(arrival.root, arrival.relpath)
        except FileNotFoundError:
            return Gone()
        except ScanmendError as error:
            return Held(str(error), "person")
        except PermissionError:
            return Held("it may not be read; change its permissions", "time")
        except OSError as error:
            sentence = f"{shown(arrival.relpath)} cannot be read: {error.strerror}"
            raise Trouble(Where.FOLDER, sentence) from error

    def _need_room(self, needed: int) -> None:
        free = disk.free_bytes(self.spool)
        if free is not None and free < needed + _SPARE:
            raise Trouble(
                Where.STATE,
                f"{shown(self.spool)} has {size(free)} left, and {size(needed + _SPARE)} are needed",
            )

    def _copied(self, handle: int, arrival: _Arrival) -> str:
        try:
            return disk.copy_hashed(handle, arrival.incoming, mode=0o600, stop=self.stop)
        except disk.ReadError as error:
            sentence = f"{shown(arrival.relpath)} cannot be read: {error.strerror}"
            raise Trouble(Where.FOLDER, sentence) from error
        except OSError as error:
            sentence = f"{shown(self.spool)} cannot be written to: {error.strerror}"
            raise Trouble(Where.STATE, sentence) from error

    def _too_large(self, arrival: _Arrival, amount: int) -> Outcome:
        limit = arrival.folder.limits.max_bytes
        sentence = f"{shown(arrival.relpath)} has {size(amount)}, more than the {size(limit)} allowed"
        hint = "raise limits.max_bytes of this folder if it is a real scan"
        unread = replace(arrival, sha256=f"unread-{arrival.signature}", size=amount)
        return self._refused(unread, Failure("LimitExceeded", sentence, hint))

    # --- judging -------------------------------------------------------------------------

    def _judge(self, arrival: _Arrival, *, patient: bool) -> Outcome:
        if known := self._known(arrival):
            return known
        try:
            found = self._probe(arrival)
        except Failure as failure:
            if failure.kind == "DamagedFile" and patient and not arrival.again:
                return Held(failure.sentence, "damaged")
            if failure.crash and not self._crashed_too_often(arrival.sha256):
                return Held(f"{failure.sentence}; it is tried again", "time")
            return self._refused(arrival, failure)
        if found.get("zero_tail") and not arrival.again and self._held_for_zeros(arrival):
            return Held(
                "it ends in zeros, as a picture does that is only half written; if that is how it looks, "
                f'say: scanmend release "{shown(Path(arrival.root) / arrival.relpath)}"',
                "person",
            )
        pages = int(found.get("pages", 1))
        if found.get("restored_by_scanmend"):
            return self._left_alone(arrival, pages)
        return self._add(arrival, pages=pages)

    def _left_alone(self, arrival: _Arrival, pages: int) -> Outcome:
        """A result of ours that the ledger does not know: it is never in the queue, not for a moment."""
        outcome = self._add(replace(arrival, again=False), pages=pages, state=State.SKIPPED)
        if not isinstance(outcome, Known):
            return outcome
        job = self.ledger.job(outcome.job)
        if job is not None and job.state == State.SKIPPED:
            self.ledger.skip(job, "it is a result of Scanmend already")
        return Known(outcome.job, "it is a result of Scanmend already, and is left alone")

    def _known(self, arrival: _Arrival) -> Outcome | None:
        known = self.ledger.source(arrival.root, arrival.relpath)
        if known and known.sha256 == arrival.sha256 and not arrival.again:
            number, sentence = known.job, "its content is as it was"
        elif made := self.ledger.made(arrival.sha256):
            number, sentence = made.id, "it is a result of ours, and is left alone"
        else:
            return None
        self.ledger.remember(arrival.root, arrival.relpath, arrival.signature, arrival.sha256, number)
        return Known(number, sentence)

    def _probe(self, arrival: _Arrival) -> dict[str, Any]:
        limits = arrival.folder.limits
        return self.prober.probe(
            arrival.incoming,
            name=os.path.basename(arrival.relpath),
            limits={
                "megapixels": limits.max_megapixels,
                "pages": limits.max_pages,
                "file_bytes": max(limits.max_bytes, arrival.size),
            },
        )

    def _crashed_too_often(self, sha256: str) -> bool:
        with self._lock:
            if len(self._crashes) > _REMEMBERED:
                self._crashes.clear()
            self._crashes[sha256] = self._crashes.get(sha256, 0) + 1
            return self._crashes[sha256] >= _TRIES

    def _held_for_zeros(self, arrival: _Arrival) -> bool:
        released = (arrival.root, arrival.relpath, arrival.signature) in self.released
        return arrival.folder.settle.zero_tail == "hold" and not released

    # --- the ledger ----------------------------------------------------------------------

    def _add(self, arrival: _Arrival, *, pages: int, state: State = State.QUEUED) -> Outcome:
        with self.delivery.spooling:
            # A copy of this content that is there already may be in the engine's hands: it stays as it is.
            kept = self.spool / arrival.sha256
            if arrival.incoming.exists() and not kept.exists():
                self._keep(arrival.incoming, kept)
            job, new = self.ledger.add(
                folder=arrival.root,
                relpath=arrival.relpath,
                sha256=arrival.sha256,
                profile_hash=arrival.resolved.digest,
                profile={**arrival.resolved.values, "own": arrival.resolved.own},
                signature=arrival.signature,
                size=arrival.size,
                pages=pages,
                lane=arrival.lane,
                state=state,
            )
            if not new and arrival.again and _may_be_done_again(job):
                self.ledger.retry(job, state=state)
                job = self.ledger.job(job.id) or job
        if job.state in LIVE:
            return Taken(job, new)
        self.delivery.release(job)
        before = "it was restored with these very settings before"
        return Known(job.id, before if job.state == State.DONE else job.sentence or before)

    def _keep(self, incoming: Path, kept: Path) -> None:
        try:
            incoming.rename(kept)
            sync_folder(self.spool)
        except OSError as error:
            sentence = f"{shown(self.spool)} cannot be written to: {error.strerror}"
            raise Trouble(Where.STATE, sentence) from error

    def _refused(self, arrival: _Arrival, failure: Failure) -> Outcome:
        """The scan cannot be restored, as far as can be told without trying: it goes to the failures."""
        # It waits until its note is written: from the queue another thread would take it meanwhile.
        added = self._add(replace(arrival, again=True), pages=0, state=State.WAITING)
        if not isinstance(added, Taken) or added.job.state != State.WAITING:
            return added
        self.delivery.set_aside(added.job, arrival.folder, failure.kind, failure.sentence, failure.hint)
        return Known(added.job.id, failure.sentence)


def _may_be_done_again(job: Job) -> bool:
    """Whether another try is of use: it came to no result, or somebody took the result away."""
    if job.state == State.DONE:
        return not os.path.lexists(job.target or "")
    return job.state not in LIVE


@dataclass(frozen=True)
class _Arrival:
    """A scan on its way into the ledger; `sha256` and `size` are of its private copy, once there is one."""

    folder: Folder
    relpath: str
    signature: str
    resolved: Resolved
    incoming: Path
    lane: int
    again: bool
    sha256: str = ""
    size: int = 0

    @property
    def root(self) -> str:
        """The hot folder as the ledger names it."""
        return str(self.folder.watch)
