"""The folders of a person's own models: put in their place in one step, and removed in one step.

A folder is written, or removed, under a hidden name that `cards` does not see; only the renaming
makes it a model, or none. What a killed process leaves under such a name goes with the next import.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend import cards, publish
from scanmend.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

_HIDDEN = ".part-"
_STALE = 3600.0  # seconds: no import takes that long
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.ENOTDIR}


@contextmanager
def staged() -> Iterator[Path]:
    """A new hidden folder among a person's models, which goes when the block ends, unless it was placed.

    Raises:
        ModelError: it cannot be made, or what the block does there fails, as on a full disk.
    """
    home = cards.own_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        with contextlib.ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=home))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder
    except OSError as error:
        raise ModelError(
            f"the model cannot be stored in {home}: {error.strerror or error}",
            hint="make room there, or see that you may write there",
        ) from error


def place(folder: Path, name: str) -> bool:
    """Gives a finished folder its name; False where a model of that name has appeared."""
    for path in folder.iterdir():
        _sync(path)
    target = cards.own_folder() / name
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in _TAKEN and target.exists():
            return False
        raise
    publish.sync_folder(target.parent)
    return True


def remove(name: str) -> None:
    """Removes a model of a person's own, sound or not.

    Raises:
        ModelError: there is none of that name, it ships with Scanmend, or the folder cannot be removed.
    """
    known = [card.name for card in cards.shipped()]
    folder = cards.own_folder() / name
    if not re.fullmatch(r"[^./\\:][^/\\:]*", name) or not folder.is_dir():
        if name in known:
            raise ModelError(
                f"{name} ships with Scanmend, and stays", hint="only imported models are removed"
            )
        mine, faults = cards.own()
        names = sorted([card.name for card in mine] + [fault.name for fault in faults])
        hint = f"there are {', '.join(names)}" if names else "none was imported"
        raise ModelError(f"there is no imported model {name!r}", hint=hint)
    with staged() as hidden:
        folder.rename(hidden / "removed")


def _sweep(home: Path) -> None:
    """Removes what killed processes have left."""
    for path in home.glob(f"{_HIDDEN}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE:
                shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
