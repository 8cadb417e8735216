"""The daemon's state as one plain value: for the status page, the metrics, the command and a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from scanmend_daemon import disk
from scanmend_daemon.config import Config
from scanmend_daemon.ledger import Job, Ledger, State
from scanmend_daemon.words import duration, iso, shown

if TYPE_CHECKING:
    from scanmend_daemon.daemon import Daemon
    from scanmend_daemon.hotfolder import HotFolder

_WAITING, _RECENT, _FAILURES = 50, 20, 50
_FRESH_FOR = 0.5


class Snapshot:
    """Takes the state, at most twice a second, whoever asks how often."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._taken = (0.0, {"running": True})

    def take(self) -> dict[str, Any]:
        """The state now."""
        now = time.monotonic()
        if now - self._taken[0] > _FRESH_FOR or len(self._taken[1]) < 3:
            self._taken = (now, self._values(now))
        return dict(self._taken[1])

    def line(self) -> str:
        """How work goes on, in one line."""
        daemon = self._daemon
        queued = daemon.ledger.waiting()
        running = list(daemon.work.running.values())
        if not running:
            waiting = sum(len(hot.settling) for hot in list(daemon.hot.values()))
            return f"{waiting} scans settle" if waiting else ""
        now = next((item for item in running if item.total), running[0])
        share = f" {now.done / now.total:.0%}" if now.total else ""
        parts = [f"{shown(now.job.relpath)}{share}"]
        if queued:
            parts.append(f"{queued} more in the queue")
        if pace := daemon.pace():
            parts.append(f"{pace:.2f} MP/s")
        eta = self._eta(queued)
        if eta is not None:
            parts.append(f"about {duration(eta)} to go")
        return ", ".join(parts)

    def _eta(self, queued: int) -> float | None:
        """From the pace of the last jobs: seconds until the queue as it is now is empty."""
        done = [job.megapixels for job in self._daemon.ledger.latest(State.DONE, limit=20)]
        pace = self._daemon.pace()
        if not pace or not done:
            return None
        return (queued + len(self._daemon.work.running)) * (sum(done) / len(done)) / pace

    def _values(self, now: float) -> dict[str, Any]:
        daemon = self._daemon
        counts = daemon.ledger.count()
        return {
            "version": _version(),
            "pid": _pid(),
            "started": iso(daemon.started),
            "now": iso(time.time()),
            "state_dir": shown(daemon.config.state),
            "running": True,
            "config": self._config(),
            "engine": daemon.link.state(),
            "rate": {
                "megapixels_per_s": daemon.pace(),
                "eta_s": self._eta(daemon.ledger.waiting()),
                "queue": daemon.ledger.waiting(),
            },
            "folders": [
                self._folder(root, hot, counts.get(root, {}), now) for root, hot in list(daemon.hot.items())
            ],
            "current": [self._current(item) for item in list(daemon.work.running.values())],
            "waiting": list(self._waiting(now)),
            "recent": [
                self._recent(job)
                for job in daemon.ledger.latest(State.DONE, State.FAILED, State.SKIPPED, limit=_RECENT)
            ],
            "failures": [_failure(job) for job in daemon.ledger.latest(State.FAILED, limit=_FAILURES)],
            "counters": self._counters(counts),
        }

    def _config(self) -> dict[str, Any]:
        daemon = self._daemon
        trouble = [daemon.config_error, *daemon.profiles.trouble]
        return {
            "path": shown(daemon.config.path) if daemon.config.path else None,
            "loaded": iso(daemon.loaded),
            "error": "; ".join(filter(None, trouble)) or None,
        }

    def _folder(self, root: str, hot: HotFolder, counts: dict[str, int], now: float) -> dict[str, Any]:
        state, reason = self._state(root, hot, now)
        since = [hold.since for hold in list(hot.settling.held.values())]
        since += [wait.since for wait in hot.settling.waiting()]
        return {
            "watch": shown(hot.folder.watch),
            "output": shown(hot.folder.output),
            "failed": shown(hot.folder.failed),
            "profile": shown(hot.folder.profile),
            "state": state,
            "reason": reason,
            "by": hot.by,
            "settling": len(hot.settling),
            "held": len(hot.settling.held),
            "queued": counts.get("queued", 0) + counts.get("waiting", 0),
            "running": counts.get("running", 0) + counts.get("rendered", 0) + counts.get("published", 0),
            "done": counts.get("done", 0),
            "failed_count": counts.get("failed", 0),
            "skipped": counts.get("skipped", 0) + counts.get("cancelled", 0),
            "missed_events": hot.missed,
            "restarts": hot.restarts,
            "last_scan": iso(hot.last_scan),
            "free_bytes": disk.free_bytes(hot.folder.output) or 0,
            "oldest_pending_s": round(now - min(since), 1) if since else None,
        }

    def _state(self, root: str, hot: HotFolder, now: float) -> tuple[str, str]:
        if hot.offline:
            return "offline", hot.offline
        if self._daemon.ledger.setting(f"paused:{root}"):
            return "paused", "on request"
        if pause := self._daemon.pauses.of(root):
            return "paused", f"{pause.sentence}; tried again in {max(0.0, pause.again - now):.0f} s"
        return "watching", ""

    def _current(self, item: Any) -> dict[str, Any]:
        return {
            "job": item.job.id,
            "folder": shown(item.job.folder),
            "file": shown(item.job.relpath),
            "stage": item.stage,
            "done": item.done,
            "total": item.total,
            "eta_s": item.eta_s,
        }

    def _waiting(self, now: float) -> Iterator[dict[str, Any]]:
        left, wall = _WAITING, time.time()
        for root, hot in list(self._daemon.hot.items()):
            held = [(name, "held", hold.reason, hold.since) for name, hold in list(hot.settling.held.items())]
            settling = [(wait.relpath, "settling", wait.reason, wait.since) for wait in _few(hot, left)]
            for name, state, reason, since in (held + settling)[:left]:
                left -= 1
                when = iso(wall - (now - since))
                yield _wait(root, name, state, reason, when, None)
        for job in self._daemon.ledger.in_state(State.WAITING, State.QUEUED, limit=max(left, 0)):
            reason = job.sentence if job.state == State.WAITING else "its turn comes"
            yield _wait(job.folder, job.relpath, "queued", reason or "", iso(job.updated), job.id)

    def _recent(self, job: Job) -> dict[str, Any]:
        previews = {}
        for which in ("before", "after"):
            name = f"{job.id}-{which}.jpg"
            there = (self._daemon.work.previews / name).exists()
            previews[which] = f"/previews/{name}" if there else None
        return {
            "job": job.id,
            "folder": shown(job.folder),
            "file": shown(job.relpath),
            "target": shown(job.target) if job.target else None,
            "state": job.state.value,
            "sentence": job.sentence or "",
            "seconds": job.seconds,
            "megapixels": job.megapixels,
            "finished": iso(job.updated),
            **previews,
        }

    def _counters(self, counts: dict[str, dict[str, int]]) -> dict[str, Any]:
        daemon = self._daemon

        def total(state: State) -> int:
            return sum(folder.get(state.value, 0) for folder in counts.values())

        return {
            "done": total(State.DONE),
            "failed": total(State.FAILED),
            "skipped": total(State.SKIPPED),
            "megapixels": round(daemon.megapixels, 3),
            "by_class": daemon.ledger.failures_by_class(),
            "stage_seconds": {name: list(value) for name, value in daemon.work.stages.seconds.items()},
            "config_reloads_ok": daemon.reloads_ok,
            "config_reloads_failed": daemon.reloads_failed,
        }


