"""Keeps the dialog's hints, plan and preview in step with its settings, in the background."""

from __future__ import absolute_import, division, print_function, unicode_literals

import functools
import threading
import time

from scanmend_front.faults import Stopped
from scanmend_front.picture import Picture
from scanmend_front.words import gettext as _

from scanmend_gimp2.lane import Lane, Task
from scanmend_gimp2.pixels import Box

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple  # noqa: F401 - type comments

    from scanmend_front.faults import Trouble  # noqa: F401 - type comments
    from scanmend_front.session import Measured, Session  # noqa: F401 - type comments

    from scanmend_gimp2.pixels import Subject  # noqa: F401 - type comments

_AFTER_SETTINGS, _AFTER_MOVE = 0.25, 0.12  # seconds of quiet before the preview follows
_STRIP = 1 << 22  # bytes that are read from GIMP at a time: the dialog stays alive between them
_END = 0.5  # seconds that the background may take to end


class News(object):
    """Who in the dialog is told of what; all are called in its thread."""

    def __init__(
        self,
        wait,  # type: Callable[[str], None]
        hints,  # type: Callable[[Mapping[str, str]], None]
        plan,  # type: Callable[[List[str]], None]
        preview,  # type: Callable[[Box, bytes], None]
        trouble,  # type: Callable[[Trouble], None]
    ):
        # type: (...) -> None
        self.wait = wait
        self.hints = hints
        self.plan = plan
        self.preview = preview
        self.trouble = trouble


class _Wish(object):
    """What the dialog wants to know at one moment."""

    def __init__(self, settings, name, box):
        # type: (Dict[str, Any], str, Optional[Box]) -> None
        self.settings = settings
        self.name = name
        self.box = box


class Follower(object):
    """Measures a subject once, and then plans and restores what is shown of it.

    Attributes:
        job: the engine's job that holds the samples; None before they are there.
    """

    def __init__(self, session, subject, news):
        # type: (Session, Subject, News) -> None
        self._session, self._subject, self._news = session, subject, news
        self._lane = Lane()
        self._wish = None  # type: Optional[_Wish]
        self._due = None  # type: Optional[float]
        self._planned = None  # type: Optional[Dict[str, Any]]
        self._failed = False
        self.job = None  # type: Optional[str]

    def want(self, settings, name, box, soon):
        # type: (Dict[str, Any], str, Optional[Box], bool) -> None
        """Notes what the dialog wants to know; what it wanted before is stopped."""
        if self.job is not None:
            self._lane.stop()
        self._wish = _Wish(settings, name, box)
        self._due = time.time() + (_AFTER_MOVE if soon else _AFTER_SETTINGS)

    def turn(self):
        # type: () -> None
        """One turn of the dialog's loop."""
        self._lane.poll()
        if self._due is None or self._wish is None or time.time() < self._due:
            return
        if self.job is None and self._lane.busy():
            return  # the first measure is worth its end, whatever is wanted meanwhile
        self._due = None
        wish = self._wish
        self._news.wait(_("Rendering") + "\u2026" if self.job else _("Measuring the picture"))
        self._lane.put(Task(lambda task: self._fulfil(task, wish), self._on_fulfilled, self._on_trouble))

    def close(self, keep):
        # type: (bool) -> None
        """Ends what runs, within a second; the engine keeps the samples, or does not."""
        self._lane.close(_END)
        if self.job is not None and not keep:
            # An engine that hangs must not hold up the person.
            dropping = threading.Thread(target=self._session.drop, args=(self.job,))
            dropping.daemon = True
            dropping.start()
            dropping.join(_END)

    # --- in the background ---------------------------------------------------------------

    def _fulfil(self, task, wish):
        # type: (Task, _Wish) -> Optional[Tuple[Box, bytes]]
        if self._failed:  # the engine may have gone, and with it the samples
            self._session.close()
            self._session.open()
        if self.job is None or wish.settings != self._planned:
            former = self.job
            measured = self._session.measure(former or self._picture(task), wish.settings, stop=task.stopped)
            try:
                task.ask(lambda: self._on_measured(measured, wish))
            except Stopped:
                if self.job != measured.job:  # nobody knows of it
                    self._session.drop(measured.job)
                raise
            if former is not None:
                self._session.drop(former)  # the newer one holds the samples as well
            job = measured.job
        else:
            job = self.job
        if wish.box is None:
            return None
        result = self._session.restore(
            job, wish.settings, wish.name, region=tuple(wish.box), stop=task.stopped
        )
        try:
            return wish.box, b"".join(result.pieces())
        finally:
            result.drop()

    def _picture(self, task):
        # type: (Task) -> Picture
        """The picture, its samples read in the dialog's thread: GIMP talks to no other."""
        own = self._subject.picture
        rows = max(1, _STRIP // (own.width * own.pixel_size))

        def pieces():
            # type: () -> Iterator[bytes]
            for top in range(0, own.height, rows):
                box = Box(0, top, own.width, min(rows, own.height - top))
                yield task.ask(functools.partial(self._subject.read, box))

        counted = functools.partial(self._subject.counted, pieces())
        return Picture(own.height, own.width, own.channels, own.dtype, own.alpha, own.transfer, counted)

    # --- in the dialog's thread ----------------------------------------------------------

    def _on_measured(self, measured, wish):
        # type: (Measured, _Wish) -> None
        self.job, self._failed = measured.job, False
        self._planned = wish.settings
        self._news.hints(measured.hints)
        self._news.plan(measured.plan)
        if wish.box is not None:
            self._news.wait(_("Rendering") + "\u2026")

    def _on_fulfilled(self, found):
        # type: (Optional[Tuple[Box, bytes]]) -> None
        self._news.wait("")
        if found is not None:
            self._news.preview(*found)

    def _on_trouble(self, trouble):
        # type: (Trouble) -> None
        self.job, self._planned, self._failed = None, None, True
        self._news.trouble(trouble)
