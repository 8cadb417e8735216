"""The arguments of GIMP's procedures, declared once from the table of controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GObject  # noqa: E402 - versions come first
from scanmend_front import controls  # noqa: E402
from scanmend_front.words import gettext as _  # noqa: E402

_MOST = 100.0  # no number is larger; what a damaged file holds may be too large for any
_FLAGS = GObject.ParamFlags.READWRITE


def declare(procedure: Gimp.Procedure, keys: Iterable[str]) -> None:
    """Gives a procedure every argument that the installed Scanmend understands."""
    start = controls.defaults(keys)
    procedure.add_string_argument(
        "profile", _(controls.PROFILE_LABEL), _(controls.PROFILE_HELP), start["profile"], _FLAGS
    )
    declare_output(procedure)
    for control in controls.declared(keys):
        label, told = _(control.label), _(control.help)
        procedure.add_choice_argument(
            control.name, label, told, _choice(control.choices), start[control.name], _FLAGS
        )
        if control.kind != controls.CHOICE:
            value = start[control.value_name]
            by_hand = _("%s, by hand") % label
            procedure.add_double_argument(control.value_name, by_hand, told, 0.0, control.high, value, _FLAGS)


def declare_output(procedure: Gimp.Procedure) -> None:
    """Gives a procedure the choice between layers and in place."""
    procedure.add_choice_argument(
        "output",
        _(controls.OUTPUT_LABEL),
        _(controls.OUTPUT_HELP),
        _choice(controls.OUTPUTS),
        controls.LAYERS,
        _FLAGS,
    )


def read(config: Gimp.ProcedureConfig, keys: Iterable[str]) -> dict[str, Any]:
    """The values of all arguments, by name; of those that a procedure lacks, the defaults."""
    declared = {spec.name for spec in config.list_properties()}
    start = controls.defaults(keys)
    return {name: config.get_property(name) if name in declared else start[name] for name in start}


def recall(config: Gimp.ProcedureConfig, keys: Iterable[str], values: Mapping[str, Any]) -> None:
    """Sets arguments to remembered values; what is not remembered, or makes no sense, is left alone."""
    for name, usual in controls.defaults(keys).items():
        value = values.get(name)
        number = isinstance(usual, float) and isinstance(value, (int, float)) and 0 <= value <= _MOST
        if number or isinstance(value, type(usual)):
            config.set_property(name, value)


def _choice(options: Iterable[tuple[str, str]]) -> Gimp.Choice:
    choice = Gimp.Choice.new()
    for index, (value, label) in enumerate(options):
        choice.add(value, index, _(label), "")
    return choice
