"""One restoration, from the menu to the layers: decides, waits for the engine, then changes the image."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gimp
from scanmend_front import controls
from scanmend_front.faults import Stopped
from scanmend_front.session import Session
from scanmend_front.words import gettext as _

from scanmend_gimp2 import arguments, layers, targets
from scanmend_gimp2.native import native, text
from scanmend_gimp2.pixels import Subject

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional, Tuple  # noqa: F401 - type comments

    from scanmend_front.session import Source  # noqa: F401 - type comments
    from scanmend_front.setup import Installation  # noqa: F401 - type comments

    from scanmend_gimp2.progress import Progress  # noqa: F401 - type comments
    from scanmend_gimp2.targets import Target  # noqa: F401 - type comments


def run(installation, image, drawable, values, progress, asks):
    # type: (Installation, gimp.Image, gimp.Drawable, Dict[str, Any], Progress, bool) -> None
    """Restores a layer, or what is selected of it.

    Args:
        installation: where Scanmend is.
        image: the one that is open.
        drawable: what is active in it.
        values: the arguments.
        progress: is told how far it is.
        asks: whether the dialog comes first; what is chosen there is remembered.

    Raises:
        Stopped: the person has changed their mind.
        Trouble: it cannot be done; the image is as it was.
    """
    target = targets.find(image, drawable)
    subject = Subject(target.layer, target.box)
    job = None  # type: Optional[str]
    with Session(installation, progress.say) as session:
        try:
            if asks:
                progress.end()
                values, job = _asked(installation, session, target, subject, values)
            _restore(session, image, target, subject, values, job or subject.picture, progress)
        finally:
            if job is not None:
                session.drop(job)


def _restore(session, image, target, subject, values, source, progress):
    # type: (Session, gimp.Image, Target, Subject, Dict[str, Any], Source, Progress) -> None
    """Has the engine restore, waits for it, and then changes the image."""
    in_place = values["output"] == controls.IN_PLACE
    if in_place:
        targets.check_in_place(target)
    profile = session.profile(values["profile"])
    targets.check_still_there(subject, unpainted=False)
    sent = source if subject.is_as_sent() else subject.picture
    result = session.restore(
        sent,
        controls.settings(profile.settings, values),
        profile.name,
        region=subject.region,
        want=() if in_place else (layers.REMOVED,),
        progress=progress.tell,
    )
    try:
        targets.check_still_there(subject, unpainted=in_place)
        if result.unchanged:
            _say_unchanged(target)
        elif in_place:
            layers.replace(image, target, subject, result)
        else:
            layers.insert(image, target, subject, result, values)
    finally:
        result.drop()


def _asked(installation, session, target, subject, values):
    # type: (Installation, Session, Target, Subject, Dict[str, Any]) -> Tuple[Dict[str, Any], Optional[str]]
    """Lets the person choose; the arguments, and the engine's job that holds the samples already.

    Raises:
        Stopped: they have closed the dialog.
    """
    from scanmend_gimp2 import dialog  # noqa: PLC0415 - it needs a display

    if target.former is not None:
        values = arguments.known(arguments.declared(installation), target.former.arguments)
    choice = dialog.ask(installation, session, subject, values)
    if choice is None:
        raise Stopped(_("Nothing was changed."))
    arguments.keep(choice.values)
    return choice.values, choice.job


def _say_unchanged(target):
    # type: (Target) -> None
    if target.former is None:
        sentence = _("%s needs nothing of what was asked for, and was left as it is.")
    else:
        sentence = _("With these settings %s needs nothing; the layers were left as they are.")
    gimp.message(native(sentence % text(target.layer.name)))
