"""How the daemon speaks: names, times and amounts as people read them."""

from __future__ import annotations

import os
import unicodedata
from datetime import datetime, timezone

_MINUTE = 60
_HOUR = 3600


def shown(path: str | os.PathLike[str]) -> str:
    r"""A name as text that every terminal, log and JSON file can hold.

    Bytes that are no UTF-8 become `\xNN`, control characters `\u001b` and the like, so that no
    file name can forge a line of the log.
    """
    try:
        text = os.fsencode(os.fspath(path)).decode("utf-8", errors="backslashreplace")
    except UnicodeEncodeError:  # half a character that no file name holds, such as JSON may bring
        text = os.fspath(path).encode("utf-8", errors="backslashreplace").decode("utf-8")
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def name_key(name: str) -> str:
    """The same for names that some disk takes for one: case and Unicode composition put aside."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def iso(moment: float | None) -> str | None:
    """A wall-clock time (seconds since 1970) as ISO 8601 in UTC, to the second."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, tz=timezone.utc).isoformat(timespec="seconds")


def duration(seconds: float) -> str:
    """Seconds as "3.2 s", "4 min 10 s" or "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def size(amount: int) -> str:
    """Bytes as "512 bytes", "3.1 MiB" and so on."""
    value = float(amount)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{amount} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
