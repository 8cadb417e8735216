"""What the daemon says: a line for each event, and in a terminal one that shows how work goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TextIO

from scanmend_daemon.words import shown

_MOST_A_SECOND = 50
_WIDEST = 400


class Log:
    """Lines on standard error, from any thread.

    Args:
        out: where to; standard error if not given.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = sys.stderr if out is None else out
        self._lock = threading.Lock()
        self._live = ""
        self.terminal = self._out.isatty()
        # The journal stamps each line itself.
        self._stamped = "JOURNAL_STREAM" not in os.environ
        self._second, self._lines, self._dropped = 0, 0, 0

    def say(self, sentence: str) -> None:
        """One event, one line, whatever a file's name does. A flood of them is cut, and counted."""
        sentence = shown(sentence)
        with self._lock:
            if self._flooded():
                return
            line = sentence if len(sentence) <= _WIDEST else f"{sentence[: _WIDEST - 3]}..."
            stamp = time.strftime("%H:%M:%S ") if self._stamped else ""
            self._write(f"{self._clear()}{stamp}{line}\n{self._live}")

    def live(self, line: str) -> None:
        """Replaces the last line of a terminal; does nothing elsewhere."""
        if not self.terminal or line == self._live:
            return
        with self._lock:
            shorter = line[: self._width()]
            self._write(f"{self._clear()}{shorter}")
            self._live = shorter

    def _width(self) -> int:
        try:
            return max(20, os.get_terminal_size(self._out.fileno()).columns - 1)
        except (OSError, ValueError):  # the terminal was closed; the daemon goes on
            return 79

    def _clear(self) -> str:
        return "\r\x1b[2K" if self._live else ""

    def _flooded(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            if self._dropped:
                self._write(f"{self._clear()}{self._dropped} lines more were left out\n")
            self._second, self._lines, self._dropped = second, 0, 0
        self._lines += 1
        self._dropped += self._lines > _MOST_A_SECOND
        return self._lines > _MOST_A_SECOND

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal must not stop the daemon
            self._out.write(text)
            self._out.flush()
