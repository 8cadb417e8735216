"""What a start finds after a kill or a power cut, and makes whole; running it twice changes nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scanmend.errors import PublishError
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
        PublishError: it was written by a later version, or cannot be read or written just now: that is
            no damage, and a new ledger would have everything restored twice.
        OSError: the folder cannot be written to.
    """
    path = state / LEDGER
    try:
        ledger = Ledger(path)
        if ledger.sound():
            if ledger.setting("mark") is None:  # a new one
                _keep_copies(state, say)
                sync_folder(state)
            return ledger
        ledger.close()
    except sqlite3.OperationalError as error:  # a full disk, a permission, another process
        raise PublishError(
            f"{shown(path)} cannot be used: {error}", hint="see to the disk and the permissions of its folder"
        ) from error
    except sqlite3.DatabaseError:
        pass
    aside = _aside(state)
    for ending in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            (state / f"{LEDGER}{ending}").rename(aside / f"{LEDGER}{ending}")
    sync_folder(state)
    say(f"the ledger was damaged and lies in {shown(aside)} now; a new one is begun")
    _keep_copies(state, say, aside)
    return Ledger(path)


def _keep_copies(state: Path, say: Say, aside: Path | None = None) -> None:
    """Sets private copies aside that a lost ledger knew of: one may be the last of a scan."""
    spool = state / SPOOL
    names = [name for name in os.listdir(spool) if not name.startswith(".in-")] if spool.is_dir() else []
    if not names:
        return
    aside = aside or _aside(state)
    spool.rename(aside / SPOOL)
    spool.mkdir(mode=0o700)
    sync_folder(state)
    say(f"{len(names)} copies of scans that no ledger knows lie in {shown(aside / SPOOL)} now")


def _aside(state: Path) -> Path:
    aside = state / f"damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    aside.mkdir(mode=0o700)
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
        ledger.requeue(job, cut_off=True)
    _sweep_spool(ledger, delivery.spool)
    _sweep_previews(delivery.spool.parent / PREVIEWS)


def _sweep_spool(ledger: Ledger, spool: Path) -> None:
    for name in os.listdir(spool):
        if name.startswith(".in-") or not ledger.in_use(name):
            with contextlib.suppress(OSError):  # not a file, so none of ours
                disk.remove(spool / name)


def _sweep_previews(previews: Path) -> None:
    """Keeps the previews of the last jobs."""

    def number(path: Path) -> int:
        head = path.name.partition("-")[0]
        return int(head) if head.isdecimal() else -1

    for path in sorted(previews.iterdir(), key=number)[: -2 * _KEPT_PREVIEWS]:
        disk.remove(path)
