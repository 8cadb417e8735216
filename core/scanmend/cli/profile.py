"""`scanmend profile`: lists, shows, checks and makes profiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scanmend import profile as profiles
from scanmend.cli import out
from scanmend.errors import ProfileError, PublishError, ScanmendError, TargetExists, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SUFFIXES = (".yaml", ".yml")


def list_all(*, json: bool) -> None:
    """All profiles that have a name, the default first."""
    items = profiles.listing()
    if json:
        out.json_document(
            [{"name": i.name, "purpose": i.purpose, "path": str(i.path) if i.path else None} for i in items]
        )
        return
    out.table(
        ("name", "purpose", "file"),
        [(item.name, item.purpose, str(item.path) if item.path else "ships with Scanmend") for item in items],
    )


def show(name: str, settings: Sequence[str], *, json: bool) -> None:
    """One profile, complete."""
    profile = profiles.apply_settings(profiles.load(name), settings)
    if json:
        out.json_document({"name": profile.name, **profiles.to_dict(profile)})
    else:
        out.say(profiles.to_yaml(profile).rstrip())


def check(files: Sequence[str], *, json: bool) -> int:
    """Reads each file and says what is wrong with it; returns the exit code."""
    failures = []
    for name in files:
        error = _problem(name)
        if error:
            failures.append(error)
        if json:
            out.json_line({"file": name, "valid": error is None, "error": error.to_dict() if error else None})
        else:
            out.say(str(error) if error else f"{name}: ok")
    return out.exit_code(failures, len(files))


def _problem(name: str) -> ScanmendError | None:
    if not Path(name).exists() and name not in profiles.shipped():
        return ProfileError(f"there is no file {name}", hint="scanmend profile list names those that ship")
    try:
        profiles.load(name)
    except ScanmendError as error:
        return error
    return None


def schema() -> None:
    """The JSON Schema, for `> scanmend-profile.schema.json`."""
    out.say(profiles.schema_text().rstrip())


def new(name: str, source: str) -> None:
    """Writes a profile with every setting of another, to be edited."""
    profile = profiles.load(source)
    path = _place(name)
    text = profiles.file_text(profile, f"From {profile.name}: say here what it is for.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise TargetExists(f"{path} exists already", hint="choose another name, or edit that file") from error
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror}") from error
    out.say(f"wrote {path}; use it with --profile {name}")


def _place(name: str) -> Path:
    """A bare name goes to the user's folder, where it is found by name; a path stays one."""
    path = Path(name)
    if path.suffix.lower() in _SUFFIXES:
        return path
    if path.name != name or name.startswith("."):
        raise UsageError(
            f"{name} is neither a plain name nor a .yaml file", hint="such as mine or folder/mine.yaml"
        )
    return profiles.own_path(name)
