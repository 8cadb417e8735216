from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scanmend_daemon.settle import AFTER_RENAME, Settling
from scanmend_daemon.walk import Entry


def scan(name: str = "a.tif", *, version: int = 1, size: int = 100, mtime_ns: int = 0) -> Entry:
    return Entry(name, size, mtime_ns or version, 7, 1, 1)


def names(entries: list[Entry]) -> list[str]:
    return [entry.relpath for entry in entries]


def test_a_scan_is_ripe_when_a_second_look_after_the_quiet_time_finds_it_unchanged() -> None:
    settling = Settling(quiet=5)
    settling.saw(scan(), 0)

    assert settling.next_due(0) == 5
    assert settling.due(4.9) == []
    assert settling.due(5) == ["a.tif"]
    assert settling.ripe(5) == [], "nobody has looked again"

    settling.saw(scan(), 5)

    assert settling.next_due(5) == 5
    assert settling.ripe(5) == [scan()]
    assert len(settling) == 0
    assert settling.next_due(5) is None


def test_looks_within_the_quiet_time_do_not_lengthen_it() -> None:
    settling = Settling(quiet=5)
    for second in range(6):
        settling.saw(scan(), second)

    assert settling.ripe(5) == [scan()]


def test_a_change_starts_the_quiet_time_afresh() -> None:
    settling = Settling(quiet=5)
    settling.saw(scan(version=1), 0)
    settling.saw(scan(version=2), 4)
    settling.saw(scan(version=2), 8)

    assert settling.ripe(8) == []
    assert settling.next_due(8) == 9

    settling.saw(scan(version=2), 9)

    assert settling.ripe(9) == [scan(version=2)]


def test_a_change_at_the_very_last_look_is_noticed() -> None:
    settling = Settling(quiet=5)
    settling.saw(scan(version=1), 0)
    settling.saw(scan(version=1), 5)
    settling.saw(scan(version=2), 6)

    assert settling.ripe(6) == []


def test_times_of_the_file_are_never_compared_with_the_clock() -> None:
    settling = Settling(quiet=5)
    for name, mtime_ns in (("past.tif", -(10**18)), ("future.tif", 4 * 10**18)):
        settling.saw(scan(name, mtime_ns=mtime_ns), 0)
        settling.saw(scan(name, mtime_ns=mtime_ns), 5)

    assert names(settling.ripe(5)) == ["past.tif", "future.tif"]


def test_a_file_that_came_by_a_rename_needs_half_a_second() -> None:
    before, after = Settling(quiet=30), Settling(quiet=30)
    before.renamed_in("a.tif", 0)
    before.saw(scan(), 0)
    after.saw(scan(), 0)
    after.renamed_in("a.tif", 0)

    for settling in (before, after):
        assert settling.next_due(0) == AFTER_RENAME
        settling.saw(scan(), 0.5)
        assert settling.ripe(0.5) == [scan()]


def test_a_renamed_file_that_changes_is_being_written_and_waits_in_full() -> None:
    settling = Settling(quiet=5)
    settling.renamed_in("a.tif", 0)
    settling.saw(scan(version=1), 0)
    settling.saw(scan(version=2), 0.4)
    settling.saw(scan(version=2), 1)

    assert settling.ripe(1) == []
    assert settling.next_due(1) == 5.4


def test_a_rename_long_ago_says_nothing_about_a_new_file_of_that_name() -> None:
    settling = Settling(quiet=5)
    settling.renamed_in("a.tif", 0)
    settling.saw(scan(), 1000)

    assert settling.next_due(1000) == 1005


def test_an_empty_file_is_never_ripe_and_after_ten_minutes_held_with_a_reason() -> None:
    settling = Settling(quiet=5)
    looks = 0
    settling.saw(scan(size=0), 0)
    for second in range(1, 605):
        for name in settling.due(second):
            looks += 1
            settling.saw(scan(name, size=0), second)
        assert settling.ripe(second) == []
        assert ("a.tif" in settling.held) == (second >= 600)

    assert settling.held["a.tif"].reason == "it is still empty"
    assert settling.held["a.tif"].since == 0
    assert looks <= 130, "an empty file is looked at every five seconds, not all the time"

    settling.saw(scan(version=2), 605)
    settling.saw(scan(version=2), 610)

    assert settling.ripe(610) == [scan(version=2)]
    assert not settling.held


def test_a_held_scan_waits_until_its_content_changes() -> None:
    settling = Settling(quiet=5)
    settling.hold("a.tif", scan().signature, "its last part is empty", 0)
    settling.saw(scan(), 1000)

    assert settling.ripe(1000) == []
    assert settling.next_due(1000) is None
    assert settling.held["a.tif"].reason == "its last part is empty"

    settling.saw(scan(version=2), 1001)

    assert not settling.held
    assert settling.next_due(1001) == 1006


