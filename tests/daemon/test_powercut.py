"""The power fails at any change the daemon makes on disk: what it had promised is there afterwards.

Each point on an image of its own file system: struck, mounted anew, judged, run in peace, judged again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.daemon.rigs import powercut, tracer
from tests.daemon.rigs.points import ASKED, chosen
from tests.daemon.rigs.powercut import KINDS, Machine, machine, store
from tests.daemon.rigs.scene import MOVED, Traced, engine_running, right_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(tracer.usable()), reason=tracer.usable() or "usable"),
]
SECONDS = 30.0


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    with engine_running() as folder:
        yield folder


@pytest.fixture(scope="module")
def right(runtime: Path) -> dict[str, bytes]:
    return right_results(MOVED, runtime)


@pytest.fixture
def images() -> Iterator[Path]:
    if why := powercut.usable("ext4"):
        pytest.skip(why)
    with store() as folder:
        yield folder


def _machine(
    kind: str, images: Path, runtime: Path, right: dict[str, bytes]
) -> AbstractContextManager[Machine]:
    if why := powercut.usable(kind):
        pytest.skip(why)
    return machine(kind, images, MOVED, runtime, right)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_power_cut_nothing_is_lost_and_each_scan_delivered_once(
    kind: str, images: Path, runtime: Path, right: dict[str, bytes]
) -> None:
    points = fired = 0
    wrongs: list[str] = []
    with _machine(kind, images, runtime, right) as cut:
        record = _record(cut)
        for number in chosen(record, SECONDS, seed=3):
            struck, wrong = _struck(cut, number)
            points, fired, wrongs = points + 1, fired + struck, wrongs + wrong
    print(
        f"{kind}: {fired} of {points} points struck, of {len(record.calls)} calls, {len(wrongs)} violations"
    )

    assert not wrongs, "\n".join(wrongs)
    assert fired >= 0.9 * points > 0


def _record(cut: Machine) -> Traced:
    cut.prepare()
    record = cut.scene.traced(0)
    wrong = cut.scene.unfinished(record.run)
    cut.off()
    assert not wrong
    return record


def _struck(cut: Machine, number: int, mutant: str = "") -> tuple[bool, list[str]]:
    cut.prepare()
    traced = cut.cut(number, mutant=mutant)
    wrong: list[str] = []
    if traced.fired:
        assert traced.run.code == -9, traced.run.text
        wrong = cut.scene.broken_promises()
        wrong += cut.scene.unfinished(cut.scene.run(mutant=mutant))
    cut.off()
    return bool(traced.fired), [f"{cut.kind} at {number}, {traced.name(number)}: {line}" for line in wrong]


@pytest.mark.parametrize("originals", ["move", "keep"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_done_outlives_a_power_cut_though_the_scanner_synced_nothing(
    kind: str, originals: str, images: Path, runtime: Path, right: dict[str, bytes]
) -> None:
    with _machine(kind, images, runtime, right) as cut:
        cut.scene.plot = replace(MOVED, originals=originals, foreign={}, bad={})
        cut.prepare(synced=False)
        run = cut.scene.run()
        cut.cut_now()

        assert not cut.scene.unfinished(run)


@pytest.mark.parametrize("mutant", ["n1", "n4"])
def test_the_rig_notices_a_daemon_that_does_not_sync(
    mutant: str, images: Path, runtime: Path, right: dict[str, bytes]
) -> None:
    points = wrongs = 0
    with _machine("ext4", images, runtime, right) as cut:
        record = _record(cut)
        for number in chosen(record, 4 * SECONDS, seed=5):
            wrongs += bool(_struck(cut, number, mutant)[1])
            points += 1
            if wrongs and ASKED != "all":
                break
    print(f"{mutant}: {wrongs} of {points} points violated")

    assert wrongs
