"""The list of profiles, and the question under which name settings are kept as a new one."""

from __future__ import annotations

from collections.abc import Iterable

from gi.repository import Gimp, Gtk
from scanmend_front.session import Profile
from scanmend_front.words import gettext as _
from scanmend_front.words import title

from scanmend_gimp3.dialog_controls import labelled, shorten, small

_NAME, _TITLE = 0, 1


class Profiles:
    """The list of profiles: those that ship, then the person's own.

    Attributes:
        label, combo, purpose: the widgets, for the dialog to place.

    Args:
        config: whose argument "profile" it sets.
        shipped: (name, purpose) of those that are known before the engine has answered.
    """

    def __init__(self, config: Gimp.ProcedureConfig, shipped: Iterable[tuple[str, str]]) -> None:
        self._config = config
        self._purposes: dict[str, str] = {}
        self._filling = False
        self._store = Gtk.ListStore(str, str)
        self.combo = Gtk.ComboBox(model=self._store, id_column=_NAME, valign=Gtk.Align.CENTER)
        cell = Gtk.CellRendererText()
        self.combo.pack_start(cell, True)
        self.combo.add_attribute(cell, "text", _TITLE)
        shorten(self.combo)
        self.combo.set_row_separator_func(lambda model, at: not model[at][_NAME])
        self.label = labelled(_("Profile"), self.combo)
        self.purpose = small(lines=2)
        self.purpose.set_size_request(-1, self.purpose.create_pango_layout("\n").get_pixel_size()[1])
        self._shipped = list(shipped)
        self._own: list[tuple[str, str]] = []
        self._fill()
        self.combo.connect("changed", self._on_chosen)
        config.connect("notify::profile", self._on_set)

    def offer(self, listed: Iterable[Profile]) -> None:
        """Offers the profiles that the engine knows."""
        profiles = list(listed)
        self._shipped, self._own = (
            [(one.name, one.purpose) for one in profiles if one.own is own] for own in (False, True)
        )
        self._fill()

    def _fill(self) -> None:
        chosen = self._config.get_property("profile")
        self._purposes = dict(self._shipped + self._own)
        own = [name for name, _purpose in self._own]
        if chosen not in self._purposes:  # a person's own, before the engine has answered; or it is gone
            own.append(chosen)
        self._filling = True
        self._store.clear()
        for name, _purpose in self._shipped:
            self._store.append([name, title(name)])
        if own:
            self._store.append(["", ""])
        for name in own:
            self._store.append([name, name])
        self.combo.set_active_id(chosen)
        self._filling = False
        self._describe(chosen)

    def _on_chosen(self, *_what: object) -> None:
        name = self.combo.get_active_id()
        if name and not self._filling and name != self._config.get_property("profile"):
            self._config.set_property("profile", name)

    def _on_set(self, *_what: object) -> None:
        name = self._config.get_property("profile")
        self._describe(name)
        if self.combo.get_active_id() != name and not self.combo.set_active_id(name):
            self._fill()

    def _describe(self, name: str) -> None:
        purpose = self._purposes.get(name, "")
        purpose = _(purpose) if purpose else ""
        self.purpose.set_text(purpose)
        self.combo.set_tooltip_text(purpose or None)