def test_a_released_scan_is_ripe_at_its_next_look_unless_it_has_changed() -> None:
    same, other = Settling(quiet=5), Settling(quiet=5)
    for settling, version in ((same, 1), (other, 2)):
        settling.hold("a.tif", scan().signature, "for a reason", 0)
        settling.release("a.tif", 100)
        assert settling.due(100) == ["a.tif"]
        settling.saw(scan(version=version), 100)

    assert same.ripe(100) == [scan()]
    assert other.ripe(100) == []
    assert other.next_due(100) == 105


def test_a_hold_for_a_while_is_looked_at_again_by_itself_and_remembers_since_when() -> None:
    settling = Settling(quiet=5)
    settling.saw(scan(), 0)
    settling.saw(scan(), 5)
    for now in (5, 10, 15):
        assert settling.ripe(now) == [scan()]
        settling.hold("a.tif", scan().signature, "somebody writes to it", now, again=5)
        assert settling.next_due(now) == now + 5
        assert settling.due(now + 4) == []
        assert settling.due(now + 5) == ["a.tif"]
        settling.saw(scan(), now + 5)

    settling.ripe(20)
    settling.hold("a.tif", scan().signature, "somebody writes to it", 20, again=5)

    assert settling.held["a.tif"].since == 0


def test_releasing_what_is_not_held_does_nothing() -> None:
    settling = Settling()
    settling.release("a.tif", 0)

    assert len(settling) == 0
    assert settling.due(0) == []


def test_a_look_that_failed_is_due_again_after_the_quiet_time_not_at_once() -> None:
    settling = Settling(quiet=5)
    settling.saw(scan(), 0)

    assert settling.due(5) == ["a.tif"]
    assert settling.due(5.1) == []
    assert settling.next_due(5.1) == 10
    assert settling.due(10) == ["a.tif"]


def test_fresh_scans_come_first_and_the_oldest_file_first_among_equals() -> None:
    settling = Settling(quiet=1)
    for name, mtime_ns, fresh in (("b", 2, False), ("a", 1, False), ("d", 9, True), ("c", 8, True)):
        for now in (0, 1):
            settling.saw(scan(f"{name}.tif", mtime_ns=mtime_ns), now, fresh=fresh)

    assert names(settling.ripe(1, limit=3)) == ["c.tif", "d.tif", "a.tif"]
    assert names(settling.ripe(1)) == ["b.tif"]


def test_a_scan_of_the_backlog_that_is_told_of_anew_becomes_fresh() -> None:
    settling = Settling(quiet=1)
    settling.saw(scan("old.tif", mtime_ns=1), 0)
    settling.saw(scan("told.tif", mtime_ns=2), 0)
    settling.saw(scan("told.tif", mtime_ns=2), 1, fresh=True)
    settling.saw(scan("old.tif", mtime_ns=1), 1)

    assert names(settling.ripe(1)) == ["told.tif", "old.tif"]


def test_a_backlog_leaves_room_for_fresh_scans_which_take_its_place_when_that_is_full() -> None:
    settling = Settling(100)
    taken = [settling.saw(scan(f"old{number}.tif"), 0) for number in range(1000)]

    assert sum(taken) == 75
    assert all(settling.saw(scan(f"new{number}.tif"), 0, fresh=True) for number in range(100))
    assert not settling.saw(scan("one-more.tif"), 0, fresh=True)
    assert len(settling) == 100
    assert {wait.relpath[:3] for wait in settling.waiting()} == {"new"}


@given(
    capacity=st.integers(1, 30),
    shown=st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans()), max_size=120),
)
def test_memory_is_bounded_whatever_is_shown_renamed_and_held(
    capacity: int, shown: list[tuple[int, bool, bool]]
) -> None:
    settling = Settling(capacity)
    for number, fresh, held in shown:
        name = f"{number}.tif"
        settling.renamed_in(f"r{name}", 0)
        settling.saw(scan(name), 0, fresh=fresh)
        if held:
            settling.hold(name, scan().signature, "a reason", 0)
        for table in (settling, settling.held, settling._renamed, settling._taken):
            assert len(table) <= capacity


@given(backlog=st.integers(0, 200), capacity=st.integers(4, 60), held=st.integers(0, 100))
def test_no_backlog_keeps_a_fresh_scan_from_settling(backlog: int, capacity: int, held: int) -> None:
    settling = Settling(capacity, quiet=5)
    for number in range(held):
        settling.hold(f"held{number}.tif", "1:1:1", "a reason", 0)
    for number in range(backlog):
        settling.saw(scan(f"{number}.tif"), 0)

    assert settling.saw(scan("fresh.tif"), 1, fresh=True)
    assert "fresh.tif" in settling.due(6)
    settling.saw(scan("fresh.tif"), 6)

    assert names(settling.ripe(6, limit=1)) == ["fresh.tif"]


@given(
    gaps=st.lists(st.floats(0.01, 20), min_size=1, max_size=40),
    renames=st.sets(st.integers(0, 40)),
    quiet=st.floats(0.5, 10),
)
def test_a_file_that_differs_at_every_look_is_never_ripe(
    gaps: list[float], renames: set[int], quiet: float
) -> None:
    settling, now = Settling(quiet=quiet), 0.0
    for version, gap in enumerate(gaps, start=1):
        now += gap
        if version in renames:
            settling.renamed_in("a.tif", now)
        settling.saw(scan(version=version), now)
        assert settling.ripe(now) == []


