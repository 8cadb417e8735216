"""What the hot folder watches, and how: `watch.yaml` to frozen pydantic dataclasses, checked at the edge.

Reading (`load`) is pure but for the file itself; what depends on the disk is asked by `check`.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema
from scanmend import places
from scanmend.settings import Flag, Form, numbered
from scanmend.settings.tree import Place

from scanmend_daemon import words
from scanmend_daemon.config_values import (
    Device,
    FolderPath,
    Http,
    Jobs,
    Memory,
    Originals,
    Pattern,
    ProfileName,
)
from scanmend_daemon.quantities import Duration, Size, duration_text, size_text
from scanmend_daemon.soundness import check

__all__ = [
    "Config",
    "Engine",
    "Folder",
    "Limits",
    "Settle",
    "Status",
    "check",
    "default_path",
    "diff",
    "for_folder",
    "load",
    "parse",
    "schema_text",
]

VERSION = 1
PRESETS = {"instant": 0.5, "scanner": 5.0, "network": 10.0, "multipage": 30.0}
_SETTINGS = ConfigDict(extra="forbid")


# --- the settings ------------------------------------------------------------------------


@dataclass(frozen=True, config=_SETTINGS)
class Settle:
    """When a scan counts as finished."""

    quiet: Annotated[float, Duration(0.1, 3600)] = Field(
        default="5s", description="How long its size and time must not have changed.", validate_default=True
    )
    zero_tail: Literal["hold", "accept"] = Field(
        default="hold",
        description="What happens to a picture that ends in zeros, as a half-written one does.",
    )
    give_up: Annotated[float, Duration(1, 30 * 86400)] = Field(
        default="10m",
        description="How long a file may stay unreadable before it counts as damaged.",
        validate_default=True,
    )


def _settle(value: object) -> object:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return {"quiet": PRESETS.get(value, value) if isinstance(value, str) else value}
    return value


class _OrText:
    """Says in the schema that a duration or a preset may stand for the group."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        group: dict[str, Any] = handler(core)
        if "anyOf" in group:  # pydantic 2.10 asks twice
            return group
        presets = ", ".join(f"{name} ({duration_text(length)})" for name, length in PRESETS.items())
        allowed = (
            f"a duration from 0.1s to 1h, a preset ({presets}) or a group of quiet, zero_tail and give_up"
        )
        return {"title": allowed, "anyOf": [{"type": "string"}, {"type": "number"}, group]}


SettleOrText = Annotated[Settle, BeforeValidator(_settle), _OrText()]


@dataclass(frozen=True, config=_SETTINGS)
class Limits:
    """What a scan may ask for, before anything is decoded."""

    max_megapixels: Annotated[float, Field(ge=0.001, le=100_000, allow_inf_nan=False)] = Field(
        default=1000, description="The largest page, in millions of pixels."
    )
    max_pages: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="The most pages of one file."
    )
    max_bytes: Annotated[int, Size(1, 2**50)] = Field(
        default="16GiB", description="The largest file.", validate_default=True
    )
    min_free: Annotated[int, Size(0, 2**50)] = Field(
        default="1GiB",
        description="Room that must be left on the disks of state and output; below it the folder waits.",
        validate_default=True,
    )


@dataclass(frozen=True, config=_SETTINGS)
class Folder:
    """One hot folder."""

    # Paths are absolute, lengths of time in seconds, sizes in bytes. Editors show the line above.

    watch: FolderPath = Field(description="The folder that scans are dropped into.")
    output: FolderPath = Field(
        default_factory=Path,
        description="Where results go, sub-folders alike; left out: `watch` with -restored.",
    )
    originals: Originals = Field(
        default="keep",
        description="keep leaves scans where they are; with a folder they move there after publishing.",
        validate_default=True,
    )
    failed: FolderPath = Field(
        default_factory=Path,
        description="Where scans go that cannot be restored; left out: `watch` with -failed.",
    )
    profile: ProfileName = Field(
        default="gentle", description="What is done: a profile's name, or the path of one."
    )
    settle: SettleOrText = Field(default_factory=Settle, description="When a scan counts as finished.")
    recursive: Flag = Field(default=True, description="Whether sub-folders are watched too.")
    ignore: tuple[Pattern, ...] = Field(
        default=(), description="Names to leave alone, in the manner of .gitignore.", max_length=1000
    )
    sidecar: Literal["optional", "required"] = Field(
        default="optional",
        description="Whether a scan waits for its own settings file: scan0001.yaml beside scan0001.tif.",
    )
    by: Literal["auto", "events", "polling"] = Field(
        default="auto", description="How changes are noticed; auto polls network disks."
    )
    rescan: Annotated[float, Duration(1, 86400)] = Field(
        default="60s", description="How often the whole folder is looked through.", validate_default=True
    )
    poll: Annotated[float, Duration(0.5, 86400)] = Field(
        default="10s", description="The same where it is polled.", validate_default=True
    )
    require_mount: Flag = Field(
        default=False, description="Whether the folder is offline while nothing is mounted at or above it."
    )
    limits: Limits = Field(default_factory=Limits, description="What a scan may ask for.")
    weight: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="Its share of the work while other folders wait as well."
    )

    @model_validator(mode="after")
    def _beside(self) -> Folder:
        for name, ending in (("output", "-restored"), ("failed", "-failed")):
            if getattr(self, name) == Path():
                beside = self.watch.with_name(self.watch.name + ending) if self.watch.name else self.watch
                object.__setattr__(self, name, beside)  # frozen for everybody else
        return self

    @property
    def quiet(self) -> float:
        """How long a scan's size and time must not have changed, in seconds."""
        return self.settle.quiet

    @property
    def zero_tail(self) -> Literal["hold", "accept"]:
        """What happens to a picture that ends in zeros."""
        return self.settle.zero_tail

    @property
    def give_up(self) -> float:
        """How long a file may stay unreadable before it counts as damaged, in seconds."""
        return self.settle.give_up


