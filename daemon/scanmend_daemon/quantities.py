"""Durations and sizes as people write them: `5s`, `10m`, `1m30s`; `16GiB`, `500 MB`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import PlainValidator, WithJsonSchema

Amount = TypeVar("Amount", int, float)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PREFIXES = "kmgtp"
# No size or time is longer, and no number of eighteen digits is infinite as a float.
_NUMBER = r"\d{1,18}(?:\.\d{1,18})?"
_PIECE = rf"({_NUMBER})\s*(ms|min|s|m|h|d)\s*"
_DURATION = rf"(?:{_PIECE})+"
_SIZE = rf"({_NUMBER})\s*(?:([kmgtp])(i?))?(?:b|bytes?)?"


def seconds_of(text: str) -> float:
    """A duration in seconds; a bare number means seconds.

    Raises:
        ValueError: it is none.
    """
    wanted = text.strip().lower()
    if re.fullmatch(_NUMBER, wanted, re.ASCII):
        return float(wanted)
    if not re.fullmatch(_DURATION, wanted, re.ASCII):
        raise ValueError(f"{text[:40]!r} is no duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PIECE, wanted, re.ASCII))


def bytes_of(text: str) -> int:
    """A size in bytes; a bare number means bytes. MB is a million, MiB 1024 * 1024.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(_SIZE, text.strip().lower(), re.ASCII)
    if not found:
        raise ValueError(f"{text[:40]!r} is no size")
    number, prefix, binary = found.groups()
    power = _PREFIXES.index(prefix) + 1 if prefix else 0
    # A whole number stays one: a float is exact up to 2**53 only.
    return round((float if "." in number else int)(number) * (1024 if binary else 1000) ** power)


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
        return _between(seconds_of(_text_of(value)), self.low, self.high)

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
        return _between(bytes_of(_text_of(value)), self.low, self.high)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        allowed = f"a size from {size_text(self.low)} to {size_text(self.high)}, such as 2GiB"
        return handler.generate_schema(_reading(self.read, allowed))


def _between(amount: Amount, low: Amount, high: Amount) -> Amount:
    if not low <= amount <= high:
        raise ValueError
    return amount


def _text_of(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError  # noqa: TRY004 - pydantic turns ValueError into its own
    return value if isinstance(value, str) else f"{value!r}"


def _reading(read: Any, allowed: str) -> Any:
    def quietly(value: object) -> Any:
        try:
            return read(value)
        except ValueError:  # what is allowed says it all
            raise ValueError from None

    schema = {"title": allowed, "anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}
    return Annotated[Any, PlainValidator(quietly), WithJsonSchema(schema)]
