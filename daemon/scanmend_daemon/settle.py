"""Decides when a scan is finished: pure bookkeeping, without a clock, a thread or a disk of its own.

A scan is ripe when two looks at it, at least the quiet time apart, found the same inode, size and
modification time, with no other finding in between. Looking is the caller's work, in this round:

    for relpath in settling.due(now):               # worth another look
        entry = safely.stat_scan(root, relpath)
        settling.saw(entry, now) if entry else settling.gone(relpath)
    for entry in settling.ripe(now):                # these are finished as far as looking can tell
        ...                                         # a writer? settling.hold(...); else take it in
    wake_at = settling.next_due(now)

Times are seconds on a monotonic clock. A file's own times are compared with each other only, for
scanners and network disks keep clocks of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from scanmend_daemon.walk import Entry

QUIET = 5.0
AFTER_RENAME = 0.5  # a file that came by a rename was finished under its other name
GIVE_UP = 600.0  # an empty file that stays empty is worth a warning
_RENAME_COUNTS = 60.0  # how long a rename is remembered before the file itself is seen


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a scan waits although it does not change.

    Attributes:
        reason: goes on after "NAME waits: ".
        since: when the scan was first seen.
        signature: of the content that waits; any other content starts afresh.
        again: when it is worth another look; infinity for only when a person releases it.
    """

    reason: str
    since: float
    signature: str
    again: float = math.inf


@dataclass(frozen=True, slots=True)
class Wait:
    """A scan that is still settling, for people to see."""

    relpath: str
    since: float
    reason: str


@dataclass(slots=True)
class _Seen:
    signature: str
    first: float  # when the name was first seen
    since: float  # when this signature was first seen
    quiet: float
    fresh: bool
    look: float  # when another look is due
    entry: Entry | None = None
    confirmed: bool = False

    def ripe(self) -> bool:
        return self.confirmed and self.entry is not None and self.entry.size > 0


