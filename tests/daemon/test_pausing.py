"""Pauses: who stands still for what, and for how long."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from scanmend_daemon.ledger import Ledger
from scanmend_daemon.pausing import WAITS, Pauses
from scanmend_daemon.trouble import Trouble, Where

FULL = Trouble(Where.OUTPUT, "the disk is full")
NO_ENGINE = Trouble(Where.ENGINE, "there is no engine")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def pauses(tmp_path: Path, said: list[str]) -> Iterator[Pauses]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Pauses(ledger, said.append)
    ledger.close()


def test_a_full_output_stops_its_folder_alone_and_a_missing_engine_all(pauses: Pauses) -> None:
    pauses.add(FULL, "/a", 100.0)
    before = [pauses.standing(root, 101.0) for root in ("/a", "/b")]

    pauses.add(NO_ENGINE, "/a", 101.0)

    assert before == [True, False]
    assert pauses.standing("/b", 102.0)


def test_each_failed_try_makes_the_wait_longer_up_to_a_bound(pauses: Pauses) -> None:
    now, waits = 0.0, []
    for _ in range(len(WAITS) + 2):
        pauses.add(FULL, "/a", now)
        waits.append(pauses.next(now) - now)
        now = pauses.next(now)

    assert waits == [*WAITS, WAITS[-1], WAITS[-1]]


def test_a_second_thread_with_the_same_trouble_does_not_prolong_it(pauses: Pauses, said: list[str]) -> None:
    pauses.add(FULL, "/a", 0.0)
    pauses.add(FULL, "/a", 1.0)

    assert (pauses.next(1.0), len(said), pauses.lasting) == (WAITS[0], 1, False)


def test_a_pause_that_is_over_is_no_time_to_wait_for(pauses: Pauses) -> None:
    pauses.add(FULL, "/a", 0.0)

    assert pauses.over(WAITS[0])
    assert pauses.next(WAITS[0]) == math.inf
    assert not pauses.standing("/a", WAITS[0])


def test_success_ends_a_pause_and_says_so(pauses: Pauses, said: list[str]) -> None:
    pauses.add(FULL, "/a", 0.0)

    pauses.worked("/a")
    pauses.worked("/a")

    assert not pauses
    assert said[1:] == ["work goes on"]


def test_a_trouble_that_nothing_met_again_is_forgotten(pauses: Pauses) -> None:
    pauses.add(FULL, "/a", 0.0)
    pauses.forget(30.0)
    kept = bool(pauses)

    pauses.forget(300.0)

    assert (kept, bool(pauses)) == (True, False)
