"""Which points a run of the rigs strikes at: all of them when asked, else a sample with a seed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence

from tests.daemon.rigs.scene import Traced

ASKED = os.environ.get("SCANMEND_FAULT_POINTS", "")
"""all, a number of points for each test, or empty for as many as a test has seconds for."""


def chosen(record: Traced, seconds: float, seed: int, *, among: Sequence[int] = ()) -> Iterator[int]:
    """Numbers of calls: kinds that differ before repetitions, until the seconds are over.

    Args:
        record: of a run to which nothing happened.
        seconds: how long to go on for, where nothing else was asked.
        seed: of the order.
        among: the numbers to choose from; default all.
    """
    numbers = list(among or range(1, len(record.calls) + 1))
    if ASKED == "all":
        yield from numbers
        return
    random.Random(seed).shuffle(numbers)  # noqa: S311 - a sample, no secret
    seen: dict[str, int] = {}
    rank = {}
    for number in numbers:
        seen[record.name(number)] = rank[number] = seen.get(record.name(number), 0) + 1
    deadline = time.monotonic() + seconds
    for place, number in enumerate(sorted(numbers, key=rank.__getitem__)):
        if place >= int(ASKED) if ASKED else time.monotonic() > deadline:
            return
        yield number