class Settling:
    """The scans of one hot folder that are not finished yet.

    What does not fit is refused and has to be shown again, so that memory stays bounded whatever the
    folder holds. A quarter of the room is for fresh scans alone, and a fresh one takes the place of a
    backlog's where even that is full; `displaced` tells of those.

    Args:
        capacity: most scans that settle at once; as many may be held besides.
        quiet: seconds without a change.
        give_up: seconds after which a file that is still empty counts as held, with a reason.
    """

    def __init__(self, capacity: int = 4096, *, quiet: float = QUIET, give_up: float = GIVE_UP) -> None:
        self._capacity = max(capacity, 1)
        self._for_backlog = self._capacity - (self._capacity + 3) // 4
        self._quiet = quiet
        self._give_up = give_up
        self._fresh: dict[str, _Seen] = {}
        self._backlog: dict[str, _Seen] = {}
        self._held: dict[str, Hold] = {}
        self._renamed: dict[str, float] = {}
        self._displaced: list[Entry] = []
        self._taken: dict[str, float] = {}  # when those taken out were first seen, should they be held

    def __len__(self) -> int:
        return len(self._fresh) + len(self._backlog)

    @property
    def held(self) -> Mapping[str, Hold]:
        """What waits for something other than quiet, by name."""
        return MappingProxyType(self._held)

    def saw(self, entry: Entry, now: float, *, fresh: bool = False) -> bool:
        """Notes a look at a scan that is not known to be finished.

        Args:
            entry: what the look found.
            now: when.
            fresh: it has just come, rather than been found lying there; once fresh, always fresh.

        Returns:
            False where there is no room: the scan must be shown again later.
        """
        held = self._held.get(entry.relpath)
        if held is not None:
            if held.signature == entry.signature:
                return True
            del self._held[entry.relpath]
        seen = self._find(entry.relpath)
        if seen is None:
            return self._begin(entry, now, fresh=fresh)
        if fresh and not seen.fresh:
            self._promote(entry.relpath, seen)
        self._look(seen, entry, now)
        return True

    def displaced(self) -> list[Entry]:
        """Takes those that had to make room for fresh ones since the last call: show them again later."""
        found, self._displaced = self._displaced, []
        return found

    def renamed_in(self, relpath: str, now: float) -> None:
        """Notes that this name was given by a rename, so that a short quiet suffices."""
        seen = self._find(relpath)
        if seen is not None:
            seen.quiet = min(seen.quiet, AFTER_RENAME)
            seen.look = min(seen.look, seen.since + seen.quiet)
            return
        self._renamed[relpath] = now
        _shorten(self._renamed, self._capacity)

    def gone(self, relpath: str) -> None:
        """Forgets a name that is there no longer, or has been taken in."""
        self._fresh.pop(relpath, None)
        self._backlog.pop(relpath, None)
        self._held.pop(relpath, None)
        self._taken.pop(relpath, None)

    def due(self, now: float) -> list[str]:
        """Names worth another look now, fresh ones first; each is answered by `saw` or `gone`.

        A name whose look fails for another reason is due again after its quiet time.
        """
        for relpath in [name for name, hold in self._held.items() if hold.again <= now]:
            self.release(relpath, now)
        found = []
        for lane in (self._fresh, self._backlog):
            for relpath, seen in lane.items():
                if seen.look <= now:
                    seen.look = now + max(seen.quiet, AFTER_RENAME)
                    found.append(relpath)
        return found

    def ripe(self, now: float, limit: int | None = None, *, backlog: int | None = None) -> list[Entry]:
        """Takes out what has settled: fresh scans first, within each lane the oldest file first.

        Args:
            now: when; empty files that outlast the limit are put on hold at this occasion.
            limit: at most so many; the others stay for the next call.
            backlog: at most so many of these from the backlog.
        """
        self._give_up_on_empty(now)
        found = []
        for lane, most in ((self._fresh, None), (self._backlog, backlog)):
            done = [seen.entry for seen in lane.values() if seen.ripe() and seen.entry]
            found += sorted(done, key=lambda entry: (entry.mtime_ns, entry.relpath))[:most]
        found = found[:limit]
        for entry in found:
            seen = self._fresh.pop(entry.relpath, None) or self._backlog.pop(entry.relpath)
            self._taken[entry.relpath] = seen.first
        _shorten(self._taken, self._capacity)
        return found

    def hold(self, relpath: str, signature: str, reason: str, now: float, *, again: float = math.inf) -> None:
        """Sets a scan aside as it is: quiet alone does not make it finished.

        Args:
            relpath: the scan.
            signature: of what waits. As soon as a look finds another one, settling starts afresh.
            reason: goes on after "NAME waits: ".
            now: when.
            again: seconds after which it is looked at again; never of itself by default.
        """
        seen, held = self._find(relpath), self._held.get(relpath)
        since = held.since if held else seen.first if seen else self._taken.get(relpath, now)
        self.gone(relpath)
        self._held[relpath] = Hold(reason, since, signature, now + again)
        _shorten(self._held, self._capacity)  # the oldest will be found, and held, again

    def release(self, relpath: str, now: float) -> None:
        """Ends a hold, as soon as there is room: at the next look the same content is ripe at once."""
        hold = self._held.get(relpath)
        if hold is None:
            return
        seen = _Seen(hold.signature, hold.since, -math.inf, self._quiet, True, look=now)
        if self._admit(relpath, seen):
            del self._held[relpath]
        else:
            self._held[relpath] = replace(hold, again=now)

    def next_due(self, now: float) -> float | None:
        """When `due` or `ripe` will have something, `now` if they have; None while nothing settles."""
        times = [
            now if seen.ripe() else seen.look
            for lane in (self._fresh, self._backlog)
            for seen in lane.values()
        ]
        times += [hold.again for hold in self._held.values() if hold.again < math.inf]
        return max(min(times), now) if times else None

    def waiting(self) -> Iterator[Wait]:
        """What settles, fresh ones first, and why it is not finished."""
        for lane in (self._fresh, self._backlog):
            for relpath, seen in list(lane.items()):  # asked by other threads
                empty = seen.entry is not None and seen.entry.size == 0
                quiet = (
                    "it is quiet, and its turn comes"
                    if seen.ripe()
                    else f"until it has not changed for {seen.quiet:g} s"
                )
                yield Wait(relpath, seen.first, "it is still empty" if empty else quiet)

    def _find(self, relpath: str) -> _Seen | None:
        return self._fresh.get(relpath) or self._backlog.get(relpath)

    def _begin(self, entry: Entry, now: float, *, fresh: bool) -> bool:
        renamed = self._renamed.pop(entry.relpath, -math.inf) >= now - _RENAME_COUNTS
        quiet = min(self._quiet, AFTER_RENAME) if renamed else self._quiet
        seen = _Seen(entry.signature, now, now, quiet, fresh or renamed, now + quiet, entry)
        seen.confirmed = quiet <= 0
        return self._admit(entry.relpath, seen)

    def _look(self, seen: _Seen, entry: Entry, now: float) -> None:
        seen.entry = entry
        if entry.signature != seen.signature:
            # Whatever was said about a rename is true no more: somebody writes here.
            seen.signature, seen.since, seen.quiet = entry.signature, now, self._quiet
        seen.confirmed = now >= seen.since + seen.quiet  # not the difference, which rounding spoils
        if not seen.confirmed:
            seen.look = seen.since + seen.quiet
        elif entry.size:
            seen.look = math.inf  # nothing is left to see: it is ripe
        else:
            seen.look = now + max(seen.quiet, QUIET)

    def _admit(self, relpath: str, seen: _Seen) -> bool:
        if not seen.fresh:
            if len(self._backlog) >= self._for_backlog or len(self) >= self._capacity:
                return False
            self._backlog[relpath] = seen
            return True
        if len(self) >= self._capacity:
            if not self._backlog:
                return False
            _, latest = self._backlog.popitem()  # it has waited least
            if latest.entry is not None:
                self._displaced.append(latest.entry)
        self._fresh[relpath] = seen
        return True

    def _promote(self, relpath: str, seen: _Seen) -> None:
        del self._backlog[relpath]
        seen.fresh = True
        self._fresh[relpath] = seen

    def _give_up_on_empty(self, now: float) -> None:
        for lane in (self._fresh, self._backlog):
            for relpath, seen in list(lane.items()):
                if seen.entry is not None and not seen.entry.size and now - seen.since >= self._give_up:
                    self.hold(relpath, seen.signature, "it is still empty", now, again=self._give_up)


def _shorten(names: dict[str, Hold] | dict[str, float], most: int) -> None:
    while len(names) > most:
        del names[next(iter(names))]