@given(quiet=st.floats(0, 60), start=st.floats(-(10**6), 10**6), fresh=st.booleans())
def test_a_file_left_alone_is_ripe_right_after_its_quiet_time(
    quiet: float,
    start: float,
    fresh: bool,  # noqa: FBT001
) -> None:
    settling = Settling(quiet=quiet)
    settling.saw(scan(), start, fresh=fresh)
    due = settling.next_due(start)
    assert due is not None
    for name in settling.due(due):
        settling.saw(scan(name), due)

    assert settling.ripe(due) == [scan()]


class Following(RuleBasedStateMachine):
    """Files that are written, renamed, deleted, held and released, against the rule in its plainest form.

    The model keeps all looks: a scan may be taken when some look at least its quiet time ago and all
    looks since, including the last, found the same content, which is not empty.
    """

    NAMES = ("a.tif", "b.tif", "c.tif")
    QUIET = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.settling = Settling(10, quiet=self.QUIET)
        self.now = 0.0
        self.files: dict[str, Entry] = {}
        self.looks: dict[str, list[tuple[float, str]]] = {}
        self.released: dict[str, str] = {}
        self.renamed: dict[str, float] = {}
        self.version = 0

    @rule(name=st.sampled_from(NAMES), size=st.sampled_from([0, 100]))
    def write(self, name: str, size: int) -> None:
        self.version += 1
        self.files[name] = scan(name, version=self.version, size=size)

    @rule(name=st.sampled_from(NAMES))
    def arrive_by_rename(self, name: str) -> None:
        self.write(name, 100)
        self.settling.renamed_in(name, self.now)
        self.renamed[name] = self.now
        self.look_at(name)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.5, 5.0, 7.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES))
    def look_at(self, name: str) -> None:
        entry = self.files.get(name)
        if entry is None:
            self.settling.gone(name)
            self.forget(name)
        else:
            assert self.settling.saw(entry, self.now)
            self.looks.setdefault(name, []).append((self.now, entry.signature))

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.files.pop(name, None)
        self.look_at(name)

    @rule()
    def look_at_what_is_due(self) -> None:
        for name in self.settling.due(self.now):
            self.look_at(name)

    @precondition(lambda self: self.files)
    @rule(name=st.sampled_from(NAMES))
    def hold(self, name: str) -> None:
        if name in self.files:
            self.settling.hold(name, self.files[name].signature, "a reason", self.now)
            self.forget(name)

    @rule(name=st.sampled_from(NAMES))
    def release(self, name: str) -> None:
        hold = self.settling.held.get(name)
        if hold is not None:
            self.settling.release(name, self.now)
            self.released[name] = hold.signature

    @rule()
    def take(self) -> None:
        for entry in self.settling.ripe(self.now):
            assert entry.relpath not in self.settling.held
            assert entry.size > 0
            assert self.may_be_taken(entry)
            self.forget(entry.relpath)

    def forget(self, name: str) -> None:
        self.looks.pop(name, None)
        self.released.pop(name, None)

    def may_be_taken(self, entry: Entry) -> bool:
        looks = self.looks[entry.relpath]
        assert looks[-1][1] == entry.signature, "taken without having been seen like this"
        if self.released.get(entry.relpath) == entry.signature:
            return True
        same = []
        for when, signature in reversed(looks):
            if signature != entry.signature:
                break
            same.append(when)
        renamed = self.renamed.get(entry.relpath, -math.inf)
        quiet = AFTER_RENAME if same[-1] <= renamed + 60 or renamed > same[-1] else self.QUIET
        return same[0] >= same[-1] + quiet

    @invariant()
    def what_waits_is_known_and_will_be_looked_at(self) -> None:
        due = self.settling.next_due(self.now)
        waiting = {wait.relpath for wait in self.settling.waiting()}
        timed = any(hold.again < math.inf for hold in self.settling.held.values())
        assert (due is None) == (not waiting and not timed)
        assert not waiting or (due is not None and self.now <= due <= self.now + 2 * self.QUIET)
        assert waiting.isdisjoint(self.settling.held)


TestFollowing = Following.TestCase


def test_what_makes_room_for_a_fresh_scan_is_named_once_so_that_it_can_be_shown_again() -> None:
    settling = Settling(4, quiet=5)
    for number in range(3):
        settling.saw(scan(f"old{number}"), 0)
    for number in range(3):
        settling.saw(scan(f"new{number}"), 0, fresh=True)

    assert names(settling.displaced()) == ["old2", "old1"]
    assert settling.displaced() == []


def test_a_scan_that_is_let_go_while_there_is_no_room_stays_held_until_there_is() -> None:
    settling = Settling(1, quiet=5)
    held = scan("held")
    settling.hold("held", held.signature, "it waits", 0)
    settling.saw(scan("other"), 0, fresh=True)

    settling.release("held", 1)
    assert "held" in settling.held
    settling.gone("other")

    assert settling.due(2) == ["held"]
    assert "held" not in settling.held
