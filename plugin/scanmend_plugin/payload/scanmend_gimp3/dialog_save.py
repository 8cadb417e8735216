"""Asks under which name the settings are kept as a profile, and keeps them."""

from __future__ import annotations

from collections.abc import Callable

from gi.repository import Gtk
from scanmend_front.faults import Trouble
from scanmend_front.session import Exists
from scanmend_front.words import gettext as _
from scanmend_front.words import title

from scanmend_gimp3.dialog_controls import small
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

    def ask(self) -> None:
        """Asks for a name, and keeps the settings under it; an own profile's name is the first proposal."""
        begun = self._engine.profile
        own = begun is not None and begun.own
        answer = self._name(begun.name if begun and own else "", begun.purpose if begun and own else "")
        if answer is None:
            return
        name, purpose = answer
        if not purpose and begun is not None:
            purpose = _("Saved in GIMP; begun from %s.") % title(begun.name)
        self._keep(name, purpose, replace=False)

    def _keep(self, name: str, purpose: str, *, replace: bool) -> None:
        def failed(trouble: Trouble) -> None:
            if not isinstance(trouble, Exists):
                self._failed(trouble)
            elif self._may_replace(name):
                self._keep(name, purpose, replace=True)

        def done(path: str) -> None:
            self._kept(name, path)

        self._engine.save(name, purpose, replace=replace, done=done, failed=failed)

    def _kept(self, name: str, path: str) -> None:
        line = _('Saved as %s. The hot folder uses it where its settings say "profile: %s".') % (path, name)
        self._told(name, line)

    def _name(self, name: str, purpose: str) -> tuple[str, str] | None:
        dialog = Gtk.Dialog(title=_("Save as Profile"), transient_for=self._window, modal=True)
        dialog.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        dialog.add_button(_("_Save"), Gtk.ResponseType.OK)
        dialog.set_default_response(Gtk.ResponseType.OK)
        names, purposes = (Gtk.Entry(text=text, activates_default=True) for text in (name, purpose))
        remark = small(_("The hot folder and the command line know it by this name."))
        remark.set_max_width_chars(-1)
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6, border_width=12)
        for part in (_asking(_("_Name of the profile:"), names), names, remark):
            box.pack_start(part, False, False, 0)
        for part in (_asking(_("_What it is for:"), purposes), purposes):
            box.pack_start(part, False, False, 0)
        dialog.get_content_area().add(box)
        _allow_only_with_text(dialog, names)
        box.show_all()
        answer, told = dialog.run(), (names.get_text().strip(), purposes.get_text().strip())
        dialog.destroy()
        return told if answer == Gtk.ResponseType.OK else None

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


def _asking(text: str, entry: Gtk.Entry) -> Gtk.Label:
    label = Gtk.Label(label=text, use_underline=True, xalign=0.0)
    label.set_mnemonic_widget(entry)
    return label


def _allow_only_with_text(dialog: Gtk.Dialog, entry: Gtk.Entry) -> None:
    def follow(*_what: object) -> None:
        dialog.set_response_sensitive(Gtk.ResponseType.OK, bool(entry.get_text().strip()))

    entry.connect("changed", follow)
    follow()
