"""The rows of the dialog in which settings are laid over the profile's, each with what was measured."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gtk
from scanmend_front import controls
from scanmend_front.words import gettext as _

from scanmend_gimp2.native import native

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple  # noqa: F401 - type comments

    from scanmend_front.controls import Control  # noqa: F401 - type comments

_MEASURED = ("noise", "jpeg", "blur", "veil", "fading", "dust")  # has room for a hint from the start


class Chooser(object):
    """A list to choose a value from.

    Attributes:
        widget: shows it.

    Args:
        changed: called when another value was chosen.
    """

    def __init__(self, changed):
        # type: (Callable[[], None]) -> None
        self._changed = changed
        self._filling = False
        self._values = []  # type: List[str]
        self._store = gtk.ListStore(str)
        self.widget = gtk.ComboBox(self._store)
        cell = gtk.CellRendererText()
        self.widget.pack_start(cell, True)
        self.widget.add_attribute(cell, native("text"), 0)
        self.widget.connect(native("changed"), lambda _combo: self._on_changed())

    def fill(self, choices, value):
        # type: (Sequence[Tuple[str, str]], str) -> None
        """Offers (value, label in the person's language) each, with one of them chosen."""
        self._filling = True
        self._store.clear()
        self._values = [one for one, _label in choices]
        for _value, label in choices:
            self._store.append([native(label)])
        self.widget.set_active(self._values.index(value) if value in self._values else 0)
        self._filling = False

    @property
    def value(self):
        # type: () -> str
        """What is chosen."""
        return self._values[self.widget.get_active()]

    def choose(self, value):
        # type: (str) -> None
        """Chooses a value, if there is such a one."""
        if value in self._values:
            self.widget.set_active(self._values.index(value))

    def _on_changed(self):
        # type: () -> None
        if not self._filling:
            self._changed()


def labelled(text, widget):
    # type: (str, gtk.Widget) -> gtk.Label
    """A label that stands before a widget, and names it to a screen reader."""
    label = gtk.Label(native(text))
    label.set_alignment(0.0, 0.5)
    label.set_mnemonic_widget(widget)
    return label


def dimmed(text="", width=-1):
    # type: (str, int) -> gtk.Label
    """A remark in small letters; with a width in pixels it is wrapped there."""
    label = gtk.Label()
    label.set_alignment(0.0, 0.0)
    if width > 0:
        label.set_line_wrap(True)
        label.set_size_request(width, -1)
    say(label, text)
    return label


def say(label, text):
    # type: (gtk.Label, str) -> None
    """Sets what a remark says."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    label.set_markup(native("<small>%s</small>" % text))


class Row(object):
    """One control: how it is set, its number, and what was measured."""

    def __init__(self, control, values, changed):
        # type: (Control, Mapping[str, Any], Callable[[], None]) -> None
        self.control = control
        self._changed = changed
        self._choices = [(value, _(label)) for value, label in control.choices]
        self._combo = Chooser(self._on_choice)
        self._combo.fill(self._choices, values[control.name])
        self._label = labelled(_(control.label), self._combo.widget)
        self._hint = dimmed(_("measuring") if control.name in _MEASURED else "")
        self._number = None  # type: Optional[gtk.Adjustment]
        self._scale = None  # type: Optional[gtk.HScale]
        if control.kind != controls.CHOICE:
            step = control.step
            self._number = gtk.Adjustment(values[control.value_name], 0.0, control.high, step, 10 * step, 0.0)
            self._number.connect(native("value-changed"), lambda _number: self._changed())
            self._scale = gtk.HScale(self._number)
            self._scale.set_digits(control.digits)
            self._scale.set_value_pos(gtk.POS_RIGHT)
            self._scale.set_size_request(150, -1)
            self._scale.set_tooltip_text(native(_(control.help)))
        self._combo.widget.set_tooltip_text(native(_(control.help)))
        self._follow_choice()

    def attach(self, table, line):
        # type: (gtk.Table, int) -> None
        """Puts the row into two lines of a table with three columns."""
        table.attach(self._label, 0, 1, line, line + 1, gtk.FILL, 0)
        table.attach(self._combo.widget, 1, 3 if self._scale is None else 2, line, line + 1, gtk.FILL, 0)
        if self._scale is not None:
            table.attach(self._scale, 2, 3, line, line + 1, gtk.EXPAND | gtk.FILL, 0)
        if self.control.name in _MEASURED:
            table.attach(self._hint, 1, 3, line + 1, line + 2, gtk.FILL, 0)

    def follow(self, settings):
        # type: (Mapping[str, Any]) -> None
        """Shows what a profile says."""
        shown = controls.shown(settings, self.control)
        first = self._choices[0][1]
        words = _("%s (%s)") % (first, shown) if shown else first
        self._combo.fill([(controls.PROFILE, words)] + self._choices[1:], self._combo.value)
        number = controls.number_in(settings, self.control)
        if self._number is not None and number is not None and self._combo.value == controls.PROFILE:
            self._number.set_value(number)  # where the person starts from by hand

    def hint(self, text):
        # type: (str) -> None
        """Shows what was measured."""
        say(self._hint, text)

    def reset(self):
        # type: () -> None
        """Leaves it to the profile."""
        self._combo.choose(controls.PROFILE)

    def values(self):
        # type: () -> Dict[str, Any]
        """Its arguments."""
        found = {self.control.name: self._combo.value}  # type: Dict[str, Any]
        if self._number is not None:
            found[self.control.value_name] = self._number.get_value()
        return found

    def _on_choice(self):
        # type: () -> None
        self._follow_choice()
        self._changed()

    def _follow_choice(self):
        # type: () -> None
        if self._scale is not None:
            self._scale.set_sensitive(self._combo.value == controls.MANUAL)


class Rows(object):
    """All rows, one below the other.

    Attributes:
        widget: shows them.
    """

    def __init__(self, declared, values, changed):
        # type: (Iterable[Control], Mapping[str, Any], Callable[[], None]) -> None
        self._rows = [Row(control, values, changed) for control in declared]
        self.widget = gtk.Table(2 * len(self._rows), 3)
        self.widget.set_col_spacings(6)
        self.widget.set_row_spacings(2)
        for at, row in enumerate(self._rows):
            row.attach(self.widget, 2 * at)

    def follow(self, settings):
        # type: (Mapping[str, Any]) -> None
        """Shows what a profile says to each."""
        for row in self._rows:
            row.follow(settings)

    def hint(self, hints):
        # type: (Mapping[str, str]) -> None
        """Shows what was measured for each."""
        for row in self._rows:
            row.hint(hints.get(row.control.name, ""))

    def reset(self):
        # type: () -> None
        """Leaves everything to the profile."""
        for row in self._rows:
            row.reset()

    def values(self):
        # type: () -> Dict[str, Any]
        """The arguments of all."""
        found = {}  # type: Dict[str, Any]
        for row in self._rows:
            found.update(row.values())
        return found
