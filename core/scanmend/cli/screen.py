"""What a person sees while files are restored: a bar in a terminal, now and then a line elsewhere.

All of it goes to standard error; standard output is for results.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from scanmend.cli import out, words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanmend.pipeline import Progress

_LINE_EVERY = 30.0  # seconds between two lines about one file, where there is no terminal
_NAME_WIDTH = 32


class Screen:
    """Shows nothing but errors; the others add to it."""

    def begin(self, source: Path, number: int) -> None:
        """A file is begun; numbers count from 1."""

    def progress(self, progress: Progress) -> None:
        """A tile of the file is done."""

    def end(self) -> None:
        """The file is done with."""

    def line(self, text: str) -> None:
        """A sentence about what was done."""

    def error(self, text: str) -> None:
        """A sentence about what went wrong; shown always."""
        out.remark(text)

    def close(self) -> None:
        """Nothing more is shown."""


class Lines(Screen):
    """Plain lines, for logs and pipes.

    Args:
        files: how many there are in all.
        clock: seconds that only rise.
    """

    def __init__(self, files: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._clock = files, clock
        self._name = ""
        self._started = self._said = 0.0

    def begin(self, source: Path, number: int) -> None:
        counted = f" ({number} of {self._files})" if self._files > 1 else ""
        self._name = f"{source}{counted}"
        self._started = self._said = self._clock()

    def progress(self, progress: Progress) -> None:
        now = self._clock()
        if now - self._said < _LINE_EVERY:
            return
        self._said = now
        rate = progress.done / (now - self._started)
        left = (progress.total - progress.done) / rate if rate else 0.0
        share = f"{progress.done:.1f} of {progress.total:.1f} MP"
        out.remark(f"{self._name}: {share}, {words.megapixels(rate)}/s, about {left:.0f} s left")

    def line(self, text: str) -> None:
        out.remark(text)


class Bar(Screen):
    """A bar with the file's name, its speed and the time it still takes; a second one for the batch.

    Args:
        files: how many there are in all.
    """

    def __init__(self, files: int) -> None:
        from rich import progress as rich_progress  # noqa: PLC0415 - a tenth of a second
        from rich.console import Console  # noqa: PLC0415

        self._files = files
        self._bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.fields[amount]}", markup=False),
            rich_progress.TextColumn("{task.fields[rate]}", markup=False),
            rich_progress.TimeRemainingColumn(),
            console=Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True),
            transient=True,
        )
        self._batch = self._bar.add_task("all files", total=files, amount="", rate="", visible=files > 1)
        self._file = self._bar.add_task("", total=None, amount="", rate="")
        self._before, self._started = 0, 0.0
        self._bar.start()

    def begin(self, source: Path, number: int) -> None:
        self._before, self._started = number - 1, time.monotonic()
        self._bar.reset(self._file, total=None, description=_short(source.name), amount="measuring", rate="")
        self._bar.update(self._batch, amount=f"{self._before} of {self._files}")

    def progress(self, progress: Progress) -> None:
        rate = progress.done / max(time.monotonic() - self._started, 1e-6)
        page = f", page {progress.page} of {progress.pages}" if progress.pages > 1 else ""
        self._bar.update(
            self._file,
            total=progress.total,
            completed=progress.done,
            amount=f"{progress.done:.1f} of {progress.total:.1f} MP{page}",
            rate=f"{words.megapixels(rate)}/s",
        )
        share = progress.done / progress.total if progress.total else 0.0
        self._bar.update(self._batch, completed=self._before + share)

    def end(self) -> None:
        self._bar.update(
            self._batch, completed=self._before + 1, amount=f"{self._before + 1} of {self._files}"
        )

    def line(self, text: str) -> None:
        self._bar.console.print(text)

    def error(self, text: str) -> None:
        self._bar.console.print(text, style="red")

    def close(self) -> None:
        self._bar.stop()


def choose(files: int, *, quiet: bool, json: bool) -> Screen:
    """The screen that suits where the output goes."""
    if quiet:
        return Screen()
    mixed = json and sys.stdout.isatty()  # JSON and a bar would write into each other
    return Bar(files) if sys.stderr.isatty() and not mixed else Lines(files)


def _short(name: str) -> str:
    if len(name) <= _NAME_WIDTH:
        return name
    half = (_NAME_WIDTH - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
