"""The process that does the work and may die: it decodes files, and the render worker runs networks.

    python -m scanmend.serve.worker render|probe SETTINGS

Jobs and cancellations come as JSON lines on standard input, what happens goes as JSON lines to
standard output. The end of standard input is the end of the server, and so of the worker.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanmend.errors import Cancelled, ScanmendError

_OOM_SCORE = "500"  # the kernel takes this process before the server, the daemon and the desktop
_LAST_SECONDS = 10.0  # to reach the end of a tile when the server has gone


def main() -> None:
    """Works until standard input ends."""
    kind, settings = sys.argv[1], json.loads(sys.argv[2])
    _die_with(settings["server"])
    line = _take_over_output()
    if kind == "probe":
        _limit_memory(settings["memory"])
    Worker(kind, settings, line).run()


class Worker:
    """One job after the other; a thread of its own hears cancellations meanwhile.

    Args:
        kind: render or probe.
        settings: device, backend, memory.
        line: the file descriptor that takes lines for the server.
    """

    def __init__(self, kind: str, settings: Mapping[str, Any], line: int) -> None:
        self.kind, self.settings, self._line = kind, settings, line
        self._jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._ended = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Warms up, then does jobs until the server closes the line."""
        threading.Thread(target=self._listen, daemon=True).start()
        if self.kind == "render":
            self._warm_up()
        self.tell({"ready": self._facts()})
        while (job := self._jobs.get()) is not None:
            self._do(job)

    def tell(self, values: Mapping[str, Any]) -> None:
        """One line to the server."""
        text = json.dumps(values).encode("ascii") + b"\n"
        with self._lock:
            while text:
                text = text[os.write(self._line, text) :]

    def cancelled(self, job: str) -> bool:
        return self._ended or job in self._cancelled

    def _listen(self) -> None:
        for text in sys.stdin.buffer:
            message = json.loads(text)
            if "cancel" in message:
                self._cancelled.add(message["cancel"])
            else:
                self._jobs.put(message)
        self._ended = True
        self._jobs.put(None)
        timer = threading.Timer(_LAST_SECONDS, os._exit, (1,))
        timer.daemon = True
        timer.start()

    def _warm_up(self) -> None:
        """Loads torch and the networks, so that the first scan does not wait for them."""
        from scanmend.serve import work  # noqa: PLC0415 - the probe worker does without

        # Whatever is wrong here is wrong for each job too, and told there.
        with contextlib.suppress(Exception):
            work.warm_up(self.settings["device"], self.settings["backend"])

    def _facts(self) -> dict[str, Any]:
        if self.kind != "render":
            return {}
        from scanmend.serve import work  # noqa: PLC0415

        return work.facts(self.settings["device"], self.settings["backend"])

    def _do(self, job: dict[str, Any]) -> None:
        name = job["job"]
        state, report, error = "done", None, None
        try:
            report = self._report(job)
        except Exception as cause:  # noqa: BLE001 - one bad file must not stop the rest
            from scanmend.serve import names  # noqa: PLC0415

            failure: ScanmendError = names.error_about(cause, job["values"])
            state = "cancelled" if isinstance(cause, Cancelled) else "failed"
            error = failure.to_dict()
        self._cancelled.discard(name)
        self.tell({"job": name, "end": {"state": state, "report": report, "error": error}, **self._facts()})

    def _report(self, job: dict[str, Any]) -> dict[str, Any]:
        from scanmend.serve import probe, wanted  # noqa: PLC0415

        if self.cancelled(job["job"]):
            raise Cancelled("it was not begun: stopped on request")
        request = wanted.read(job["values"])
        if request.kind == "probe":
            self.tell({"job": job["job"], "stage": "probe"})
            return probe.probe(request, lambda: self.cancelled(job["job"]))
        from scanmend.serve import work  # noqa: PLC0415

        return (work.measure if request.kind == "measure" else work.restore)(request, job, self)


# --- being a child -----------------------------------------------------------------------


def _die_with(server: int) -> None:
    """Ties this process to the server: killed with it, and before it where memory runs out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to answer
    if sys.platform != "linux":
        return  # the end of standard input has to do
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG, linux/prctl.h
    if os.getppid() != server:
        os._exit(1)  # it died before the line above
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def _take_over_output() -> int:
    """Standard output for the server's line alone: what libraries print goes to standard error."""
    line = os.dup(1)
    os.dup2(2, 1)
    return line


def _limit_memory(most: int) -> None:
    """Address space for decoders alone; torch reserves far more than it uses, so never with it."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
