"""A run's files: each is replaced in one step, so that a kill at any moment leaves whole ones."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def replace(path: Path, content: bytes) -> None:
    """Writes a sibling, waits until it is on the disk, and puts it in the place of `path`."""
    sibling = path.with_name(path.name + ".part")
    with sibling.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sibling.replace(path)
    if os.name != "nt":  # the new name has to reach the disk as well; Windows cannot open folders
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def replace_json(path: Path, values: Mapping[str, Any]) -> None:
    """As `replace`, with an indented JSON object."""
    replace(path, (json.dumps(values, indent=2) + "\n").encode())


def replace_state(path: Path, state: Mapping[str, Any]) -> None:
    """As `replace`, with what `torch.load(weights_only=True)` reads again."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    replace(path, content.getvalue())


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
