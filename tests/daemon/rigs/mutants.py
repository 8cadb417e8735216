"""The daemon with one of its careful steps left out, so that it can be seen whether the rigs notice.

    python mutants.py NAME watch CONFIG --once

m1  writes results straight to their final names
m2  claims a scan by taking it out of the hot folder before its row is in the ledger
m3  publishes by unlink and rename
n1  does not sync files' contents
n4  does not sync the ledger's commits
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scanmend import publish
from scanmend.cli import main
from scanmend.errors import TargetExists
from scanmend_daemon import delivery, disk, intake, ledger


def _written_straight(part: Path, target: Path) -> None:
    data = part.read_bytes()
    try:
        with target.open("xb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            file.write(data[len(data) // 2 :])
            os.fsync(file.fileno())
    except FileExistsError:
        raise TargetExists(f"{target} exists already") from None
    part.unlink()


def _unlinked_and_renamed(part: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    part.rename(target)
    publish.sync_folder(target.parent)


def _place(instead: Callable[[Path, Path], None]) -> None:
    delivery.place = instead


def _claimed_early() -> None:
    copy = intake.Intake._copy

    def claim(self: intake.Intake, arrival: Any, origin: Path | None) -> Any:
        outcome = copy(self, arrival, origin)
        if getattr(outcome, "sha256", ""):
            disk.remove(Path(arrival.root) / arrival.relpath)
        return outcome

    intake.Intake._copy = claim  # type: ignore[method-assign]


def no_file_sync() -> None:
    """From now on this process syncs folders only."""
    fsync = os.fsync

    def lazy(handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            fsync(handle)

    os.fsync = lazy  # type: ignore[assignment]


def _ledger_not_synced() -> None:
    prepare = ledger.Ledger._prepare

    def lazy(self: ledger.Ledger, path: Path) -> None:
        prepare(self, path)
        self._db.execute("PRAGMA synchronous=NORMAL")

    ledger.Ledger._prepare = lazy  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "m1": lambda: _place(_written_straight),
    "m2": _claimed_early,
    "m3": lambda: _place(_unlinked_and_renamed),
    "n1": no_file_sync,
    "n4": _ledger_not_synced,
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    main(sys.argv[2:])
