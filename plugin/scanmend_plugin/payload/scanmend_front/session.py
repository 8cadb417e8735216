"""The talk with the engine: finds or starts it, sends pictures, follows what happens to them."""

from __future__ import absolute_import, division, print_function, unicode_literals

import os
import tempfile
import threading

import scanmend_client as client

from scanmend_front import sentences
from scanmend_front.faults import Stopped, Trouble
from scanmend_front.picture import Picture
from scanmend_front.setup import REPAIR
from scanmend_front.words import gettext as _
from scanmend_front.words import known

try:
    import queue
except ImportError:  # Python 2.7
    queue = __import__("Queue")

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union  # noqa: F401 - type comments

    from scanmend_front.setup import Installation  # noqa: F401 - type comments

    Region = Tuple[int, int, int, int]  # x, y, width, height within the picture
    Source = Union[Picture, str]  # a picture, or the job that holds its samples already
    Progress = Optional[Callable[[Optional[float], str], None]]
    Stop = Callable[[], bool]

_PATIENCE = 30.0  # seconds of silence after which the engine counts as gone
_START = 120.0  # seconds that a new engine may take on a slow disk
_LOOK = 0.1  # seconds between two looks at whether to stop


class Profile(object):
    """A profile that can be chosen: its name, its purpose in a sentence, its settings, and whose it is."""

    def __init__(self, name, purpose, settings, own):
        # type: (str, str, Dict[str, Any], bool) -> None
        self.name = name
        self.purpose = purpose
        self.settings = settings
        self.own = own


class Measured(object):
    """What was measured.

    Attributes:
        job: holds the samples; later calls take it in place of the picture.
        facts: the engine's own values.
        hints: a few words for each control that something was measured for.
        plan: sentences about what would be done.
    """

    def __init__(self, job, report):
        # type: (str, Dict[str, Any]) -> None
        self.job = job
        self.facts = report.get("facts") or {}
        self.hints = sentences.hints(self.facts)
        self.plan = sentences.plan(report.get("plan") or {})


class Result(object):
    """A restored picture, whose samples are still with the engine.

    Attributes:
        job: by which the engine knows it.
        report: what was measured and done.
        unchanged: there was nothing to do, and the samples are those that were sent.
    """

    def __init__(self, engine, job, report):
        # type: (client.Engine, str, Dict[str, Any]) -> None
        self._engine = engine
        self.job = job
        self.report = report
        self.unchanged = bool(report.get("unchanged"))

    def pieces(self, plane="pixels", size=1 << 22):
        # type: (str, int) -> Iterator[bytes]
        """The bytes of a plane, "pixels" or "difference", in pieces of so many bytes, the last one shorter.

        Raises:
            Trouble: the engine went away.
        """
        try:
            for piece in self._engine.read_pixels(self.job, plane, size):
                yield piece
        except client.EngineFault as fault:
            raise trouble(fault)

    def drop(self):
        # type: () -> None
        """Lets the engine forget it."""
        try:
            self._engine.cancel(self.job)
        except client.EngineFault:
            pass  # it has gone, and the samples with it


