"""Asks under which name the settings are kept as a profile, and keeps them."""

from __future__ import annotations

from collections.abc import Callable

from gi.repository import Gtk
from scanmend_front.faults import Trouble
from scanmend_front.session import Exists
from scanmend_front.words import gettext as _

from scanmend_gimp3.dialog_engine import Engine


class Saving:
    """Keeps settings as a profile of the person's own.

    Args:
        window: the dialog that asks.
        engine: writes it.
        told: gets the name, and a sentence, when it is kept.
        failed: gets what is wrong, where it cannot be.
    """

    def __init__(
        self,
        window: Gtk.Window,
        engine: Engine,
        told: Callable[[str, str], None],
        failed: Callable[[Trouble], None],
    ) -> None:
        self._window, self._engine, self._told, self._failed = window, engine, told, failed

    def ask(self, name: str) -> None:
        """Asks for a name, and keeps the settings under it; an own profile's name is the first proposal."""
        chosen = self._name(name)
        if chosen:
            self._keep(chosen, replace=False)

    def _keep(self, name: str, *, replace: bool) -> None:
        def failed(trouble: Trouble) -> None:
            if not isinstance(trouble, Exists):
                self._failed(trouble)
            elif self._may_replace(name):
                self._keep(name, replace=True)

        self._engine.save(name, replace=replace, done=lambda path: self._kept(name, path), failed=failed)

    def _kept(self, name: str, path: str) -> None:
        line = _('Saved as %s. The hot folder uses it where its settings say "profile: %s".') % (path, name)
        self._told(name, line)

    def _name(self, proposed: str) -> str | None:
        dialog = Gtk.Dialog(title=_("Save as Profile"), transient_for=self._window, modal=True)
        dialog.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        dialog.add_button(_("_Save"), Gtk.ResponseType.OK)
        dialog.set_default_response(Gtk.ResponseType.OK)
        entry = Gtk.Entry(text=proposed, activates_default=True, width_chars=32)
        label = Gtk.Label(label=_("_Name of the profile:"), use_underline=True, xalign=0.0)
        label.set_mnemonic_widget(entry)
        remark = Gtk.Label(
            label=_("The hot folder and the command line know it by this name."), xalign=0.0, wrap=True
        )
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6, border_width=12)
        for part in (label, entry, remark):
            box.pack_start(part, False, False, 0)
        dialog.get_content_area().add(box)
        _allow_only_with_text(dialog, entry)
        box.show_all()
        answer, name = dialog.run(), entry.get_text().strip()
        dialog.destroy()
        return name if answer == Gtk.ResponseType.OK else None

    def _may_replace(self, name: str) -> bool:
        dialog = Gtk.MessageDialog(
            transient_for=self._window,
            modal=True,
            message_type=Gtk.MessageType.QUESTION,
            text=_('There is a profile "%s" already.') % name,
            secondary_text=_("Its settings are lost when you replace it."),
        )
        dialog.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        dialog.add_button(_("_Replace"), Gtk.ResponseType.OK)
        answer = dialog.run()
        dialog.destroy()
        return answer == Gtk.ResponseType.OK


def _allow_only_with_text(dialog: Gtk.Dialog, entry: Gtk.Entry) -> None:
    def follow(*_what: object) -> None:
        dialog.set_response_sensitive(Gtk.ResponseType.OK, bool(entry.get_text().strip()))

    entry.connect("changed", follow)
    follow()
