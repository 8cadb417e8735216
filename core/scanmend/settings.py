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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import yaml
from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from scanmend.errors import ProfileError

T = TypeVar("T")
Schema = dict[str, Any]
Values = dict[str, Any]
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


class _PlainSchema(GenerateJsonSchema):
    """A title stands only where a type gives itself one: in words, what is allowed."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


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
        derived = self.adapter.json_schema(schema_generator=_PlainSchema)
        body = _inlined(derived, derived.pop("$defs", {}))
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
            for path, part in _walk(self.schema, "")
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
        node = self._compose(text, where)
        if node is None and base is None:
            first = f"{self.version}: {self._version_number}"
            raise ProfileError(f"{where} is empty", hint=f"a {self.noun} starts with '{first}'")
        raw: Values = {} if node is None else self._raw(node, self.schema, "", where)
        values = merged(base, raw) if base is not None else raw

        def told(location: tuple[Any, ...]) -> tuple[str, str, str | None]:
            return _place(node, location, where)

        return self.build({**values, **(hidden or {})}, told, where, context=context)

    def build(
        self,
        values: Mapping[str, Any],
        told: Callable[[tuple[Any, ...]], tuple[str, str, str | None]],
        where: str,
        *,
        context: Any = None,
    ) -> T:
        """The model from values by key.

        Args:
            values: scalars may be text.
            told: for the place of a value in question: where it stands, its path, and what stands there.
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

    def _missing(self, location: tuple[Any, ...], told: Any, where: str) -> ProfileError:
        if location == (self.version,):
            line = f"{self.version}: {self._version_number}"
            return ProfileError(f"{where}: the version is missing", hint=f"add a line '{line}'")
        at, path, _ = told(location[:-1])
        key = str(location[-1])
        full = f"{path}{'.' if path else ''}{key}"
        return ProfileError(f"{at}: {full} is missing", hint=f"add a line '{key}: ...'")

    def _unfit(self, problem: Any, told: Any) -> ProfileError:
        at, path, shown = told(problem["loc"])
        part = _part(self.schema, path)
        hint = str(problem.get("ctx", {}).get("error", "")) if problem["type"] == "value_error" else ""
        if path == self.version and shown and shown.strip("'").isdecimal():
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

    # --- YAML ---

    def _compose(self, text: str, where: str) -> yaml.Node | None:
        if len(text) > self.max_bytes:
            raise self._too_large(where)
        try:
            self._refuse_bombs(text, where)
            return yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            at = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
            problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
            raise ProfileError(f"{at}: this is not YAML: {problem}") from error
        except (ValueError, OverflowError) as error:  # PyYAML lets chr() and int() of bad escapes through
            raise ProfileError(f"{where}: this is not YAML: it holds a number or escape too large") from error

    def _refuse_bombs(self, text: str, where: str) -> None:
        """Looks at the events, which cost no recursion, before the composer builds anything from them."""
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            at = _at(where, event)
            if isinstance(event, yaml.AliasEvent):
                raise ProfileError(
                    f"{at}: aliases (*name) are not used in {self.noun}s", hint="repeat the value"
                )
            if getattr(event, "tag", None) not in (None, "!"):
                raise ProfileError(
                    f"{at}: tags (!name) are not used in {self.noun}s", hint="leave the tag out"
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > self.max_depth:
                raise ProfileError(f"{at}: nested deeper than any {self.noun} is")

    def _raw(self, node: yaml.Node, schema: Schema, path: str, where: str) -> Any:
        """What a node holds: text, None, lists and dicts; the keys of groups are checked on the way."""
        group = _shape(schema, "object")
        if group and isinstance(node, yaml.MappingNode):
            return self._group(node, group, path, where)
        if group and schema.get("type") == "object":
            what = path or f"a {self.noun}"
            raise ProfileError(
                f"{_at(where, node)}: {what} must be a group of settings, not {_words(node)}",
                hint=f"such as {', '.join(group['properties'])}, each with a colon",
            )
        items = _shape(schema, "array")
        if items and isinstance(node, yaml.SequenceNode):
            inner = items.get("items", {})
            return [self._raw(part, inner, f"{path}[{i}]", where) for i, part in enumerate(node.value)]
        return _plain(node)

    def _group(self, node: yaml.MappingNode, group: Schema, path: str, where: str) -> Values:
        values: Values = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, at = _text(key_node), _at(where, key_node)
            inner = f"{path}{'.' if path else ''}{key or _words(key_node)}"
            if not key or key not in group["properties"]:
                raise self.unknown(at, inner)
            if key in values:
                raise ProfileError(f"{at}: {inner} is set twice; first in line {lines[key]}")
            lines[key] = _line(key_node)
            values[key] = self._raw(value_node, group["properties"][key], inner, where)
        return values

    def _too_large(self, where: object) -> ProfileError:
        return ProfileError(f"{where} is larger than {self.max_bytes // 1024} KiB, so it is no {self.noun}")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """The values of `base` with those of `changes` in their place; groups are merged key by key."""
    values = dict(base)
    for key, value in changes.items():
        before = values.get(key)
        both = isinstance(value, dict) and isinstance(before, dict)
        values[key] = merged(before, value) if both and before is not None else value
    return values


def in_words(part: Schema) -> str:
    """What a part of a schema allows, to follow "must be"; a title says it itself."""
    if "title" in part:
        return str(part["title"])
    if "anyOf" in part:
        return _listed([word for choice in part["anyOf"] for word in _choices(choice)])
    return _listed(_choices(part))


def _choices(part: Schema) -> list[str]:
    if "title" in part or "anyOf" in part:
        return [in_words(part)]
    if "const" in part or "enum" in part:
        return [str(value) for value in part.get("enum", [part.get("const")]) if value is not False]
    low, high = part.get("minimum", 0), part.get("maximum", 0)
    words = {
        "number": f"a number from {low:g} to {high:g}",
        "integer": f"a whole number from {low} to {high}",
        "boolean": "true or false",
        "string": "text",
        "array": "a list" + (" that is not empty" if part.get("minItems") else ""),
        "object": "a group of settings",
    }
    return [words[part["type"]]] if part.get("type") in words else []


def _listed(words: list[str]) -> str:
    *head, last = words or ["something else"]
    return f"{', '.join(head)} or {last}" if head else last


def _inlined(part: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with each group in its place: ours are trees, and reading needs no second table."""
    if isinstance(part, list):
        return [_inlined(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    part = dict(part)
    if name := str(part.pop("$ref", "")).rpartition("/")[2]:
        return _inlined({k: v for k, v in definitions[name].items() if k != "title"} | part, definitions)
    return {key: _inlined(value, definitions) for key, value in part.items()}


def _shape(schema: Schema, kind: str) -> Schema | None:
    """The part of a schema that is a group ("object") or a list ("array"), if it allows one."""
    choices = [schema, *schema.get("anyOf", ())]
    return next((choice for choice in choices if choice.get("type") == kind), None)


def _walk(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    for name, part in schema.get("properties", {}).items():
        yield prefix + name, part
        if group := _shape(part, "object"):
            yield from _walk(group, f"{prefix}{name}.")
        elif items := _shape(part, "array"):
            yield from _walk(items.get("items", {}), f"{prefix}{name}[].")


def _part(schema: Schema, path: str) -> Schema:
    """The part of a schema that a path such as "folders[0].watch" leads to."""
    for name in re.findall(r"[^.\[\]]+", path):
        group, items = _shape(schema, "object"), _shape(schema, "array")
        if group and name in group.get("properties", {}):
            schema = group["properties"][name]
        elif items and name.isdecimal():
            schema = items.get("items", {})
    return schema


def _order(problem: Any, told: Any) -> tuple[int, int]:
    """Problems in the order of their lines; what follows from others (a list left too short) comes last."""
    line = re.search(r"line (\d+)$", told(problem["loc"])[0])
    return _LATE.get(problem["type"], 0), int(line[1]) if line else 0


def _place(node: yaml.Node | None, location: tuple[Any, ...], where: str) -> tuple[str, str, str | None]:
    """Where the value of a location stands ("x.yaml, line 3"), its path and the value in words.

    A location goes deeper than the file where pydantic names the branches of a union.
    """
    path = ""
    for name in location:
        inner = _child(node, name)
        if inner is None:
            break
        node = inner
        path += f"[{name}]" if isinstance(name, int) else f"{'.' if path else ''}{name}"
    return (where, path, None) if node is None else (_at(where, node), path, _words(node))


def _child(node: yaml.Node | None, name: Any) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if _text(key) == name), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(name, int) and name < len(node.value):
        return node.value[name]
    return None


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(part) for part in node.value]
    if isinstance(node, yaml.MappingNode):
        return {_text(key) or "": _plain(value) for key, value in node.value}
    return _text(node) if node.tag == "!" or not node.tag.endswith(":null") else None


def _text(node: yaml.Node) -> str | None:
    """A scalar's own text, "" for nothing; None for what is no scalar."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    return "" if node.tag.endswith(":null") else str(node.value)


def _words(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return shown(node.value)
    kind = "list" if isinstance(node, yaml.SequenceNode) else "group"
    return f"a {kind}" if node.value else f"an empty {kind}"


def shown(text: str) -> str:
    """A value as messages show it, in quotes and not too long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...") if text else "empty"


def _line(part: yaml.Node | yaml.Event) -> int:
    return 0 if part.start_mark is None else part.start_mark.line + 1


def _at(where: str, part: yaml.Node | yaml.Event) -> str:
    return f"{where}, line {_line(part)}"
