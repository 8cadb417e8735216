"""Profiles: YAML to frozen dataclasses, every key checked at the edge, every error with its line.

The dataclasses below are the only table of settings. Parsing, `--set`, `to_yaml` and the JSON
Schema follow from their fields' metadata, so a new kind of repair is one subclass of `Stage`
and one field of `Profile`. JSON is YAML too: `parse` also reads what `to_dict` gave as JSON.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import string
import sys
from dataclasses import Field, asdict, dataclass, field, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import yaml

from scanmend.errors import ProfileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

VERSION = 1
DEFAULT = "gentle"
MAX_BYTES = 64 * 1024
_MAX_DEPTH = 8  # a profile needs three; PyYAML's composer recurses once for each level
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")  # what YAML 1.1 reads as a boolean, and `strength: off` means
_NAME_FIELDS = ("stem", "ext", "profile", "index")

Strength = float | Literal["auto"]
Quality = Literal["best", "fast"]
Format = Literal["same", "tiff", "png", "jpeg", "webp", "avif"]
Depth = Literal["same", 8, 16]
Compression = Literal["same", "none", "lzw", "deflate", "zstd"]


# --- what a value may be -----------------------------------------------------------------


class _UnfitError(ValueError):
    """A value does not fit, for a reason that a person should read."""


@dataclass(frozen=True)
class Kind:
    """What a setting may be.

    Attributes:
        allowed: in words, to follow "must be".
        read: its text, as it stands in the YAML ("" for nothing), to its value; ValueError where unfit.
        schema: the same as JSON Schema.
    """

    allowed: str
    read: Callable[[str], Any]
    schema: Mapping[str, Any]


def _number(low: float, high: float) -> Kind:
    def read(text: str) -> float:
        value = float(text) + 0.0  # no -0.0
        if not low <= value <= high:  # false for nan too
            raise ValueError
        return value

    schema = {"type": "number", "minimum": low, "maximum": high}
    return Kind(f"a number from {low:g} to {high:g}", read, schema)


def _whole(low: int, high: int) -> Kind:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(f"a whole number from {low} to {high}", read, schema)


def _strength() -> Kind:
    share = _number(0, 1)

    def read(text: str) -> Strength:
        word = text.lower()
        if word == "auto":
            return "auto"
        return 0.0 if word in _FALSE else cast("float", share.read(text))

    # YAML 1.1 tools see a bare `off` as false, YAML 1.2 tools as the word.
    schema = {"anyOf": [{"enum": ["auto", "off", False]}, dict(share.schema)]}
    return Kind(f"auto, off or {share.allowed}", read, schema)


def _same_or_strength() -> Kind:
    strength = _strength()

    def read(text: str) -> Strength | None:
        return cast("Strength", strength.read(text)) if text else None

    schema = {"anyOf": [*strength.schema["anyOf"], {"type": "null"}]}
    return Kind(strength.allowed, read, schema)


def _level() -> Kind:
    number = _number(0, 100)

    def read(text: str) -> Strength:
        return "auto" if text.lower() == "auto" else cast("float", number.read(text))

    schema = {"anyOf": [{"enum": ["auto"]}, dict(number.schema)]}
    return Kind(f"auto or {number.allowed}", read, schema)


def _choice(literal: Any) -> Kind:
    options = {str(option): option for option in get_args(literal)}

    def read(text: str) -> Any:
        if text not in options:
            raise ValueError
        return options[text]

    *head, last = options
    allowed = f"{', '.join(head)} or {last}" if head else last
    return Kind(allowed, read, {"enum": list(options.values())})


def _flag() -> Kind:
    def read(text: str) -> bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError
        return text.lower() in _TRUE

    return Kind("true or false", read, {"type": "boolean"})


def _model_name() -> Kind:
    pattern = "^[a-z0-9][a-z0-9-]*$"

    def read(text: str) -> str | None:
        if text and not re.fullmatch(pattern, text):
            raise ValueError
        return text or None

    schema = {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "null"}]}
    return Kind("a model's name, such as grain-fast", read, schema)


def _name_template() -> Kind:
    def read(text: str) -> str:
        _check_template(text)
        return text

    allowed = "a file name, in which {stem}, {ext}, {profile} and {index} are filled in"
    schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\\\u0000-\u001f]+$"}
    return Kind(allowed, read, schema)


def _check_template(text: str) -> None:
    if not 0 < len(text) <= 200:
        raise _UnfitError("it needs 1 to 200 characters")
    if re.search(r"[/\\\x00-\x1f]", text):
        raise _UnfitError("a name holds no folders: choose the folder with the output option")
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError:
        raise _UnfitError("each { needs its }; write {{ for the character itself") from None
    for _, name, spec, conversion in pieces:
        if name is None:
            continue
        if name not in _NAME_FIELDS:
            raise _UnfitError(f"{{{name}}} is unknown; there are {{{'}, {'.join(_NAME_FIELDS)}}}")
        # A width is the way to a gigabyte of blanks; only {index:03} makes sense.
        if conversion or (spec and not (name == "index" and re.fullmatch("0?[1-9]d?", spec))):
            raise _UnfitError("only {index} takes a format, such as {index:03}")


def _is(kind: Kind, about: str) -> dict[str, Any]:
    return {"kind": kind, "about": about}


# --- the settings ------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """One kind of repair. Strength 0 and off are the same: the stage is left out."""

    strength: Strength = field(
        default="auto", metadata=_is(_strength(), "How much is done; auto decides from what is measured.")
    )
    model: str | None = field(
        default=None, metadata=_is(_model_name(), "A certain model, instead of the one that quality picks.")
    )


@dataclass(frozen=True)
class Noise(Stage):
    """Scanner noise and the grain of print or film."""

    color: Strength | None = field(
        default=None,
        metadata=_is(
            _same_or_strength(), "How much is done about colour noise; left out: as for the grey part."
        ),
    )
    keep_grain: float = field(
        default=0.15,
        metadata=_is(
            _number(0, 1), "The share of the grain, the grey part of what is removed, that is given back."
        ),
    )
    level: Strength = field(
        default="auto",
        metadata=_is(_level(), "The noise's standard deviation, of 255, in place of what is measured."),
    )

    def color_strength(self) -> Strength:
        """How much is done about colour noise: as about the grey part, unless the profile says otherwise."""
        return self.strength if self.color is None else self.color


@dataclass(frozen=True)
class Jpeg(Stage):
    """What JPEG leaves: blocks, and rings beside edges."""


@dataclass(frozen=True)
class Output:
    """How the result is written."""

    format: Format = field(
        default="same", metadata=_is(_choice(Format), "The file format; same keeps the scan's own.")
    )
    depth: Depth = field(
        default="same", metadata=_is(_choice(Depth), "Bits of a sample; same keeps the scan's own.")
    )
    quality: int = field(default=95, metadata=_is(_whole(1, 100), "Of lossy formats: JPEG, WebP, AVIF."))
    compression: Compression = field(
        default="same", metadata=_is(_choice(Compression), "Of TIFF; same keeps the scan's own.")
    )
    name: str = field(
        default="{stem}_restored{ext}", metadata=_is(_name_template(), "The result's file name.")
    )
    sidecar: bool = field(
        default=True, metadata=_is(_flag(), "Whether a JSON file beside the result says what was done.")
    )

    def file_name(self, *, stem: str, ext: str, profile: str, index: int) -> str:
        """The result's name: `ext` with its dot, `index` the number of the file in the run, from 1.

        It may equal the scan's own name; the caller, who knows the folders, checks that.
        """
        return self.name.format(stem=stem, ext=ext, profile=profile, index=index)


@dataclass(frozen=True)
class Profile:
    """What to do with a scan. `name` is how people know it; it is no setting."""

    name: str = DEFAULT
    scanmend: int = field(
        default=VERSION, metadata=_is(_choice(Literal[1]), "The version of these settings; always there.")
    )
    noise: Noise = field(
        default_factory=Noise, metadata={"about": "Removes scanner noise and the grain of print or film."}
    )
    jpeg: Jpeg = field(
        default_factory=Jpeg,
        metadata={"about": "Removes what JPEG has left: blocks, and rings beside edges."},
    )
    quality: Quality = field(
        default="best", metadata=_is(_choice(Quality), "Which models run: the best, or faster ones.")
    )
    output: Output = field(default_factory=Output, metadata={"about": "How the result is written."})

    def stages(self) -> dict[str, Stage]:
        """The repairs by name, in no particular order: the plan orders them."""
        pairs = ((key, getattr(self, key)) for key in _settings(Profile))
        return {key: value for key, value in pairs if isinstance(value, Stage)}


def _settings(group: type[Any]) -> dict[str, Field[Any]]:
    return {f.name: f for f in fields(group) if "about" in f.metadata}


def _group(setting: Field[Any]) -> type[Any] | None:
    """The dataclass behind a key that holds others; None for a plain value."""
    return None if "kind" in setting.metadata else cast("type[Any]", setting.default_factory)


@cache
def keys() -> dict[str, Field[Any]]:
    """Every key, dotted ("noise.strength"), groups before what they hold."""

    def walk(group: type[Any], prefix: str) -> Iterator[tuple[str, Field[Any]]]:
        for name, setting in _settings(group).items():
            yield prefix + name, setting
            if inner := _group(setting):
                yield from walk(inner, f"{prefix}{name}.")

    return dict(walk(Profile, ""))


# --- reading -----------------------------------------------------------------------------


def parse(text: str, where: str, *, name: str | None = None) -> Profile:
    """Reads a profile.

    Args:
        text: YAML, or JSON; at most 64 KiB.
        where: the file, for messages ("prints.yaml").
        name: the profile's name; the stem of `where` if not given.

    Raises:
        ProfileError: with the line, the key, what is allowed, and the nearest known key.
    """
    values = _values(Profile, _compose(text, where), "", where)
    if "scanmend" not in values:
        raise ProfileError(f"{where}: the version is missing", hint=f"add a line 'scanmend: {VERSION}'")
    return Profile(name=Path(where).stem if name is None else name, **values)


def _compose(text: str, where: str) -> yaml.Node:
    if len(text) > MAX_BYTES:
        raise _too_large(where)
    try:
        _refuse_bombs(text, where)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
        raise ProfileError(f"{at}: this is not YAML: {problem}") from error
    except (ValueError, OverflowError) as error:  # PyYAML lets chr() and int() of bad escapes through
        raise ProfileError(f"{where}: this is not YAML: it holds a number or escape too large") from error
    if node is None:
        raise ProfileError(f"{where} is empty", hint=f"a profile starts with 'scanmend: {VERSION}'")
    return node


def _refuse_bombs(text: str, where: str) -> None:
    """Looks at the events, which cost no recursion, before the composer builds anything from them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        at = _at(where, event)
        if isinstance(event, yaml.AliasEvent):
            raise ProfileError(f"{at}: aliases (*name) are not used in profiles", hint="repeat the value")
        if getattr(event, "tag", None) not in (None, "!"):
            raise ProfileError(f"{at}: tags (!name) are not used in profiles", hint="leave the tag out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ProfileError(f"{at}: nested deeper than any profile is")


def _values(group: type[Any], node: yaml.Node, prefix: str, where: str) -> dict[str, Any]:
    """The values of a group's keys; groups inside become instances."""
    if not isinstance(node, yaml.MappingNode):
        what = prefix.rstrip(".") or "a profile"
        raise ProfileError(
            f"{_at(where, node)}: {what} must be a group of settings, not {_words(node)}",
            hint=f"such as {', '.join(_settings(group))}, each with a colon",
        )
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        key, at = _text(key_node), _at(where, key_node)
        path = prefix + (key or _words(key_node))
        setting = _settings(group).get(key or "")
        if setting is None:
            raise _unknown(at, path)
        if setting.name in values:
            raise ProfileError(f"{at}: {path} is set twice; first in line {lines[setting.name]}")
        lines[setting.name] = _line(key_node)
        values[setting.name] = _value(setting, value_node, path, where)
    return values


def _value(setting: Field[Any], node: yaml.Node, path: str, where: str) -> Any:
    if inner := _group(setting):
        return inner(**_values(inner, node, f"{path}.", where))
    kind: Kind = setting.metadata["kind"]
    text = _text(node)
    if text is None:
        raise ProfileError(f"{_at(where, node)}: {path} must be {kind.allowed}, not {_words(node)}")
    return _fit(kind, text, path, _at(where, node))


def _fit(kind: Kind, text: str, path: str, at: str) -> Any:
    try:
        return kind.read(text)
    except ValueError as error:
        shown = repr(text if len(text) <= 60 else f"{text[:57]}...") if text else "empty"
        hint = str(error) if isinstance(error, _UnfitError) else ""
        if path == "scanmend" and text.isdecimal():
            hint = "this profile is for another version of Scanmend"
        raise ProfileError(f"{at}: {path} must be {kind.allowed}, not {shown}", hint=hint) from None


def _text(node: yaml.Node) -> str | None:
    """A scalar's own text: not resolved, so that `off`, `8` and `1e-1` mean what they say."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    return "" if node.tag.endswith(":null") else str(node.value)


def _words(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value[:60]) if node.value else "empty"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a group"


def _line(part: yaml.Node | yaml.Event) -> int:
    return 0 if part.start_mark is None else part.start_mark.line + 1


def _at(where: str, part: yaml.Node | yaml.Event) -> str:
    return f"{where}, line {_line(part)}"


def _unknown(at: str, path: str) -> ProfileError:
    path = path[:80]
    if near := _nearest(path):
        return ProfileError(f"{at}: {path} is not a setting; did you mean {near}?")
    parent = path.rpartition(".")[0]
    known = _inside(parent if parent in keys() else "")
    return ProfileError(f"{at}: {path} is not a setting", hint=f"there are {known}")


def _inside(group: str) -> str:
    """The keys of a group, "" for the outermost, in words."""
    *head, last = (key for key in keys() if key.rpartition(".")[0] == group)
    return f"{', '.join(head)} and {last}"


def _nearest(path: str) -> str | None:
    """A key spelt alike, or one of that name in another group."""
    level = [key for key in keys() if key.count(".") == path.count(".")]
    near: list[str] = difflib.get_close_matches(path, level, 1, 0.8)
    if near:
        return near[0]
    parent, _, leaf = path.rpartition(".")
    if parent and parent not in keys():
        return None
    leaves = {key.rpartition(".")[2]: key for key in reversed(keys())}  # of two the one that comes first
    return next((leaves[name] for name in difflib.get_close_matches(leaf, leaves, 1, 0.8)), None)


def apply_settings(profile: Profile, settings: Iterable[str]) -> Profile:
    """The profile with single settings changed, as `--set` gives them ("noise.strength=0.6").

    Raises:
        ProfileError: as `parse`, with the setting in place of a line.
    """
    for setting in settings:
        path, equals, text = (part.strip() for part in setting.partition("="))
        at = f"--set {setting[:80]}"
        if not equals:
            raise ProfileError(f"{at}: a setting needs a value", hint="such as noise.strength=0.6")
        if path not in keys():
            raise _unknown(at, path)
        if _group(keys()[path]):
            raise ProfileError(f"{at}: {path} is a group of settings", hint=f"it holds {_inside(path)}")
        value = _fit(keys()[path].metadata["kind"], text, path, at)
        parent, _, leaf = path.rpartition(".")
        changes = {parent: replace(getattr(profile, parent), **{leaf: value})} if parent else {leaf: value}
        profile = replace(profile, **changes)
    return profile


# --- finding -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """A profile that can be asked for by name; `path` is None for those that ship."""

    name: str
    purpose: str
    path: Path | None


def load(name_or_path: str | os.PathLike[str]) -> Profile:
    """Loads a profile: one that ships, else one in the user's folder, else a file.

    Raises:
        ProfileError: there is none, it cannot be read, or it is not valid.
    """
    wanted = os.fspath(name_or_path)
    if wanted in shipped():
        return parse(_shipped_text(wanted), f"{wanted}.yaml")
    in_folder = [user_folder() / f"{wanted}.yaml"] if wanted and Path(wanted).name == wanted else []
    for path in (*in_folder, Path(wanted)):
        if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where a name is too long
            return parse(_read_file(path), str(path))
    names = [item.name for item in listing()]
    near = difflib.get_close_matches(wanted, names, 1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise ProfileError(
        f"there is no profile {wanted!r}{guess}", hint=f"there are {', '.join(names)}, or give a file's path"
    )


@cache
def shipped() -> tuple[str, ...]:
    """The names of the profiles that ship, the default first."""
    entries = (resources.files("scanmend") / "profiles").iterdir()
    names = sorted(entry.name[:-5] for entry in entries if entry.name.endswith(".yaml"))
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def user_folder() -> Path:
    """Where a user's own profiles lie; it need not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        configured = Path(os.environ.get("XDG_CONFIG_HOME", ""))
        # The XDG specification has relative paths ignored.
        base = configured if configured.is_absolute() else Path.home() / ".config"
    return base / "scanmend" / "profiles"


def listing() -> tuple[Listed, ...]:
    """All profiles that have a name: those that ship, then the user's, unless one of ours hides it."""
    ours = tuple(Listed(name, _purpose(_shipped_text(name)), None) for name in shipped())
    files = sorted(path for path in user_folder().glob("*.yaml") if path.stem not in shipped())
    return ours + tuple(Listed(path.stem, _user_purpose(path), path) for path in files)


def _user_purpose(path: Path) -> str:
    try:
        return _purpose(_read_file(path))
    except ProfileError as error:  # one bad file must not hide the others
        return error.message


def _purpose(text: str) -> str:
    """The first line that is a comment for people, at the head of a profile."""
    for line in text.splitlines()[:3]:
        if line.startswith("#") and "yaml-language-server" not in line:
            return line[1:].strip()
    return ""


def _shipped_text(name: str) -> str:
    return (resources.files("scanmend") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise _too_large(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProfileError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error


def _too_large(where: object) -> ProfileError:
    return ProfileError(f"{where} is larger than {MAX_BYTES // 1024} KiB, so it is no profile")


# --- writing -----------------------------------------------------------------------------


def to_dict(profile: Profile) -> dict[str, Any]:
    """The settings as JSON-ready values, without the name; keys that are not set are left out."""
    values = asdict(profile)
    del values["name"]
    for stage in profile.stages():
        values[stage] = {key: value for key, value in values[stage].items() if value is not None}
    return values


def to_yaml(profile: Profile) -> str:
    """The profile as a file that `parse` reads back to the same settings."""
    return yaml.safe_dump(to_dict(profile), sort_keys=False, allow_unicode=True)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a profile, for editors; `schema.json` beside the profiles is a copy."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Scanmend profile"}
    return {**head, **_group_schema(Profile), "required": ["scanmend"]}


def _group_schema(group: type[Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, setting in _settings(group).items():
        inner = _group(setting)
        body = _group_schema(inner) if inner else dict(setting.metadata["kind"].schema)
        default = {} if inner or setting.default is None else {"default": setting.default}
        properties[name] = {"description": setting.metadata["about"], **body, **default}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def schema_text() -> str:
    """The schema as it is written to a file."""
    return json.dumps(schema(), indent=2) + "\n"
