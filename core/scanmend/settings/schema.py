"""What a JSON Schema says: which keys there are, and in words what each may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

Schema = dict[str, Any]


class PlainSchema(GenerateJsonSchema):
    """A title stands only where a type gives itself one: in words, what is allowed."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


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


def inlined(part: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with each group in its place: ours are trees, and reading needs no second table."""
    if isinstance(part, list):
        return [inlined(item, definitions) for item in part]
    if isinstance(part, float) and part.is_integer():
        return int(part)  # as pydantic 2.11 and later write it
    if not isinstance(part, dict):
        return part
    part = dict(part)
    if name := str(part.pop("$ref", "")).rpartition("/")[2]:
        return inlined({k: v for k, v in definitions[name].items() if k != "title"} | part, definitions)
    return {key: inlined(value, definitions) for key, value in part.items()}


def shape(schema: Schema, kind: str) -> Schema | None:
    """The part of a schema that is a group ("object") or a list ("array"), if it allows one."""
    choices = [schema, *schema.get("anyOf", ())]
    return next((choice for choice in choices if choice.get("type") == kind), None)


def walk(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
    """Every key below a schema, dotted, with its part; groups before what they hold."""
    for name, part in schema.get("properties", {}).items():
        yield prefix + name, part
        if group := shape(part, "object"):
            yield from walk(group, f"{prefix}{name}.")
        elif items := shape(part, "array"):
            yield from walk(items.get("items", {}), f"{prefix}{name}[].")


def part_at(schema: Schema, path: str) -> Schema:
    """The part of a schema that a path such as "folders[0].watch" leads to."""
    for name in re.findall(r"[^.\[\]]+", path):
        group, items = shape(schema, "object"), shape(schema, "array")
        if group and name in group.get("properties", {}):
            schema = group["properties"][name]
        elif items and name.isdecimal():
            schema = items.get("items", {})
    return schema
