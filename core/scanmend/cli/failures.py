"""Every way in which the command can end, as one sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
import sys

from scanmend.errors import Cancelled, as_scanmend_error


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


def _never_fail_on_a_name() -> None:
    """File names may hold what the terminal's encoding cannot: they are shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
