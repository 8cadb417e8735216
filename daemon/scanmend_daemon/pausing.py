"""Which folders' work stands still, and when it is tried again.

Troubles of the surroundings are nobody's fault: work waits, each time a little longer, and the first success
ends the wait. Nothing here looks at a disk; a job that is let try finds out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from scanmend_daemon.ledger import Ledger
from scanmend_daemon.trouble import Trouble, Where

WAITS = (2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds until the next try, after the n-th in a row that failed."""
EVERYTHING = ""
"""The key of a trouble that all folders share."""
_FORGOTTEN = 60.0


@dataclass(frozen=True)
class Pause:
    """Work that stands still because the surroundings are not fit.

    Attributes:
        sentence: why.
        since: wall clock, for people.
        again: when work may try again, in monotonic seconds.
        tries: how many failed in a row.
    """

    sentence: str
    since: float
    again: float
    tries: int


class Pauses:
    """All pauses; used from several threads, each step of which a single one takes.

    Args:
        ledger: knows the folders that a person paused.
        say: takes a sentence for the log.
    """

    def __init__(self, ledger: Ledger, say: Callable[[str], None]) -> None:
        self._ledger, self._say = ledger, say
        self._pauses: dict[str, Pause] = {}

    def __bool__(self) -> bool:
        """Whether there is any trouble."""
        return bool(self._pauses)

    def standing(self, root: str, now: float) -> bool:
        """Whether a folder's work stands still, by a person's wish or for want of surroundings."""
        if self._ledger.setting(f"paused:{root}"):
            return True
        found = (self._pauses.get(key) for key in (root, EVERYTHING))
        return any(pause.again > now for pause in found if pause is not None)

    def of(self, root: str) -> Pause | None:
        """The trouble that a folder has, its own or everybody's."""
        return self._pauses.get(root) or self._pauses.get(EVERYTHING)

    def add(self, trouble: Trouble, root: str, now: float) -> None:
        """Notes a trouble that a folder's work has met; the same one in the meantime changes nothing."""
        key = EVERYTHING if trouble.where in (Where.ENGINE, Where.STATE) else root
        before = self._pauses.get(key)
        tries = before.tries + 1 if before else 1
        if before is None or before.sentence != trouble.sentence:
            self._say(
                f"{trouble.where.value} is not fit for work: {trouble.sentence}; it is tried again by itself"
            )
        elif before.again > now:
            return
        since = before.since if before else time.time()
        self._pauses[key] = Pause(trouble.sentence, since, now + WAITS[min(tries, len(WAITS)) - 1], tries)

    def worked(self, root: str) -> None:
        """Something of a folder's work succeeded: whatever was wrong is so no more."""
        ended = [key for key in (root, EVERYTHING) if self._pauses.pop(key, None)]
        if ended:
            self._say("work goes on")

    def next(self, now: float) -> float:
        """When the next pause is over; infinity where none is to come."""
        times = [pause.again for pause in list(self._pauses.values())]
        return min((when for when in times if when > now), default=math.inf)

    def over(self, now: float) -> bool:
        """Whether some work may try again whose last try failed."""
        return any(pause.again <= now for pause in list(self._pauses.values()))

    def forget(self, now: float) -> None:
        """Drops troubles that no work has come upon since."""
        for key, pause in list(self._pauses.items()):
            if pause.again + _FORGOTTEN < now:
                self._pauses.pop(key, None)

    def clear(self) -> None:
        """A person says that all is well: everything may try at once."""
        self._pauses.clear()

    @property
    def lasting(self) -> bool:
        """Whether a trouble has outlived a second try."""
        return any(pause.tries > 1 for pause in list(self._pauses.values()))
