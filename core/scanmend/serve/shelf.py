"""The profiles, listed and written for front ends that cannot read them themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scanmend import profile as profiles
from scanmend import publish
from scanmend.errors import ProfileError, PublishError, TargetExists, UsageError
from scanmend.profile import Listed

_KEYS = {"settings", "replace", "purpose"}
_LONGEST_PURPOSE = 200


def listing() -> dict[str, Any]:
    """All profiles and all keys of settings, JSON-ready; files that are not valid are listed too."""
    keys = list(profiles.keys())
    groups = {key.rpartition(".")[0] for key in keys}
    return {
        "keys": [key for key in keys if key not in groups],
        "default": profiles.DEFAULT,
        "folder": str(profiles.user_folder()),
        "profiles": [_entry(item) for item in profiles.listing()],
    }


def _entry(item: Listed) -> dict[str, Any]:
    entry = {"name": item.name, "purpose": item.purpose, "own": item.path is not None}
    try:
        settings = profiles.to_dict(profiles.load(item.path or item.name))
    except ProfileError as error:
        return {**entry, "settings": None, "error": str(error)}
    return {**entry, "settings": settings, "error": None}


def save(name: str, values: Any) -> Path:
    """Writes a profile to the user's folder; the file is there whole or not at all.

    Args:
        name: of the profile.
        values: `settings` as a profile's file has them, `replace` whether one of that name may go,
            `purpose` its first line.

    Raises:
        UsageError: the name or the request makes no sense.
        ProfileError: a setting is not valid.
        TargetExists: there is one of that name.
        PublishError: it cannot be written.
    """
    if not isinstance(values, dict) or values.keys() - _KEYS or not isinstance(values.get("settings"), dict):
        raise UsageError("a profile is saved from settings, with replace and purpose")
    replace, purpose = values.get("replace", False), values.get("purpose", "")
    if not isinstance(replace, bool) or not isinstance(purpose, str) or len(purpose) > _LONGEST_PURPOSE:
        raise UsageError(f"replace is true or false, purpose a text of at most {_LONGEST_PURPOSE} characters")
    path = profiles.own_path(name)
    profile = profiles.parse(json.dumps(values["settings"]), f"profile {name}", name=name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with publish.staged(path, overwrite=replace) as part:
            text = profiles.file_text(profile, purpose or "Say here what it is for.")
            part.write_text(text, encoding="utf-8")
    except TargetExists as error:
        raise TargetExists(
            f"there is a profile {name} already", hint="replace it, or choose another name"
        ) from error
    except (OSError, UnicodeError) as error:
        raise PublishError(f"{path} cannot be written: {error}") from error
    return path
