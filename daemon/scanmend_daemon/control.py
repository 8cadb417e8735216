"""What people may ask of the hot folder, and what it answers: the same with the daemon up or down.

While the daemon runs, it alone has the ledger and acts on it when asked. While it does not, `offline`
takes the daemon's lock, acts, and gives the lock back.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanmend.errors import ProfileError, ScanmendError, UsageError

from scanmend_daemon import config as configuration
from scanmend_daemon import disk, locks, naming, recovery, safely
from scanmend_daemon.config import Config, Folder
from scanmend_daemon.ignore import Ignore
from scanmend_daemon.ledger import Job, Ledger, State
from scanmend_daemon.resolve import Profiles
from scanmend_daemon.snapshot import Snapshot, folders_at_rest
from scanmend_daemon.walk import Entry, odd_name
from scanmend_daemon.words import shown

if TYPE_CHECKING:
    from scanmend_daemon.daemon import Daemon
    from scanmend_daemon.hotfolder import HotFolder, Ripe

_PREVIEW = re.compile(r"\d{1,18}-(before|after)\.jpg")
_MOST_PROBLEMS = 200
_STUCK = 1800.0
"""Seconds without a sign of life from a job: publishing to a slow share may take long."""
_ENDED = (State.FAILED, State.CANCELLED, State.SKIPPED)


class Actions:
    """Acts on a ledger, and explains what is in it.

    Args:
        config: the folders.
        ledger: held by nobody else.
        profiles: as the daemon reads them.
    """

    def __init__(self, config: Callable[[], Config], ledger: Ledger, profiles: Profiles) -> None:
        self._config, self.ledger, self.profiles = config, ledger, profiles

    def act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Does what a person asks for; the answer is a sentence and what belongs to it.

        Raises:
            UsageError: there is no such file, job or folder.
        """
        known = {
            "pause": self._pause, "resume": self._resume, "retry": self._retry, "cancel": self._cancel,
            "release": self._release, "reprocess": self._reprocess, "explain": self._explain,
            "verify": self._verify,
        }  # fmt: skip
        if name not in known:
            raise UsageError(f"{name} is nothing that can be asked for", hint=f"there is {', '.join(known)}")
        return known[name](arguments)

    # --- finding -------------------------------------------------------------------------

    def _folders(self, arguments: Mapping[str, Any]) -> list[Folder]:
        folders = list(self._config().folders)
        wanted = arguments.get("folder")
        if not wanted:
            return folders
        real = os.path.realpath(os.path.expanduser(str(wanted)))
        found = [folder for folder in folders if os.path.realpath(folder.watch) == real]
        if not found:
            names = ", ".join(shown(folder.watch) for folder in folders)
            raise UsageError(f"{shown(str(wanted))} is not a hot folder", hint=f"watched are {names}")
        return found

    def _place(self, file: str) -> tuple[Folder, str]:
        """The hot folder that a file lies in, and its path below it."""
        parent, name = os.path.split(file)
        real = os.path.join(os.path.realpath(parent), name)
        for folder in self._config().folders:
            root = os.path.realpath(folder.watch)
            if real.startswith(root.rstrip("/") + "/"):
                return folder, real[len(root.rstrip("/")) + 1 :]
        names = ", ".join(shown(folder.watch) for folder in self._config().folders)
        raise UsageError(f"{shown(file)} does not lie in a hot folder", hint=f"watched are {names}")

    def _jobs(self, arguments: Mapping[str, Any], *states: State) -> list[Job]:
        if "job" in arguments:
            number = str(arguments["job"])
            job = self.ledger.job(int(number)) if number.isascii() and number.isdigit() else None
            if job is None:
                raise UsageError(f"there is no job {arguments['job']}", hint="scanmend status lists them")
            return [job]
        if "file" in arguments:
            folder, relpath = self._place(str(arguments["file"]))
            jobs = self.ledger.of_file(str(folder.watch), relpath)
            if not jobs:
                raise UsageError(
                    f"{shown(relpath)} was never taken in", hint="scanmend explain FILE says why"
                )
            return jobs[:1]
        if arguments.get("all"):
            return list(self.ledger.in_state(*states))
        raise UsageError("it is not said which", hint="name a file, a job's number, or all")

    # --- acting --------------------------------------------------------------------------

    def _pause(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        folders = self._folders(arguments)
        for folder in folders:
            self.ledger.set_setting(f"paused:{folder.watch}", "1")
        return _said("paused", [shown(folder.watch) for folder in folders])

    def _resume(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        folders = self._folders(arguments)
        for folder in folders:
            self.ledger.set_setting(f"paused:{folder.watch}", None)
        return _said("goes on", [shown(folder.watch) for folder in folders])

    def _retry(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        names = []
        for job in self._jobs(arguments, State.FAILED, State.WAITING):
            if job.state == State.WAITING:
                self.ledger.retry(job)
            elif job.state in _ENDED:
                self.ledger.ask_again(job.folder, job.relpath)
            elif not arguments.get("all"):
                raise UsageError(
                    f"{shown(job.relpath)} is {job.state.value}, and needs no other try",
                    hint="scanmend reprocess restores it once more with today's settings",
                )
            names.append(shown(job.relpath))
        return _said("is tried again", names)

    def _cancel(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        (job,) = self._jobs({key: value for key, value in arguments.items() if key != "all"})
        if not self._cancelled(job):
            raise UsageError(f"{shown(job.relpath)} is {job.state.value}, and cannot be cancelled")
        return _said("is cancelled", [shown(job.relpath)])

    def _cancelled(self, job: Job) -> bool:
        if job.state not in (State.QUEUED, State.WAITING):
            return False
        self.ledger.skip(job, "cancelled on request", state=State.CANCELLED)
        return True

    def _release(self, _arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise UsageError("the daemon is not running, so nothing is held", hint="start it first")

    def _reprocess(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if "file" in arguments:
            folder, relpath = self._place(str(arguments["file"]))
            count = self.ledger.ask_again(str(folder.watch), relpath)
            if not count:
                raise UsageError(
                    f"{shown(relpath)} was never taken in", hint="scanmend explain FILE says why"
                )
            return _said("is restored again where its settings have changed", [shown(relpath)])
        if "folder" not in arguments:
            raise UsageError(
                "it is not said what to restore again", hint="name a folder with --folder, or a file"
            )
        (folder,) = self._folders(arguments)
        count = self.ledger.ask_again(str(folder.watch))
        sentence = f"{count} scans are restored again where their settings have changed, under new names"
        return {"sentence": sentence, "count": count}

    # --- telling -------------------------------------------------------------------------

    def _explain(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        folder, relpath = self._place(str(arguments["file"]))
        told: dict[str, Any] = {"file": shown(relpath), "folder": shown(folder.watch)}
        jobs = self.ledger.of_file(str(folder.watch), relpath)
        told |= self._standing(folder, relpath, jobs[0] if jobs else None)
        try:
            resolved = self.profiles.resolve(folder, relpath)
        except (ProfileError, OSError) as error:
            told |= {"profile": None, "settings": [], "trouble": str(error)}
        else:
            told |= {"profile": resolved.profile.name, "settings": list(resolved.sources)}
            told["output"] = shown(self._output(folder, relpath, resolved.values, jobs[0] if jobs else None))
        told["jobs"] = [_summary(job) for job in jobs[:10]]
        return told

    def _standing(self, folder: Folder, relpath: str, job: Job | None) -> dict[str, Any]:
        """Its state, and why."""
        rule = Ignore(folder.ignore).why(relpath, is_dir=False)
        if rule:
            return {"state": "ignored", "reason": f"the rule {rule} leaves it out"}
        if not folder.recursive and "/" in relpath:
            return {"state": "ignored", "reason": "it lies in a sub-folder, and recursive is off"}
        try:
            entry = safely.stat_scan(str(folder.watch), relpath)
        except (ScanmendError, OSError) as error:
            return {"state": "left out", "reason": str(error)}
        if entry is None:
            return _of_job(job) if job else {"state": "gone", "reason": "there is no such file"}
        if odd := odd_name(os.path.basename(relpath)):
            return {"state": "left out", "reason": odd}
        if waits := self._waiting(folder, relpath, entry):
            return waits
        source = self.ledger.source(str(folder.watch), relpath)
        if source is None or source.signature != entry.signature:
            return {"state": "new", "reason": "it has not been taken in yet, or has changed since"}
        told = self.ledger.job(source.job)
        return _of_job(told) if told else {"state": "new", "reason": "it is taken in soon"}

    def _waiting(self, folder: Folder, _relpath: str, _entry: Entry) -> dict[str, Any] | None:
        if self.ledger.setting(f"paused:{folder.watch}"):
            return {"state": "paused", "reason": "the folder is paused; scanmend resume lets it go on"}
        return None

    def _output(self, folder: Folder, relpath: str, values: Mapping[str, Any], job: Job | None) -> Path:
        if job is not None and job.target:
            return Path(job.target)
        for name in naming.candidates(relpath, values, index=job.id if job else 1):
            if not os.path.lexists(folder.output / name):
                return folder.output / name
        return folder.output

    def _verify(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Reads every result and original of a folder, and compares it with the ledger."""
        checked, problems = 0, []
        for folder in self._folders(arguments):
            for job in self.ledger.in_folder(str(folder.watch)):
                if job.state != State.DONE or not job.target:
                    continue
                checked += 1
                problems += _problems(job)
        sentence = f"{checked} results checked: " + (
            f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}"
            if problems
            else "all is well"
        )
        return {
            "sentence": sentence,
            "checked": checked,
            "problems": problems[:_MOST_PROBLEMS],
            "ok": not problems,
        }

    def again(self, hot: HotFolder, relpath: str, sha256: str) -> tuple[Ripe, Path | None] | None:
        """Where the content of a scan is that is to be restored again; None where it is nowhere."""
        from scanmend_daemon.hotfolder import Ripe  # noqa: PLC0415 - the daemon alone needs it
        from scanmend_daemon.ledger import BACKLOG  # noqa: PLC0415

        with contextlib.suppress(ScanmendError, OSError):
            entry = safely.stat_scan(hot.root, relpath)
            if entry is not None:
                return Ripe(hot.folder, entry, BACKLOG), None
        for job in self.ledger.of_file(hot.root, relpath):
            aside = job.note.removesuffix(".txt") if job.note else None
            for place in (job.archived, aside):
                if place and job.sha256 == sha256 and os.path.isfile(place) and not os.path.islink(place):
                    found = os.stat(place)
                    entry = Entry(relpath, found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev, 1)
                    return Ripe(hot.folder, entry, BACKLOG), Path(place)
        return None


class Control(Actions):
    """A running daemon, as the status page and the command line see it."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(lambda: daemon.config, daemon.ledger, daemon.profiles)
        self._daemon = daemon
        self.token = _token(daemon.ledger)
        self._snapshot = Snapshot(daemon)

    def act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """As `Actions.act`; the daemon is woken up to see to it."""
        try:
            return super().act(name, arguments)
        finally:
            self._daemon.wake.set()

    def snapshot(self) -> dict[str, Any]:
        """The daemon's state, every string of it fit to be shown."""
        return self._snapshot.take()

    def write_status(self, *, running: bool) -> None:
        """Leaves the state in a file, for `scanmend status` when nobody answers."""
        values = self._snapshot.take() | {"running": running}
        with contextlib.suppress(OSError):  # a full disk is told elsewhere
            disk.write_over(self._daemon.config.state / "status.json", json.dumps(values).encode())

    def live_line(self) -> str:
        """How work goes on, in one line of a terminal."""
        return self._snapshot.line()

    def alive(self) -> tuple[bool, str]:
        """Whether work goes on: looked lately, the ledger takes writes, what runs moves."""
        silent = time.monotonic() - self._daemon.last_round
        if silent > 60:
            return False, f"the main loop has not come round for {silent:.0f} s"
        for progress in list(self._daemon.work.running.values()):
            if time.monotonic() - progress.heard > _STUCK:
                return False, f"{shown(progress.job.relpath)} does not get on: {progress.stage}"
        try:
            self.ledger.set_setting("alive", str(int(time.time() // 60)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the ledger does not work
            return False, f"the ledger takes no entry: {error}"
        return True, "ok"

    def preview(self, name: str) -> Path | None:
        """The file of a preview such as 12-before.jpg."""
        if not _PREVIEW.fullmatch(name):
            return None
        return self._daemon.config.state / recovery.PREVIEWS / name

    def _cancelled(self, job: Job) -> bool:
        running = self._daemon.work.running.get(job.id)
        if running is None:
            done = super()._cancelled(job)
            if done:
                self._daemon.delivery.release(job)
            return done
        running.cancelled.set()
        return True

    def _resume(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self._daemon.pauses.clear()
        return super()._resume(arguments)

    def _release(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        folder, relpath = self._place(str(arguments["file"]))
        hot = self._daemon.hot.get(str(folder.watch))
        hold = hot.settling.held.get(relpath) if hot else None
        if hot is None or hold is None:
            raise UsageError(f"{shown(relpath)} is not held", hint="scanmend explain FILE says how it stands")
        self._daemon.intake.released.add((hot.root, relpath, hold.signature))
        hot.release(relpath)
        return _said("is taken as it is", [shown(relpath)])

    def _waiting(self, folder: Folder, relpath: str, entry: Entry) -> dict[str, Any] | None:
        hot = self._daemon.hot.get(str(folder.watch))
        if hot is None:
            return None
        if hot.offline:
            return {"state": "offline", "reason": hot.offline}
        hold = hot.settling.held.get(relpath)
        if hold is not None and hold.signature == entry.signature:
            return {"state": "held", "reason": hold.reason}
        for wait in hot.settling.waiting():
            if wait.relpath == relpath:
                return {"state": "settling", "reason": wait.reason}
        if relpath in hot.in_flight:
            return {"state": "settling", "reason": "it is being taken in"}
        return super()._waiting(folder, relpath, entry)


@contextlib.contextmanager
def offline(state: Path) -> Iterator[Any]:
    """The same actions while no daemon runs; holds the daemon's lock meanwhile.

    Raises:
        UsageError: a daemon runs, or the folder is none of a daemon's.
    """
    try:
        where = json.loads((state / "instance.json").read_bytes())
        path, folder = where.get("config"), where["folder"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"{shown(state)} is no folder of a Scanmend daemon") from error
    with locks.hold_instance(state):
        config = configuration.load(path) if path else configuration.for_folder(folder)
        ledger = recovery.open_ledger(state, lambda _sentence: None)
        try:
            yield Rest(lambda: config, ledger, Profiles("", lambda _sentence: None))
        finally:
            ledger.close()


class Rest(Actions):
    """A daemon that does not run: what is asked for now happens when it starts."""

    token = ""

    def snapshot(self) -> dict[str, Any]:
        """What the ledger knows."""
        return {"running": False, "folders": folders_at_rest(self._config(), self.ledger)}

    def alive(self) -> tuple[bool, str]:
        """No."""
        return False, "the daemon is not running"

    def preview(self, _name: str) -> Path | None:
        """None: nobody shows them."""
        return None


def _token(ledger: Ledger) -> str:
    """The status page's secret: the same after a restart, so that an open page goes on working."""
    token = ledger.setting("token")
    if token is None:
        token = secrets.token_urlsafe(24)
        ledger.set_setting("token", token)
    return token


def _said(what: str, names: list[str]) -> dict[str, Any]:
    if not names:
        return {"sentence": "there is nothing to do", "names": []}
    lead = names[0] if len(names) == 1 else f"{len(names)} scans or folders"
    return {"sentence": f"{lead}: {what}", "names": names[:_MOST_PROBLEMS]}


def _of_job(job: Job) -> dict[str, Any]:
    hint = f" ({job.hint})" if job.hint else ""
    usual = "the engine works on it" if job.state == State.RUNNING else "its turn comes"
    return {"state": job.state.value, "reason": f"{job.sentence or usual}{hint}"}


def _summary(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "state": job.state.value,
        "revision": job.revision,
        "target": shown(job.target) if job.target else None,
        "sentence": job.sentence,
        "attempts": job.attempts,
    }


def _problems(job: Job) -> list[str]:
    problems = []
    for path, digest, what in (
        (job.target, job.out_sha256, "result"),
        (job.archived, job.sha256, "original"),
    ):
        if not path:
            continue
        try:
            found = disk.hash_of(Path(path))
        except OSError as error:
            problems.append(f"{shown(path)}: the {what} cannot be read: {error.strerror}")
            continue
        if found is None:
            problems.append(f"{shown(path)}: the {what} is not there")
        elif found != digest:
            problems.append(f"{shown(path)}: the {what} is not what was written")
    return problems
