"""The two questions Scanmend asks an ICC profile: is it linear, and what is it called?

Tag table and types as in ICC.1:2010, sections 7.2, 7.3, 10.5, 10.13, 10.15; the text
description as in ICC.1:2001-04, section 6.5.17. Profiles are read, never changed: a
damaged one counts as a display profile without a name, and its bytes are kept.
"""

from __future__ import annotations

import struct

from scanmend.image import Transfer

_MAX_TAGS = 1024  # the largest known profiles have some fifty
_MAX_NAME = 256  # characters
_CURVES = {b"RGB ": (b"rTRC", b"gTRC", b"bTRC"), b"GRAY": (b"kTRC",)}
_GAMMA_ONE = 256  # u8Fixed8Number
_ONE = 65536  # s15Fixed16Number


def transfer(icc: bytes | None) -> Transfer:
    """Tells whether samples under this profile are proportional to light.

    Args:
        icc: a profile, whole or damaged, or None.

    Returns:
        "linear" where every tone curve of a grey or RGB profile is the identity;
        "display" for everything else.
    """
    if icc is None:
        return "display"
    wanted = _CURVES.get(icc[16:20], ())
    if wanted and all(_identity(_tag(icc, name)) for name in wanted):
        return "linear"
    return "display"


def describe(icc: bytes | None) -> str:
    """The profile's own name ("Adobe RGB (1998)"), or an empty string where it has none."""
    if icc is None:
        return ""
    block = _tag(icc, b"desc")
    readers = {b"desc": _description, b"text": _plain, b"mluc": _localized}
    reader = readers.get(block[:4])
    text = reader(block) if reader else ""
    return "".join(c if c.isprintable() else " " for c in text.split("\0", 1)[0]).strip()[:_MAX_NAME]


def _tag(icc: bytes, name: bytes) -> bytes:
    """A tag's bytes, cut at the profile's end; empty where there is no such tag."""
    if len(icc) < 132:
        return b""
    (count,) = struct.unpack_from(">I", icc, 128)
    for number in range(min(count, _MAX_TAGS, (len(icc) - 132) // 12)):
        signature, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * number)
        if signature == name:
            return icc[offset : offset + size]
    return b""


def _identity(block: bytes) -> bool:
    kind = block[:4]
    if kind == b"curv" and len(block) >= 12:
        (count,) = struct.unpack_from(">I", block, 8)
        return count == 0 or (count == 1 and block[12:14] == _GAMMA_ONE.to_bytes(2, "big"))
    if kind == b"para" and len(block) >= 16:
        function, gamma = struct.unpack_from(">H2xi", block, 8)
        return bool(function == 0 and gamma == _ONE)
    return False


def _description(block: bytes) -> str:
    length = int.from_bytes(block[8:12], "big")
    return block[12 : 12 + min(length, _MAX_NAME)].decode("latin-1")


def _plain(block: bytes) -> str:
    return block[8 : 8 + _MAX_NAME].decode("latin-1")


def _localized(block: bytes) -> str:
    """The English name, else the first one."""
    found = ""
    for number in range(min(int.from_bytes(block[8:12], "big"), _MAX_TAGS, max(len(block) - 16, 0) // 12)):
        language, length, offset = struct.unpack_from(">2s2xII", block, 16 + 12 * number)
        text = block[offset : offset + min(length, 2 * _MAX_NAME)].decode("utf-16-be", "replace")
        if language == b"en":
            return text
        found = found or text
    return found
