"""What people ask for while no daemon runs; with one, see test_daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scanmend.errors import UsageError
from scanmend_daemon import config, disk, locks
from scanmend_daemon.control import Actions, offline
from scanmend_daemon.ledger import State
from scanmend_daemon.trouble import Failure

from tests.daemon.keeping import Bench


@pytest.fixture
def ask(bench: Bench) -> Callable[..., dict[str, Any]]:
    """Asks for something by name, on the bench's ledger."""
    made = config.Config(scanmend_daemon=1, folders=(bench.folder,), state=bench.state)
    actions = Actions(lambda: made, bench.ledger, bench.profiles)
    return lambda name, **arguments: actions.act(name, arguments)


Ask = Callable[..., dict[str, Any]]


def test_a_queued_scan_is_cancelled_and_may_be_asked_for_again(bench: Bench, ask: Ask) -> None:
    path = bench.drop("a.tif", b"scan")
    job = bench.taken("a.tif")

    ask("cancel", job=job.id)
    assert bench.job(job.id).state == State.CANCELLED
    ask("retry", file=str(path))
    bench.again("a.tif")
    bench.finish()

    assert bench.job(job.id).state == State.DONE


def test_all_failures_are_asked_for_again_at_once(bench: Bench, ask: Ask) -> None:
    bench.engine.answer = Failure("LimitExceeded", "too large")
    for name in ("a.tif", "b.tif"):
        bench.drop(name, name.encode())
        bench.take(name)

    answer = ask("retry", all=True)

    assert answer["names"] == ["a.tif", "b.tif"]
    assert [name for name, _ in bench.ledger.asked_again(bench.root, 9)] == ["a.tif", "b.tif"]


def test_a_scan_that_waits_for_its_next_try_gets_it_now(bench: Bench, ask: Ask) -> None:
    bench.engine.render_fault = Failure("EngineError", "it is gone", crash="hang")
    bench.drop("a.tif", b"scan")
    job = bench.taken("a.tif")
    bench.step()

    ask("retry", job=job.id)

    now = bench.job(job.id)
    assert (now.state, now.attempts) == (State.QUEUED, 0)


@pytest.mark.parametrize("state", ["running", "rendered", "done"])
def test_what_is_under_way_or_done_is_not_cancelled_from_afar(bench: Bench, ask: Ask, state: str) -> None:
    bench.drop("a.tif", b"scan")
    job = bench.taken("a.tif")
    with bench.ledger._commit():
        bench.ledger._set(job.id, state=State(state))

    with pytest.raises(UsageError, match=f"is {state}, and cannot be cancelled"):
        ask("cancel", job=job.id)


def test_a_pause_is_kept_until_it_is_taken_back(bench: Bench, ask: Ask) -> None:
    ask("pause", folder=bench.root)
    bench.reopen()
    assert bench.ledger.setting(f"paused:{bench.root}") == "1"


def test_verify_reads_every_result_and_original(moving: Bench) -> None:
    made = config.Config(scanmend_daemon=1, folders=(moving.folder,), state=moving.state)
    actions = Actions(lambda: made, moving.ledger, moving.profiles)
    for name in ("a.tif", "b.tif", "c.tif"):
        moving.restore(name, name.encode())
    assert actions.act("verify", {})["ok"]
    (moving.output / "a_restored.tif").write_bytes(b"changed")
    (moving.archive / "b.tif").unlink()

    told = actions.act("verify", {})

    assert (told["ok"], told["checked"], len(told["problems"])) == (False, 3, 2)
    assert any("a_restored.tif" in line and "not what was written" in line for line in told["problems"])
    assert any("b.tif" in line and "is not there" in line for line in told["problems"])


@pytest.mark.parametrize(
    ("arrange", "state", "words"),
    [
        (lambda bench: bench.drop("a.tif", b"scan"), "new", "not been taken in yet"),
        (lambda bench: bench.restore("a.tif", b"scan"), "done", "converted"),
        (lambda bench: (bench.inbox / "a.tif").symlink_to("x"), "left out", "link"),
        (lambda bench: (bench.inbox / "a.tif").mkdir(), "left out", "folder"),
        (lambda _bench: None, "gone", "no such file"),
    ],
)
def test_each_file_is_explained(
    bench: Bench, ask: Ask, arrange: Callable[[Bench], object], state: str, words: str
) -> None:
    arrange(bench)

    told = ask("explain", file=str(bench.inbox / "a.tif"))

    assert told["state"] == state
    assert words in told["reason"]
    assert told["output"] == str(bench.output / "a_restored.tif")


def test_an_ignored_file_is_explained_by_its_rule(bench: Bench, ask: Ask) -> None:
    for name, words in ((".hidden.tif", "dot"), ("a.tif.part", "*.part"), ("@eaDir/a.tif", "@eaDir")):
        told = ask("explain", file=str(bench.inbox / name))

        assert told["state"] == "ignored"
        assert words in told["reason"]


def test_broken_settings_are_part_of_the_explanation(bench: Bench, ask: Ask) -> None:
    bench.drop("a.tif", b"scan")
    bench.drop("a.yaml", b"nosie: 1\n")

    told = ask("explain", file=str(bench.inbox / "a.tif"))

    assert "a.yaml" in told["trouble"]


@contextmanager
def at_rest(bench: Bench) -> Iterator[Any]:
    bench.ledger.close()
    disk.write_over(bench.state / "instance.json", b'{"config": null, "folder": "%s"}' % bench.root.encode())
    with offline(bench.state) as view:
        yield view
    bench.open()


def test_what_is_asked_while_no_daemon_runs_happens_at_the_next_start(bench: Bench) -> None:
    bench.restore("a.tif", b"scan")

    with at_rest(bench) as view:
        assert view.act("reprocess", {"folder": bench.root})["count"] == 1
        assert view.alive()[0] is False
        assert view.snapshot()["folders"][0]["done"] == 1

    assert len(bench.ledger.asked_again(bench.root, 9)) == 1


def test_while_a_daemon_runs_nobody_acts_behind_its_back(bench: Bench) -> None:
    disk.write_over(bench.state / "instance.json", b'{"config": null, "folder": "%s"}' % bench.root.encode())
    with locks.hold_instance(bench.state), pytest.raises(UsageError, match="in use by another"):
        offline(bench.state).__enter__()


@pytest.mark.parametrize("text", [b"", b"[]", b'{"config": null}', b"\xff"])
def test_a_folder_that_is_no_daemons_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "instance.json").write_bytes(text)

    with pytest.raises(UsageError, match="no folder of a Scanmend daemon"):
        offline(tmp_path).__enter__()
