"""Whose turn it is: the next job for a thread that has nothing to do."""

from __future__ import annotations

from collections.abc import Mapping

from scanmend_daemon.config import Folder
from scanmend_daemon.ledger import BACKLOG, FRESH, Job, Ledger, State

_BACKLOG_TURN = 4
"""Every fourth job comes from the backlog, so that a busy scanner does not put it off for ever."""


class Picker:
    """Picks jobs: what is nearly done first, then by lane, then by the folders' shares.

    The caller sees to it that one thread at a time asks.

    Attributes:
        deliveries: jobs whose result is rendered, but that are not done; nobody works on them.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.deliveries: set[int] = set()
        self._served: dict[str, float] = {}
        self._picked = 0

    def pick(self, folders: Mapping[str, Folder]) -> Job | None:
        """The next job of these folders, now the caller's; None where there is none.

        Raises:
            sqlite3.Error: the ledger does not answer.
        """
        return self._delivery(folders) or self._queued(folders)

    def _delivery(self, folders: Mapping[str, Folder]) -> Job | None:
        for number in sorted(self.deliveries):
            job = self._ledger.job(number)
            if job is None or job.state not in (State.RENDERED, State.PUBLISHED):
                self.deliveries.discard(number)
            elif job.folder in folders:
                self.deliveries.discard(number)
                return job
        return None

    def _queued(self, folders: Mapping[str, Folder]) -> Job | None:
        lanes = (FRESH, BACKLOG) if (self._picked + 1) % _BACKLOG_TURN else (BACKLOG, FRESH)
        roots = sorted(folders, key=lambda root: self._served.get(root, 0.0))
        for lane in lanes:
            for root in roots:
                if job := self._ledger.take(root, lane):
                    self._count(root, roots[0], folders[root].weight)
                    return job
        return None

    def _count(self, root: str, least: str, weight: int) -> None:
        """Charges a folder for a job; one that had nothing to do for long has no claim to all turns now."""
        self._picked += 1
        self._served[root] = max(self._served.get(root, 0.0), self._served.get(least, 0.0)) + 1 / weight
