"""The scanner zoo: every way of writing, in every format, against a daemon that runs.

What is published is never made from half a file; every file that becomes whole is restored once, as it
stands in the end; what a client left half done waits, with a reason. docs/hot-folder-proofs.md tells more.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.daemon import zoo
from tests.daemon.live import Hot, bindfs_usable, hashed, mounted, short_folder
from tests.daemon.rigs.scene import engine_running
from tests.daemon.zoo import Scribe, Script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the daemon is asked through a Unix socket")
QUIET = 0.5
SHORT, LONG = 0.5, 2.6  # quiet times: a pause that settling outlasts, and one that it does not
SEEN, UNSEEN = f"settle: {{quiet: {QUIET}s}}", f"settle: {{quiet: {QUIET}s}}, poll: 0.5s"
PATIENCE = 150.0

Cast = Sequence[tuple[Scribe, Script]]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    with engine_running() as folder:
        yield folder


@pytest.fixture
def hot(runtime: Path) -> Iterator[Hot]:
    with short_folder() as home:
        hot = Hot(home, runtime, folder=SEEN)
        yield hot
        hot.stop()


@pytest.fixture
def behind(runtime: Path) -> Iterator[tuple[Hot, Path]]:
    """A daemon that watches a mount, and the folder behind it, where the writers are."""
    if why := bindfs_usable():
        pytest.skip(why)
    with short_folder() as home:
        origin = home / "server"
        origin.mkdir()
        with mounted(origin, home / "inbox"):
            hot = Hot(home, runtime, folder=UNSEEN)
            yield hot, origin
            hot.stop()


def cast(hot: Hot, place: Path, chosen: Sequence[tuple[str, str, float]]) -> Cast:
    """One file for each script, format and pause, each script in a sub-folder of its own."""
    made = []
    for seed, (name, kind, gap) in enumerate(chosen, start=1):
        ending = kind.rpartition(".")[2]
        path = place / name / f"{kind.partition('.')[0]} {gap:g}.{ending}"
        path.parent.mkdir(exist_ok=True)
        scribe = Scribe(path, kind, seed, gap, partial(_published, hot, name))
        made.append((scribe, zoo.SCRIPTS[name]))
    return made


def _published(hot: Hot, below: str, digest: str) -> bool:
    return any(result.made_from == digest for result in hot.results(below))


def every(kinds: Sequence[str], gaps: Sequence[float]) -> list[tuple[str, str, float]]:
    return [
        (name, kind, gap) for name in zoo.SCRIPTS for kind in kinds for gap in gaps if zoo.fits(name, kind)
    ]


def a_few() -> list[tuple[str, str, float]]:
    """Every script with two formats, and over all scripts each format and each pause."""
    chosen = []
    for number, name in enumerate(zoo.SCRIPTS):
        kinds = [kind for kind in zoo.FORMATS if zoo.fits(name, kind)]
        for turn in range(2):
            gap = LONG if (number + turn) % 3 else SHORT
            chosen.append((name, kinds[(2 * number + 3 * turn + turn) % len(kinds)], gap))
    return chosen


def perform(hot: Hot, players: Cast) -> None:
    """Plays all scripts and waits until the daemon has come to rest with what they left."""
    zoo.play(players, QUIET, PATIENCE)
    finals = {scribe.final for scribe, _ in players if scribe.final}
    halves = [relpath_of(*player) for player in players if player[0].final is None]
    hot.until(lambda: finals <= {result.made_from for result in hot.results()}, "all are restored", PATIENCE)
    hot.until(lambda: not any(still_open(hot, relpath) for relpath in halves), "the dead are noticed")
    hot.until(lambda: at_rest(hot), "the daemon comes to rest")
    time.sleep(2 * QUIET)  # what ought not to come would come now
    hot.until(lambda: at_rest(hot), "the daemon comes to rest")


def at_rest(hot: Hot) -> bool:
    row = hot.view()
    return bool(row) and not any(row[state] for state in ("settling", "queued", "running"))


def relpath_of(scribe: Scribe, script: Script) -> str:
    return f"{script.__name__}/{scribe.path.name}"


def still_open(hot: Hot, relpath: str) -> bool:
    told = hot.explained(relpath)
    return told["state"] == "settling" or "has it open" in told["reason"]


def wrongs(hot: Hot, players: Cast) -> list[str]:
    """Everything that is not as the daemon promises, in sentences."""
    found = []
    results = hot.results()
    for scribe, script in players:
        relpath = relpath_of(scribe, script)
        stem = f"{script.__name__}/{scribe.path.stem}_restored"
        mine = [result for result in results if result.name.startswith((f"{stem}.", f"{stem}-"))]
        made = Counter(result.made_from for result in mine)
        if broken := made.keys() - set(scribe.whole):
            found.append(f"{relpath}: {len(broken)} results were made from a file that was not whole")
        if scribe.final and made[scribe.final] != 1:
            found.append(f"{relpath}: as it is now it has {made[scribe.final]} results")
        if any(number > 1 for number in made.values()):
            found.append(f"{relpath}: a content has two results: {[result.name for result in mine]}")
        if script.__name__ in zoo.EACH_ONE and set(made) != set(scribe.whole):
            found.append(f"{relpath}: of {len(scribe.whole)} contents {len(made)} were restored")
        ending = scribe.path.suffix
        names = [f"{stem}{ending}", *(f"{stem}-{number}{ending}" for number in range(2, len(mine) + 1))]
        if sorted(result.name for result in mine) != sorted(names[: len(mine)]):
            found.append(f"{relpath}: its results are called {[result.name for result in mine]}")
        if any(hashed(result.data) != result.made_from for result in mine):
            found.append(f"{relpath}: a result that should be a copy is not")
        if scribe.final is None and (told := hot.explained(relpath))["state"] != "held":
            found.append(f"{relpath}: it is not held: {told['state']}, {told['reason']}")
        elif scribe.final is None and len(told["reason"]) < 10:
            found.append(f"{relpath}: it is held without a reason")
    if "should not" in hot.log or "Traceback" in hot.log:
        found.append(hot.log)
    return found


def test_whatever_way_scans_come_no_half_one_is_published_and_each_whole_one_once(hot: Hot) -> None:
    players = cast(hot, hot.inbox, a_few())
    hot.start()

    perform(hot, players)

    assert not wrongs(hot, players)
    assert not list(hot.failed.glob("**/*"))


def test_writers_behind_a_mount_are_found_by_polling_and_half_files_are_not_taken(
    behind: tuple[Hot, Path],
) -> None:
    hot, origin = behind
    players = cast(hot, origin, a_few())
    hot.start()

    perform(hot, players)

    assert not wrongs(hot, players)
    assert hot.view()["by"] == "polling"


@pytest.mark.slow
@pytest.mark.parametrize("gap", [SHORT, LONG])
def test_every_way_of_writing_does_with_every_format(hot: Hot, gap: float) -> None:
    players = cast(hot, hot.inbox, every(zoo.FORMATS, [gap]))
    hot.start()

    perform(hot, players)

    assert not wrongs(hot, players)


@pytest.mark.slow
@pytest.mark.parametrize("gap", [SHORT, LONG])
def test_every_way_of_writing_behind_a_mount_does_with_every_format(
    behind: tuple[Hot, Path], gap: float
) -> None:
    hot, origin = behind
    players = cast(hot, origin, every(zoo.FORMATS, [gap]))
    hot.start()

    perform(hot, players)

    assert not wrongs(hot, players)


def test_the_zoo_sees_when_a_half_file_is_taken(hot: Hot) -> None:
    hot.configure(f"settle: {{quiet: {QUIET}s, zero_tail: accept}}")
    players = cast(hot, hot.inbox, [("died_preset", "plain.tif", LONG), ("slow_stream", "jpg", SHORT)])
    hot.start()

    perform(hot, players)

    assert any("not whole" in sentence for sentence in wrongs(hot, players))


def test_scans_that_are_restored_rather_than_copied_fare_the_same(hot: Hot) -> None:
    (hot.inbox / "scanmend.yaml").write_text("noise: {strength: 0.5, level: 20}\n")
    ways = [
        ("slow_stream", "16 bit.tif", SHORT), ("overwritten", "png", LONG), ("name_used_again", "jpg", LONG),
        ("late_pages", "lzw.tif", LONG), ("died_short", "bmp", SHORT),
    ]  # fmt: skip
    players = cast(hot, hot.inbox, ways)
    hot.start()

    perform(hot, players)

    found = wrongs(hot, players)
    assert found
    assert all("should be a copy is not" in sentence for sentence in found)
    assert all(result.profile["noise"]["strength"] == 0.5 for result in hot.results())


def test_a_scan_waits_for_its_own_settings_until_they_are_there_and_valid(hot: Hot) -> None:
    hot.configure(f"{SEEN}, sidecar: required")
    hot.start()
    data = zoo.picture("plain.tif", 1)
    own = hot.inbox / "one.yaml"
    (hot.inbox / "one.tif").write_bytes(data)
    hot.until(lambda: hot.explained("one.tif")["state"] == "held", "it is held")
    waits = hot.explained("one.tif")["reason"]
    own.write_text("output: {format: png}\nnoise: {stren")
    hot.until(lambda: "line 2" in hot.explained("one.tif")["reason"], "it says what is wrong")
    early = hot.results()
    own.write_text("output: {format: png}\nnoise: {strength: off}\n")
    hot.until(hot.results, "it is restored")

    assert "one.yaml" in waits
    assert not early
    (result,) = hot.results()
    assert (result.name, result.made_from) == ("one_restored.png", hashed(data))


def test_settings_that_come_too_late_hold_from_the_next_time_on(hot: Hot) -> None:
    hot.start()
    scan = hot.inbox / "one.tif"
    scan.write_bytes(zoo.picture("plain.tif", 1))
    hot.until(hot.results, "it is restored")
    (hot.inbox / "one.yaml").write_text("output: {format: png}\n")
    time.sleep(4 * QUIET)
    still = [result.name for result in hot.results()]
    hot.asked().act("reprocess", {"file": str(scan)})
    hot.until(lambda: len(hot.results()) == 2, "it is restored anew")

    assert still == ["one_restored.tif"]
    assert [result.name for result in hot.results()] == ["one_restored.png", "one_restored.tif"]


def test_a_file_that_stays_half_done_is_a_failure_in_the_end_and_mended_by_the_whole_one(hot: Hot) -> None:
    hot.configure(f"settle: {{quiet: {QUIET}s, give_up: 2s}}")
    hot.start()
    data = zoo.picture("plain.tif", 1)
    scan, note = hot.inbox / "one.tif", hot.failed / "one.tif.txt"
    scan.write_bytes(data[: len(data) // 2])
    hot.until(note.exists, "it is among the failures")
    told, early = note.read_text(), hot.results()
    scan.write_bytes(data)
    hot.until(hot.results, "the whole one is restored")
    hot.until(lambda: not note.exists(), "the note is taken back")

    assert not early
    assert "one.tif" in told
    assert [result.made_from for result in hot.results()] == [hashed(data)]
