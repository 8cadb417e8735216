"""GIMP's progress bar, told what the engine says."""

from __future__ import annotations

import time

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402 - versions come first

_EVERY = 0.1  # seconds between two updates: each one goes to GIMP and back


class Progress:
    """GIMP's progress bar for one restoration."""

    def __init__(self, text: str) -> None:
        Gimp.progress_init(text)
        self._next = 0.0

    def say(self, text: str) -> None:
        """Shows what is being waited for."""
        Gimp.progress_set_text(text)
        Gimp.progress_pulse()

    def update(self, share: float | None, text: str) -> None:
        """Shows how far it is, from 0 to 1 or None where that is not known, and what goes on."""
        now = time.monotonic()
        if now < self._next and share != 1.0:
            return
        self._next = now + _EVERY
        if share is None:
            self.say(text)
        else:
            Gimp.progress_set_text(text)
            Gimp.progress_update(share)

    def end(self) -> None:
        """Clears the bar."""
        Gimp.progress_end()
