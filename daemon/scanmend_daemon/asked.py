"""What a request asks the daemon to do, read with care: names, types and sizes are bounded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from scanmend.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

ACTIONS: dict[str, frozenset[str]] = {
    "pause": frozenset({"folder"}),
    "resume": frozenset({"folder"}),
    "retry": frozenset({"job", "file", "all"}),
    "cancel": frozenset({"job", "file"}),
    "release": frozenset({"file"}),
    "reprocess": frozenset({"folder", "file"}),
    "explain": frozenset({"file"}),
    "verify": frozenset({"folder"}),
}
LARGEST_BODY = 64 * 1024  # two paths of the longest that Linux has, every byte of them escaped
_LONGEST_NUMBER = 18  # digits: what SQLite can hold


async def arguments(request: Request) -> dict[str, Any]:
    """The fields of a form, or the members of a JSON object.

    Raises:
        UsageError: the body is too large, of another kind, or not what it says it is.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise UsageError(f"a request may have {LARGEST_BODY} bytes at most")
    try:
        if kind == "application/json":
            values = json.loads(body)
        elif kind == "application/x-www-form-urlencoded":
            values = dict(parse_qsl(body.decode(), max_num_fields=20))
        else:
            raise UsageError("send a form or application/json")
    except (ValueError, RecursionError) as cause:  # text and JSON that are none are ValueErrors both
        raise UsageError(f"the request cannot be read: {cause}") from cause
    if not isinstance(values, dict):
        raise UsageError("the request must be a JSON object")
    return values


def chosen(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an action, each of the type that the daemon expects; empty ones left out.

    Raises:
        UsageError: there is no such action or argument, or a value is of the wrong kind.
    """
    known = ACTIONS.get(name)
    if known is None:
        raise UsageError(f"{name} is nothing that can be asked for", hint=f"there is {', '.join(ACTIONS)}")
    if odd := sorted(given.keys() - known):
        raise UsageError(f"{name} takes no {odd[0]}", hint=f"it takes {', '.join(sorted(known))}")
    return {key: _typed(key, value) for key, value in given.items() if value is not None and value != ""}


def _typed(key: str, value: Any) -> int | bool | str:
    if key == "all":
        return str(value).lower() in {"1", "true", "on"}
    if key == "job":
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER):
            raise UsageError(f"job must be a number, not {text[:40]}")
        return int(text)
    if not isinstance(value, str) or "\0" in value:
        raise UsageError(f"{key} must be a name")
    return value