class Session(object):
    """One front end's talk with the engine; methods may be called from several threads.

    Args:
        installation: where Scanmend is.
        say: takes sentences about what is being waited for, in the thread that waits; may be exchanged.
    """

    def __init__(self, installation, say=None):
        # type: (Installation, Optional[Callable[[str], None]]) -> None
        self._installation = installation
        self.say = say or (lambda _text: None)
        self._opening = threading.Lock()
        self._found = None  # type: Optional[client.Engine]
        self._keeper = None  # type: Optional[client.Keeper]
        self.health = {}  # type: Dict[str, Any]

    # --- the engine ----------------------------------------------------------------------

    def open(self):
        # type: () -> None
        """Finds the engine that runs, or starts one, and keeps it warm until `close`; once is enough.

        Raises:
            Trouble: there is none and none can be started, or it is of another version.
        """
        with self._opening:  # a dialog may still be at it when the person is already done with the dialog
            if self._found is not None:
                return
            engine = self._running() or self._started()
            try:
                self.health = engine.health()
                self._keeper = engine.keep()
            except client.EngineFault as fault:
                raise trouble(fault)
            self._found = engine

    def look(self):
        # type: () -> Dict[str, Any]
        """What the engine says of itself by now: it knows its device only when it is warm.

        Raises:
            Trouble: the engine went away.
        """
        try:
            self.health = self._engine().health()
        except client.EngineFault as fault:
            raise trouble(fault)
        return self.health

    def close(self):
        # type: () -> None
        """Lets the engine go; it stays for a while, warm for the next call."""
        keeper, self._keeper, self._found = self._keeper, None, None
        if keeper:
            keeper.close()

    def __enter__(self):
        # type: () -> Session
        self.open()
        return self

    def __exit__(self, *_raised):
        # type: (object) -> None
        self.close()

    def _running(self):
        # type: () -> Optional[client.Engine]
        for address in self._installation.addresses:
            engine = client.Engine(address, _PATIENCE)
            try:
                engine.health()
            except client.EngineFault as fault:
                if fault.kind != "unreachable":
                    raise trouble(fault)
            else:
                return engine
        return None

    def _started(self):
        # type: () -> client.Engine
        command = list(self._installation.command)
        _check_may_start(command)
        self.say(_("Starting Scanmend's engine"))
        engine = client.Engine(_usable(self._installation.addresses), _PATIENCE)
        with tempfile.TemporaryFile() as log:
            try:
                _make_folder(engine.address)
                engine.start(command, _START, log)
            except (client.EngineFault, IOError, OSError) as error:
                sentence = getattr(error, "sentence", None) or "%s" % error
                raise Trouble(
                    _("Scanmend's engine could not be started: %s") % (_last_line(log) or sentence),
                    _("To see what is wrong, run in a terminal: %s") % "scanmend doctor",
                )
        return engine

    def _engine(self):
        # type: () -> client.Engine
        if self._found is None:
            raise Trouble(_("Scanmend's engine is not connected."))
        return self._found

    # --- profiles ------------------------------------------------------------------------

    def profiles(self):
        # type: () -> List[Profile]
        """All profiles that can be chosen: those that ship, the default first, then the person's own.

        Raises:
            Trouble: the engine went away.
        """
        return [_profile(one) for one in self._listed() if not one["error"]]

    def profile(self, name):
        # type: (str) -> Profile
        """The profile of that name.

        Raises:
            Trouble: there is none, or its file is not valid.
        """
        listed = self._listed()
        for one in listed:
            if one["name"] == name:
                if one["error"]:
                    raise Trouble(one["error"])
                return _profile(one)
        names = ", ".join(one["name"] for one in listed if not one["error"])
        raise Trouble(_('There is no profile "%s".') % name, _("There are %s; choose one of them.") % names)

    def _listed(self):
        # type: () -> List[Dict[str, Any]]
        """The profiles as the engine lists them, with those whose files are not valid."""
        try:
            return self._engine().profiles()["profiles"]
        except client.EngineFault as fault:
            raise trouble(fault)

    def save_profile(self, name, settings, replace=False, purpose=""):
        # type: (str, Dict[str, Any], bool, str) -> str
        """Writes settings as a profile of the person's own; returns the file's path.

        Raises:
            Exists: there is one of that name, and it was not to be replaced.
            Trouble: the name or a setting is not valid, or the file cannot be written.
        """
        try:
            return self._engine().save_profile(name, settings, replace, purpose)
        except client.EngineFault as fault:
            if fault.status == 409:
                raise Exists(fault.sentence, fault.hint)
            raise trouble(fault)

    # --- pictures ------------------------------------------------------------------------

    def measure(self, source, settings, region=None, stop=None):
        # type: (Source, Dict[str, Any], Optional[Region], Optional[Stop]) -> Measured
        """Measures a picture, and plans what the settings would do to it.

        Raises:
            Stopped: `stop` said so.
            Trouble: it cannot be done.
        """
        job = dict(self._job(source, region), kind="measure", profile=settings)
        name, report = self._run(source, job, None, stop)
        return Measured(name, report)

    def restore(self, source, settings, profile_name, region=None, want=(), progress=None, stop=None):
        # type: (Source, Dict[str, Any], str, Optional[Region], Sequence[str], Progress, Optional[Stop]) -> Result
        """Restores a picture, or a region of it, and waits for the result.

        Args:
            source: the picture, or the job that holds its samples.
            settings: of the profile, with what was changed.
            profile_name: what the settings are called.
            region: x, y, width, height; all of it if not given.
            want: planes beside the pixels: "difference".
            progress: told a share from 0 to 1, or None where none is known, and a sentence.
            stop: asked several times a second; True stops the engine, and nothing was done.

        Raises:
            Stopped: `stop` said so.
            Trouble: it cannot be done.
        """
        job = dict(self._job(source, region), profile=settings, profile_name=profile_name, want=list(want))
        name, report = self._run(source, job, progress, stop)
        return Result(self._engine(), name, report)

    def drop(self, job):
        # type: (str) -> None
        """Lets the engine forget the samples of a job that was measured; jobs made from it keep theirs."""
        if self._found is not None:
            _cancel(self._found, job)

    def _job(self, source, region):
        # type: (Source, Optional[Region]) -> Dict[str, Any]
        place = {"job": source}  # type: Dict[str, Any]
        if isinstance(source, Picture):
            place = {"pixels": source.announced()}
        if region is not None:
            place["region"] = list(region)
        place["name"] = _("the layer")
        return {"source": place, "attached": True}

    def _run(self, source, job, progress, stop):
        # type: (Source, Dict[str, Any], Optional[Progress], Optional[Stop]) -> Tuple[str, Dict[str, Any]]
        """Hands over a job and waits for its end; the job's name, and its report."""
        engine = self._engine()
        try:
            name = engine.submit(job)
            last = self._followed(name, source, progress, stop)
        except client.EngineFault as fault:
            raise trouble(fault)
        if last["state"] == "done":
            return name, last["report"]
        raise _failure(last)

    def _followed(self, name, source, progress, stop):
        # type: (str, Source, Optional[Progress], Optional[Stop]) -> Dict[str, Any]
        """A job's last event; whatever breaks off the waiting stops the job too."""
        engine = self._engine()
        events = _Events(engine, name)
        try:
            if isinstance(source, Picture):
                engine.put_pixels(name, _until_stopped(source.pieces(), stop))
            return events.follow(progress or (lambda _share, _text: None), stop or (lambda: False))
        except BaseException:  # the host's own errors too: the thread that listens would keep the job alive
            _cancel(engine, name)
            raise


