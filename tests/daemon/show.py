"""A daemon's view that is fed by hand, for tests of what people see of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scanmend.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

INBOX, NEGATIVES = "/home/ada/Scans/inbox", "/mnt/nas/negatives"
WEDDING, SLIDES = "1931 Hochzeit", "Dias"
NASTY = '<script>alert(1)</script> & "Söhne".tif'
NOW = "2026-03-01T10:00:00+00:00"


def folder(watch: str, **changed: Any) -> dict[str, Any]:
    quiet = {
        "watch": watch, "output": f"{watch}-restored", "failed": f"{watch}-failed", "profile": "prints",
        "state": "watching", "reason": "", "by": "events", "settling": 0, "held": 0, "queued": 0,
        "running": 0, "done": 0, "failed_count": 0, "skipped": 0, "missed_events": 0, "restarts": 0,
        "last_scan": "2026-03-01T09:59:30+00:00", "free_bytes": 81_200_000_000, "oldest_pending_s": None,
    }  # fmt: skip
    return {**quiet, **changed}


def quiet_snapshot() -> dict[str, Any]:
    """A daemon that has just been started and has nothing to do."""
    return {
        "version": "0.1.0", "pid": 4711, "started": "2026-02-27T08:00:00+00:00", "now": NOW, "running": True,
        "state_dir": "/home/ada/.local/state/scanmend/watch/watch-1f2e3d4c",
        "config": {"path": "/home/ada/.config/scanmend/watch.yaml", "loaded": NOW, "error": None},
        "engine": {"state": "idle", "device": "cpu", "sentence": ""},
        "rate": {"megapixels_per_s": None, "eta_s": None, "queue": 0},
        "folders": [folder(INBOX)], "current": [], "waiting": [], "recent": [], "failures": [],
        "counters": {
            "done": 0, "failed": 0, "skipped": 0, "megapixels": 0.0, "by_class": {}, "stage_seconds": {},
            "config_reloads_ok": 0, "config_reloads_failed": 0,
        },
    }  # fmt: skip


def busy_snapshot() -> dict[str, Any]:
    """A daemon in the middle of a week of scanning."""
    view = quiet_snapshot()
    view["engine"] = {"state": "ready", "device": "cpu", "sentence": ""}
    view["rate"] = {"megapixels_per_s": 1.34, "eta_s": 1260.0, "queue": 37}
    view["folders"] = [
        folder(INBOX, settling=2, held=1, queued=37, running=1, done=1204, failed_count=2, skipped=18,
               missed_events=3, oldest_pending_s=640.0),
        folder(NEGATIVES, state="offline", profile="negatives-and-slides", by="polling", done=312, restarts=2,
               reason="nothing is mounted at /mnt/nas; watching goes on when it is back",
               free_bytes=None, last_scan="2026-03-01T07:12:00+00:00"),
    ]  # fmt: skip
    view["current"] = [
        {"job": 1523, "folder": INBOX, "file": f"{WEDDING}/scan0042.tif", "stage": "noise",
         "done": 14, "total": 40, "eta_s": 21.0},
    ]  # fmt: skip
    black = "its lower part is all black, as if the scanner had not finished"
    view["waiting"] = [
        waiting(f"{WEDDING}/scan0047.tif", "settling", "still growing", None),
        waiting(f"{SLIDES}/dia_0012.tif", "held", black, None),
        *(waiting(f"{WEDDING}/scan{n:04}.tif", "queued", "", 1500 + n) for n in range(43, 47)),
    ]
    restored = "noise 9.2/255, restored at strength 1.0"
    view["recent"] = [
        recent(1522, f"{WEDDING}/scan0041.tif", "done", restored, pictures=True),
        recent(1521, f"{WEDDING}/scan0040.tif", "done", restored, pictures=True),
        recent(1520, f"{SLIDES}/dia_0007.tif", "failed", "dia_0007.tif is damaged: it ends early"),
        recent(1519, f"{WEDDING}/scan0039.tif", "skipped", "the same scan was restored before"),
        recent(1518, f"{WEDDING}/scan0038.tif", "done", restored, pictures=True),
    ]
    early = "dia_0007.tif is damaged: it ends early; 212 of its 3000 rows can be read"
    crash, anew = "it crashed the engine three times", "open it in another program and save it anew"
    view["failures"] = [
        failure(1520, f"{SLIDES}/dia_0007.tif", early, "scan or copy it again", "DamagedFile"),
        failure(1399, NASTY, crash, anew, "EngineError"),
    ]
    view["counters"] = {
        "done": 1516, "failed": 2, "skipped": 18, "megapixels": 36_541.5,
        "by_class": {"DamagedFile": 1, "EngineError": 1}, "stage_seconds": {"noise": [27_200.5, 1516]},
        "config_reloads_ok": 4, "config_reloads_failed": 1,
    }  # fmt: skip
    return view


def waiting(file: str, state: str, reason: str, job: int | None) -> dict[str, Any]:
    since = "2026-03-01T09:58:00+00:00"
    return {"folder": INBOX, "file": file, "state": state, "reason": reason, "since": since, "job": job}


def recent(job: int, file: str, state: str, sentence: str, *, pictures: bool = False) -> dict[str, Any]:
    stem, _, ending = file.rpartition(".")
    links = {key: f"/previews/{job}-{key}.jpg" if pictures else None for key in ("before", "after")}
    done = state == "done"
    target = f"{INBOX}-restored/{stem}_restored.{ending}" if done else ""
    return {
        "job": job, "folder": INBOX, "file": file, "state": state, "sentence": sentence,
        "target": target, "seconds": 18.2 if done else 0.0,
        "megapixels": 24.1 if done else 0.0, "finished": "2026-03-01T09:57:20+00:00", **links,
    }  # fmt: skip


def failure(job: int, file: str, sentence: str, hint: str, kind: str) -> dict[str, Any]:
    when = "2026-03-01T09:20:00+00:00"
    row = {"job": job, "folder": INBOX, "file": file, "sentence": sentence, "hint": hint, "class": kind}
    return {**row, "attempts": 3, "when": when}


class Show:
    """Serves a snapshot, and does to it what the daemon would do when it is asked."""

    def __init__(self, snapshot: dict[str, Any], previews: Path) -> None:
        self.token = "t0ken-of-the-test"  # noqa: S105
        self.view = snapshot
        self.well = (True, "")
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._previews = previews

    def snapshot(self) -> dict[str, Any]:
        return self.view

    def alive(self) -> tuple[bool, str]:
        return self.well

    def act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((name, dict(arguments)))
        if name == "retry":
            self._retry(arguments)
        elif name in {"pause", "resume"}:
            for row in self.view["folders"]:
                if arguments.get("folder") in {None, row["watch"]}:
                    row["state"] = "paused" if name == "pause" else "watching"
        elif name == "explain":
            job = {"job": 1548, "state": "queued", "target": None, "sentence": "", "attempts": 2}
            return {
                "file": "scan0050.tif", "folder": INBOX, "state": "queued", "reason": "its turn comes",
                "profile": "prints", "settings": ["prints"], "jobs": [job],
                "output": f"{INBOX}-restored/scan0050_restored.tif",
            }  # fmt: skip
        return {"sentence": f"{name}: done"}

    def preview(self, name: str) -> Path | None:
        known = {link for row in self.view["recent"] for link in (row["before"], row["after"])}
        if f"/previews/{name}" not in known:
            return None
        path = self._previews / name
        path.write_bytes(_picture(int(name.partition("-")[0]), clean="after" in name))
        return path

    def _retry(self, arguments: Mapping[str, Any]) -> None:
        known = {row["job"] for row in self.view["failures"]}
        wanted = known if arguments.get("all") else {arguments.get("job")}
        if not wanted <= known:
            raise UsageError(f"there is no failed job {arguments['job']}", hint="scanmend status lists them")
        self.view["failures"] = [row for row in self.view["failures"] if row["job"] not in wanted]


def _picture(seed: int, *, clean: bool) -> bytes:
    """A soft picture, with grain or without."""
    y, x = np.mgrid[0:320, 0:320] / 320
    base = (
        90
        + 90 * np.exp(-((x - 0.5) ** 2 + (y - 0.35 - seed % 5 / 20) ** 2) * 9)
        + 40 * (y > 0.7 + 0.1 * np.sin(6 * x))
    )
    noise = np.random.default_rng(seed).normal(0, 2 if clean else 16, (320, 320))
    pixels = (base + noise)[..., None] * (1.0, 0.93, 0.82)
    made = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(made, "JPEG", quality=90)
    return made.getvalue()
