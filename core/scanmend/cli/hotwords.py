"""The daemon's view and answers, as lines for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanmend_daemon import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Row = Mapping[str, Any]

_FEW = 10  # rows of a list that a terminal is given
_AMOUNTS = {
    "settling": "settling",
    "held": "held",
    "queued": "in the queue",
    "running": "being restored",
    "done": "restored",
    "failed_count": "failed",
    "skipped": "with nothing to do",
}
_EXPLAINED = {
    "folder": "hot folder",
    "state": "state",
    "reason": "why",
    "profile": "profile",
    "output": "result",
}


def daemon(view: Row, page: str | None) -> Iterator[str]:
    """All that a person wants to know about one daemon."""
    if view["running"]:
        yield f"Scanmend {view['version']} is running, process {view['pid']}"
    else:
        config = view["config"]["path"]
        how = f"scanmend watch {config or view['folders'][0]['watch']}" if config or view["folders"] else ""
        yield f"The hot folder is stopped ({how} starts it); as it stood at {view['now']}:"
    if page:
        yield f"  status page  {page}"
    yield f"  engine       {view['engine']['sentence'] or _engine(view['engine'])}"
    if view["config"]["error"]:
        yield f"  settings     not valid, the last good ones stay in force: {view['config']['error']}"
    yield from _work(view)
    for folder in view["folders"]:
        yield from _folder(folder)
    yield from _held(view)
    yield from _failures(view)


def explanation(file: str, told: Row) -> Iterator[str]:
    """Why a file is where it is, and what became of it so far."""
    yield file
    for key, label in _EXPLAINED.items():
        if told.get(key):
            yield f"  {label:<12} {told[key]}"
    if told.get("settings"):
        yield f"  {'settings':<12} {', '.join(map(str, told['settings']))}"
    if told.get("trouble"):
        yield f"  {'trouble':<12} {told['trouble']}"
    for job in told.get("jobs", ()):
        tries = f" after {job['attempts']} tries" if job["attempts"] > 1 else ""
        outcome = job["target"] or job["sentence"] or ""
        yield f"  job {job['job']:<8} {job['state']}{tries}{': ' if outcome else ''}{outcome}"


def answer(told: Row) -> Iterator[str]:
    """What the daemon did, and what it found wrong."""
    yield from map(str, told.get("problems", ()))
    yield str(told.get("sentence") or "done")


def _engine(engine: Row) -> str:
    return f"{engine['state']} on {engine['device']}" if engine["device"] else str(engine["state"])


def _work(view: Row) -> Iterator[str]:
    rate = view["rate"]
    if rate["queue"]:
        left = f", about {words.duration(rate['eta_s'])} of work" if rate["eta_s"] is not None else ""
        speed = f" at {rate['megapixels_per_s']:.2f} MP/s" if rate["megapixels_per_s"] else ""
        yield f"  queue        {rate['queue']}{left}{speed}"
    for job in view["current"]:
        share = f" {job['done'] / job['total']:.0%}".replace("%", " %") if job["total"] else ""
        left = f", {words.duration(job['eta_s'])} left" if job["eta_s"] is not None else ""
        yield f"  now          {job['file']}: {job['stage']}{share}{left}"


def _folder(folder: Row) -> Iterator[str]:
    yield f"\n  {folder['watch']} -> {folder['output']}"
    reason = f": {folder['reason']}" if folder["reason"] else ""
    yield f"    {folder['state']}{reason}; profile {folder['profile']}; by {folder['by']}"
    amounts = [f"{folder[key]:,} {label}" for key, label in _AMOUNTS.items() if folder[key]]
    yield f"    {', '.join(amounts) or 'nothing so far'}"


def _held(view: Row) -> Iterator[str]:
    held = [row for row in view["waiting"] if row["state"] == "held"]
    if held:
        yield "\n  held; scanmend release FILE lets one go:"
    for row in held[:_FEW]:
        yield f"    {row['folder']}/{row['file']}: {row['reason']}"
    if len(held) > _FEW:
        yield f"    and {len(held) - _FEW} more"


def _failures(view: Row) -> Iterator[str]:
    failures = view["failures"]
    if failures:
        yield "\n  failed; scanmend retry NUMBER tries one again:"
    for row in failures[:_FEW]:
        yield f"    {row['job']:>5}  {row['folder']}/{row['file']}: {row['sentence']}"
        if row["hint"]:
            yield f"           -> {row['hint']}"
    if len(failures) > _FEW:
        yield f"    and {len(failures) - _FEW} more; --json lists up to 50"
