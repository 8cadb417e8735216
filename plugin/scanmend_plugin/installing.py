"""Puts the plug-in's folder among a GIMP's plug-ins in one step, and takes it away again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scanmend.errors import PublishError, ScanmendError, UsageError

from scanmend_plugin.layout import DESCRIPTION, MARK, NAME, contents, default_command, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

State = Literal["missing", "current", "old", "foreign"]
_SIBLING = ".scanmend-"  # GIMP starts the file of a folder's own name, so it passes these by
_ABANDONED = 3600.0  # seconds after which a sibling is what a killed installation has left
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Installed:
    """What stands in a folder of plug-ins under our name.

    Attributes:
        state: "missing"; "current", as this Scanmend would write it; "old", by another one; "foreign",
            which is left alone.
        version: of the Scanmend that wrote it; empty where none did.
    """

    state: State
    version: str = ""


def look(plug_ins: Path, gimp: Literal[2, 3], command: Sequence[str]) -> Installed:
    """What is installed there, compared with what `install` would write."""
    folder = plug_ins / NAME
    if not os.path.lexists(folder):
        return Installed("missing")
    described = _described(folder)
    if described is None:
        return Installed("foreign")
    same = all(_read(folder / name) == content for name, content in contents(gimp, command=command).items())
    return Installed("current" if same else "old", str(described.get("version", "")))


def working_command() -> list[str]:
    """What starts the engine from within another program: tried, as far as finding Scanmend goes.

    Raises:
        UsageError: only this process, with its environment, knows where Scanmend is.
    """
    # Isolated (-I) leaves out what `pip install --user` has installed; -E alone does not.
    for flags in (("-I",), ("-E",)):
        words = [sys.executable, *flags, "-c", "import scanmend"]
        done = subprocess.run(  # noqa: S603 - our own interpreter
            words, cwd=Path(sys.executable).parent, capture_output=True, check=False
        )
        if done.returncode == 0:
            return default_command(flags=flags)
    raise UsageError(
        f"{sys.executable} finds Scanmend through PYTHONPATH alone, which GIMP does not pass on",
        hint="install Scanmend, for instance with pip install, and run the command of that installation",
    )


def install(plug_ins: Path, gimp: Literal[2, 3], command: Sequence[str]) -> None:
    """Installs the plug-in, in place of an older one; files that a person has added to it are kept.

    Raises:
        UsageError: what stands there is somebody else's.
        PublishError: the folder cannot be written to.
    """
    folder = plug_ins / NAME
    _refuse_foreign(folder)
    with _explained(folder):
        plug_ins.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(plug_ins)
        with _sibling(plug_ins) as sibling:
            fresh = sibling / NAME
            lay_out(fresh, gimp, command=command)
            _keep_strangers(folder, fresh)
            _swap(fresh, folder, sibling / "old")


def uninstall(plug_ins: Path) -> tuple[bool, list[str]]:
    """Removes what `install` has written; returns whether there was anything, and whose files stay.

    Those are the files, by their names in the folder, that a person has added.

    Raises:
        UsageError: what stands there is somebody else's.
        PublishError: it cannot be removed.
    """
    folder = plug_ins / NAME
    if not os.path.lexists(folder):
        return False, []
    _refuse_foreign(folder)
    with _explained(folder):
        strangers = [path.relative_to(folder).as_posix() for path in _strangers(folder)]
        with _sibling(plug_ins) as sibling:
            kept = sibling / "kept"
            _keep_strangers(folder, kept)
            _swap(kept if strangers else None, folder, sibling / "old")
    return True, strangers


def _described(folder: Path) -> dict[str, Any] | None:
    """The description of a plug-in that we wrote; None of anything else, also of a link."""
    if folder.is_symlink() or (folder / DESCRIPTION).is_symlink():
        return None
    try:
        values = json.loads((_read(folder / DESCRIPTION) or b"")[:_MOST_BYTES])
    except ValueError:
        return None
    return values if isinstance(values, dict) and values.get("mark") == MARK else None


def _refuse_foreign(folder: Path) -> None:
    if not os.path.lexists(folder) or _described(folder) is not None:
        return
    what = "is a link" if folder.is_symlink() else "was not written by Scanmend"
    raise UsageError(f"{folder} {what}, so it is left as it is", hint="move it elsewhere first")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except ScanmendError:
        raise
    except OSError as cause:
        hint = "end GIMP first" if sys.platform == "win32" else "see to it that you may write there"
        raise PublishError(f"{folder} cannot be changed: {cause.strerror or cause}", hint=hint) from cause


@contextmanager
def _sibling(plug_ins: Path) -> Iterator[Path]:
    """A hidden folder on the same disk, gone when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix=_SIBLING, dir=plug_ins))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_abandoned(plug_ins: Path) -> None:
    for path in plug_ins.glob(f"{_SIBLING}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _ABANDONED:
                shutil.rmtree(path)


def _swap(fresh: Path | None, folder: Path, old: Path) -> None:
    """Puts a folder in the place of another, or nothing; the old one comes back where that fails."""
    if folder.exists():
        folder.rename(old)
    if fresh is None:
        return
    try:
        fresh.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise


def _strangers(folder: Path) -> list[Path]:
    """The files in a plug-in's folder that Scanmend has not written, nor Python compiled from such."""
    described = _described(folder) or {}
    ours = set(described.get("files", ()))
    found = (Path(base) / name for base, folders, names in os.walk(folder) for name in (*folders, *names))
    files = (path for path in found if path.is_symlink() or not path.is_dir())
    return [path for path in files if path.relative_to(folder).as_posix() not in ours and not _compiled(path)]


def _compiled(path: Path) -> bool:
    return path.suffix in {".pyc", ".pyo"}


def _keep_strangers(folder: Path, fresh: Path) -> None:
    for path in _strangers(folder):
        target = fresh / path.relative_to(folder)
        if not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
