"""What the tests of seeing share: other people, mounts, and waiting for what must come."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def nobody() -> Iterator[None]:
    """Acts as a user without privileges: root passes over every mode."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def common_folder() -> Iterator[Path]:
    """A folder that other users reach, too; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="scanmend-seeing-"))
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def mounted(*command: str | Path, at: Path) -> Iterator[Path]:
    """Mounts something for a while; skips where that is not possible."""
    at.mkdir(exist_ok=True, parents=True)
    if os.geteuid() != 0 or shutil.which(str(command[0])) is None:
        pytest.skip(f"mounting with {command[0]} needs root and that program")
    done = subprocess.run([*map(str, command), str(at)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def eventually(fact: Callable[[], object], within: float = 10.0) -> bool:
    """Polls for something that another thread or process brings about."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if fact():
            return True
        time.sleep(0.01)
    return bool(fact())


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
