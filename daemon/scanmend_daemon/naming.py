"""Which name a result gets: from the profile's template, free on disk and in the ledger, never too long."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST = 255 - len(".scanmend.json")
"""Bytes of the longest name for a result: its sidecar's name has to fit into 255 as well."""

_EXTENSIONS = {"tiff": ".tif", "png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "bmp": ".bmp"}


def candidates(relpath: str, profile: Mapping[str, Any], *, index: int) -> Iterator[str]:
    """Paths below the output folder that a result may take, the best first, without end.

    Where the result has another format than the scan, `a.jpg` and `a.png` would both become
    `a_restored.tif`: the second choice keeps the scan's ending in the stem. After that numbers follow.

    Args:
        relpath: the scan's path below its hot folder; its sub-folder is mirrored.
        profile: the resolved settings, with the profile's name under "name".
        index: the job's number, for {index}.
    """
    folder, name = os.path.split(relpath)
    stem, own = os.path.splitext(name)
    output = profile["output"]
    ext = own if output["format"] == "same" else _EXTENSIONS[output["format"]]
    fill = {"ext": ext, "profile": profile["name"], "index": index}
    first = str(output["name"].format(stem=stem, **fill))
    yield os.path.join(folder, fitted(first))
    if ext.lower() != own.lower():
        yield os.path.join(folder, fitted(str(output["name"].format(stem=name, **fill))))
    head, tail = os.path.splitext(first)
    for number in itertools.count(2):
        yield os.path.join(folder, fitted(f"{head}-{number}{tail}"))


def fitted(name: str) -> str:
    """A name of at most `LONGEST` bytes: a longer one is cut before its ending and gets a hash in place."""
    if len(os.fsencode(name)) <= LONGEST:
        return name
    head, tail = os.path.splitext(name)
    if len(os.fsencode(tail)) > 20:  # no ending, only a dot somewhere
        head, tail = name, ""
    mark = "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    room = LONGEST - len(os.fsencode(tail)) - len(mark)
    while len(os.fsencode(head)) > room:
        head = head[:-1]  # a whole character at a time: no code point is cut in two
    return f"{head}{mark}{tail}"
