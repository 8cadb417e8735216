"""The ledger: which scans were taken in, what became of each, and what is still to do.

SQLite on a local disk, write-ahead log, every commit synced (`synchronous=FULL`): what a method has
returned from survives a power cut. One connection serves the whole process behind one lock; nothing else
opens the file while the daemon runs. A row says what is true on disk *at least*; `recovery` compares.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from scanmend.errors import PublishError

from scanmend_daemon.words import name_key

VERSION = 1
FRESH, BACKLOG = 0, 1
"""Lanes: a scan that has just arrived, and one that was found lying there."""

_SCHEMA = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder BLOB NOT NULL,
    relpath BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    profile_hash TEXT NOT NULL,
    profile TEXT NOT NULL,
    state TEXT NOT NULL,
    lane INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 1,
    signature TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0,
    part BLOB,
    target BLOB,
    target_key BLOB,
    out_sha256 TEXT,
    report TEXT,
    archived BLOB,
    note BLOB,
    class TEXT,
    sentence TEXT,
    hint TEXT,
    megapixels REAL NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    UNIQUE (folder, relpath, sha256, profile_hash)
);
CREATE INDEX jobs_by_state ON jobs (state, folder, lane, id);
CREATE INDEX jobs_by_target ON jobs (target_key) WHERE target_key IS NOT NULL;
CREATE INDEX jobs_by_content ON jobs (sha256, state);
CREATE INDEX jobs_by_result ON jobs (out_sha256) WHERE out_sha256 IS NOT NULL;
CREATE INDEX jobs_by_time ON jobs (state, updated);
CREATE INDEX jobs_by_folder ON jobs (folder, id);
CREATE TABLE sources (
    folder BLOB NOT NULL,
    relpath BLOB NOT NULL,
    signature TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    job INTEGER NOT NULL,
    again INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (folder, relpath)
) WITHOUT ROWID;
CREATE INDEX sources_again ON sources (folder) WHERE again = 1;
CREATE TABLE settings (key BLOB PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tally (
    folder BLOB NOT NULL,
    state TEXT NOT NULL,
    class TEXT NOT NULL,
    number INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (folder, state, class)
) WITHOUT ROWID;
"""
# Counting 100,000 rows for each look at the status page would cost more than all the rest.
_COUNTED = """
    INSERT INTO tally (folder, state, class, number)
    VALUES (new.folder, new.state, COALESCE(new.class, ''), 1)
    ON CONFLICT DO UPDATE SET number = number + 1;
"""
_DISCOUNTED = """
    UPDATE tally SET number = number - 1
    WHERE folder = old.folder AND state = old.state AND class = COALESCE(old.class, '');
"""
_TRIGGERS = (
    f"CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN {_COUNTED} END",
    f"CREATE TRIGGER jobs_moved AFTER UPDATE OF state, class ON jobs BEGIN {_DISCOUNTED} {_COUNTED} END",
)


