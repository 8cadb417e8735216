"""Settings files: YAML to a frozen pydantic dataclass, every error with its line and what is allowed.

A `Form` says what one kind of file is (a profile, the hot folder's configuration). Everything
that people are told comes from the JSON Schema that pydantic derives from the form's dataclass:
which keys there are, what each may be, which known key lies nearest. Scalars reach pydantic as the
text that stands in the file, unresolved, so that `off`, `8` and `1e-1` mean what they say. JSON is
YAML too, so a form also reads JSON.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import yaml
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from scanmend.errors import ProfileError
from scanmend.settings import tree
from scanmend.settings.schema import PlainSchema, Schema, in_words, inlined, part_at, shape, walk

T = TypeVar("T")
Values = dict[str, Any]
Location = tuple[int | str, ...]
Told = Callable[[Location], tree.Place]
ON = ("true", "yes", "on")
OFF = ("false", "no", "off")  # what YAML 1.1 reads as a boolean
_LATE = {"missing": 1, "too_short": 2}
_ALIKE = 0.8
_ALIKE_SIBLING = 0.6  # "prfile" and "profile" in one group: there is little else that could be meant


def _flag(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() not in ON + OFF:
        raise ValueError
    return value.lower() in ON


def numbered(value: object) -> object:
    """A text of digits as its number, before it is held against choices such as 8 and 16."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value


Flag = Annotated[bool, BeforeValidator(_flag)]


@dataclass(frozen=True)
class Setting:
    """One key: its default (None where there is none), what it means, what it may be in words."""

    default: Any
    about: str
    allowed: str


