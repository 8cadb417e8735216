"""Amounts and times as the page has them: rougher than a log's, so that nothing on it flickers."""

from __future__ import annotations

from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_JUST_NOW = 10  # seconds: the page is no clock


def moment(text: str) -> datetime:
    """A time of the snapshot; Python 3.10 does not read the Z that may end it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def local(text: str) -> str:
    """A time of the snapshot as the clock on this machine's wall had it."""
    return moment(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def roughly(seconds: float) -> str:
    """How long, in the one unit that says enough."""
    whole = max(1, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{round(whole / _MINUTE)} min"
    return f"{round(whole / _HOUR)} h" if whole < 2 * _DAY else f"{round(whole / _DAY)} days"


def ago(then: str, now: str) -> str:
    """How long before `now` something was."""
    seconds = (moment(now) - moment(then)).total_seconds()
    return "just now" if seconds < _JUST_NOW else f"{roughly(seconds)} ago"


def count(number: int, one: str, many: str = "") -> str:
    """A number and its noun: 1 scan, 1,204 scans."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
