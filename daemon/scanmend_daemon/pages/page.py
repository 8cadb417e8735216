"""The status page itself: the snapshot as one HTML document.

Every part has an id that stays from one rendering to the next, by which the page's script finds what changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanmend_daemon import words
from scanmend_daemon.pages import say
from scanmend_daemon.pages.html import Markup, element, together

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]

_STATES = {"watching": "Watching", "paused": "Paused", "offline": "Offline"}
_WAITING = {"settling": "Settling", "held": "Held", "queued": "In the queue"}
_RECENT = {"done": "Restored", "failed": "Failed", "skipped": "Nothing to do"}
_ENGINE = {
    "ready": "ready",
    "starting": "starting",
    "down": "down",
    "idle": "asleep until a scan comes",
}
_REFRESH_S = 10  # without the script the whole page is loaded again, so not often


def render(view: Row, *, acting: bool) -> bytes:
    """The page.

    Args:
        view: the daemon's snapshot.
        acting: whether whoever asks may also pause, retry and cancel.
    """
    body = together(
        _header(view),
        element(
            "main",
            _notices(view, acting=acting),
            _current(view),
            _failures(view, acting=acting),
            _folders(view, acting=acting),
            _waiting(view, acting=acting),
            _recent(view),
            id="page",
        ),
        _footer(view),
    )
    return _document(_title(view), body)


def message(title: str, sentence: str, hint: str = "") -> bytes:
    """A page that says one thing, for what went wrong without a script."""
    said = element("p", sentence, class_="sentence")
    advice = element("p", hint, class_="hint") if hint else None
    back = element("p", element("a", "Back to the hot folder", href="/"))
    body = element("main", element("section", element("h1", title), said, advice, back, class_="card alone"))
    return _document(f"{title} - Scanmend", body, refreshing=False)


def _document(title: str, body: Markup, *, refreshing: bool = True) -> bytes:
    again = element("noscript", element("meta", http_equiv="refresh", content=_REFRESH_S))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="/icon.svg", type="image/svg+xml"),
        element("link", rel="stylesheet", href="/page.css"),
        element("script", src="/page.js", defer=True) if refreshing else None,
        again if refreshing else None,
    )
    page = together(Markup("<!doctype html>\n"), element("html", head, element("body", body), lang="en"))
    return page.encode("utf-8", "backslashreplace")


def _title(view: Row) -> str:
    lead = f"{len(view['failures'])} failed - " if view["failures"] else ""
    queue = f"{view['rate']['queue']} in the queue - " if view["rate"]["queue"] else ""
    return f"{lead}{queue}Scanmend"


def _header(view: Row) -> Markup:
    mark = element("img", src="/icon.svg", alt="", width=28, height=28)
    name = element("h1", mark, "Scanmend", element("span", "hot folder", class_="quiet"))
    return element(
        "header", name, element("p", *_pulse(view), id="pulse"), element("p", id="said", role="status")
    )


def _pulse(view: Row) -> list[Markup | str]:
    """The state of everything in one line."""
    if not view["running"]:
        return [_dot("bad"), "The hot folder is stopped."]
    engine = view["engine"]
    state = _ENGINE.get(engine["state"], engine["state"])
    device = f" on {engine['device']}" if engine["device"] and engine["state"] == "ready" else ""
    rate = view["rate"]["megapixels_per_s"]
    speed = f", {rate:.2f} megapixels a second" if rate else ""
    dot = {"down": "bad", "starting": "wait"}.get(engine["state"], "good")
    return [_dot(dot), f"Engine {state}{device}{speed}"]


def _dot(kind: str) -> Markup:
    return element("span", class_=f"dot {kind}", aria_hidden="true")


def _notices(view: Row, *, acting: bool) -> Markup:
    notes = []
    if view["engine"]["state"] == "down":
        notes.append(_notice("bad", "The engine is down.", view["engine"]["sentence"]))
    if view["config"]["error"]:
        kept = "The configuration file is not valid; the last good one stays in force."
        notes.append(_notice("warn", kept, view["config"]["error"]))
    if not acting:
        how = "To pause folders and try scans again from here, open the address that scanmend status prints."
        notes.append(_notice("note", how))
    return element("div", *notes, id="notices")


def _notice(kind: str, lead: str, more: str = "") -> Markup:
    return element("p", element("strong", lead), " " if more else None, more, class_=f"notice {kind}")


def _current(view: Row) -> Markup:
    rows = [_running(job, view) for job in view["current"]]
    if not rows:
        waiting = view["rate"]["queue"]
        idle = "Nothing is being restored." if waiting else "All done. New scans are restored as they arrive."
        rows = [element("p", idle, class_="quiet", id="idle")]
    return element("section", element("h2", "Now"), *rows, _queue(view["rate"]), id="now", class_="card")


def _running(job: Row, view: Row) -> Markup:
    left = f"about {say.roughly(job['eta_s'])} left" if job["eta_s"] is not None else ""
    share = f"{job['done'] / job['total']:.0%}".replace("%", " %") if job["total"] else ""
    told = ", ".join(part for part in (job["stage"], share, left) if part)
    known = {"value": job["done"], "max": job["total"]} if job["total"] else {}
    return element(
        "div",
        _scan(job, view),
        element("progress", aria_label=f"Progress of {job['file']}", **known),
        element("p", told, class_="quiet"),
        id=f"current-{job['job']}",
        class_="running",
    )


def _scan(row: Row, view: Row) -> Markup:
    """A scan's name, and its folder's where there are several."""
    several = len(view["folders"]) > 1
    folder = element("span", row["folder"], class_="where") if several else None
    return element("p", element("strong", row["file"], class_="file"), " " if several else None, folder)


def _queue(rate: Row) -> Markup | None:
    if not rate["queue"]:
        return None
    left = f", about {say.roughly(rate['eta_s'])} of work" if rate["eta_s"] is not None else ""
    return element("p", f"{say.count(rate['queue'], 'scan')} in the queue{left}.", id="queue")


def _failures(view: Row, *, acting: bool) -> Markup | None:
    failures = view["failures"]
    if not failures:
        return None
    everything = (
        _button("retry", "Try all again", {"all": "1"}, "retry-all") if acting and len(failures) > 1 else None
    )
    head = element("div", element("h2", "Needs attention"), everything, class_="head")
    rows = [_failure(row, view, acting=acting) for row in failures]
    return element("section", head, element("ul", *rows, class_="plain"), id="failures", class_="card bad")


def _failure(row: Row, view: Row, *, acting: bool) -> Markup:
    tries = f"{say.count(row['attempts'], 'try', 'tries')}, the last " if row["attempts"] > 1 else "Failed "
    told = element(
        "div",
        _scan(row, view),
        element("p", row["sentence"], class_="sentence"),
        element("p", row["hint"], class_="hint") if row["hint"] else None,
        element("p", tries, _time(row["when"], view["now"]), class_="quiet"),
    )
    again = _button("retry", "Try again", {"job": row["job"]}, f"retry-{row['job']}") if acting else None
    return element("li", told, again, id=f"failure-{row['job']}", class_="row")


def _folders(view: Row, *, acting: bool) -> Markup:
    cards = [_folder(n, folder, view["now"], acting=acting) for n, folder in enumerate(view["folders"])]
    title = element("h2", "Folders" if len(cards) != 1 else "Folder")
    return element("section", title, element("div", *cards, class_="folders"), id="folders")


def _folder(number: int, folder: Row, now: str, *, acting: bool) -> Markup:
    state = folder["state"]
    kind = {"watching": "good", "paused": "wait"}.get(state, "bad")
    act, label = ("resume", "Resume") if state == "paused" else ("pause", "Pause")
    button = _button(act, label, {"folder": folder["watch"]}, f"{act}-{number}") if acting else None
    badge = element("span", _dot(kind), _STATES.get(state, state), class_="badge")
    return element(
        "article",
        element("div", badge, button, class_="head"),
        element("h3", folder["watch"], class_="path"),
        element("p", "restored into ", element("span", folder["output"], class_="path"), class_="quiet"),
        element("p", folder["reason"], class_=f"notice {'bad' if kind == 'bad' else 'warn'}")
        if folder["reason"]
        else None,
        element("dl", *_numbers(folder), class_="numbers"),
        element("p", *_facts(folder, now), class_="quiet facts"),
        id=f"folder-{number}",
        class_="card folder",
    )


def _numbers(folder: Row) -> list[Markup]:
    waiting = folder["settling"] + folder["queued"] + folder["running"]
    shown = [("Restored", folder["done"], ""), ("Waiting", waiting, "")]
    shown += [("Held", folder["held"], "wait")] if folder["held"] else []
    shown += [("Failed", folder["failed_count"], "bad" if folder["failed_count"] else "")]
    shown += [("Nothing to do", folder["skipped"], "")] if folder["skipped"] else []
    return [
        element("div", element("dt", name), element("dd", f"{number:,}"), class_=kind or None)
        for name, number, kind in shown
    ]


def _facts(folder: Row, now: str) -> list[Markup | str]:
    seen = "watched by events" if folder["by"] == "events" else "looked through regularly"
    facts: list[Markup | str] = [f"Profile {folder['profile']}; {seen}"]
    if folder["last_scan"]:
        facts += ["; last looked through ", _time(folder["last_scan"], now)]
    if folder["free_bytes"] is not None:
        facts.append(f"; {words.size(folder['free_bytes'])} free")
    if folder["oldest_pending_s"] is not None:
        facts.append(f"; the oldest scan has waited {say.roughly(folder['oldest_pending_s'])}")
    return [*facts, "."]


def _waiting(view: Row, *, acting: bool) -> Markup | None:
    rows = [_waiter(row, view, acting=acting) for row in view["waiting"]]
    if not rows:
        return None
    folders = view["folders"]
    total = sum(folder["settling"] + folder["held"] + folder["queued"] for folder in folders)
    rest = total - len(rows)
    more = element("p", f"and {rest:,} more.", class_="quiet", id="more") if rest > 0 else None
    title = element("h2", "Waiting")
    return element("section", title, element("ul", *rows, class_="plain"), more, id="waiting", class_="card")


def _waiter(row: Row, view: Row, *, acting: bool) -> Markup:
    state = [_WAITING.get(row["state"], row["state"]), f": {row['reason']}" if row["reason"] else ""]
    since = (", since ", _time(row["since"], view["now"])) if row["since"] else ()
    told = element(
        "div",
        _scan(row, view),
        element("p", *state, *since, class_="quiet"),
    )
    name = f"{row['folder']}/{row['file']}"
    button = None
    if acting and row["state"] == "held":
        button = _button("release", "Restore it", {"file": name}, f"release {name}")
    elif acting and row["job"] is not None:
        button = _button("cancel", "Cancel", {"job": row["job"]}, f"cancel-{row['job']}")
    return element("li", told, button, id=f"waiting {name}", class_=f"row {row['state']}")


def _recent(view: Row) -> Markup:
    rows = [_result(row, view["now"]) for row in view["recent"]]
    empty = element("p", "Results appear here, with a piece of each scan before and after.", class_="quiet")
    grid = element("div", *rows, class_="results") if rows else empty
    return element("section", element("h2", "Last results"), grid, id="recent")


def _result(row: Row, now: str) -> Markup:
    kind = {"done": "good", "failed": "bad"}.get(row["state"], "quiet")
    return element(
        "article",
        _pictures(row),
        element(
            "div",
            element("p", element("strong", row["file"], class_="file")),
            element("p", row["sentence"]) if row["sentence"] else None,
            element("p", "into ", element("span", row["target"], class_="path"), class_="quiet")
            if row["target"]
            else None,
            element(
                "p",
                _dot(kind),
                f"{_RECENT.get(row['state'], row['state'])} ",
                _time(row["finished"], now),
                class_="quiet",
            ),
            class_="told",
        ),
        id=f"result-{row['job']}",
        class_="card result",
    )


def _pictures(row: Row) -> Markup | None:
    shown = [(row[key], word) for key, word in (("before", "Before"), ("after", "After")) if row[key]]
    if not shown:
        return None
    figures = [
        element(
            "figure",
            element("a", element("img", src=link, alt=f"{word}: {row['file']}", loading="lazy"), href=link),
            element("figcaption", word),
        )
        for link, word in shown
    ]
    return element("div", *figures, class_="pair")


def _footer(view: Row) -> Markup:
    config = view["config"]["path"] or "no configuration file: sensible defaults"
    since = say.local(view["started"])
    return element(
        "footer",
        element(
            "p",
            f"Scanmend {view['version']}, running since {since}, process {view['pid']}.",
        ),
        element("p", "Settings: ", element("span", config, class_="path")),
        element("p", "Ledger: ", element("span", view["state_dir"], class_="path")),
        id="footer",
    )


def _time(then: str, now: str) -> Markup:
    return element("time", say.ago(then, now), datetime=then, title=say.local(then))


def _button(action: str, label: str, fields: Mapping[str, object], name: str) -> Markup:
    """A form of one button, which works without a script."""
    hidden = [element("input", type="hidden", name=key, value=str(value)) for key, value in fields.items()]
    press = element("button", label, id=name)
    return element("form", *hidden, press, method="post", action=f"/actions/{action}")
