"""What the dialog asks of the engine, in the background: profiles, measures, the plan, the preview."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gi.repository import GLib
from scanmend_front import controls
from scanmend_front.faults import Trouble
from scanmend_front.picture import Picture
from scanmend_front.session import Measured, Profile, Session
from scanmend_front.words import gettext as _

from scanmend_gimp3.dialog_lane import Lane, Task
from scanmend_gimp3.pixels import Box, Subject
from scanmend_gimp3.preview_panel import Panel

_AFTER_SETTINGS, _AFTER_MOVE = 250, 120  # milliseconds of quiet before the preview follows
_STRIP = 1 << 22  # bytes that are read from GIMP at a time: the dialog stays alive between them
_END = 0.8  # seconds that all may take to end


@dataclass(frozen=True)
class News:
    """Who in the dialog is told of what; all are called in GTK's thread."""

    wait: Callable[[str], None]
    fail: Callable[[Trouble], None]
    warn: Callable[[Trouble], None]
    ready: Callable[[], None]
    device: Callable[[str], None]
    profiles: Callable[[list[Profile]], None]
    measuring: Callable[[], None]
    settings: Callable[[Mapping[str, Any]], None]
    hints: Callable[[Mapping[str, str]], None]
    plan: Callable[[list[str]], None]


@dataclass(frozen=True)
class _Wish:
    """What the dialog wants to know at one moment."""

    settings: dict[str, Any]
    box: Box | None
    profile: str = field(compare=False)  # what the settings are called changes no pixel