class State(str, Enum):
    """Where a job stands; `docs/hot-folder.md` draws the way from one to the next."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    PUBLISHED = "published"
    DONE = "done"
    WAITING = "waiting"  # to be tried again
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


LIVE = (State.QUEUED, State.RUNNING, State.RENDERED, State.PUBLISHED, State.WAITING)
"""States of a job that is not at its end: its private copy is kept."""
_TAKING = (State.RENDERED, State.PUBLISHED, State.DONE)


@dataclass(frozen=True)
class Job:
    """One row: a content under a name in a folder, to be restored with one profile.

    Attributes:
        folder, relpath: the hot folder, and the scan's path below it.
        sha256: of the scan's bytes; for a scan that was refused unread, its signature.
        profile: the resolved settings, with the profile's name under "name".
        signature: of the scan's file when it was taken in.
        attempts: how often the engine failed on it; starts: how often work on it began.
        part, target: of the result, below the output folder; None until rendered.
        out_sha256: of the result's bytes.
        report: what the engine said; dropped when the job is done.
        archived: where the original was moved to, as a whole path.
        note: the file in the folder for failures that speaks about it.
    """

    id: int
    folder: str
    relpath: str
    sha256: str
    profile_hash: str
    profile: Mapping[str, Any]
    state: State
    lane: int
    revision: int
    signature: str
    size: int
    pages: int
    attempts: int
    starts: int
    part: str | None
    target: str | None
    out_sha256: str | None
    report: Mapping[str, Any] | None
    archived: str | None
    note: str | None
    failure: str | None
    sentence: str | None
    hint: str | None
    megapixels: float
    seconds: float
    created: float
    updated: float


@dataclass(frozen=True)
class Source:
    """What is known of a file in a hot folder."""

    signature: str
    sha256: str
    job: int
    again: bool


class Ledger:
    """The only writer of a ledger file.

    Raises:
        PublishError: the file cannot be opened or is of a later version.
        sqlite3.DatabaseError: it is damaged; `recovery.open_ledger` sets such a file aside.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        try:
            self._db.row_factory = sqlite3.Row
            self._prepare(path)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, path: Path) -> None:
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA trusted_schema=OFF")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise PublishError(
                f"{path} was written by a later version of Scanmend", hint="install that version again"
            )
        self._db.execute("PRAGMA journal_mode=WAL")  # the first that writes
        if found == 0:
            with self._commit():
                for statement in (*_SCHEMA.split(";\n"), *_TRIGGERS):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={VERSION}")

    def close(self) -> None:
        """Ends the connection; what was committed is on disk."""
        with self._lock:
            self._db.close()

    def sound(self) -> bool:
        """Whether SQLite finds its own file in order; reads all of it."""
        with self._lock:
            return bool(self._db.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")

    @contextmanager
    def _commit(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- sources -------------------------------------------------------------------------

    def sources(self, folder: str, relpaths: Sequence[str]) -> dict[str, Source]:
        """What is known of some files, by path; at most a few hundred at a time."""
        marks = ",".join("?" * len(relpaths))
        query = f"SELECT * FROM sources WHERE folder = ? AND relpath IN ({marks})"  # noqa: S608 - marks only
        with self._lock:
            rows = self._db.execute(query, tuple(map(os.fsencode, (folder, *relpaths)))).fetchall()
        return {
            os.fsdecode(row["relpath"]): Source(
                row["signature"], row["sha256"], row["job"], bool(row["again"])
            )
            for row in rows
        }

    def source(self, folder: str, relpath: str) -> Source | None:
        """What is known of one file."""
        return self.sources(folder, [relpath]).get(relpath)

    def remember(self, folder: str, relpath: str, signature: str, sha256: str, job: int) -> None:
        """Notes that a file, as it lies there now, is accounted for by a job."""
        with self._commit():
            self._remember(folder, relpath, signature, sha256, job)

    def _remember(self, folder: str, relpath: str, signature: str, sha256: str, job: int) -> None:
        self._db.execute(
            "INSERT INTO sources (folder, relpath, signature, sha256, job) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (folder, relpath) DO UPDATE SET "
            "signature = excluded.signature, sha256 = excluded.sha256, job = excluded.job, again = 0",
            (os.fsencode(folder), os.fsencode(relpath), signature, sha256, job),
        )
        # The file that stands for the job may have been copied anew; only its own job is told, and never
        # of another content: whatever bears a job's signature is taken for its original, and moved as such.
        self._db.execute(
            "UPDATE jobs SET signature = ? WHERE id = ? AND folder = ? AND relpath = ? AND sha256 = ?",
            (signature, job, os.fsencode(folder), os.fsencode(relpath), sha256),
        )

    def forget(self, folder: str, relpath: str) -> None:
        """Makes a file count as never seen, so that it is taken in anew."""
        with self._commit():
            self._db.execute(
                "DELETE FROM sources WHERE folder = ? AND relpath = ?",
                (os.fsencode(folder), os.fsencode(relpath)),
            )

    def ask_again(self, folder: str, relpath: str | None = None) -> int:
        """Marks scans to be restored once more with today's profile; returns how many."""
        query = "UPDATE sources SET again = 1 WHERE folder = ?"
        values: tuple[object, ...] = (os.fsencode(folder),)
        if relpath is not None:
            query, values = f"{query} AND relpath = ?", (*values, os.fsencode(relpath))
        with self._commit():
            return self._db.execute(query, values).rowcount

    def asked_again(self, folder: str, limit: int) -> list[tuple[str, Source]]:
        """Some of the scans that are to be restored once more."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM sources INDEXED BY sources_again WHERE folder = ? AND again = 1 LIMIT ?",
                (os.fsencode(folder), limit),
            ).fetchall()
        return [
            (os.fsdecode(row["relpath"]), Source(row["signature"], row["sha256"], row["job"], True))
            for row in rows
        ]

    def answered(self, folder: str, relpath: str) -> None:
        """Takes the mark of `ask_again` off."""
        with self._commit():
            self._db.execute(
                "UPDATE sources SET again = 0 WHERE folder = ? AND relpath = ?",
                (os.fsencode(folder), os.fsencode(relpath)),
            )

    # --- jobs: adding and finding --------------------------------------------------------

    def add(
        self,
        *,
        folder: str,
        relpath: str,
        sha256: str,
        profile_hash: str,
        profile: Mapping[str, Any],
        signature: str,
        size: int,
        pages: int = 0,
        lane: int = FRESH,
        state: State = State.QUEUED,
    ) -> tuple[Job, bool]:
        """Adds a job, unless there is one for this content, name and profile; tells whether it is new."""
        now = time.time()
        place, name = os.fsencode(folder), os.fsencode(relpath)
        with self._commit():
            revision = self._db.execute(
                "SELECT COALESCE(MAX(revision), 0) + 1 FROM jobs WHERE folder = ? AND relpath = ?",
                (place, name),
            ).fetchone()[0]
            done = self._db.execute(
                "INSERT INTO jobs (folder, relpath, sha256, profile_hash, profile, state, lane, revision, "
                "signature, size, pages, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (
                    place, name, sha256, profile_hash, json.dumps(profile), state.value, lane, revision,
                    signature, size, pages, now, now,
                ),
            )  # fmt: skip
            row = self._db.execute(
                "SELECT * FROM jobs WHERE folder = ? AND relpath = ? AND sha256 = ? AND profile_hash = ?",
                (place, name, sha256, profile_hash),
            ).fetchone()
            self._remember(folder, relpath, signature, sha256, row["id"])
        return _job(row), done.rowcount == 1

    def job(self, number: int) -> Job | None:
        """One job by its number."""
        return next(self._jobs("id = ?", (number,)), None)

    def in_state(self, *states: State, limit: int = -1) -> Iterator[Job]:
        """Jobs in some states, the oldest first."""
        marks = ",".join("?" * len(states))
        return self._jobs(f"state IN ({marks})", tuple(s.value for s in states), order="id", limit=limit)

    def latest(self, *states: State, limit: int) -> list[Job]:
        """Jobs that came to a state last, the newest first."""
        found: list[Job] = []
        for state in states:
            found += self._jobs("state = ?", (state.value,), order="updated DESC", limit=limit)
        return sorted(found, key=lambda job: job.updated, reverse=True)[:limit]

    def failures_by_class(self) -> dict[str, int]:
        """How many jobs failed, by the class of their error."""
        query = (
            "SELECT class, SUM(number) FROM tally WHERE state = ? AND class <> '' AND number GROUP BY class"
        )
        with self._lock:
            return dict(self._db.execute(query, (State.FAILED.value,)).fetchall())

    def of_file(self, folder: str, relpath: str) -> list[Job]:
        """All jobs of a name, the newest first."""
        values = (os.fsencode(folder), os.fsencode(relpath))
        # The plus keeps SQLite from going through the whole folder in the order of ids.
        return list(self._jobs("folder = ? AND relpath = ?", values, order="+id DESC"))

    def archived(self, job: Job) -> list[str]:
        """Where this content, under this name, was moved to, as far as that was noted."""
        where = "folder = ? AND relpath = ? AND sha256 = ? AND archived IS NOT NULL"
        values = (os.fsencode(job.folder), os.fsencode(job.relpath), job.sha256)
        return [found.archived for found in self._jobs(where, values) if found.archived]

    def in_folder(self, folder: str) -> Iterator[Job]:
        """All jobs of a hot folder, in pages, so that memory stays small."""
        last = 0
        while page := list(
            self._jobs("folder = ? AND id > ?", (os.fsencode(folder), last), order="id", limit=200)
        ):
            yield from page
            last = page[-1].id

    def twin(self, sha256: str, profile_hash: str) -> Job | None:
        """A job that is done for the same content and profile, under whatever name."""
        where = "sha256 = ? AND profile_hash = ? AND state = ? AND out_sha256 IS NOT NULL"
        return next(
            self._jobs(where, (sha256, profile_hash, State.DONE.value), order="id DESC", limit=1), None
        )

    def made(self, sha256: str) -> Job | None:
        """The job whose result has this content: it is our own work, and no scan."""
        where = "out_sha256 = ? AND sha256 <> out_sha256"
        return next(self._jobs(where, (sha256,), limit=1), None)

    def in_use(self, sha256: str) -> bool:
        """Whether a job needs the private copy of a content: a live one, or one that failed unnoted."""
        marks = ",".join("?" * len(LIVE))
        where = f"sha256 = ? AND (state IN ({marks}) OR (state = ? AND note IS NULL))"
        values = (sha256, *(s.value for s in LIVE), State.FAILED.value)
        return next(self._jobs(where, values, limit=1), None) is not None

    def holders(self, key: str, but: int) -> list[Job]:
        """Jobs, other than one, whose result has or will have a name with this key."""
        marks = ",".join("?" * len(_TAKING))
        values = (os.fsencode(key), but, *(s.value for s in _TAKING))
        return list(self._jobs(f"target_key = ? AND id <> ? AND state IN ({marks})", values))

    def results_at(self, target: str) -> list[Job]:
        """Jobs whose result has, or will have, exactly this path."""
        marks = ",".join("?" * len(_TAKING))
        values = (os.fsencode(name_key(target)), os.fsencode(target), *(s.value for s in _TAKING))
        return list(self._jobs(f"target_key = ? AND target = ? AND state IN ({marks})", values))

    def count(self) -> dict[str, dict[str, int]]:
        """How many jobs each folder has in each state."""
        with self._lock:
            rows = self._db.execute(
                "SELECT folder, state, SUM(number) FROM tally WHERE number GROUP BY folder, state"
            ).fetchall()
        table: dict[str, dict[str, int]] = {}
        for folder, state, number in rows:
            table.setdefault(os.fsdecode(folder), {})[state] = number
        return table

    def waiting(self, folder: str | None = None) -> int:
        """How many jobs are queued, in all or of one folder."""
        query, values = "SELECT COUNT(*) FROM jobs WHERE state = ?", [State.QUEUED.value, *_bytes(folder)]
        with self._lock:
            row = self._db.execute(query + (" AND folder = ?" if folder is not None else ""), values)
            return int(row.fetchone()[0])

    def _jobs(
        self, where: str, values: Iterable[object], *, order: str = "id", limit: int = -1
    ) -> Iterator[Job]:
        query = f"SELECT * FROM jobs WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608 - our own words
        with self._lock:
            rows = self._db.execute(query, (*values, limit)).fetchall()
        return map(_job, rows)

    # --- jobs: from state to state -------------------------------------------------------

    def take(self, folder: str, lane: int) -> Job | None:
        """The next queued job of a folder and lane, now running; None where there is none."""
        query = "SELECT id FROM jobs WHERE state = ? AND folder = ? AND lane = ? ORDER BY id LIMIT 1"
        values = (State.QUEUED.value, os.fsencode(folder), lane)
        with self._lock:
            if self._db.execute(query, values).fetchone() is None:
                return None  # nothing is written, so nothing is synced
            with self._commit():
                row = self._db.execute(query, values).fetchone()
                self._set(row["id"], state=State.RUNNING, plus="starts = starts + 1")
        return self.job(row["id"])

    # Whoever takes a job out of another's hands says in which state it was seen: a job that has moved on
    # since, in another thread, stays as it is. Two threads on one job would be two results.

    def requeue(self, job: Job, *, lane: int | None = None, cut_off: bool = False) -> bool:
        """Back into the queue, nothing held against it; False where it is no longer in the job's state.

        Args:
            job: as it was seen.
            lane: default the one it had.
            cut_off: whether the process died over it. Only then does work on it count as begun: a disk that
                is full for a night must not make a failure of the scan that waits for it.
        """
        values: dict[str, Any] = {
            "state": State.QUEUED, "lane": job.lane if lane is None else lane, "part": None,
        }  # fmt: skip
        if job.state == State.RUNNING and not cut_off:
            values["plus"] = "starts = MAX(starts - 1, 0)"
        return self._move_if_still(job, **values)

    def blame(self, job: Job, failure: str, sentence: str, hint: str) -> None:
        """One failed attempt more; the job waits to be tried again."""
        with self._commit():
            self._set(
                job.id,
                state=State.WAITING,
                plus="attempts = attempts + 1",
                failure=failure,
                sentence=sentence,
                hint=hint,
                part=None,
            )

    def fail(self, job: Job, failure: str, sentence: str, hint: str, *, note: str | None) -> None:
        """The end of a job that cannot be done."""
        self._move(
            job, state=State.FAILED, failure=failure, sentence=sentence, hint=hint, note=note, part=None
        )

    def skip(self, job: Job, sentence: str, *, state: State = State.SKIPPED) -> bool:
        """The end of a job that need not, or is not to, be done; False where it has moved on since."""
        return self._move_if_still(job, state=state, sentence=sentence, part=None)

    def retry(self, job: Job, *, state: State = State.QUEUED) -> bool:
        """A person wants another try: as if nothing had happened; False where it has moved on since."""
        return self._move_if_still(
            job, state=state, attempts=0, starts=0, failure=None, sentence=None, hint=None, lane=FRESH
        )

    def rendered(
        self, job: Job, *, part: str, target: str, key: str, out_sha256: str, report: Mapping[str, Any]
    ) -> None:
        """The result lies complete under a hidden name, and has its name reserved."""
        self._move(
            job,
            state=State.RENDERED,
            part=os.fsencode(part),
            target=os.fsencode(target),
            target_key=os.fsencode(key),
            out_sha256=out_sha256,
            report=json.dumps(report),
            megapixels=float(report.get("megapixels", 0)),
            seconds=float(report.get("seconds", 0)),
        )

    def published(self, job: Job) -> None:
        """The result stands under its name, synced."""
        self._move(job, state=State.PUBLISHED, part=None)

    def archiving(self, job: Job, archived: str) -> None:
        """The original is about to be moved there; the name is reserved."""
        self._move(job, archived=os.fsencode(archived))

    def unnoted(self, job: Job) -> None:
        """The note about a failure was taken back."""
        self._move(job, note=None)

    def superseded(self, job: Job, by: int) -> None:
        """The scan of a job that had failed was restored after all, and the note was taken back."""
        sentence = f"it was restored as job {by}"
        self._move(job, state=State.SKIPPED, sentence=sentence, failure=None, hint=None, note=None)

    def done(self, job: Job, sentence: str, *, moved: bool = False) -> None:
        """Everything is in its place; a scan that has `moved` away counts as new if it comes back."""
        with self._commit():
            self._set(
                job.id, state=State.DONE, sentence=sentence, failure=None, hint=None, report=None, note=None
            )
            if moved:  # brought back by a rename, it would bear the same signature
                self._db.execute(
                    "UPDATE sources SET signature = '' WHERE folder = ? AND relpath = ? AND job = ?",
                    (os.fsencode(job.folder), os.fsencode(job.relpath), job.id),
                )

    def _move(self, job: Job, **values: Any) -> None:
        with self._commit():
            self._set(job.id, **values)

    def _move_if_still(self, job: Job, **values: Any) -> bool:
        with self._commit():
            row = self._db.execute("SELECT state FROM jobs WHERE id = ?", (job.id,)).fetchone()
            if row is None or row["state"] != job.state.value:
                return False
            self._set(job.id, **values)
            return True

    def _set(self, number: int, *, plus: str = "", **values: Any) -> None:
        if "failure" in values:
            values["class"] = values.pop("failure")
        state = values.get("state")
        if isinstance(state, State):
            values["state"] = state.value
        if isinstance(note := values.get("note"), str):
            values["note"] = os.fsencode(note)
        for key in ("sentence", "hint"):
            if isinstance(values.get(key), str):  # what others said may hold a name that is no text
                values[key] = values[key].encode("utf-8", "backslashreplace").decode()
        values["updated"] = time.time()
        words = ", ".join([*(f"{key} = ?" for key in values), *([plus] if plus else [])])
        self._db.execute(f"UPDATE jobs SET {words} WHERE id = ?", (*values.values(), number))  # noqa: S608

    # --- settings ------------------------------------------------------------------------

    def setting(self, key: str) -> str | None:
        """A small fact that outlives a restart, such as a folder that a person paused."""
        with self._lock:
            row = self._db.execute("SELECT value FROM settings WHERE key = ?", (os.fsencode(key),)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, key: str, value: str | None) -> None:
        """Keeps a small fact; None drops it."""
        with self._commit():
            if value is None:
                self._db.execute("DELETE FROM settings WHERE key = ?", (os.fsencode(key),))
            else:
                self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (os.fsencode(key), value))


def _bytes(path: str | None) -> list[bytes]:
    return [] if path is None else [os.fsencode(path)]


def _job(row: sqlite3.Row) -> Job:
    def path(name: str) -> str | None:
        return None if row[name] is None else os.fsdecode(row[name])

    return Job(
        id=row["id"],
        folder=os.fsdecode(row["folder"]),
        relpath=os.fsdecode(row["relpath"]),
        sha256=row["sha256"],
        profile_hash=row["profile_hash"],
        profile=json.loads(row["profile"]),
        state=State(row["state"]),
        lane=row["lane"],
        revision=row["revision"],
        signature=row["signature"],
        size=row["size"],
        pages=row["pages"],
        attempts=row["attempts"],
        starts=row["starts"],
        part=path("part"),
        target=path("target"),
        out_sha256=row["out_sha256"],
        report=json.loads(row["report"]) if row["report"] else None,
        archived=path("archived"),
        note=path("note"),
        failure=row["class"],
        sentence=row["sentence"],
        hint=row["hint"],
        megapixels=row["megapixels"],
        seconds=row["seconds"],
        created=row["created"],
        updated=row["updated"],
    )
