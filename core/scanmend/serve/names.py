"""Sentences about a job's files under the names that people know, not those of private copies."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanmend.errors import FormatError, ScanmendError, as_scanmend_error


def error_about(cause: Exception, values: Mapping[str, Any]) -> ScanmendError:
    """Any error of a job as one of ours, in the words of the front end.

    Args:
        cause: what was raised.
        values: the job, as it was asked for.
    """
    path = values["source"].get("path")
    error = as_scanmend_error(cause, Path(path) if path else None)
    return type(error)(in_words(error.message, values), hint=in_words(error.hint, values))


def in_words(text: str, values: Mapping[str, Any]) -> str:
    """A sentence with the names given for source and target in place of their paths."""
    known: dict[str, str] = {}
    for key in ("target", "source"):
        file = values.get(key) or {}
        if "path" in file:
            name = str(file.get("name", file["path"]))
            known |= {Path(file["path"]).name: name, file["path"]: name}
            if "name" in file:  # the folder of a private copy says nothing to anybody
                known[f"{Path(file['path']).parent}: "] = ""
    if not known:
        return text
    either = "|".join(re.escape(word) for word in sorted(known, key=len, reverse=True) if word)
    return re.sub(either, lambda found: known[found[0]], text)


def refuse_link(source: Path) -> None:
    """Symbolic links are the caller's to resolve: it alone knows where they may lead."""
    with contextlib.suppress(OSError):  # what is not there is named when it is opened
        if stat.S_ISLNK(source.lstat().st_mode):
            raise FormatError(f"{source} is a symbolic link", hint="name the file that it leads to")
