"""What a restored layer remembers, so that it can be restored anew with other settings."""

from __future__ import absolute_import, division, print_function, unicode_literals

import json
import uuid

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional  # noqa: F401 - type comments

PARASITE = "scanmend-restoration"
PART = "scanmend-part"
"""On a layer that was made: what it is, RESTORED or REMOVED. Copies of the layer keep it."""
RESTORED, REMOVED = "restored", "removed"
SOURCE = "scanmend-source"
"""On a layer that was restored: the name by which its restorations know it.

A copy of an image numbers its layers anew, so that by their tattoos others would be taken for them.
"""
VERSION = 1
_MOST_BYTES = 1 << 16
_LONGEST_WORD = 64


def dump(values):
    # type: (Dict[str, Any]) -> bytes
    """The values as the parasite holds them."""
    return json.dumps(dict(values, scanmend=VERSION), sort_keys=True).encode("ascii")


def new_name():
    # type: () -> str
    """A name for a source that no other layer has."""
    return uuid.uuid4().hex


def word(data):
    # type: (bytes) -> str
    """What a parasite that holds a single word says; nothing where it is too long, or not ours."""
    return data.decode("ascii", "replace").rstrip("\0") if len(data) <= _LONGEST_WORD else ""


def load(data):
    # type: (bytes) -> Optional[Dict[str, Any]]
    """The values of a parasite; None where it is not ours, of a later version, or damaged."""
    if len(data) > _MOST_BYTES:
        return None
    try:
        values = json.loads(data.decode("ascii").rstrip("\0"))
    except (ValueError, RuntimeError):  # Python 3's RecursionError is a RuntimeError
        return None
    return values if isinstance(values, dict) and values.get("scanmend") == VERSION else None
