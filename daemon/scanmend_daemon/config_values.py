"""What single values of the configuration may be: paths, profiles, addresses, switches."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo
from pydantic.json_schema import WithJsonSchema
from scanmend.errors import ProfileError
from scanmend.settings import OFF

from scanmend_daemon.ignore import Ignore
from scanmend_daemon.quantities import Size

# Whoever writes one of these does not mean a folder beside the configuration.
_NO_FOLDERS = ("delete", "remove", "trash", "move", "archive", "none", "never", "yes", "true", "on", *OFF)


def _say(allowed: str, *kinds: str) -> WithJsonSchema:
    types = [{"type": kind} for kind in kinds]
    return WithJsonSchema({"title": allowed, **(types[0] if len(types) == 1 else {"anyOf": types})})


def _path(value: object, info: ValidationInfo) -> Path:
    """An absolute path: `~` is expanded, and what is relative starts at the configuration's folder."""
    if isinstance(value, str) and not value.strip():
        raise ValueError
    if not isinstance(value, str | Path):
        raise ValueError  # noqa: TRY004 - pydantic turns ValueError into its own
    text = os.fspath(value)
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("it holds a control character")
    try:
        os.fsencode(text)
        path = Path(text).expanduser()
        if info.context:
            path = info.context["base"] / path
        return Path(os.path.abspath(path))
    except UnicodeError:
        raise ValueError("no file name can hold these characters") from None
    except RuntimeError:
        raise ValueError("there is no such user") from None
    except OSError as error:  # the current folder is gone
        raise ValueError(f"it cannot be found: {error.strerror}") from None


def _path_or_none(value: object, info: ValidationInfo) -> Path | None:
    if isinstance(value, str) and value.lower() in _NO_FOLDERS:
        raise ValueError(f"scans are never deleted; a folder of that name is ./{value}")
    return None if value in (None, "keep") else _path(value, info)


def _profile(value: object, info: ValidationInfo) -> str:
    """A name stays one; a path becomes absolute."""
    text = os.fspath(value) if isinstance(value, Path) else value
    if not isinstance(text, str) or not text.strip():
        raise ValueError
    is_path = Path(text).name != text or text.lower().endswith((".yaml", ".yml"))
    return os.fspath(_path(text, info)) if is_path else text


def _address(value: object) -> object:
    """Host and port of "127.0.0.1:8765"; None for off."""
    if value is None or value is False or (isinstance(value, str) and value.lower() in OFF):
        return None
    if isinstance(value, tuple):
        value = f"[{value[0]}]:{value[1]}" if ":" in str(value[0]) else f"{value[0]}:{value[1]}"
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):(\d{1,5})", value if isinstance(value, str) else "")
    if not found:
        raise ValueError
    host, port = found[1].strip("[]"), int(found[2])
    if not _is_loopback(host):
        raise ValueError(
            "others could reach the page; only this computer may: use 127.0.0.1, [::1] or localhost"
        )
    if not 1 <= port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _auto_or(read: Any) -> Any:
    def auto(value: object) -> object:
        return "auto" if isinstance(value, str) and value.lower() == "auto" else read(value)

    return auto


def _pattern(text: str) -> str:
    try:
        Ignore([text])
    except ProfileError as error:
        raise ValueError(error.hint) from None
    return text


def _jobs(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int) or not 1 <= int(value) <= 64:
        raise ValueError
    return int(value)


def _device(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,2})?", value):
        raise ValueError
    return value


_A_FOLDER = "a folder's path, such as ~/Scans/inbox"
Pattern = Annotated[
    str,
    Field(min_length=1, max_length=1000, title="a pattern, such as *.bak or drafts/"),
    AfterValidator(_pattern),
]
FolderPath = Annotated[Path, PlainValidator(_path), _say(_A_FOLDER, "string")]
Originals = Annotated[
    Path | None,
    PlainValidator(_path_or_none),
    _say("keep, or the path of a folder to move them to", "string"),
]
ProfileName = Annotated[
    str, PlainValidator(_profile), _say("a profile's name or path, such as prints", "string")
]
Http = Annotated[
    tuple[str, int] | None,
    PlainValidator(_address),
    _say("off, or an address of this computer such as 127.0.0.1:8765", "string", "boolean"),
]
Device = Annotated[str, PlainValidator(_device), _say("auto, cpu, cuda, cuda:1 or mps", "string")]
Jobs = Annotated[
    Literal["auto"] | int,
    PlainValidator(_auto_or(_jobs)),
    _say("auto or a whole number from 1 to 64", "integer", "string"),
]
Memory = Annotated[
    Literal["auto"] | int,
    PlainValidator(_auto_or(Size(2**28, 2**50).read)),
    _say("auto or a size from 256MiB, such as 8GiB", "integer", "string"),
]
