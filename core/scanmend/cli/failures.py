"""Every way in which the command can end, as one sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from scanmend.errors import Cancelled, EngineError, FormatError, OutOfMemory, PublishError, ScanmendError

if TYPE_CHECKING:
    from pathlib import Path


def run(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code. No error leaves as a traceback."""
    _never_fail_on_a_name()
    debug, arguments = take_debug(sys.argv[1:] if arguments is None else arguments)
    try:
        from scanmend.cli.app import app  # noqa: PLC0415 - Ctrl-C may come while typer is loaded

        app(args=arguments, prog_name="scanmend", obj=debug)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return Cancelled.exit_code
    except BrokenPipeError:
        # The reader of a pipe has left, as `head` does; the interpreter must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as cause:  # noqa: BLE001 - the outermost edge: people get a sentence
        from scanmend.cli import out  # noqa: PLC0415 - as above

        error = as_scanmend_error(cause)
        out.complain(error, cause, debug=debug)
        return error.exit_code
    return 0


def take_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Takes `--debug` out of the arguments, wherever it stands before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return len(options) < end, options + arguments[end:]


def as_scanmend_error(error: Exception, about: Path | None = None) -> ScanmendError:
    """The same error as one of ours, with the file's name in its sentence.

    Args:
        error: anything that was raised.
        about: the file that was being worked on.
    """
    if isinstance(error, ScanmendError):
        return error if about is None else _naming(error, about)
    lead = f"{about}: " if about else ""
    if isinstance(error, MemoryError):
        return OutOfMemory(f"{lead}there was not enough memory", hint="close other programs and try again")
    if isinstance(error, OSError):
        reading = about is not None and error.filename == str(about)
        return (FormatError if reading else PublishError)(f"{lead}{error.strerror or error}")
    if isinstance(error, ModuleNotFoundError):
        return EngineError(f"{lead}the Python package {error.name} is missing", hint="pip install it")
    words = " ".join(str(error).split())[:300]
    return ScanmendError(
        f"{lead}something went wrong that should not: {type(error).__name__}: {words}",
        hint="a fault of Scanmend: run again with --debug for the details, and report them",
    )


def _naming(error: ScanmendError, path: Path) -> ScanmendError:
    if str(path) in error.message:
        return error
    lead = path if path.name not in error.message else path.parent
    return type(error)(f"{lead}: {error.message}", hint=error.hint)


def _never_fail_on_a_name() -> None:
    """File names may hold what the terminal's encoding cannot: they are shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