def _profile(listed):
    # type: (Dict[str, Any]) -> Profile
    purpose = listed["purpose"] if listed["own"] else known(listed["purpose"])
    return Profile(listed["name"], purpose, listed["settings"], listed["own"])


class Exists(Trouble):
    """There is a profile of that name already."""


class _Events(object):
    """A job's events, read by a thread of their own, so that somebody can change their mind meanwhile."""

    def __init__(self, engine, job):
        # type: (client.Engine, str) -> None
        self._engine, self._name = engine, job
        self._heard = queue.Queue()  # type: queue.Queue[Any]
        thread = threading.Thread(target=self._listen)
        thread.daemon = True
        thread.start()

    def follow(self, progress, stop):
        # type: (Callable[[Optional[float], str], None], Stop) -> Dict[str, Any]
        """Waits for the last event, tells of the others, asks whether to stop."""
        while True:
            if stop():
                raise Stopped(_("Stopped; the image is unchanged."))
            try:
                event = self._heard.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if isinstance(event, Exception):
                raise event
            if event["state"] in client.ENDS:
                return event
            progress(*sentences.progress(event))

    def _listen(self):
        # type: () -> None
        try:
            for event in self._engine.events(self._name):
                self._heard.put(event)
        except client.EngineFault as fault:
            self._heard.put(fault)


def trouble(fault):
    # type: (client.EngineFault) -> Trouble
    """What a person should know of a fault."""
    if fault.kind == "protocol":
        return Trouble(
            _("The plug-in and Scanmend's engine are of different versions: %s") % fault.sentence,
            _("Run in a terminal: %s. The engine that runs ends by itself after ten minutes without work.")
            % REPAIR,
        )
    if fault.kind == "unreachable":
        cause = fault.sentence.partition(": ")[2]  # what stands before it says the same as we do
        return Trouble(
            _("Scanmend's engine went away while it was at work (%s); the image is unchanged.")
            % (cause or fault.sentence),
            _("Try again, it starts by itself; if this happens again, run in a terminal: %s")
            % "scanmend doctor",
        )
    return Trouble(fault.sentence, fault.hint)


def _failure(event):
    # type: (Dict[str, Any]) -> Trouble
    error = event.get("error") or {}
    if event["state"] == "cancelled":
        return Stopped(error.get("message", _("Stopped; the image is unchanged.")))
    if event.get("crash"):
        return Trouble(
            _("Scanmend's engine broke down over this picture (%s); the image is unchanged.")
            % event["crash"],
            _("Try again; if this happens again, run in a terminal: %s") % "scanmend doctor",
        )
    return Trouble(error.get("message", ""), error.get("hint", ""))


def _cancel(engine, job):
    # type: (client.Engine, str) -> None
    try:
        engine.cancel(job)
    except client.EngineFault:
        pass  # it has gone: so has the job


def _until_stopped(pieces, stop):
    # type: (Iterable[bytes], Optional[Stop]) -> Iterator[bytes]
    for piece in pieces:
        if stop and stop():
            raise Stopped(_("Stopped; the image is unchanged."))
        yield piece


def _check_may_start(command):
    # type: (List[str]) -> None
    """Refuses where a program outside cannot be started, before a puzzling error says so."""
    sandbox = "Flatpak" if os.path.exists("/.flatpak-info") else "Snap" if os.environ.get("SNAP") else ""
    if sandbox:
        raise Trouble(
            _("Scanmend's engine is not running, and this GIMP may not start it from inside its %s.")
            % sandbox,
            _("Run in a terminal, once: %s") % "scanmend service install --engine",
        )
    if not command or not os.path.exists(command[0]):
        raise Trouble(
            _("Scanmend is no longer where the plug-in was told: %s is missing.")
            % (command[0] if command else "the command"),
            _("Install Scanmend again, then run in a terminal: %s") % REPAIR,
        )


def _usable(addresses):
    # type: (Sequence[str]) -> str
    """The first address whose folder can be had: that of the login is missing in a job of cron, say."""
    for address in addresses:
        try:
            _make_folder(address)
        except (IOError, OSError):
            continue
        if os.access(os.path.dirname(address), os.W_OK):
            return address
    return addresses[0]


def _make_folder(address):
    # type: (str) -> None
    folder = os.path.dirname(address)
    if not os.path.isdir(folder):
        os.makedirs(folder, 0o700)


def _last_line(log):
    # type: (Any) -> str
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 4096))
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines()]
    said = [line for line in lines if line and "listens on" not in line]
    return said[-1] if said else ""
