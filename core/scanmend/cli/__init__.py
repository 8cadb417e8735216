"""The `scanmend` command.

What the commands and options are stands in `app`; what each does, in a module of its own that is
imported when the command runs. So `scanmend --help` loads neither NumPy nor rich nor torch.
"""

from __future__ import annotations

from typing import NoReturn

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command and ends the process with its exit code.

    Args:
        arguments: without the program's name; those of the process if not given.
    """
    from scanmend.cli.failures import run  # noqa: PLC0415 - so that importing the package costs nothing

    raise SystemExit(run(arguments))