@dataclass(frozen=True, config=_SETTINGS)
class Engine:
    """The process that restores."""

    device: Device = Field(default="auto", description="What computes.")
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto", description="What runs the networks."
    )
    jobs: Jobs = Field(
        default="auto", description="How many scans it restores at once, each in a process of its own."
    )
    memory: Memory = Field(
        default="auto", description="The most memory it may take; auto is 70 % of the computer's."
    )


@dataclass(frozen=True, config=_SETTINGS)
class Status:
    """Where the daemon tells how it is doing."""

    http: Http = Field(
        default="127.0.0.1:8765", description="The address of the status page.", validate_default=True
    )
    metrics: Flag = Field(default=True, description="Whether /metrics answers there, for Prometheus.")


@dataclass(frozen=True, config=_SETTINGS)
class Config:
    """Everything the daemon is told. `path` is the file it came from, None where there is none."""

    scanmend_daemon: Annotated[Literal[1], BeforeValidator(numbered)] = Field(
        description="The version of these settings; always there."
    )
    folders: Annotated[tuple[Folder, ...], Field(min_length=1, max_length=1000)] = Field(
        description="The folders that are watched."
    )
    engine: Engine = Field(default_factory=Engine, description="The process that restores.")
    status: Status = Field(default_factory=Status, description="Where the daemon tells how it is doing.")
    state: FolderPath = Field(
        default_factory=Path,
        description="Where the ledger and private copies lie, on a local disk; left out: its own folder.",
    )
    path: SkipJsonSchema[Path | None] = None

    @model_validator(mode="after")
    def _own_state(self) -> Config:
        if self.state == Path():
            object.__setattr__(self, "state", _state_for(self.path or self.folders[0].watch))
        return self


def _state_for(source: Path) -> Path:
    real = os.path.realpath(source)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(real).stem)[:40].strip("-")
    mark = hashlib.sha256(os.fsencode(real)).hexdigest()[:8]
    return places.state_folder() / "watch" / (f"{stem}-{mark}" if stem else mark)


FORM: Form[Config] = Form(
    Config, "configuration", "scanmend_daemon", "Scanmend hot folders", max_bytes=256 * 1024
)


# --- reading -----------------------------------------------------------------------------


def default_path() -> Path:
    """The configuration that is read where none is named; it need not exist."""
    return places.config_folder() / "watch.yaml"


def load(path: str | os.PathLike[str]) -> Config:
    """Reads a configuration; relative paths in it start at its own folder.

    Raises:
        ProfileError: it cannot be read, or is not valid; names the line, the key and what is allowed.
    """
    file = Path(os.path.abspath(path))
    return parse(FORM.read_file(file), os.fspath(path), file)


def parse(text: str, where: str, path: Path) -> Config:
    """Reads a configuration's text, as `load`; `where` names it in messages."""
    return FORM.parse(text, where, hidden={"path": path}, context={"base": path.parent})


def for_folder(folder: str | os.PathLike[str]) -> Config:
    """The configuration for one folder and nothing else: results go beside it.

    Raises:
        ProfileError: no folder can have that name.
    """
    at = Place("the command line", "folders[0].watch", repr(words.shown(folder)))
    return FORM.build({"scanmend_daemon": VERSION, "folders": [{"watch": Path(folder)}]}, lambda _: at, at.at)


def schema_text() -> str:
    """JSON Schema (draft 2020-12) as it is written to `schema.json` beside this module."""
    return FORM.schema_text()


# --- comparing ---------------------------------------------------------------------------


def diff(old: Config, new: Config) -> list[str]:
    """What a reload changes, a line for each key; folders are told apart by what they watch."""
    before, after = ({folder.watch: folder for folder in c.folders} for c in (old, new))
    lines = [f"{words.shown(watch)}: no longer watched" for watch in before if watch not in after]
    lines += [f"{words.shown(watch)}: now watched" for watch in after if watch not in before]
    for watch in after:
        if watch in before:
            changes = _changes(_flat(before[watch]), _flat(after[watch]))
            lines += [f"{words.shown(watch)}: {change}" for change in changes]
    return lines + _changes(*({k: v for k, v in _flat(c).items() if k != "folders"} for c in (old, new)))


def _changes(old: dict[str, str], new: dict[str, str]) -> list[str]:
    return [f"{key}: {old[key]} -> {new[key]}" for key in new if old[key] != new[key]]


def _flat(group: Any, prefix: str = "") -> dict[str, str]:
    """Every value below a group by its dotted key, as people write it."""
    values: dict[str, str] = {}
    for setting in fields(group):
        value, key = getattr(group, setting.name), prefix + setting.name
        if is_dataclass(value):
            values |= _flat(value, f"{key}.")
        elif key not in ("path", "scanmend_daemon"):
            values[key] = _text(key, value)
    return values


def _text(key: str, value: Any) -> str:
    if value is None:
        return "keep" if key == "originals" else "off"
    if isinstance(value, bool):
        return str(value).lower()
    if key in ("settle.quiet", "settle.give_up", "rescan", "poll"):
        return duration_text(value)
    if key in ("limits.max_bytes", "limits.min_free", "engine.memory") and isinstance(value, int):
        return size_text(value)
    if key == "status.http":
        host, port = value
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value) or "nothing"
    return words.shown(value) if isinstance(value, Path) else str(value)
