"""Work beside GTK's main loop, which must never wait: one thread, where the newest task wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from gi.repository import GLib
from scanmend_front.faults import Stopped, Trouble
from scanmend_front.words import gettext as _

T = TypeVar("T")


class Task(Generic[T]):
    """One piece of work.

    Args:
        work: does it, in the lane's thread; it gets the task, to poll whether it is to end.
        done: gets the result, in GTK's thread.
        failed: gets what is wrong, in GTK's thread.
    """

    def __init__(
        self, work: Callable[[Task[T]], T], done: Callable[[T], None], failed: Callable[[Trouble], None]
    ) -> None:
        self._work, self._done, self._failed = work, done, failed
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends it; nothing that it still gives counts."""
        self._stopped.set()

    def stopped(self) -> bool:
        """Whether it is to end: what works polls this."""
        return self._stopped.is_set()

    def tell(self, call: Callable[..., None], *values: Any) -> None:
        """Calls something in GTK's thread, unless the task has been stopped by then."""
        GLib.idle_add(self._told, call, values)

    def ask(self, call: Callable[[], Any]) -> Any:
        """What a call gives that GTK's thread has to make, since GIMP hears one thread only.

        Raises:
            Stopped: the task was stopped before there was an answer.
        """
        answer = _Answer(call, self.stopped)
        GLib.idle_add(answer.give, priority=GLib.PRIORITY_DEFAULT_IDLE)
        while not answer.there.wait(0.1):
            if self.stopped():
                raise Stopped(_("Stopped."))
        return answer.value()

    def run(self) -> None:
        """Does the work, in the lane's thread."""
        try:
            self.tell(self._done, self._work(self))
        except Stopped:
            pass
        except Trouble as trouble:
            self.tell(self._failed, trouble)
        except Exception as error:  # noqa: BLE001 - a thread must not end in silence: the dialog says it
            self.tell(self._failed, Trouble(_("The plug-in has failed: %s") % error))

    def _told(self, call: Callable[..., None], values: tuple[Any, ...]) -> bool:
        if not self.stopped():
            call(*values)
        return False


class Lane:
    """Runs tasks one after the other in a thread; a new one stops the one before it."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._current: Task[Any] | None = None
        self._next: Task[Any] | None = None
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, task: Task[Any]) -> None:
        """Runs a task as soon as the one before it has stopped."""
        with self._change:
            self._stop_all()
            self._next = task
            self._change.notify()

    def stop(self) -> None:
        """Stops what runs, and what waits."""
        with self._change:
            self._stop_all()

    def close(self, seconds: float) -> None:
        """Stops everything, and waits no longer than this for the thread to end."""
        with self._change:
            self._open = False
            self._stop_all()
            self._change.notify()
        self._thread.join(seconds)

    def _stop_all(self) -> None:
        for task in (self._current, self._next):
            if task is not None:
                task.stop()
        self._next = None

    def _run(self) -> None:
        while True:
            with self._change:
                self._current = None
                self._change.wait_for(lambda: self._next is not None or not self._open)
                if self._next is None:
                    return
                self._current, self._next = self._next, None
                task = self._current
            task.run()


class _Answer:
    def __init__(self, call: Callable[[], Any], stopped: Callable[[], bool]) -> None:
        self.there = threading.Event()
        self._call, self._stopped = call, stopped
        self._value: Any = None
        self._error: Exception | None = None

    def give(self) -> bool:
        if self._stopped():
            return False  # nobody waits for it any more
        try:
            self._value = self._call()
        except Exception as error:  # noqa: BLE001 - it is raised again where it was asked for
            self._error = error
        self.there.set()
        return False

    def value(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value
