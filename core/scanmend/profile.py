"""Profiles: YAML to frozen dataclasses, every key checked at the edge, every error with its line.

The dataclasses below are the only table of settings. Parsing, `--set`, `to_yaml` and the JSON
Schema follow from their fields, so a new kind of repair is one subclass of `Stage` and one field of
`Profile`. JSON is YAML too: `parse` also reads what `to_dict` gave as JSON.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import string
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SkipValidation, WithJsonSchema
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema

from scanmend import places
from scanmend.errors import ProfileError, UsageError
from scanmend.settings import OFF, Flag, Form, Setting, merged, numbered
from scanmend.settings.tree import Place, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION: Literal[1] = 1
DEFAULT = "gentle"
MAX_BYTES = 64 * 1024
_NAME_FIELDS = ("stem", "ext", "profile", "index")
_SETTINGS = ConfigDict(extra="forbid")


# --- what a value may be -----------------------------------------------------------------


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _strength(value: object) -> object:
    # YAML 1.1 tools see a bare `off` as false, YAML 1.2 tools as the word.
    value = _lowered(value)
    return 0.0 if value is False or value in OFF else value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _template(text: str) -> str:
    if not 0 < len(text) <= 200:
        raise ValueError("it needs 1 to 200 characters")
    if re.search(r"[/\\\x00-\x1f]", text):
        raise ValueError("a name holds no folders: choose the folder with the output option")
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("each { needs its }; write {{ for the character itself") from None
    for _, name, spec, conversion in pieces:
        if name is None:
            continue
        if name not in _NAME_FIELDS:
            raise ValueError(f"{{{name}}} is unknown; there are {{{'}, {'.join(_NAME_FIELDS)}}}")
        # A width is the way to a gigabyte of blanks; only {index:03} makes sense.
        if conversion or (spec and not (name == "index" and re.fullmatch("0?[1-9]d?", spec))):
            raise ValueError("only {index} takes a format, such as {index:03}")
    return text


_PLAIN_ZERO = AfterValidator(lambda value: value + 0.0)  # no -0.0
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _PLAIN_ZERO]
Strength = Annotated[
    Literal["auto"] | Share,
    BeforeValidator(_strength, json_schema_input_type=Literal["auto", "off", False] | Share),
]
Level = Annotated[
    Literal["auto"] | Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), _PLAIN_ZERO],
    BeforeValidator(_lowered),
]
Kind = Annotated[Literal["auto", "motion", "defocus", "scanner"], BeforeValidator(_lowered)]
Radius = Annotated[
    Literal["auto"] | Annotated[float, Field(ge=0.3, le=30, allow_inf_nan=False)],
    BeforeValidator(_lowered),
]
ModelName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$", title="a model's name, such as grain-fast")]
NameTemplate = Annotated[
    str,
    AfterValidator(_template),
    WithJsonSchema({
        "title": "a file name, in which {stem}, {ext}, {profile} and {index} are filled in",
        "type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\\\u0000-\u001f]+$",
    }),
]  # fmt: skip
Quality = Literal["best", "fast"]
Format = Literal["same", "tiff", "png", "jpeg", "webp", "avif"]
Depth = Literal["same", 8, 16]
Compression = Literal["same", "none", "lzw", "deflate", "zstd"]


# --- the settings ------------------------------------------------------------------------


@dataclass(frozen=True, config=_SETTINGS)
class Stage:
    """One kind of repair. Strength 0 and off are the same: the stage is left out."""

    strength: Strength = Field(
        default="auto", description="How much is done; auto decides from what is measured."
    )
    model: Annotated[ModelName | None, BeforeValidator(_none_if_empty)] = Field(
        default=None, description="A certain model, instead of the one that quality picks."
    )


@dataclass(frozen=True, config=_SETTINGS)
class Noise(Stage):
    """Scanner noise and the grain of print or film."""

    color: Annotated[Strength | None, BeforeValidator(_none_if_empty)] = Field(
        default=None,
        description="How much is done about colour noise; left out: as for the grey part.",
    )
    keep_grain: Share = Field(
        default=0.15,
        description="The share of the grain, the grey part of what is removed, that is given back.",
    )
    level: Level = Field(
        default="auto", description="The noise's standard deviation, of 255, in place of what is measured."
    )

    def color_strength(self) -> Strength:
        """How much is done about colour noise: as about the grey part, unless the profile says otherwise."""
        return self.strength if self.color is None else self.color


@dataclass(frozen=True, config=_SETTINGS)
class Jpeg(Stage):
    """What JPEG leaves: blocks, and rings beside edges."""


@dataclass(frozen=True, config=_SETTINGS)
class Blur(Stage):
    """What a shaken camera, a lens out of focus or soft optics have smeared."""

    strength: Strength = Field(
        default=0.0, description="How much is undone; auto decides from what is measured."
    )
    kind: Kind = Field(default="auto", description="What has blurred it, in place of what is measured.")
    radius: Radius = Field(
        default="auto", description="How far a point is smeared, in pixels, in place of what is measured."
    )


@dataclass(frozen=True, config=_SETTINGS)
class Output:
    """How the result is written."""

    format: Format = Field(default="same", description="The file format; same keeps the scan's own.")
    depth: Annotated[Depth, BeforeValidator(numbered)] = Field(
        default="same", description="Bits of a sample; same keeps the scan's own."
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(
        default=95, description="Of lossy formats: JPEG, WebP, AVIF."
    )
    compression: Compression = Field(default="same", description="Of TIFF; same keeps the scan's own.")
    name: NameTemplate = Field(default="{stem}_restored{ext}", description="The result's file name.")
    sidecar: Flag = Field(
        default=True, description="Whether a JSON file beside the result says what was done."
    )

    def file_name(self, *, stem: str, ext: str, profile: str, index: int) -> str:
        """The result's name: `ext` with its dot, `index` the number of the file in the run, from 1.

        It may equal the scan's own name; the caller, who knows the folders, checks that.
        """
        return self.name.format(stem=stem, ext=ext, profile=profile, index=index)


@dataclass(frozen=True, config=_SETTINGS)
class Profile:
    """What to do with a scan. `name` is how people know it; it is no setting."""

    name: SkipJsonSchema[SkipValidation[str]] = DEFAULT
    scanmend: Annotated[Literal[1], BeforeValidator(numbered)] = Field(
        default=VERSION, description="The version of these settings; always there."
    )
    noise: Noise = Field(
        default_factory=Noise, description="Removes scanner noise and the grain of print or film."
    )
    jpeg: Jpeg = Field(
        default_factory=Jpeg, description="Removes what JPEG has left: blocks, and rings beside edges."
    )
    blur: Blur = Field(
        default_factory=Blur,
        description="Undoes what a shaken camera, a lens out of focus or soft optics have smeared.",
    )
    quality: Quality = Field(default="best", description="Which models run: the best, or faster ones.")
    output: Output = Field(default_factory=Output, description="How the result is written.")

    def stages(self) -> dict[str, Stage]:
        """The repairs by name, in no particular order: the plan orders them."""
        pairs = ((item.name, getattr(self, item.name)) for item in dataclasses.fields(self))
        return {key: value for key, value in pairs if isinstance(value, Stage)}


_FORM: Form[Profile] = Form(Profile, "profile", "scanmend", "Scanmend profile", MAX_BYTES)


def keys() -> Mapping[str, Setting]:
    """Every key, dotted ("noise.strength"), groups before what they hold."""
    return _FORM.keys


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
    return _FORM.parse(text, where, hidden={"name": Path(where).stem if name is None else name})


def overlay(base: Profile, text: str, where: str) -> Profile:
    """The profile with the settings changed that a text names; it may leave everything out.

    Raises:
        ProfileError: as `parse`.
    """
    return _FORM.parse(text, where, base=to_dict(base), hidden={"name": base.name})


def apply_settings(profile: Profile, settings: Iterable[str]) -> Profile:
    """The profile with single settings changed, as `--set` gives them ("noise.strength=0.6").

    Raises:
        ProfileError: as `parse`, with the setting in place of a line.
    """
    for setting in settings:
        profile = _with_setting(profile, setting)
    return profile


def _with_setting(profile: Profile, setting: str) -> Profile:
    path, equals, text = (part.strip() for part in setting.partition("="))
    at = f"--set {setting[:80]}"
    if not equals:
        raise ProfileError(f"{at}: a setting needs a value", hint="such as noise.strength=0.6")
    if path not in keys():
        raise _FORM.unknown(at, path)
    if path in _FORM.groups:
        raise ProfileError(f"{at}: {path} is a group of settings", hint=f"it holds {_FORM.inside(path)}")
    group, _, leaf = path.rpartition(".")
    change: dict[str, Any] = {group: {leaf: text}} if group else {leaf: text}
    values = merged(to_dict(profile), change) | {"name": profile.name}
    return _FORM.build(values, lambda _: Place(at, path, shown(text)), at)


# --- finding -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
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
            return parse(_FORM.read_file(path), str(path))
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
    return places.config_folder() / "profiles"


def own_path(name: str) -> Path:
    """Where a user's own profile of that name lies, or would lie.

    Raises:
        UsageError: it is no plain name, or one that ships has it.
    """
    if not re.fullmatch(r"(?![. ])[^/\\:\x00-\x1f\x7f]{1,100}(?<![. ])", name):
        raise UsageError(
            f"{name!r} is no name for a profile",
            hint="1 to 100 characters without / \\ : and no dot in front",
        )
    if name in shipped():
        raise UsageError(f"{name} ships with Scanmend, and would hide yours", hint="choose another name")
    return user_folder() / f"{name}.yaml"


def listing() -> tuple[Listed, ...]:
    """All profiles that have a name: those that ship, then the user's, unless one of ours hides it."""
    ours = tuple(Listed(name, _purpose(_shipped_text(name)), None) for name in shipped())
    files = sorted(path for path in user_folder().glob("*.yaml") if path.stem not in shipped())
    return ours + tuple(Listed(path.stem, _user_purpose(path), path) for path in files)


