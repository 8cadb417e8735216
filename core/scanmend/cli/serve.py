"""`scanmend serve`: the engine as a process of its own, for the hot folder and other front ends."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

from scanmend import places
from scanmend.cli import out
from scanmend.errors import UsageError
from scanmend.serve import house, listening
from scanmend.serve.client import default_address
from scanmend.serve.crew import Means

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SHARE = 0.7  # of all memory, unless somebody says otherwise
_LEAST_MEMORY = 64 * 2**20


def run(
    *,
    socket: str | None,
    tcp: int | None,
    idle_exit: float,
    device: str,
    backend: str,
    jobs: str,
    memory: str,
    patience: float,
) -> int:
    """Serves until it is told to end; returns the exit code.

    Raises:
        UsageError: an option makes no sense, or nobody can listen there.
    """
    address = Path(socket).absolute() if socket else None
    wants_tcp = tcp is not None or sys.platform == "win32"
    if address is None:
        address = places.runtime_folder() / ("engine.json" if wants_tcp else "engine.sock")
    if wants_tcp and address.suffix != ".json":
        raise UsageError(
            f"{address} is no token file", hint="with --tcp, --socket names a file ending in .json"
        )
    handed = listening.handed_over()
    if handed and (socket or wants_tcp):
        raise UsageError("systemd has opened the socket already", hint="leave out --socket and --tcp")
    # Whoever chooses an address of his own does not want to be found elsewhere.
    shared = places.shared_socket() if str(address) == default_address() and not wants_tcp else None
    means = Means(device, backend, _jobs(jobs), _memory(memory), patience)
    place = listening.Place(address, tcp or 0, shared, handed)
    return house.run(house.Settings(place, idle_exit, means), out.remark)


def _jobs(text: str) -> int:
    """How many scans at once; auto is one, as one keeps all cores busy."""
    if text == "auto":
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise UsageError(f"--jobs {text} is not a number from 1 to 64", hint="auto is one")
    return int(text)


def _memory(text: str) -> int:
    """Bytes for `auto`, a share such as 50%, or a size such as 6GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|[a-z]*)", text.strip().lower())
    if text == "auto":
        size = _SHARE * _installed()
    elif found and found[2] == "%":
        size = float(found[1]) / 100 * _installed()
    elif found and found[2] in _UNITS:
        size = float(found[1]) * _UNITS[found[2]]
    else:
        raise UsageError(f"--memory {text} is no size", hint="for instance auto, 50% or 6GiB")
    if size < _LEAST_MEMORY:
        raise UsageError(f"--memory {text} is too little to work with", hint="64MiB is the least")
    return int(size)


def _installed() -> int:
    """Bytes of memory of this machine, or of the container around it."""
    if sys.platform == "win32":
        return 8 * 2**30  # the share is watched on systems with /proc alone
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max", or there is none
            sizes.append(int(Path(name).read_text(encoding="ascii")))
    return min(sizes)
