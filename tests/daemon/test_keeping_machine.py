"""Ledger, intake, work and recovery against everything at once: Hypothesis looks for an order that hurts."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from scanmend_daemon.disk import hash_of
from scanmend_daemon.intake import Known, Taken
from scanmend_daemon.ledger import LIVE, Ledger, State
from scanmend_daemon.trouble import Failure, Trouble, Where

from tests.daemon.keeping import GOOD, Bench, files, restored, sha

NAMES = ("a.tif", "A.TIF", "sub/a.tif", "b.png")
CONTENTS = (b"one", b"two", b"three")
FOREIGN = b"somebody else's"
ANSWERS: dict[str, Any] = {
    "good": GOOD,
    "zeros": {**GOOD, "zero_tail": True},
    "ours": {**GOOD, "restored_by_scanmend": True},
    "damaged": Failure("DamagedFile", "it ends too soon"),
    "large": Failure("LimitExceeded", "it has too many megapixels"),
    "crash": Failure("EngineError", "the reader ended", crash="signal 11"),
    "down": Trouble(Where.ENGINE, "no engine"),
}
FAULTS: dict[str, BaseException | None] = {
    "none": None,
    "damaged": Failure("DamagedFile", "it ends too soon"),
    "crash": Failure("EngineError", "the worker ended", crash="signal 11"),
    "disk full": Failure("PublishError", "no room"),
    "down": Trouble(Where.ENGINE, "no engine"),
}


class Crash(BaseException):
    """The process is gone."""


class Brittle(Ledger):
    """A ledger whose process may be killed just before or just after a commit."""

    left = -1
    after = False

    @contextmanager
    def _commit(self) -> Iterator[None]:
        struck = self.left == 0
        self.left -= 1
        if struck and not self.after:
            raise Crash
        with super()._commit():
            yield
        if struck:
            raise Crash


class Keeping(RuleBasedStateMachine):
    """Scans come, change, vanish, fail and are asked for again, and the process dies in between."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")  # noqa: S108 - syncing costs nothing there
        self.base = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.foreign: dict[Path, bytes] = {}
        self.taken_out: set[str] = set()

    def teardown(self) -> None:
        try:
            if hasattr(self, "bench"):
                self.comes_to_rest()
        finally:
            if hasattr(self, "bench"):
                self.bench.ledger.close()
            shutil.rmtree(self.base)

    @initialize(moved=st.booleans())
    def begin(self, moved: bool) -> None:  # noqa: FBT001
        self.bench = Bench(self.base, moved=moved, make=Brittle)

    # --- what people and scanners do -----------------------------------------------------

    @rule(name=st.sampled_from(NAMES), data=st.sampled_from(CONTENTS))
    def drop(self, name: str, data: bytes) -> None:
        self.bench.drop(name, data)

    @rule(name=st.sampled_from(NAMES), data=st.sampled_from(CONTENTS))
    def drop_a_result(self, name: str, data: bytes) -> None:
        """Our own result comes back; only once it is one."""
        if restored(data) in self.bench.results().values():
            self.bench.drop(name, restored(data))

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        (self.bench.inbox / name).unlink(missing_ok=True)

    @rule(name=st.sampled_from(NAMES))
    def bring_back(self, name: str) -> None:
        """An original is taken out of the archive again, as the same file; what becomes of it is theirs."""
        path = self.bench.archive / name
        if path.exists():
            self.taken_out.add(sha(path.read_bytes()))
            (self.bench.inbox / name).parent.mkdir(exist_ok=True)
            path.replace(self.bench.inbox / name)

    @rule(name=st.sampled_from(("a_restored.tif", "sub/a_restored-2.tif", "b_restored.png.scanmend.json")))
    def foreign_file(self, name: str) -> None:
        path = self.bench.output / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(FOREIGN)
            self.foreign[path] = FOREIGN

    @rule(name=st.sampled_from(NAMES))
    def ask_again(self, name: str) -> None:
        self._in_peril(lambda: self.bench.again(name))

    @rule()
    def cancel(self) -> None:
        for job in list(self.bench.ledger.in_state(State.QUEUED, limit=1)):
            self.bench.ledger.skip(job, "cancelled", state=State.CANCELLED)
            self.bench.delivery.release(job)

    # --- what the daemon does ------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        answer=st.sampled_from(sorted(ANSWERS)),
        patient=st.booleans(),
        crash=st.integers(-1, 4),
        after=st.booleans(),
    )
    def take(self, name: str, answer: str, patient: bool, crash: int, after: bool) -> None:  # noqa: FBT001
        self.bench.engine.answer = ANSWERS[answer]
        self._in_peril(lambda: self._take(name, patient=patient), crash, after=after)
        self.bench.engine.answer = GOOD

    def _take(self, name: str, *, patient: bool) -> None:
        bench = self.bench
        known = bench.ledger.source(bench.root, name)
        outcome = bench.take(name, patient=patient)
        if isinstance(outcome, Known) and bench.folder.originals and known:
            job = bench.ledger.job(outcome.job)
            own = job is not None and job.relpath == name and job.sha256 == sha_of(bench.inbox / name)
            if own and job is not None and job.state == State.DONE:
                bench.ledger.published(job)

    @rule(fault=st.sampled_from(sorted(FAULTS)), crash=st.integers(-1, 6), after=st.booleans())
    def work(self, fault: str, crash: int, after: bool) -> None:  # noqa: FBT001
        self.bench.engine.render_fault = FAULTS[fault]
        self._in_peril(self.bench.step, crash, after=after)
        self.bench.engine.render_fault = None

    @rule(name=st.sampled_from(NAMES), data=st.sampled_from(CONTENTS))
    def change_while_rendering(self, name: str, data: bytes) -> None:
        self.bench.engine.during = lambda: (self.bench.drop(name, data), None)[1]
        self._in_peril(self.bench.step)
        self.bench.engine.during = lambda: None

    @rule()
    def die_while_rendering(self) -> None:
        self.bench.engine.render_fault = Crash()
        self._in_peril(self.bench.step)
        self.bench.engine.render_fault = None

    @rule()
    def restart(self) -> None:
        self.bench.reopen()

    @precondition(lambda self: self.bench.folder.originals is None)
    @rule()
    def lose_the_ledger(self) -> None:
        """A garbled ledger; results are known by their sidecars, and no private copy is thrown away."""
        self.bench.finish()
        self.bench.ledger.close()
        for path in self.bench.state.glob("ledger.sqlite*"):
            path.write_bytes(b"\0garbled" * 1000)
        self.bench.open()

    def _in_peril(self, action: Any, crash: int = -1, *, after: bool = False) -> None:
        ledger = self.bench.ledger
        assert isinstance(ledger, Brittle)
        ledger.left, ledger.after = crash, after
        try:
            action()
        except Trouble:
            ledger.left = -1
        except Crash:
            self.bench.reopen()
        else:
            ledger.left = -1

    # --- what must always hold -----------------------------------------------------------

    def _all_jobs(self) -> list[Any]:
        return list(self.bench.ledger.in_state(*State))

    def _contents(self) -> set[str]:
        bench = self.bench
        places = (bench.inbox, bench.state, bench.archive, bench.failed)
        return {sha(data) for place in places for data in files(place).values()}

    @invariant()
    def no_scan_that_was_taken_in_is_lost(self) -> None:
        there = self._contents()
        for job in self._all_jobs():
            kept = job.state in LIVE or job.state == State.FAILED
            if kept or (job.state == State.DONE and job.archived and job.sha256 not in self.taken_out):
                assert job.sha256 in there, job

    @invariant()
    def foreign_files_are_as_they_were(self) -> None:
        for path, data in self.foreign.items():
            assert path.read_bytes() == data

    @invariant()
    def a_content_is_published_once_under_a_name(self) -> None:
        seen: Counter[tuple[str, str]] = Counter()
        for name, data in files(self.bench.output).items():
            if name.endswith(".scanmend.json") and data != FOREIGN:
                told = json.loads(data)
                target = self.bench.output / name.removesuffix(".scanmend.json")
                seen[str(Path(name).parent / told["source"]), told["source_sha256"]] += target.exists()
        assert all(number <= 1 for number in seen.values()), seen

    @invariant()
    def results_are_whole_and_have_their_sidecars(self) -> None:
        wanted = {restored(data) for data in CONTENTS} | {FOREIGN}
        for name, data in self.bench.results().items():
            if not Path(name).name.startswith("."):
                assert data in wanted, name
                assert data == FOREIGN or (self.bench.output / f"{name}.scanmend.json").exists()

    @invariant()
    def what_is_done_stands_where_the_ledger_says(self) -> None:
        for job in self._all_jobs():
            if job.state in (State.DONE, State.PUBLISHED):
                assert job.target
                assert hash_of(Path(job.target)) == job.out_sha256, job
            if job.state == State.FAILED and job.note:
                assert Path(job.note).exists(), job

    def comes_to_rest(self) -> None:
        """In peace everything is finished, and nothing is left lying about."""
        bench = self.bench
        bench.reopen()
        bench.finish()
        for name in NAMES:
            if (bench.inbox / name).exists():
                outcome = bench.take(name, patient=False)
                assert isinstance(outcome, Taken | Known), outcome
        bench.finish()
        assert not list(bench.ledger.in_state(*LIVE))
        assert not bench.litter()
        assert all(bench.ledger.in_use(path.name) for path in bench.spool.iterdir())
        for name, data in files(bench.inbox).items():
            source = bench.ledger.source(bench.root, name)
            assert source is not None
            assert source.sha256 == sha(data), name
        self.a_content_is_published_once_under_a_name()
        self.no_scan_that_was_taken_in_is_lost()


def sha_of(path: Path) -> str:
    return hash_of(path) or ""


TestKeeping = Keeping.TestCase
TestKeeping.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
