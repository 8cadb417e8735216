"""Durations and sizes as people write them: `5s`, `10m`, `1m30s`; `16GiB`, `500 MB`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PREFIXES = "kmgtp"
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|min|s|m|h|d)\s*)+", re.ASCII)
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtp])(i?))?(?:b|bytes?)?", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def seconds_of(text: str) -> float:
    """A duration in seconds; a bare number means seconds.

    Raises:
        ValueError: it is none.
    """
    wanted = text.strip().lower()
    if _NUMBER.fullmatch(wanted):
        return float(wanted)
    if not _DURATION.fullmatch(wanted):
        raise ValueError(f"{text[:40]!r} is no duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PIECE.findall(wanted))


def bytes_of(text: str) -> int:
    """A size in bytes; a bare number means bytes. MB is a million, MiB 1024 * 1024.

    Raises:
        ValueError: it is none.
    """
    found = _SIZE.fullmatch(text.strip().lower())
    if not found:
        raise ValueError(f"{text[:40]!r} is no size")
    number, prefix, binary = found.groups()
    power = _PREFIXES.index(prefix) + 1 if prefix else 0
    return round(float(number) * (1024 if binary else 1000) ** power)


def duration_text(seconds: float) -> str:
    """A duration as it is written: 90 is "1m30s"."""
    if seconds < 1:
        return f"{seconds:g}s"
    words, rest = "", seconds
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, length)
        words += f"{count:g}{unit}" if count else ""
    return words + (f"{round(rest, 3):g}s" if rest else "")


def size_text(count: int) -> str:
    """A size as it is written: 16 * 2**30 is "16GiB"."""
    for base, suffix in ((1024, "iB"), (1000, "B")):
        for power in range(len(_PREFIXES), 0, -1):
            if count and count % base**power == 0:
                return f"{count // base**power}{_PREFIXES[power - 1].upper()}{suffix}"
    return f"{count}"


@dataclass(frozen=True)
class Duration:
    """Marks a setting as a duration between two others; its value is in seconds."""

    low: float
    high: float

    def read(self, value: object) -> float:
        """Raises ValueError where it does not fit."""
        seconds = seconds_of(_text_of(value))
        if not self.low <= seconds <= self.high:
            raise ValueError(f"it may be {duration_text(self.low)} to {duration_text(self.high)}")
        return seconds

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        allowed = f"a duration from {duration_text(self.low)} to {duration_text(self.high)}, such as 90s"
        return handler.generate_schema(_reading(self.read, allowed))


@dataclass(frozen=True)
class Size:
    """Marks a setting as a size between two others; its value is in bytes."""

    low: int
    high: int

    def read(self, value: object) -> int:
        """Raises ValueError where it does not fit."""
        count = bytes_of(_text_of(value))
        if not self.low <= count <= self.high:
            raise ValueError(f"it may be {size_text(self.low)} to {size_text(self.high)}")
        return count

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        allowed = f"a size from {size_text(self.low)} to {size_text(self.high)}, such as 2GiB"
        return handler.generate_schema(_reading(self.read, allowed))


def _text_of(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError  # noqa: TRY004 - pydantic turns ValueError into its own
    return value if isinstance(value, str) else f"{value!r}"


def _reading(read: Any, allowed: str) -> Any:
    schema = {"title": allowed, "anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}
    return Annotated[Any, PlainValidator(read), WithJsonSchema(schema)]
