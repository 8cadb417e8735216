"""One restoration, from the menu to the layers: decides, waits for the engine, then changes the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp  # noqa: E402 - versions come first
from scanmend_front import controls, setup  # noqa: E402
from scanmend_front.faults import Stopped  # noqa: E402
from scanmend_front.session import Result, Session  # noqa: E402
from scanmend_front.words import gettext as _  # noqa: E402

from scanmend_gimp3 import arguments, layers, targets  # noqa: E402
from scanmend_gimp3.pixels import Subject  # noqa: E402
from scanmend_gimp3.progress import Progress  # noqa: E402
from scanmend_gimp3.targets import Target  # noqa: E402


@dataclass(frozen=True)
class Call:
    """A call of one of the procedures.

    Attributes:
        procedure, image, drawables, config: as GIMP gives them.
        wish: arguments that the procedure itself decides.
        asks: whether the dialog is opened.
    """

    procedure: Gimp.Procedure
    image: Gimp.Image
    drawables: Sequence[Gimp.Drawable]
    config: Gimp.ProcedureConfig
    wish: Mapping[str, Any]
    asks: bool


def run(call: Call) -> None:
    """Does what a call asks for.

    Raises:
        Stopped: the person has changed their mind.
        Trouble: it cannot be done; the image is as it was.
    """
    installation = setup.installed()
    target = targets.find(call.image, call.drawables)
    subject = Subject(target.layer, target.box)
    session = Session(installation)
    job: str | None = None
    try:
        job = _asked(call, target, subject, session, installation.keys) if call.asks else None
        progress = Progress(_("Restore"))
        session.say = progress.say
        session.open()  # the dialog has done so, unless it was closed before
        values = {**arguments.read(call.config, installation.keys), **call.wish}
        in_place = values["output"] == controls.IN_PLACE
        if in_place:
            targets.check_in_place(target)
        else:
            targets.check_for_layers(target)
        profile = session.profile(values["profile"])
        targets.check_still_there(subject, unpainted=False)
        result = session.restore(
            job if job is not None and subject.is_as_sent() else subject.picture,
            controls.settings(profile.settings, values),
            profile.name,
            region=subject.region,
            want=() if in_place else (layers.REMOVED,),
            progress=progress.update,
        )
        try:
            if result.unchanged:
                _say_unchanged(target)
            else:
                _keep(call.image, target, subject, result, values)
        finally:
            result.drop()
    finally:
        if job is not None:
            session.drop(job)
        session.close()
    progress.end()
    Gimp.displays_flush()


def _asked(call: Call, target: Target, subject: Subject, session: Session, keys: Sequence[str]) -> str | None:
    """Lets the person choose; the engine's job that holds the samples already, if one does.

    Raises:
        Stopped: they have closed the dialog.
    """
    from scanmend_gimp3 import dialog  # noqa: PLC0415 - it needs a display

    if target.former is not None:
        arguments.recall(call.config, keys, target.former.arguments)
    choice = dialog.ask(call.procedure, call.config, call.image, target.layer, session, subject)
    if choice is None:
        raise Stopped(_("Nothing was changed."))
    return choice.job


def _keep(
    image: Gimp.Image, target: Target, subject: Subject, result: Result, values: Mapping[str, Any]
) -> None:
    in_place = values["output"] == controls.IN_PLACE
    targets.check_still_there(subject, unpainted=in_place)
    if in_place:
        layers.replace(image, target, subject, result)
    else:
        layers.insert(image, target, subject, result, values)


def _say_unchanged(target: Target) -> None:
    name = target.layer.get_name()
    if target.former is None:
        Gimp.message(_("%s needs nothing of what was asked for, and was left as it is.") % name)
    else:
        Gimp.message(_("With these settings %s needs nothing; the layers were left as they are.") % name)
