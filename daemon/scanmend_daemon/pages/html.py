"""HTML that cannot be forgotten to be escaped: text goes in as text, elements come out."""

from __future__ import annotations

from html import escape
from typing import TypeAlias

_VOID = {"input", "img", "meta", "link", "br"}


class Markup(str):
    """Text that is HTML already; only `element` and `together` make it."""

    __slots__ = ()


Child: TypeAlias = str | Markup | None


def element(name: str, /, *children: Child, **attributes: str | bool | float | None) -> Markup:
    """An element; every child that is no `Markup` is escaped, and None is left out.

    Args:
        name: the tag.
        children: text and elements.
        attributes: `class_` stands for class, `data_x` for data-x; None and False leave one out.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{together(*children)}</{name}>")


def together(*children: Child) -> Markup:
    """Children one after another, with nothing around them."""
    return Markup("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Markup) else escape(child, quote=False)


def _attribute(key: str, value: str | bool | float | None) -> str:  # noqa: FBT001 - as in HTML
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