class Engine:
    """Keeps the dialog's hints, plan and preview in step with its settings.

    Args:
        session: not yet open.
        subject: the pixels.
        panel: the preview.
        news: who is told of what.
        values: gives the arguments as the dialog has them.
    """

    def __init__(
        self,
        session: Session,
        subject: Subject,
        panel: Panel,
        news: News,
        values: Callable[[], dict[str, Any]],
    ) -> None:
        self._session, self._subject, self._panel = session, subject, panel
        self._news, self._values = news, values
        self._first, self._following, self._saving = Lane(), Lane(), Lane()
        self._profiles: dict[str, Profile] = {}
        self._told: Profile | None = None
        self._measured: Measured | None = None
        self._planned: dict[str, Any] | None = None  # the settings of the plan that is shown
        self._shown: _Wish | None = None  # what the preview shows
        self._timer = 0
        self._failed = False

    @property
    def job(self) -> str | None:
        """The engine's job that holds the samples; None until they were measured."""
        return self._measured.job if self._measured else None

    def start(self) -> None:
        """Finds the engine and measures the picture, or begins anew after trouble."""
        self._following.stop()
        self._measured = self._planned = self._shown = None
        self._news.measuring()
        self._news.wait(_("Looking for Scanmend's engine"))
        self._first.put(Task(self._measure, self._on_measured, self._on_trouble))

    def settings_changed(self) -> None:
        """Lets plan and preview follow the dialog's settings."""
        self._tell_profile()
        self._follow_after(_AFTER_SETTINGS)

    def place_changed(self) -> None:
        """Lets the preview follow to another part of the picture."""
        self._follow_after(_AFTER_MOVE)

    @property
    def profile(self) -> Profile | None:
        """The profile that is chosen; None while it is not known."""
        return self._profiles.get(self._values()["profile"])

    def settings(self) -> dict[str, Any] | None:
        """The profile with the dialog's settings laid over it; None while it is not known."""
        profile = self.profile
        return None if profile is None else controls.settings(profile.settings, self._values())

    def save(
        self,
        name: str,
        purpose: str,
        *,
        replace: bool,
        done: Callable[[str], None],
        failed: Callable[[Trouble], None],
    ) -> None:
        """Keeps the dialog's settings as a profile; `done` gets the file's path, with the profile offered."""
        settings = self.settings()
        if settings is None:
            failed(self._unknown())
            return

        def work(task: Task[str]) -> str:
            path = self._session.save_profile(name, settings, replace, purpose)
            task.tell(self._on_profiles, self._session.profiles())
            return path

        self._saving.put(Task(work, done, failed))

    def close(self, *, keep: bool) -> None:
        """Ends everything, within a second; the samples stay with the engine where they are still needed."""
        self._forget_timer()
        lanes = (self._first, self._following, self._saving)
        for lane in lanes:
            lane.stop()
        deadline = time.monotonic() + _END
        for lane in lanes:
            lane.close(max(0.0, deadline - time.monotonic()))
        if self._measured is not None and not keep:
            dropping = threading.Thread(target=self._session.drop, args=(self._measured.job,), daemon=True)
            dropping.start()  # an engine that hangs must not hold up the person
            dropping.join(max(0.1, deadline - time.monotonic()))

    # --- finding and measuring -----------------------------------------------------------

    def _measure(self, task: Task[Measured]) -> Measured:
        self._session.close()
        self._session.say = partial(task.tell, self._news.wait)
        self._session.open()
        task.tell(self._on_profiles, self._session.profiles())
        task.tell(self._news.wait, _("Measuring the picture"))
        settings = task.ask(self._measurable)
        measured = self._session.measure(self._picture(task), settings, stop=task.stopped)
        task.tell(self._news.device, str(self._session.look().get("device", "")))
        return measured

    def _measurable(self) -> dict[str, Any]:
        """Settings to measure with: measures are the same with any."""
        return self.settings() or next(iter(self._profiles.values())).settings

    def _picture(self, task: Task[Any]) -> Picture:
        """The picture, its samples read in GTK's thread: GIMP talks to no other."""
        own = self._subject.picture
        rows = max(1, _STRIP // (own.width * own.pixel_size))

        def pieces() -> Iterator[bytes]:
            total = 0
            for top in range(0, own.height, rows):
                box = Box(0, top, own.width, min(rows, own.height - top))
                piece = task.ask(partial(self._subject.read, box))
                total = zlib.crc32(piece, total)
                yield piece
            self._subject.sum = total  # whoever paints while the dialog is open has it restored too

        return Picture(own.height, own.width, own.channels, own.dtype, own.alpha, own.transfer, pieces)

    def _on_profiles(self, profiles: list[Profile]) -> None:
        self._profiles = {profile.name: profile for profile in profiles}
        self._news.profiles(profiles)
        self._told = None
        self._tell_profile()

    def _tell_profile(self) -> None:
        """Shows what the chosen profile says, once: what is set afterwards stays."""
        profile = self.profile
        if profile is not None and profile is not self._told:
            self._told = profile
            self._news.settings(profile.settings)

    def _on_measured(self, measured: Measured) -> None:
        self._measured = measured
        self._news.hints(measured.hints)
        self._all_well()
        self._follow()

    def _all_well(self) -> None:
        self._failed = False
        self._news.ready()

    def _on_trouble(self, trouble: Trouble) -> None:
        self._failed = True
        if self._measured is None:
            self._news.hints({})
        self._panel.wait(waits=False)
        self._news.fail(trouble)

    # --- following the settings ----------------------------------------------------------

    def _follow_after(self, milliseconds: int) -> None:
        """Stops at once what nobody wants any more, and begins the new when all is quiet."""
        self._following.stop()
        self._forget_timer()
        if not self._panel.wanted:
            self._shown = None
        wish = self._wish()
        self._panel.wait(waits=self._measured is not None and wish is not None and self._renders(wish))
        self._timer = GLib.timeout_add(milliseconds, self._on_quiet)

    def _forget_timer(self) -> None:
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0

    def _on_quiet(self) -> bool:
        self._timer = 0
        self._follow()
        return False

    def _follow(self) -> None:
        wish = self._wish()
        if self._measured is None or wish is None:
            return
        self._panel.wait(waits=self._renders(wish))
        if self._renders(wish) or wish.settings != self._planned:
            work = partial(self._fulfil, wish)
            self._following.put(Task(work, self._on_fulfilled, self._on_trouble))

    def _renders(self, wish: _Wish) -> bool:
        return wish.box is not None and wish != self._shown

    def _wish(self) -> _Wish | None:
        settings = self.settings()
        if settings is None:
            if self._profiles:
                self._failed = True
                self._news.warn(self._unknown())
            return None
        return _Wish(settings, self._panel.seen if self._panel.wanted else None, self._values()["profile"])

    def _unknown(self) -> Trouble:
        sentence = _('There is no profile "%s".') % self._values()["profile"]
        return Trouble(sentence, _("Choose another one."))

    def _fulfil(self, wish: _Wish, task: Task[Any]) -> tuple[_Wish, bytes]:
        measured = self._measured
        assert measured is not None, "nothing follows what was not measured"  # noqa: S101
        if wish.settings != self._planned:
            former = measured.job
            measured = self._session.measure(former, wish.settings, stop=task.stopped)
            task.ask(partial(self._on_plan, measured, wish))
            self._session.drop(former)  # the newer one holds the samples as well
        if wish.box is None or not self._renders(wish):
            return wish, b""
        result = self._session.restore(
            measured.job, wish.settings, wish.profile, region=wish.box, stop=task.stopped
        )
        try:
            return wish, b"".join(result.pieces())
        finally:
            result.drop()

    def _on_plan(self, measured: Measured, wish: _Wish) -> None:
        self._measured, self._planned = measured, wish.settings
        self._news.plan(measured.plan)

    def _on_fulfilled(self, fulfilled: tuple[_Wish, bytes]) -> None:
        wish, samples = fulfilled
        if self._failed:
            self._all_well()
        self._panel.wait(waits=False)
        if wish.box is not None and samples:
            self._shown = wish
            self._panel.show(wish.box, samples)
