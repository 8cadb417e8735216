"""`scanmend status` and the commands that tell the hot folder's daemon what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from scanmend_daemon import asking, words

from scanmend.cli import hotwords, out
from scanmend.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scanmend_daemon.asking import Daemon

_START = "scanmend watch ~/Scans starts one"


def status(file: str | None, *, json: bool, state: Path | None) -> int:
    """Prints how the hot folders are, or why one file is where it is; returns 1 where none runs, else 0."""
    if file is not None:
        explain(file, json=json, state=state)
        return 0
    daemons = asking.found(state)
    if json:
        values = [{**daemon.view, "page": daemon.page} for daemon in daemons]
        out.json_document({"daemons": values})
    elif not daemons:
        out.remark(f"no hot folder has been watched yet ({_START})")
    else:
        out.say("\n\n".join("\n".join(hotwords.daemon(daemon.view, daemon.page)) for daemon in daemons))
    return 0 if any(daemon.running for daemon in daemons) else 1


def explain(file: str, *, json: bool, state: Path | None) -> None:
    """Prints what holds a file, with which profile it is restored, and under which name."""
    path = asking.in_full(file)
    told = _of_file(path, _found(state)).act("explain", {"file": path})
    if json:
        out.json_document(told)
    else:
        out.say("\n".join(hotwords.explanation(words.shown(path), told)))


def of_folders(action: str, folders: Sequence[str], *, json: bool, state: Path | None) -> int:
    """Pauses, resumes or verifies some folders, or all; returns 1 where something was found wrong."""
    daemons = _found(state)
    wanted: list[tuple[Daemon, dict[str, Any]]] = [_of_folder(folder, daemons) for folder in folders]
    return _tell(action, wanted or [(daemon, {}) for daemon in daemons], json=json)


def of_jobs(
    action: str, chosen: Sequence[str], *, everything: bool = False, json: bool, state: Path | None
) -> int:
    """Retries or cancels files, or jobs by their number, or all that failed."""
    daemons = _found(state)
    if everything:
        return _tell(action, [(daemon, {"all": True}) for daemon in daemons], json=json)
    if not chosen:
        raise UsageError(f"{action} what?", hint="name files or job numbers, which scanmend status prints")
    return _tell(action, [_of_job(one, daemons) for one in chosen], json=json)


def release(files: Sequence[str], *, json: bool, state: Path | None) -> int:
    """Lets files go that are held."""
    return _of_files("release", files, json=json, state=state)


def reprocess(files: Sequence[str], *, folder: str | None, json: bool, state: Path | None) -> int:
    """Restores scans anew, with the settings as they are now, under new names."""
    if bool(files) == bool(folder):
        raise UsageError("reprocess what?", hint="name files, or a hot folder with --folder")
    if folder:
        return of_folders("reprocess", [folder], json=json, state=state)
    return _of_files("reprocess", files, json=json, state=state)


def _of_files(action: str, files: Sequence[str], *, json: bool, state: Path | None) -> int:
    daemons = _found(state)
    paths = [asking.in_full(file) for file in files]
    return _tell(action, [(_of_file(path, daemons), {"file": path}) for path in paths], json=json)


def _tell(action: str, wanted: Sequence[tuple[Daemon, Mapping[str, Any]]], *, json: bool) -> int:
    """Tells daemons, one after another; what one of them cannot do ends the command, as its words say."""
    problems = 0
    for daemon, arguments in wanted:
        told = daemon.act(action, arguments)
        problems += len(told.get("problems", ()))
        if json:
            out.json_line(told)
        else:
            out.say("\n".join(hotwords.answer(told)))
    return 1 if problems else 0


def _found(state: Path | None) -> list[Daemon]:
    """Whom to tell: the daemons that run; where none does, all that ever ran."""
    daemons = asking.found(state)
    daemons = [daemon for daemon in daemons if daemon.running] or daemons
    if not daemons:
        raise UsageError("no hot folder has been watched yet", hint=_START)
    return daemons


def _of_job(given: str, daemons: Sequence[Daemon]) -> tuple[Daemon, dict[str, Any]]:
    """A number is a job's, whatever the files are called; ./12 is a file."""
    if not (given.isascii() and given.isdecimal()):
        path = asking.in_full(given)
        return _of_file(path, daemons), {"file": path}
    if len(daemons) > 1:
        raise UsageError(
            f"there are several hot folder daemons, and each has a job {given}",
            hint="name the file, or choose the daemon with --state",
        )
    return daemons[0], {"job": int(given)}


def _of_file(path: str, daemons: Sequence[Daemon]) -> Daemon:
    """The daemon in one of whose folders a file lies, or lay."""
    if len(daemons) == 1:
        return daemons[0]
    for daemon in daemons:
        for folder in daemon.view["folders"]:
            home = words.shown(os.path.realpath(folder["watch"]))
            if words.shown(path).startswith(f"{home}/"):
                return daemon
    raise UsageError(f"{words.shown(path)} lies in no hot folder", hint=_known(daemons))


def _of_folder(given: str, daemons: Sequence[Daemon]) -> tuple[Daemon, dict[str, Any]]:
    wanted = words.shown(os.path.realpath(given))
    for daemon in daemons:
        for folder in daemon.view["folders"]:
            if wanted in {folder["watch"], words.shown(os.path.realpath(folder["watch"]))}:
                return daemon, {"folder": folder["watch"]}
    raise UsageError(f"{words.shown(given)} is no hot folder", hint=_known(daemons))


def _known(daemons: Sequence[Daemon]) -> str:
    watched = [folder["watch"] for daemon in daemons for folder in daemon.view["folders"]]
    return f"hot folders are: {', '.join(watched) or 'none'}"
