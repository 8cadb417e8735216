"""What GIMP's menu and its procedure database know of Scanmend, and what happens when it is called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402 - versions come first
from scanmend_front import menu, setup  # noqa: E402
from scanmend_front.faults import Stopped, Trouble  # noqa: E402
from scanmend_front.menu import AGAIN, AS, RESTORE  # noqa: E402
from scanmend_front.words import DOMAIN, title  # noqa: E402
from scanmend_front.words import gettext as _  # noqa: E402

from scanmend_gimp3 import arguments, restoring  # noqa: E402


class Scanmend(Gimp.PlugIn):
    """The plug-in, of which GIMP starts a process for each call."""

    def do_query_procedures(self) -> list[str]:
        return [RESTORE, AGAIN, *(AS + name for name, _purpose in _profiles())]

    def do_set_i18n(self, _name: str) -> tuple[bool, str, str | None]:
        return True, DOMAIN, None  # None: the folder locale beside the plug-in

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        if name == RESTORE:
            return _restore(self)
        if name == AGAIN:
            return _again(self)
        return _as(self, name)


def main() -> None:
    """Hands over to GIMP, which calls the plug-in."""
    Gimp.main(Scanmend.__gtype__, sys.argv)


def _restore(plug_in: Gimp.PlugIn) -> Gimp.Procedure:
    procedure = Gimp.ImageProcedure.new(plug_in, RESTORE, Gimp.PDBProcType.PLUGIN, _run, None)
    _describe(procedure, _(menu.LABEL), _(menu.BLURB))
    arguments.declare(procedure, _keys())
    return procedure


def _again(plug_in: Gimp.PlugIn) -> Gimp.Procedure:
    procedure = Gimp.ImageProcedure.new(plug_in, AGAIN, Gimp.PDBProcType.PLUGIN, _run_again, None)
    _describe(procedure, _(menu.AGAIN_LABEL), _(menu.AGAIN_BLURB))
    return procedure


def _as(plug_in: Gimp.PlugIn, name: str) -> Gimp.Procedure:
    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, _run, None)
    profile = name[len(AS) :]
    _describe(procedure, title(profile), dict(_profiles()).get(profile, ""), menu.PROFILES)
    arguments.declare_output(procedure)
    return procedure


def _describe(procedure: Gimp.Procedure, label: str, about: str, below: str = "") -> None:
    procedure.set_image_types("RGB*, GRAY*")
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
    procedure.set_menu_label(label)
    procedure.add_menu_path("/".join([menu.PLACE, _(menu.FOLDER), *([_(below)] if below else [])]))
    procedure.set_documentation(about, _(menu.HELP), procedure.get_name())
    procedure.set_attribution("The Scanmend authors", "The Scanmend authors", "2026")


def _keys() -> Sequence[str]:
    """The settings that the installed Scanmend knows; none where it is broken, which a call then tells."""
    try:
        return setup.installed().keys
    except Trouble:
        return ()


def _profiles() -> Sequence[tuple[str, str]]:
    try:
        return setup.installed().profiles
    except Trouble:
        return ()


def _run(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    _data: object,
) -> Gimp.ValueArray:
    name = procedure.get_name()
    wish: dict[str, Any] = {} if name == RESTORE else {"profile": name[len(AS) :]}
    asks = name == RESTORE and mode == Gimp.RunMode.INTERACTIVE
    return _answered(
        procedure, lambda: restoring.run(restoring.Call(procedure, image, drawables, config, wish, asks))
    )


def _run_again(
    procedure: Gimp.Procedure,
    _mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: list[Gimp.Drawable],
    _config: Gimp.ProcedureConfig,
    _data: object,
) -> Gimp.ValueArray:
    """Runs the first procedure in this very process: GIMP keeps the last values by its name."""
    first = _restore(procedure.get_plug_in())
    config = first.create_config()
    config.set_property("run-mode", Gimp.RunMode.WITH_LAST_VALS)
    config.set_property("image", image)
    config.set_core_object_array("drawables", drawables)
    return first.run(config)


def _answered(procedure: Gimp.Procedure, work: Callable[[], None]) -> Gimp.ValueArray:
    """Does the work; what GIMP is told of it."""
    try:
        # Otherwise GIMP itself would show a refusal of its own, besides the sentence that tells of it.
        procedure.get_plug_in().set_pdb_error_handler(Gimp.PDBErrorHandler.PLUGIN)
        work()
    except Stopped:
        return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    except Trouble as trouble:
        return _failed(procedure, trouble.text)
    except Exception as error:  # noqa: BLE001 - GIMP would say no more than "execution error"
        traceback.print_exc()
        sentence = _("Scanmend's plug-in has a fault, and nothing was changed: %s: %s")
        return _failed(procedure, sentence % (type(error).__name__, error))
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def _failed(procedure: Gimp.Procedure, text: str) -> Gimp.ValueArray:
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), text, 0)
    return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, error)
