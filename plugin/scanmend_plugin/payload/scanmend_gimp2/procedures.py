"""The procedures in GIMP's database: what they are called, what they take, and what a call does."""

from __future__ import absolute_import, division, print_function, unicode_literals

import sys
import traceback

import gimp
import gimpfu
from gimpenums import RUN_INTERACTIVE, RUN_NONINTERACTIVE
from scanmend_front import controls, menu, setup, words
from scanmend_front.faults import Stopped, Trouble
from scanmend_front.menu import AGAIN, AS, RESTORE
from scanmend_front.words import gettext as _

from scanmend_gimp2 import arguments, restoring
from scanmend_gimp2.native import native, said, text
from scanmend_gimp2.progress import Progress

MYPY = False
if MYPY:
    from typing import Any, Dict, List, Sequence, Tuple  # noqa: F401 - type comments

    from scanmend_front.setup import Installation  # noqa: F401 - type comments

    from scanmend_gimp2.arguments import Argument  # noqa: F401 - type comments


class Failed(Exception):
    """A call that has failed; why has been said already."""


def main():
    # type: () -> None
    """Answers GIMP: tells it the procedures, or runs one."""
    sys.excepthook = _brief
    problem = None
    try:
        installation = setup.installed()
    except Trouble as trouble:  # a menu that says why is better than none
        installation, problem = setup.Installation("", "", (), (), (), ()), trouble
    _register(RESTORE, menu.LABEL, menu.BLURB, arguments.declared(installation))
    _register(AGAIN, menu.AGAIN_LABEL, menu.AGAIN_BLURB)
    for name, purpose in installation.profiles:
        _register(AS + name, words.TITLES.get(name, name), purpose, [arguments.OUTPUT], menu.PROFILES)
    # gimpfu's own way of running a procedure knows its own dialog alone, and hides the run mode.
    gimp.main(None, None, gimpfu._query, _Call(installation, problem))  # noqa: SLF001


def _register(name, label, blurb, more=(), below=""):
    # type: (str, str, str, Sequence[Argument], str) -> None
    subject = [
        (gimpfu.PF_IMAGE, native("image"), native("Image"), None),
        (gimpfu.PF_DRAWABLE, native("drawable"), native("Layer"), None),
    ]  # type: List[Tuple[Any, ...]]
    gimpfu.register(
        native(name),
        native(blurb),
        native(menu.HELP),
        native("Scanmend"),
        native("MIT"),
        native("2026"),
        native(label),
        native("RGB*, GRAY*"),
        subject + [argument.as_gimpfu() for argument in more],
        [],
        _Call,
        menu=native("/".join(filter(None, (menu.PLACE, menu.FOLDER, below)))),
        domain=(native(words.DOMAIN), native(words.FOLDER)),
    )


class _Call(object):
    """Runs the procedure that GIMP names."""

    def __init__(self, installation, problem):
        # type: (Installation, Trouble | None) -> None
        self._installation = installation
        self._arguments = arguments.declared(installation)
        self._problem = problem

    def __call__(self, name, given):
        # type: (str, Tuple[Any, ...]) -> None
        gimp.pdb.gimp_plugin_enable_precision()  # first of all: without it GIMP hands over 8 bits
        progress = Progress()
        try:
            self._run(text(name), given, progress)
        except Stopped:
            pass  # the person's own wish
        except Trouble as trouble:
            raise _said(trouble)
        except Exception as error:  # noqa: BLE001 - whatever it is, GIMP is told that it failed, and why
            traceback.print_exc()
            sentence = _("Scanmend's plug-in has a fault, and nothing was changed: %s: %s")
            raise _said(Trouble(sentence % (type(error).__name__, said(error))))
        finally:
            progress.end()

    def _run(self, name, given, progress):
        # type: (str, Tuple[Any, ...], Progress) -> None
        if self._problem is not None:
            raise self._problem
        mode, image, drawable = given[:3]
        asks = name == RESTORE and mode == RUN_INTERACTIVE
        values = self._values(name, mode, given[3:])
        restoring.run(self._installation, image, drawable, values, progress, asks)
        if mode != RUN_NONINTERACTIVE:
            gimp.displays_flush()

    def _values(self, name, mode, given):
        # type: (str, int, Sequence[Any]) -> Dict[str, Any]
        """The arguments: those of a script, those that the procedure's name says, or the last ones."""
        keys = self._installation.keys
        if name == RESTORE and mode == RUN_NONINTERACTIVE:
            return arguments.given(self._arguments, given)
        if not name.startswith(AS):
            return arguments.last(self._arguments)
        start = dict(controls.defaults(keys), profile=name[len(AS) :])
        if mode == RUN_NONINTERACTIVE:
            start.update(arguments.given([arguments.OUTPUT], given))
        return start


def _said(trouble):
    # type: (Trouble) -> Failed
    """Says what is wrong in GIMP's own manner; what is to be raised afterwards, so that the call fails."""
    gimp.message(native(trouble.text))
    return Failed(trouble.sentence)


def _brief(kind, error, trace):
    # type: (Any, BaseException, Any) -> None
    """Leaves out the traceback of what has been said already."""
    if not issubclass(kind, Failed):
        sys.__excepthook__(kind, error, trace)
