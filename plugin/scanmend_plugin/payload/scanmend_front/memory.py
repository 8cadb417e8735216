"""What a restored layer remembers, so that it can be restored anew with other settings."""

from __future__ import absolute_import, division, print_function, unicode_literals

import json

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional  # noqa: F401 - type comments

PARASITE = "scanmend-restoration"
VERSION = 1
_MOST_BYTES = 1 << 16


def dump(values):
    # type: (Dict[str, Any]) -> bytes
    """The values as the parasite holds them."""
    return json.dumps(dict(values, scanmend=VERSION), sort_keys=True).encode("ascii")


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
