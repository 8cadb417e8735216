"""The rows of the dialog in which settings are laid over the profile's, each with what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gi.repository import Gimp, GimpUi, GObject, Gtk, Pango
from scanmend_front import controls
from scanmend_front.controls import Control
from scanmend_front.words import gettext as _

_MEASURED = {"noise", "jpeg", "blur", "veil", "fading", "dust"}  # has room for a hint from the start
_LETTERS = 36
_BOTH = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE


def chooser(config: Gimp.ProcedureConfig, name: str, choices: Iterable[tuple[str, str]]) -> Gtk.ComboBoxText:
    """A list to choose an argument's value from: (value, label in the person's language) each."""
    combo = Gtk.ComboBoxText(valign=Gtk.Align.CENTER)
    for value, label in choices:
        combo.append(value, label)
    shorten(combo)
    config.bind_property(name, combo, "active-id", _BOTH)
    return combo


def shorten(combo: Gtk.ComboBox) -> None:
    """Gives all the same width, whatever is chosen, and ends longer texts in dots."""
    for cell in combo.get_cells():
        cell.set_property("ellipsize", Pango.EllipsizeMode.END)
        cell.set_property("width-chars", _LETTERS)


def labelled(text: str, widget: Gtk.Widget) -> Gtk.Label:
    """A label that stands before a widget, and names it to a screen reader."""
    label = Gtk.Label(label=text, xalign=0.0, mnemonic_widget=widget)
    widget.get_accessible().set_name(text)
    return label


def small(text: str = "", lines: int = 1) -> Gtk.Label:
    """A remark in small letters, wrapped where it may have more than one line."""
    label = Gtk.Label(label=text, xalign=0.0, yalign=0.0, wrap=lines > 1, lines=lines if lines > 1 else -1)
    label.set_max_width_chars(20)  # it takes what width there is, and asks for little
    label.get_style_context().add_class("scanmend-small")
    return label


class Row:
    """One control: how it is set, its number, and what was measured."""

    def __init__(self, control: Control, config: Gimp.ProcedureConfig) -> None:
        self._control, self._config = control, config
        self._combo = chooser(config, control.name, [(value, _(label)) for value, label in control.choices])
        self._label = labelled(_(control.label), self._combo)
        self._hint = small()
        self._hint.set_no_show_all(control.name not in _MEASURED)
        self._scale: GimpUi.SpinScale | None = None
        if control.kind != controls.CHOICE:
            self._scale = self._number()
        for widget in (self._combo, self._scale):
            if widget is not None:
                widget.set_tooltip_text(_(control.help))
        config.connect(f"notify::{control.name}", self._on_change)
        self._on_change()

    def attach(self, grid: Gtk.Grid, line: int) -> None:
        """Puts the row into two lines of a grid with three columns."""
        grid.attach(self._label, 0, line, 1, 1)
        grid.attach(self._combo, 1, line, 1 if self._scale else 2, 1)
        if self._scale is not None:
            grid.attach(self._scale, 2, line, 1, 1)
        grid.attach(self._hint, 1, line + 1, 2, 1)

    def follow(self, settings: Mapping[str, Any]) -> None:
        """Shows what a profile says."""
        said = controls.shown(settings, self._control)
        first = _(self._control.choices[0][1])
        model = self._combo.get_model()
        model[0][0] = _("%s (%s)") % (first, said) if said else first
        number = controls.number_in(settings, self._control)
        if self._scale is not None and number is not None and not self._by_hand:
            self._config.set_property(self._control.value_name, number)  # by hand begins from there

    def hint(self, text: str) -> None:
        """Shows what was measured; an empty text leaves the line to those that have one."""
        self._hint.set_text(text)
        if text:
            self._hint.show()

    def wait(self) -> None:
        """Says that it is being measured, where it is one that can be."""
        self.hint(_("measuring") if self._control.name in _MEASURED else "")

    @property
    def _by_hand(self) -> bool:
        return bool(self._config.get_property(self._control.name) == controls.MANUAL)

    def _number(self) -> GimpUi.SpinScale:
        step = self._control.step
        scale = GimpUi.prop_spin_scale_new(
            self._config, self._control.value_name, step, 10 * step, self._control.digits
        )
        scale.set_label("")
        scale.set_hexpand(True)
        scale.get_accessible().set_name(_(self._control.label))
        return scale

    def _on_change(self, *_what: object) -> None:
        if self._scale is not None:
            self._scale.set_sensitive(self._by_hand)


class Controls:
    """All rows, one below the other.

    Attributes:
        widget: shows them.
    """

    def __init__(self, declared: Iterable[Control], config: Gimp.ProcedureConfig) -> None:
        self._config = config
        self._rows = {control.name: Row(control, config) for control in declared}
        self.widget = Gtk.Grid(row_spacing=2, column_spacing=6)
        for at, row in enumerate(self._rows.values()):
            row.attach(self.widget, 2 * at)

    def follow(self, settings: Mapping[str, Any]) -> None:
        """Shows what a profile says to each."""
        for row in self._rows.values():
            row.follow(settings)

    def hint(self, hints: Mapping[str, str]) -> None:
        """Shows what was measured for each."""
        for name, row in self._rows.items():
            row.hint(hints.get(name, ""))

    def wait(self) -> None:
        """Says that the picture is being measured."""
        for row in self._rows.values():
            row.wait()
