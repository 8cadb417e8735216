"""The daemon's parts without its threads: a hot folder, a ledger, and an engine that only copies."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scanmend_daemon import config, recovery
from scanmend_daemon.config import Settle
from scanmend_daemon.delivery import Delivery
from scanmend_daemon.disk import signature_of
from scanmend_daemon.intake import Intake, Outcome
from scanmend_daemon.ledger import BACKLOG, FRESH, Job, Ledger, State
from scanmend_daemon.resolve import Profiles
from scanmend_daemon.trouble import Trouble
from scanmend_daemon.work import Work

GOOD: Mapping[str, Any] = {"pages": 1, "zero_tail": False, "restored_by_scanmend": False}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def restored(data: bytes) -> bytes:
    """What the copying engine makes of a scan."""
    return b"restored: " + data


class Copying:
    """Stands where the line to the engine is; what a probe answers is for a test to choose.

    Attributes:
        answer: of the next probes of scans: values, or what is raised.
        during: called while a scan is being rendered, before the result is complete.
        runs: the hashes of what was rendered.
    """

    def __init__(self) -> None:
        self.answer: Mapping[str, Any] | Exception = GOOD
        self.render_fault: BaseException | None = None
        self.during: Callable[[], None] = lambda: None
        self.runs: list[str] = []

    def probe(self, path: Path, **_about: Any) -> dict[str, Any]:
        if path.name.endswith(".part"):
            return dict(GOOD)
        if isinstance(self.answer, Exception):
            raise self.answer
        ours = path.read_bytes().startswith(restored(b""))  # a real result says so in its XMP
        return {**self.answer, "restored_by_scanmend": ours or self.answer.get("restored_by_scanmend")}

    def run(self, job: Mapping[str, Any], **_calls: Any) -> dict[str, Any]:
        data, part = Path(job["source"]["path"]).read_bytes(), Path(job["target"]["path"])
        with part.open("xb") as file:
            file.write(restored(data)[:-1])
            file.flush()
            self.during()
            if self.render_fault is not None:
                raise self.render_fault
            file.write(restored(data)[-1:])
        self.runs.append(sha(data))
        profile = {"name": job["profile_name"], **job["profile"]}
        return {"source_sha256": sha(data), "profile": profile, "megapixels": 0.1, "seconds": 0.1}


class Bench:
    """Everything that keeps scans, on a folder of its own; one thread, no clock.

    Args:
        base: an empty folder.
        moved: whether originals move to `archive` once their result is published.
        make: makes the ledger from its path.
    """

    def __init__(self, base: Path, *, moved: bool = False, make: Callable[[Path], Ledger] = Ledger) -> None:
        self.base, self.make = base, make
        self.inbox, self.output, self.state = base / "inbox", base / "output", base / "state"
        self.archive, self.failed = base / "archive", base / "failed"
        self.inbox.mkdir()
        self.folder = replace(
            config.for_folder(self.inbox).folders[0],
            output=self.output,
            failed=self.failed,
            originals=self.archive if moved else None,
            limits=config.Limits(min_free=0),
        )
        self.engine, self.said = Copying(), list[str]()
        self.open()

    def open(self) -> None:
        """What a start does."""
        recovery.make_folders(self.state)
        recovery.open_ledger(self.state, self.said.append).close()
        self.ledger = self.make(self.state / recovery.LEDGER)
        self.delivery = Delivery(self.ledger, self.state, recovery.mark_of(self.ledger), self.said.append)
        self.profiles = Profiles("1", self.said.append)
        self.intake = Intake(self.ledger, self.delivery, self.profiles, self.engine, stop=lambda: False)
        self.work = Work(
            self.ledger, self.delivery, self.engine,  # type: ignore[arg-type]
            previews=self.state / "previews", stop=lambda: False, say=self.said.append,
        )  # fmt: skip
        recovery.recover(self.ledger, self.delivery, {self.root: self.folder}, self.said.append)
        for job in list(self.ledger.in_state(State.WAITING)):
            self.ledger.requeue(job, lane=BACKLOG)

    def reopen(self) -> None:
        """As after a kill: nothing of this process is left but what is on disk."""
        self.ledger.close()
        self.open()

    @property
    def root(self) -> str:
        return str(self.inbox)

    @property
    def spool(self) -> Path:
        return self.delivery.spool

    def settle(self, **changes: Any) -> None:
        self.folder = replace(self.folder, settle=replace(Settle(), **changes))

    # --- scans ---------------------------------------------------------------------------

    def drop(self, name: str, data: bytes) -> Path:
        """A scan arrives by a rename, so an older one of the name is another file."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.base / "arriving"
        aside.write_bytes(data)
        aside.replace(path)
        return path

    def take(self, name: str, **more: Any) -> Outcome:
        signature = signature_of(self.inbox / name) or "none"
        return self.intake.take(self.folder, name, signature, **more)

    def taken(self, name: str, **more: Any) -> Job:
        """Takes a scan in, which has to become a job."""
        outcome = self.take(name, **more)
        return outcome.job if isinstance(outcome.job, Job) else self.job(outcome.job)  # type: ignore[union-attr]

    def again(self, name: str) -> Outcome:
        """As the daemon answers a retry or reprocess of a scan that lies in the hot folder."""
        self.ledger.ask_again(self.root, name)
        outcome = self.take(name, again=True)
        self.ledger.answered(self.root, name)
        return outcome

    # --- work ----------------------------------------------------------------------------

    def next(self) -> Job | None:
        """The next job, as the daemon picks it."""
        ready = next(self.ledger.in_state(State.RENDERED, State.PUBLISHED, limit=1), None)
        return ready or self.ledger.take(self.root, FRESH) or self.ledger.take(self.root, BACKLOG)

    def step(self) -> Job | None:
        """Advances one job as far as it goes."""
        job = self.next()
        if job is None:
            return None
        try:
            return self.work.advance(job, self.folder)
        except Trouble:
            return self.job(job.id)

    def finish(self) -> None:
        """Works until there is nothing to do."""
        for _ in range(200):
            for job in list(self.ledger.in_state(State.WAITING)):
                self.ledger.requeue(job)
            if self.step() is None:
                return
        raise AssertionError("work does not come to an end")

    def restore(self, name: str, data: bytes) -> Job:
        """A scan on its whole way."""
        self.drop(name, data)
        job = self.taken(name)
        self.finish()
        return self.job(job.id)

    def job(self, number: int) -> Job:
        found = self.ledger.job(number)
        assert found is not None
        return found

    # --- what lies where -----------------------------------------------------------------

    def results(self) -> dict[str, bytes]:
        """Visible files in the output folder that are no sidecars, by their path below it."""
        return {
            name: data for name, data in files(self.output).items() if not name.endswith(".scanmend.json")
        }

    def litter(self) -> list[str]:
        """Hidden files of ours, anywhere people look."""
        places = (self.inbox, self.output, self.archive, self.failed)
        return [name for place in places for name in files(place) if "/." in f"/{name}"]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path) / name
            if file.is_file() and not file.is_symlink():
                found[str(file.relative_to(folder))] = file.read_bytes()
    return found
