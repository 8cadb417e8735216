"""Which settings a scan is restored with: the folder's profile, then what lies beside the scan.

From the outside in: the profile that the configuration names, a `scanmend.yaml` in each sub-folder on the
way to the scan, and `scan0001.yaml` beside `scan0001.tif`. Files in a hot folder may only change settings
of a profile; they name no paths and run nothing.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanmend import cards
from scanmend import profile as profiles
from scanmend.errors import ProfileError, ScanmendError
from scanmend.profile import Profile

from scanmend_daemon import safely
from scanmend_daemon.config import Folder
from scanmend_daemon.words import shown

FOLDER_SETTINGS = "scanmend.yaml"


@dataclass(frozen=True)
class Resolved:
    """Settings for one scan.

    Attributes:
        profile: what to do.
        values: the same as JSON-ready values, with the profile's name under "name".
        digest: changes with the settings, the models and Scanmend's version; part of a job's key.
        sources: where the settings come from, in words, the outermost first.
        own: whether a file in the hot folder had a say.
    """

    profile: Profile
    values: dict[str, Any]
    digest: str
    sources: tuple[str, ...]
    own: bool


class Profiles:
    """Profiles by name, read anew when their file changes; a broken edit leaves the last good one.

    Args:
        version: of Scanmend: what it makes of a profile may change from one to the next.
        say: takes a sentence for the log.
    """

    def __init__(self, version: str, say: Callable[[str], None]) -> None:
        self._version, self._say = version, say
        self._known: dict[str, tuple[object, Profile]] = {}
        self._complained: dict[str, str] = {}
        self._models = sorted((card.name, card.sha256) for card in cards.shipped())

    def load(self, name: str) -> Profile:
        """The profile of a name or path.

        Raises:
            ProfileError: there is none, or it is not valid and never was.
        """
        stamp = tuple(_stamp(path) for path in (profiles.user_folder() / f"{name}.yaml", Path(name)))
        known = self._known.get(name)
        if known and known[0] == stamp:
            self._complained.pop(name, None)  # the good file may have been put back as it was
            return known[1]
        try:
            loaded = profiles.load(name)
        except ProfileError as error:
            if known is None:
                raise
            self._complain(name, error)
            return known[1]
        if known and known[1] != loaded:
            self._say(f"the profile {name} has changed; it holds from the next scan on")
        self._complained.pop(name, None)
        self._known[name] = (stamp, loaded)
        return loaded

    def _complain(self, name: str, error: ProfileError) -> None:
        if self._complained.get(name) != str(error):
            self._complained[name] = str(error)
            self._say(f"{error}; the profile {name} stays as it was")

    @property
    def trouble(self) -> tuple[str, ...]:
        """Sentences about profiles whose last edit was not valid."""
        return tuple(self._complained.values())

    def resolve(self, folder: Folder, relpath: str) -> Resolved:
        """The settings for a scan as they stand now.

        Raises:
            ProfileError: one of the files is not valid; the sentence names it and the line.
        """
        profile, sources = self.load(folder.profile), [f"profile {folder.profile}"]
        for path in _overlays(relpath):
            text = self._text(folder, path)
            if text is not None:
                profile = profiles.overlay(profile, text, shown(path))
                sources.append(shown(path))
        values = json.loads(json.dumps({"name": profile.name} | profiles.to_dict(profile)))
        kept = json.dumps([values, self._models + self._own_models(profile), self._version], sort_keys=True)
        digest = hashlib.sha256(kept.encode()).hexdigest()
        return Resolved(profile, values, digest, tuple(sources), len(sources) > 1)

    def _own_models(self, profile: Profile) -> list[tuple[str, str]]:
        """The person's own models that a profile names, as they stand now: some may just be imported."""
        shipped = {None, *(name for name, _sha256 in self._models)}
        named = {stage.model for stage in profile.stages().values()} - shipped
        own = cards.own()[0] if named else ()
        return [(card.name, card.sha256) for card in own if card.name in named]

    def _text(self, folder: Folder, path: str) -> str | None:
        try:
            handle = safely.open_scan_file(str(folder.watch), path)
        except FileNotFoundError:
            return None
        except ScanmendError as error:
            raise ProfileError(error.message, hint=error.hint) from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # no such file can be: the ending is longer than the scan's own
            raise ProfileError(f"{shown(path)} cannot be read: {error.strerror}") from error
        with open(handle, "rb") as file:
            data = file.read(profiles.MAX_BYTES + 1)
        if len(data) > profiles.MAX_BYTES:
            raise ProfileError(f"{shown(path)} is too large to hold settings", hint="remove it")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ProfileError(f"{shown(path)} is not UTF-8 text", hint="save it as UTF-8") from None


def own_settings(relpath: str) -> str:
    """The path of the file that holds settings for one scan alone."""
    return os.path.splitext(relpath)[0] + ".yaml"


def _overlays(relpath: str) -> Iterator[str]:
    below = ""
    yield FOLDER_SETTINGS
    for part in os.path.dirname(relpath).split("/"):
        if part:
            below = f"{below}{part}/"
            yield below + FOLDER_SETTINGS
    yield own_settings(relpath)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
