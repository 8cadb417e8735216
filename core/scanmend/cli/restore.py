"""`scanmend restore`: one file after the other, and one bad one never stops the rest."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scanmend import profile as profiles
from scanmend.cli import inputs, jobs, out, screen, words
from scanmend.cli.stopping import stop_requests
from scanmend.errors import Cancelled, PublishError, ScanmendError, TargetExists, as_scanmend_error
from scanmend.pipeline import Inspection, Options, inspect_file, restore_file, shared_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scanmend.cli.jobs import Batch, Job
    from scanmend.cli.screen import Screen
    from scanmend.report import Report

State = Literal["restored", "unchanged", "already done", "planned", "failed", "stopped"]
_SCREENFUL = 20  # of files: beyond that, what went wrong has scrolled away and is told again at the end
_TITLES = {"unchanged": "nothing to do"}


@dataclass(frozen=True)
class Request:
    """What the command line asks for; the fields are the command's arguments and options."""

    inputs: tuple[str, ...]
    out: str | None
    profile: str
    settings: tuple[str, ...]
    device: str
    backend: str
    overwrite: bool
    dry_run: bool
    json: bool
    recursive: bool
    quiet: bool
    debug: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one scan."""

    job: Job
    state: State
    report: Report | None = None
    inspection: Inspection | None = None
    error: ScanmendError | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: a line of `--json`."""
        return {
            "file": str(self.job.source),
            "target": str(self.job.target),
            "state": self.state,
            "report": self.report.to_dict() if self.report else None,
            "inspection": self.inspection.to_dict() if self.inspection else None,
            "error": self.error.to_dict() if self.error else None,
        }


def run(request: Request) -> int:
    """Restores what was asked for; returns the exit code.

    Raises:
        UsageError: the names or options make no sense together; nothing was done then.
        ProfileError: the profile or a setting is not valid; nothing was done then.
        EngineError: the device that was asked for is not there; nothing was done then.
    """
    profile = profiles.apply_settings(profiles.load(request.profile), request.settings)
    results = Path(request.out) if request.out else None
    with stop_requests() as stopped:
        found = inputs.expand(request.inputs, recursive=request.recursive, without=results)
        batch = jobs.settle(found, request.out, profile, overwrite=request.overwrite)
        if not request.dry_run and (request.device, request.backend) != ("auto", "auto"):
            shared_engine(
                request.device, request.backend
            )  # a device that is not there fails once, not per file
        outcomes: list[Outcome] = []
        started = time.monotonic()
        with closing(screen.choose(len(batch.jobs), quiet=request.quiet, json=request.json)) as view:
            for remark in batch.remarks:
                view.line(remark)
            with contextlib.suppress(KeyboardInterrupt):  # asked twice: does not wait for the tile
                _work(request, batch, view, stopped, outcomes)
        if not request.quiet and len(batch.jobs) > 1:
            for line in summary(outcomes, len(batch.jobs), time.monotonic() - started):
                out.remark(line)
        if len(outcomes) < len(batch.jobs) or any(item.state == "stopped" for item in outcomes):
            out.remark("scanmend: stopped as you asked; nothing was left half done")
            return Cancelled.exit_code
    return out.exit_code([item.error for item in outcomes if item.error], len(batch.jobs))


def summary(outcomes: Sequence[Outcome], files: int, seconds: float) -> list[str]:
    """The table at the end: how many files went which way, and again what went wrong."""
    states = ("restored", "unchanged", "already done", "planned", "failed")
    counts = {state: sum(item.state == state for item in outcomes) for state in states}
    counts["not reached"] = files - sum(counts.values())
    pixels = sum(item.report.megapixels for item in outcomes if item.report)
    lines = [f"  {_TITLES.get(state, state):<14}{count:>6}" for state, count in counts.items() if count]
    if pixels:
        took, rate = words.duration(seconds), words.megapixels(pixels / max(seconds, 1e-6))
        lines.append(f"  {words.megapixels(pixels)} in {took}, {rate}/s")
    failed = [f"  {item.error}" for item in outcomes if item.state == "failed"]
    again = ["failed:", *failed] if failed and files > _SCREENFUL else []
    return [f"{files} files", *lines, *again]


def _work(
    request: Request, batch: Batch, view: Screen, stopped: Callable[[], bool], outcomes: list[Outcome]
) -> None:
    """Does the jobs one by one; each outcome is in the list before the next begins."""
    for number, job in enumerate(batch.jobs, 1):
        if stopped():
            return
        view.begin(job.source, number)
        outcome = _outcome(request, batch, job, view, stopped)
        outcomes.append(outcome)
        view.end()
        _tell(request, outcome, view)
        if outcome.state == "stopped":
            return


def _outcome(request: Request, batch: Batch, job: Job, view: Screen, stopped: Callable[[], bool]) -> Outcome:
    try:
        if request.dry_run:
            return Outcome(job, "planned", inspection=inspect_file(job.source, batch.profile))
        if not request.overwrite and os.path.lexists(job.target):
            return _standing(job, batch)
        return _restored(request, batch, job, view, stopped)
    except Cancelled as error:
        return Outcome(job, "stopped", error=error)
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is reported in full
        if request.debug:
            view.error("".join(traceback.format_exception(error)).rstrip())
        return Outcome(job, "failed", error=as_scanmend_error(error, job.source))


def _standing(job: Job, batch: Batch) -> Outcome:
    """A result that is there already: done, where its sidecar proves it.

    Raises:
        TargetExists: it is another scan's, another profile's, or no result at all.
    """
    if jobs.finished(job, batch.profile):
        return Outcome(job, "already done")
    raise TargetExists(
        f"{job.source}: {job.target} exists already, and no sidecar says it is this scan's",
        hint="move it, or add --overwrite",
    )


def _restored(request: Request, batch: Batch, job: Job, view: Screen, stopped: Callable[[], bool]) -> Outcome:
    options = Options(device=request.device, backend=request.backend, overwrite=request.overwrite)
    with _folder(job.target.parent):
        report = restore_file(
            job.source, job.target, batch.profile, options=options, progress=view.progress, cancel=stopped
        )
    worked = any(page.plan.steps for page in report.pages)
    return Outcome(job, "restored" if worked else "unchanged", report=report)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Makes a folder, and takes back what it made where nothing comes to stand in it."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PublishError(f"the folder {folder} cannot be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another's file may have come to stand in it
            for place in missing:
                place.rmdir()
        raise


def _tell(request: Request, outcome: Outcome, view: Screen) -> None:
    if request.json:
        out.json_line(outcome.to_dict())
    if outcome.state == "failed":
        view.error(f"scanmend: {outcome.error}")
    elif outcome.report:
        view.line(words.done(outcome.report))
        for note in outcome.report.notes:
            view.line(f"  note: {note}")
    elif outcome.state == "already done":
        view.line(f"{outcome.job.source}: already done -> {outcome.job.target}")
    elif outcome.inspection and not request.json:
        _tell_plan(outcome, outcome.inspection)


def _tell_plan(outcome: Outcome, inspection: Inspection) -> None:
    """The plan is what was asked for, so it goes to standard output."""
    standing = " (exists already)" if os.path.lexists(outcome.job.target) else ""
    out.say(f"{outcome.job.source} -> {outcome.job.target}{standing}")
    for line in words.planned(inspection):
        out.say(f"  {line}")
