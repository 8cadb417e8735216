"""The error tree: one small class for each thing that can go wrong, with its exit code.

    ScanmendError
     +- UsageError            2   the command line asks for something that makes no sense
     +- ProfileError          3   a profile or a setting is not valid
     +- FormatError           4   a file cannot be read or written as a picture
     |   +- UnsupportedFormat 4   a valid file of a kind that Scanmend does not handle
     |   +- DamagedFile       4   the file contradicts itself or ends too early
     |   +- LimitExceeded     4   the file asks for more than the limits allow
     +- ModelError            5   a model is missing, altered or does not fit
     +- EngineError           6   inference failed
     |   +- OutOfMemory       6   not even the smallest tile fits
     +- PublishError          7   the result could not be put in its place
     |   +- TargetExists      7   something already stands there
     +- Cancelled           130   the person or the caller asked to stop

Exit code 1 means that some of several files failed; 0 that all went well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class ScanmendError(Exception):
    """Something went wrong that one clear sentence can explain.

    Args:
        message: what is wrong, with which file or key.
        hint: what to do about it; empty where the message already says so.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def to_dict(self) -> dict[str, str | int]:
        """JSON-ready values, as the commands print them and the engine process answers."""
        return {
            "class": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class UsageError(ScanmendError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class ProfileError(ScanmendError):
    """A profile or a setting is not valid."""

    exit_code = 3


class FormatError(ScanmendError):
    """A file cannot be read or written as a picture."""

    exit_code = 4


class UnsupportedFormat(FormatError):  # noqa: N818 - reads as the sentence it stands for
    """A valid file of a kind that Scanmend does not handle."""


class DamagedFile(FormatError):  # noqa: N818
    """The file contradicts itself or ends too early."""


class LimitExceeded(FormatError):  # noqa: N818
    """The file asks for more pixels, pages or bytes than the limits allow."""


class ModelError(ScanmendError):
    """A model is missing, altered or does not fit its card."""

    exit_code = 5


class EngineError(ScanmendError):
    """Inference failed."""

    exit_code = 6


class OutOfMemory(EngineError):  # noqa: N818
    """Not even the smallest tile fits into memory."""


class PublishError(ScanmendError):
    """The result could not be put in its place."""

    exit_code = 7


class TargetExists(PublishError):  # noqa: N818
    """Something already stands where the result should go."""


class Cancelled(ScanmendError):  # noqa: N818
    """The person or the caller asked to stop."""

    exit_code = 130


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
