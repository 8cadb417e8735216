"""What a start finds after a kill or a power cut, and makes whole; running it twice changes nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scanmend.publish import sync_folder

from scanmend_daemon import disk
from scanmend_daemon.config import Folder
from scanmend_daemon.delivery import Delivery
from scanmend_daemon.ledger import Ledger, State
from scanmend_daemon.words import shown

LEDGER = "ledger.sqlite"
SPOOL = "spool"
PREVIEWS = "previews"
_COMPANIONS = ("", "-wal", "-shm", "-journal")
_KEPT_PREVIEWS = 200

Say = Callable[[str], None]


def open_ledger(state: Path, say: Say) -> Ledger:
    """Opens the ledger in the daemon's folder; a damaged one is set aside, and a new one begun.

    Nothing is deleted with it: results already published are recognised by their sidecars, and private
    copies that no row names any more are set aside as well.

    Raises:
        PublishError: it was written by a later version.
        OSError: the folder cannot be written to.
    """
    path = state / LEDGER
    existed = path.exists()
    try:
        ledger = Ledger(path)
        if ledger.sound():
            if not existed:
                sync_folder(state)
            return ledger
        ledger.close()
    except sqlite3.DatabaseError:
        pass
    aside = _set_aside(state)
    say(f"the ledger was damaged and lies in {shown(aside)} now; a new one is begun")
    return Ledger(path)


def _set_aside(state: Path) -> Path:
    aside = state / f"damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    aside.mkdir()
    for ending in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            (state / f"{LEDGER}{ending}").rename(aside / f"{LEDGER}{ending}")
    with contextlib.suppress(FileNotFoundError):
        (state / SPOOL).rename(aside / SPOOL)
    sync_folder(state)
    return aside


def mark_of(ledger: Ledger) -> str:
    """Eight digits that tell this ledger's hidden files from another's in the same folder."""
    mark = ledger.setting("mark")
    if mark is None:
        mark = secrets.token_hex(4)
        ledger.set_setting("mark", mark)
    return mark


def make_folders(state: Path) -> None:
    """The daemon's own folders, for its owner alone."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (SPOOL, PREVIEWS):
        (state / name).mkdir(mode=0o700, exist_ok=True)


def recover(ledger: Ledger, delivery: Delivery, folders: Mapping[str, Folder], say: Say) -> None:
    """Puts jobs that were at work back into the queue, and sweeps up what a kill left lying.

    Jobs that were rendered or published go on from there, as all jobs do.
    """
    for job in list(ledger.in_state(State.RUNNING)):
        folder = folders.get(job.folder)
        if folder is not None:
            with contextlib.suppress(OSError):
                disk.remove(delivery.part_of(job, folder))
        say(f"{shown(job.relpath)}: its restoration was cut off; it is begun again")
        ledger.requeue(job)
    _sweep_spool(ledger, delivery.spool)
    _sweep_previews(delivery.spool.parent / PREVIEWS)


def _sweep_spool(ledger: Ledger, spool: Path) -> None:
    for name in os.listdir(spool):
        if name.startswith(".in-") or not ledger.in_use(name):
            disk.remove(spool / name)


def _sweep_previews(previews: Path) -> None:
    """Keeps the previews of the last jobs."""

    def number(path: Path) -> int:
        head = path.name.partition("-")[0]
        return int(head) if head.isdecimal() else -1

    for path in sorted(previews.iterdir(), key=number)[: -2 * _KEPT_PREVIEWS]:
        disk.remove(path)
