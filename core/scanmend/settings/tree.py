"""The text of a settings file as a tree of YAML nodes, which know their lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from scanmend.errors import ProfileError


class Place(NamedTuple):
    """Where a value stands ("x.yaml, line 3"), its dotted path, and what stands there in words."""

    at: str
    path: str
    shown: str


def compose(text: str, where: str, noun: str, max_depth: int) -> yaml.Node | None:
    """The root of a text, None where it holds nothing.

    Args:
        text: YAML.
        where: the file, for messages.
        noun: what people call such a file.
        max_depth: how deep groups and lists may be nested.

    Raises:
        ProfileError: it is not YAML, or uses what would let a small file grow large.
    """
    try:
        _refuse_bombs(text, where, noun, max_depth)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "malformed"
        raise ProfileError(f"{at}: this is not YAML: {problem}") from error
    except (ValueError, OverflowError) as error:  # PyYAML lets chr() and int() of bad escapes through
        raise ProfileError(f"{where}: this is not YAML: it holds a number or escape too large") from error


def _refuse_bombs(text: str, where: str, noun: str, max_depth: int) -> None:
    """Looks at the events, which cost no recursion, before the composer builds anything from them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        at = at_line(where, event)
        if isinstance(event, yaml.AliasEvent):
            raise ProfileError(f"{at}: aliases (*name) are not used in {noun}s", hint="repeat the value")
        if getattr(event, "tag", None) not in (None, "!"):
            raise ProfileError(f"{at}: tags (!name) are not used in {noun}s", hint="leave the tag out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > max_depth:
            raise ProfileError(f"{at}: nested deeper than any {noun} is")


def place(node: yaml.Node | None, location: tuple[Any, ...], where: str) -> Place:
    """The place of pydantic's location.

    A location goes deeper than the file where pydantic names the branches of a union.
    """
    path = ""
    for name in location:
        inner = _child(node, name)
        if inner is None:
            break
        node = inner
        path += f"[{name}]" if isinstance(name, int) else f"{'.' if path else ''}{name}"
    return Place(where, path, "") if node is None else Place(at_line(where, node), path, words(node))


def _child(node: yaml.Node | None, name: Any) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if text_of(key) == name), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(name, int) and name < len(node.value):
        return node.value[name]
    return None


def plain(node: yaml.Node) -> Any:
    """What a node holds: text, None, lists and dicts."""
    if isinstance(node, yaml.SequenceNode):
        return [plain(part) for part in node.value]
    if isinstance(node, yaml.MappingNode):
        return {text_of(key) or "": plain(value) for key, value in node.value}
    return text_of(node) if node.tag == "!" or not node.tag.endswith(":null") else None


def text_of(node: yaml.Node) -> str | None:
    """A scalar's own text, "" for nothing; None for what is no scalar."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    return "" if node.tag.endswith(":null") else str(node.value)


def words(node: yaml.Node) -> str:
    """What a node holds, for messages."""
    if isinstance(node, yaml.ScalarNode):
        return shown(node.value)
    kind = "list" if isinstance(node, yaml.SequenceNode) else "group"
    return f"a {kind}" if node.value else f"an empty {kind}"


def shown(text: str) -> str:
    """A value as messages show it, in quotes and not too long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...") if text else "empty"


def line_of(part: yaml.Node | yaml.Event) -> int:
    """The line in which a node starts, from 1."""
    return 0 if part.start_mark is None else part.start_mark.line + 1


def at_line(where: str, part: yaml.Node | yaml.Event) -> str:
    """Where a node starts: "x.yaml, line 3"."""
    return f"{where}, line {line_of(part)}"
