"""Work beside the dialog's own loop, which must never wait: one task at a time, where the newest wins."""

from __future__ import absolute_import, division, print_function, unicode_literals

import threading
import time

from scanmend_front.faults import Stopped, Trouble
from scanmend_front.words import gettext as _

from scanmend_gimp2.native import said

try:
    import queue
except ImportError:  # Python 2.7
    queue = __import__("Queue")

MYPY = False
if MYPY:
    from typing import Any, Callable, List, Optional  # noqa: F401 - type comments

_LOOK = 0.1  # seconds between two looks of a waiting task at whether it is stopped


class Task(object):
    """One piece of work: `work(task)` in a thread, then `done(result)` or `failed(trouble)` in the dialog's.

    Nothing that a stopped task still gives is heard.
    """

    def __init__(self, work, done, failed):
        # type: (Callable[[Task], Any], Callable[[Any], None], Callable[[Trouble], None]) -> None
        self._work, self._done, self._failed = work, done, failed
        self._stopped = threading.Event()
        self._calls = None  # type: Any

    def stop(self):
        # type: () -> None
        """Ends it, soon."""
        self._stopped.set()

    def stopped(self):
        # type: () -> bool
        """Whether it is to end: what works polls this."""
        return self._stopped.is_set()

    def tell(self, call):
        # type: (Callable[[], None]) -> None
        """Calls something in the dialog's thread, unless the task has been stopped by then."""
        self._calls.put(lambda: None if self.stopped() else call())

    def ask(self, call):
        # type: (Callable[[], Any]) -> Any
        """What a call gives that the dialog's thread has to make, since GIMP hears one thread only.

        Raises:
            Stopped: the task was stopped before there was an answer.
        """
        answers = queue.Queue()  # type: queue.Queue[Any]
        self.tell(lambda: answers.put(call()))
        while not self.stopped():
            try:
                return answers.get(timeout=_LOOK)
            except queue.Empty:
                continue
        raise Stopped(_("Stopped."))

    def start(self, calls, ended):
        # type: (queue.Queue[Callable[[], None]], Callable[[], None]) -> None
        """Begins it; `ended` is called in the dialog's thread when it is over."""
        self._calls = calls
        thread = threading.Thread(target=self._run, args=(ended,))
        thread.daemon = True
        thread.start()

    def _run(self, ended):
        # type: (Callable[[], None]) -> None
        finish = []  # type: List[Callable[[], None]]
        try:
            result = self._work(self)
            finish.append(lambda: self._done(result))
        except Stopped:
            pass
        except Trouble as error:
            trouble = error
            finish.append(lambda: self._failed(trouble))
        except Exception as error:  # noqa: BLE001 - a thread must not end in silence: the dialog says it
            fault = Trouble(_("The plug-in has failed: %s") % said(error))
            finish.append(lambda: self._failed(fault))
        self._calls.put(ended)
        for call in finish:
            self.tell(call)


class Lane(object):
    """Runs tasks; a new one stops the one before it. The dialog's thread has to poll it."""

    def __init__(self):
        # type: () -> None
        self._calls = queue.Queue()  # type: queue.Queue[Callable[[], None]]
        self._current = None  # type: Optional[Task]
        self._next = None  # type: Optional[Task]

    def put(self, task):
        # type: (Task) -> None
        """Runs a task as soon as the one before it has ended."""
        self.stop()
        self._next = task
        self._begin()

    def stop(self):
        # type: () -> None
        """Stops what runs, and what waits."""
        self._next = None
        if self._current is not None:
            self._current.stop()

    def busy(self):
        # type: () -> bool
        """Whether a task runs."""
        return self._current is not None

    def poll(self):
        # type: () -> None
        """Makes the calls that tasks have asked for."""
        while True:
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                return
            call()

    def close(self, seconds):
        # type: (float) -> None
        """Stops everything, and waits no longer than this for it."""
        self.stop()
        deadline = time.time() + seconds
        while self._current is not None and time.time() < deadline:
            self.poll()
            time.sleep(0.01)

    def _begin(self):
        # type: () -> None
        if self._current is None and self._next is not None:
            self._current, self._next = self._next, None
            self._current.start(self._calls, self._on_end)

    def _on_end(self):
        # type: () -> None
        self._current = None
        self._begin()