@dataclass(frozen=True)
class Form(Generic[T]):
    """One kind of settings file.

    Attributes:
        model: the pydantic dataclass that it becomes; a field hidden from its schema is no setting.
        noun: what people call such a file ("profile").
        version: the key that must be there and holds the version, as in `scanmend: 1`.
        title: the schema's.
        max_bytes: the largest file.
        max_depth: how deep groups and lists may be nested.
    """

    model: type[T]
    noun: str
    version: str
    title: str
    max_bytes: int = 64 * 1024
    max_depth: int = 8  # PyYAML's composer recurses once for each level

    # --- what the form is ---

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        """What checks values."""
        return TypeAdapter(self.model)

    @cached_property
    def schema(self) -> Schema:
        """JSON Schema (draft 2020-12), for editors and for every error sentence."""
        derived = self.adapter.json_schema(schema_generator=PlainSchema)
        body = inlined(derived, derived.pop("$defs", {}))
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": self.title}
        required = sorted({*body.get("required", ()), self.version})
        return {**head, **{k: v for k, v in body.items() if k not in ("title", "description")}} | {
            "required": required
        }

    def schema_text(self) -> str:
        """The schema as it is written to a file."""
        return json.dumps(self.schema, indent=2) + "\n"

    @cached_property
    def keys(self) -> dict[str, Setting]:
        """Every key, dotted ("noise.strength", "folders[].watch"), groups before what they hold."""
        return {
            path: Setting(part.get("default"), part.get("description", ""), in_words(part))
            for path, part in walk(self.schema, "")
        }

    @cached_property
    def groups(self) -> frozenset[str]:
        """The keys that hold others."""
        return frozenset(parent for path in self.keys if (parent := path.rpartition(".")[0]))

    def inside(self, group: str) -> str:
        """The keys of a group, "" for the outermost, in words."""
        inner = (key for key in self.keys if key.rpartition(".")[0] == group)
        *head, last = (key.rpartition("[].")[2] for key in inner)
        return f"{', '.join(head)} and {last}" if head else last

    # --- reading ---

    def read_file(self, path: Path) -> str:
        """A file's text, if it can be one of this form.

        Raises:
            ProfileError: it cannot be read, is too large, or is not UTF-8.
        """
        try:
            with path.open("rb") as file:
                data = file.read(self.max_bytes + 1)
        except OSError as error:
            raise ProfileError(f"{path} cannot be read: {error.strerror}") from error
        if len(data) > self.max_bytes:
            raise self._too_large(path)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ProfileError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error

    def parse(
        self,
        text: str,
        where: str,
        *,
        base: Mapping[str, Any] | None = None,
        hidden: Mapping[str, Any] | None = None,
        context: Any = None,
    ) -> T:
        """Reads a text.

        Args:
            text: YAML or JSON.
            where: the file, for messages ("prints.yaml").
            base: values for what the text leaves out, instead of the defaults; with it the text may be
                empty and need not say its version.
            hidden: values of the fields that are no settings.
            context: handed to the model's validators.

        Raises:
            ProfileError: with the line, the key, what is allowed, and the nearest known key.
        """
        if len(text) > self.max_bytes:
            raise self._too_large(where)
        node = tree.compose(text, where, self.noun, self.max_depth)
        if node is None and base is None:
            first = f"{self.version}: {self._version_number}"
            raise ProfileError(f"{where} is empty", hint=f"a {self.noun} starts with '{first}'")
        raw: Values = {} if node is None else self._raw(node, self.schema, "", where)
        values = merged(base, raw) if base is not None else raw

        def told(location: Location) -> tree.Place:
            return tree.place(node, location, where)

        return self.build({**values, **(hidden or {})}, told, where, context=context)

    def build(
        self,
        values: Mapping[str, Any],
        told: Told,
        where: str,
        *,
        context: Any = None,
    ) -> T:
        """The model from values by key.

        Args:
            values: scalars may be text.
            told: says where the value of pydantic's location stands.
            where: stands for what is missing.
            context: handed to the model's validators.

        Raises:
            ProfileError: as `parse`.
        """
        try:
            built = self.adapter.validate_python(dict(values), context=context)
        except ValidationError as error:
            problems: list[Any] = list(error.errors(include_url=False, include_input=False))
        else:
            if self.version in values:
                return built
            problems = [{"type": "missing", "loc": (self.version,), "msg": ""}]
        problem = min(problems, key=lambda item: _order(item, told))
        if problem["type"] == "missing":
            raise self._missing(problem["loc"], told, where)
        raise self._unfit(problem, told)

    @cached_property
    def _version_number(self) -> Any:
        return self.schema["properties"][self.version].get("const", 1)

    def _missing(self, location: Location, told: Told, where: str) -> ProfileError:
        if location == (self.version,):
            line = f"{self.version}: {self._version_number}"
            return ProfileError(f"{where}: the version is missing", hint=f"add a line '{line}'")
        at, path, _ = told(location[:-1])
        key = str(location[-1])
        full = f"{path}{'.' if path else ''}{key}"
        return ProfileError(f"{at}: {full} is missing", hint=f"add a line '{key}: ...'")

    def _unfit(self, problem: Any, told: Told) -> ProfileError:
        at, path, shown = told(problem["loc"])
        part = part_at(self.schema, path)
        hint = str(problem.get("ctx", {}).get("error", "")) if problem["type"] == "value_error" else ""
        if path == self.version and shown.strip("'").isdecimal():
            hint = f"this {self.noun} is for another version of Scanmend"
        if not path:  # a rule between several keys: its sentence says everything
            return ProfileError(f"{at}: {hint or problem['msg']}")
        return ProfileError(f"{at}: {path} must be {in_words(part)}, not {shown}", hint=hint)

    def unknown(self, at: str, path: str) -> ProfileError:
        """The error for a key that is none, with the nearest that is one."""
        path = path[:80]
        if near := self._nearest(re.sub(r"\[\d+\]", "[]", path)):
            return ProfileError(f"{at}: {path} is not a setting; did you mean {near.rpartition('[].')[2]}?")
        parent = re.sub(r"\[\d+\]", "[]", path).rpartition(".")[0]
        known = self.inside(parent if parent in self.groups else "")
        return ProfileError(f"{at}: {path} is not a setting", hint=f"there are {known}")

    def _nearest(self, path: str) -> str | None:
        """A key spelt alike in the same group, or one of that name in another."""
        parent, _, leaf = path.rpartition(".")
        if not parent or parent in self.groups:
            siblings = {key.rpartition(".")[2]: key for key in self.keys if key.rpartition(".")[0] == parent}
            if near := difflib.get_close_matches(leaf, siblings, 1, _ALIKE_SIBLING):
                return siblings[near[0]]
        else:
            level = [key for key in self.keys if key.count(".") == path.count(".")]
            return next(iter(difflib.get_close_matches(path, level, 1, _ALIKE)), None)
        # Of two keys with one name, the one that comes first.
        leaves = {key.rpartition(".")[2]: key for key in reversed(self.keys)}
        return next((leaves[name] for name in difflib.get_close_matches(leaf, leaves, 1, _ALIKE)), None)

    def _raw(self, node: yaml.Node, schema: Schema, path: str, where: str) -> Any:
        """What a node holds: text, None, lists and dicts; the keys of groups are checked on the way."""
        group = shape(schema, "object")
        if group and isinstance(node, yaml.MappingNode):
            return self._group(node, group, path, where)
        if group and schema.get("type") == "object":
            what = path or f"a {self.noun}"
            raise ProfileError(
                f"{tree.at_line(where, node)}: {what} must be a group of settings, not {tree.words(node)}",
                hint=f"such as {', '.join(group['properties'])}, each with a colon",
            )
        items = shape(schema, "array")
        if items and isinstance(node, yaml.SequenceNode):
            inner = items.get("items", {})
            return [self._raw(part, inner, f"{path}[{i}]", where) for i, part in enumerate(node.value)]
        return tree.plain(node)

    def _group(self, node: yaml.MappingNode, group: Schema, path: str, where: str) -> Values:
        values: Values = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, at = tree.text_of(key_node), tree.at_line(where, key_node)
            inner = f"{path}{'.' if path else ''}{key or tree.words(key_node)}"
            if not key or key not in group["properties"]:
                raise self.unknown(at, inner)
            if key in values:
                raise ProfileError(f"{at}: {inner} is set twice; first in line {lines[key]}")
            lines[key] = tree.line_of(key_node)
            values[key] = self._raw(value_node, group["properties"][key], inner, where)
        return values

    def _too_large(self, where: object) -> ProfileError:
        return ProfileError(f"{where} is larger than {self.max_bytes // 1024} KiB, so it is no {self.noun}")


def _order(problem: Any, told: Told) -> tuple[int, int]:
    """Problems in the order of their lines; what follows from others (a list left too short) comes last."""
    line = re.search(r"line (\d+)$", told(problem["loc"]).at)
    return _LATE.get(problem["type"], 0), int(line[1]) if line else 0


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """The values of `base` with those of `changes` in their place; groups are merged key by key."""
    values = dict(base)
    for key, value in changes.items():
        before = values.get(key)
        both = isinstance(value, dict) and isinstance(before, dict)
        values[key] = merged(before, value) if both and before is not None else value
    return values
