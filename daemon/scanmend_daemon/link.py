"""The daemon's line to the engine: starts it, keeps it, hands it jobs, and notices when it is gone."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from scanmend.errors import Cancelled
from scanmend.serve.client import ENDS, Engine, EngineFault, Keeper

from scanmend_daemon.config import Config
from scanmend_daemon.trouble import Busy, Failure, Trouble, Where
from scanmend_daemon.words import shown

_LONGEST_WAIT = 60.0

OnEvent = Callable[[dict[str, Any]], None]


class EngineLink:
    """One engine for all folders; safe to use from several threads.

    Args:
        config: device, backend, jobs and memory for an engine that is started here. One that runs
            already, for a GIMP plug-in for instance, is used as it is.
        log: where an engine started here writes what it says.
        say: takes a sentence for the log.
    """

    def __init__(self, config: Config, log: Path, say: Callable[[str], None]) -> None:
        self._config, self._log, self._say = config, log, say
        self._lock = threading.Lock()
        self._engine = Engine()
        self._keeper: Keeper | None = None
        self._health: dict[str, Any] = {}
        self._fails, self._not_before = 0, 0.0
        self._starting = False
        self._sentence = ""

    # --- being there ---------------------------------------------------------------------

    def ready(self) -> Engine:
        """An engine that answered a moment ago; started if there is none.

        Raises:
            Trouble: it cannot be started, or speaks another protocol.
        """
        with self._lock:
            if self._keeper is not None and self._keeper.alive():
                return self._engine
            self._let_go()
            wait = self._not_before - time.monotonic()
            if wait > 0:
                raise Trouble(Where.ENGINE, self._sentence)
            self._starting = True
            try:
                self._connect()
            except EngineFault as fault:
                self._fails += 1
                self._not_before = time.monotonic() + min(_LONGEST_WAIT, 2.0**self._fails)
                self._sentence = f"{fault.sentence} ({fault.hint})" if fault.hint else fault.sentence
                raise Trouble(Where.ENGINE, self._sentence) from fault
            finally:
                self._starting = False
            return self._engine

    def _connect(self) -> None:
        with self._opened_log() as log:
            self._engine = Engine.connect(command=self._command(), log=log, environment=os.environ)
        self._health = self._engine.health()
        self._keeper = self._engine.keep()
        self._fails, self._sentence = 0, ""
        self._say("the engine is ready")

    def _opened_log(self) -> AbstractContextManager[IO[bytes] | None]:
        try:
            return open(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        except OSError:  # a full disk: what the engine says is not worth more than the engine
            return contextlib.nullcontext()

    def _command(self) -> list[str]:
        engine = self._config.engine
        words = [sys.executable, "-m", "scanmend", "serve", "--device", engine.device]
        words += ["--backend", engine.backend]
        if engine.jobs != "auto":
            words += ["--jobs", str(engine.jobs)]
        if engine.memory != "auto":
            words += ["--memory", str(engine.memory)]
        return words

    def state(self) -> dict[str, str]:
        """The snapshot's "engine"."""
        if self._starting:
            return {"state": "starting", "device": "", "sentence": "the engine is being started"}
        if self._keeper is None:
            state = "down" if self._sentence else "idle"  # it is started when a scan comes
            return {"state": state, "device": "", "sentence": self._sentence}
        return {"state": "ready", "device": str(self._health.get("device") or ""), "sentence": ""}

    def close(self) -> None:
        """Lets the engine go; it ends by itself when nobody else needs it."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    # --- jobs ----------------------------------------------------------------------------

    def probe(self, path: Path, *, name: str, limits: Mapping[str, float]) -> dict[str, Any]:
        """Decodes every page of a file, and tells what it is.

        Raises:
            Failure: it is no picture, is damaged or too large, or crashed the reader.
            Trouble: there is no engine.
        """
        source = {"path": str(path), "name": name}
        return self.run({"kind": "probe", "source": source, "limits": dict(limits)})

    def run(
        self,
        job: Mapping[str, Any],
        *,
        on_event: OnEvent = lambda _event: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Hands a job over and waits for its end; gives the report.

        Args:
            job: as `POST /v1/jobs` takes it; it ends with this process, too.
            on_event: called with each line of the job's events, at least once a second.
            stop: asked as often; True cancels the job.

        Raises:
            Failure, Trouble: as `probe`.
            Busy: another job is writing to the same target.
            Cancelled: `stop` said so, or somebody else cancelled the job.
        """
        engine = self.ready()
        number = self._submitted(engine, job)
        asked = False
        try:
            for event in engine.events(number):
                if event["state"] in ENDS:
                    return _report(event)
                on_event(event)
                if not asked and stop():
                    asked = True
                    engine.cancel(number)
        except EngineFault as fault:
            raise Failure("EngineError", fault.sentence, fault.hint, crash="engine") from fault
        raise Failure("EngineError", "the engine ended the job without a word", crash="engine")

    def _submitted(self, engine: Engine, job: Mapping[str, Any]) -> str:
        try:
            return engine.submit({**job, "attached": True})
        except EngineFault as fault:
            if fault.kind == "refused" and fault.status == 409:
                raise Busy(Where.ENGINE, fault.sentence) from fault
            if fault.kind == "refused" and fault.status not in (429, 503):
                kind = str(fault.error.get("class", "EngineError"))
                raise Failure(kind, shown(fault.sentence), shown(fault.hint)) from fault
            raise Trouble(Where.ENGINE, fault.sentence) from fault


def _report(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["state"] == "cancelled":
        raise Cancelled("the job was cancelled")
    if event["state"] == "done":
        return dict(event.get("report") or {})
    error = event.get("error") or {}
    raise Failure(
        str(error.get("class", "EngineError")),
        shown(str(error.get("message", "the engine failed without a word"))),  # it names the file
        shown(str(error.get("hint", ""))),
        crash=event.get("crash"),
    )
