"""How the command speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import traceback
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scanmend.errors import ScanmendError

_PIPE_WIDTH = 200  # columns of a table that goes into a file or a pipe


def say(text: str) -> None:
    """A line of result, on standard output."""
    typer.echo(text)


def remark(text: str) -> None:
    """A line for people, on standard error."""
    typer.echo(text, err=True)


def complain(error: ScanmendError, cause: BaseException, *, debug: bool) -> None:
    """The error's sentence on standard error; with `debug`, where it came from before it."""
    if debug:
        remark("".join(traceback.format_exception(cause)).rstrip())
    remark(f"scanmend: {error}")


def json_line(values: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own; names that are no text come as escaped surrogates."""
    typer.echo(json.dumps(values))
    sys.stdout.flush()  # a program that reads along must not wait for the end of the batch


def json_document(values: Any) -> None:
    """One indented JSON document."""
    typer.echo(json.dumps(values, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output; long cells wrap."""
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second, where there is a table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    sheet = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        sheet.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    console.print(sheet) if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH).print(sheet)


def exit_code(failures: Sequence[ScanmendError], files: int) -> int:
    """0 where nothing failed; the error's own code where there was one file; else 1."""
    if not failures:
        return 0
    return failures[0].exit_code if files == 1 else 1
