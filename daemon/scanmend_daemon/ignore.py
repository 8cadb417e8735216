"""Which names in a hot folder are left alone, and by which rule."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

import pathspec
from scanmend.errors import ProfileError

# What scanners, NAS boxes, sync programs, browsers and office suites leave lying about, or write
# under while a file is not finished. Names that begin with a dot need no line here.
BUILT_IN = (
    "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "@SynoResource", "@Recycle", "#recycle", "#snapshot",
    "__MACOSX", "lost+found", "$RECYCLE.BIN", "RECYCLER", "System Volume Information", "Network Trash Folder",
    "*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.!sync", "*.!ut",
    "*.tacitpart", "*.swp", "*.swx", "*.lck", "*.lock",
    "~$*", "~syncthing~*", "*~",
)  # fmt: skip

_BY_RULE = tuple((re.compile(fnmatch.translate(rule), re.IGNORECASE), rule) for rule in BUILT_IN)
_ANY = re.compile("|".join(f"(?:{fnmatch.translate(rule)})" for rule in BUILT_IN), re.IGNORECASE)


class Ignore:
    """The built-in list and a person's own patterns, in gitignore syntax.

    Args:
        patterns: as in a `.gitignore`; a later one overrides an earlier one, `!` takes back.

    Raises:
        ProfileError: a pattern is none.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._lines = tuple(line for line in patterns if line.strip() and not line.startswith("#"))
        for line in self._lines:
            _check(line)
        self._spec = pathspec.GitIgnoreSpec.from_lines(self._lines) if self._lines else None

    def rule(self, relpath: str, *, is_dir: bool = False) -> str | None:
        """Why this very name is left out; None if it is not. Folders above it are not asked."""
        name = relpath.rpartition("/")[2]
        if name.startswith("."):
            return "its name begins with a dot"
        if _ANY.match(name):
            rule = next(rule for pattern, rule in _BY_RULE if pattern.match(name))
            return f"temporary and system files are left out ({rule})"
        if self._spec is None:
            return None
        found = self._spec.check_file(f"{relpath}/" if is_dir else relpath)
        if not found.include or found.index is None:
            return None
        return f'the configuration ignores "{self._lines[found.index]}"'

    def why(self, relpath: str, *, is_dir: bool = False) -> str | None:
        """Why a scan is left out, by its own name or a folder's above it; None if it is not."""
        parts = relpath.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            reason = self.rule(folder, is_dir=True)
            if reason is not None:
                return f"in the folder {folder}: {reason}"
        return self.rule(relpath, is_dir=is_dir)


def _check(line: str) -> None:
    try:
        (pattern,) = pathspec.GitIgnoreSpec.from_lines([line]).patterns
        if pattern.include is None:  # such as "a[", which would never match anything
            raise ValueError(line)  # noqa: TRY301 - one sentence for both ways of being wrong
    except ValueError as error:
        raise ProfileError(
            f'ignore: "{line}" is not a pattern',
            hint='patterns are those of a .gitignore: "*.bak", "drafts/", "!keep.tif"',
        ) from error