def _user_purpose(path: Path) -> str:
    try:
        return _purpose(_FORM.read_file(path))
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


# --- writing -----------------------------------------------------------------------------


def to_dict(profile: Profile) -> dict[str, Any]:
    """The settings as JSON-ready values, without the name; keys that are not set are left out."""
    values = dataclasses.asdict(profile)
    del values["name"]
    for stage in profile.stages():
        values[stage] = {key: value for key, value in values[stage].items() if value is not None}
    return values


def to_yaml(profile: Profile) -> str:
    """The profile as a file that `parse` reads back to the same settings."""
    return yaml.safe_dump(to_dict(profile), sort_keys=False, allow_unicode=True)


def file_text(profile: Profile, purpose: str) -> str:
    """The content of a profile's file: what it is for, a line for editors, every setting."""
    words = "".join(letter for letter in " ".join(purpose.split()) if letter.isprintable())
    place = resources.files("scanmend") / "profiles" / "schema.json"
    editors = f"# yaml-language-server: $schema={place.as_uri()}\n" if isinstance(place, Path) else ""
    return f"# {words}\n{editors}{to_yaml(profile)}"


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a profile, for editors; `schema.json` beside the profiles is a copy."""
    return _FORM.schema


def schema_text() -> str:
    """The schema as it is written to a file."""
    return _FORM.schema_text()