def folders_at_rest(config: Config, ledger: Ledger) -> list[dict[str, Any]]:
    """Folders and counts while no daemon runs."""
    counts = ledger.count()
    return [
        {"watch": shown(folder.watch), "output": shown(folder.output), **counts.get(str(folder.watch), {})}
        for folder in config.folders
    ]


def _few(hot: HotFolder, most: int) -> list[Any]:
    found: list[Any] = []
    for wait in hot.settling.waiting():
        if len(found) >= most:
            break
        found.append(wait)
    return found


def _wait(  # noqa: PLR0917 - the columns of a table, in order
    root: str, name: str, state: str, reason: str, since: str | None, job: int | None
) -> dict[str, Any]:
    return {
        "folder": shown(root),
        "file": shown(name),
        "state": state,
        "reason": reason,
        "since": since,
        "job": job,
    }


def _failure(job: Job) -> dict[str, Any]:
    return {
        "job": job.id,
        "folder": shown(job.folder),
        "file": shown(job.relpath),
        "sentence": job.sentence or "",
        "hint": job.hint or "",
        "class": job.failure or "",
        "attempts": job.attempts,
        "when": iso(job.updated),
    }


def _pid() -> int:
    import os  # noqa: PLC0415

    return os.getpid()


def _version() -> str:
    from scanmend import __version__  # noqa: PLC0415 - read from the installed package, once

    return str(__version__)
