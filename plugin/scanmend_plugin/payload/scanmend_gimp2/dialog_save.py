"""Asks under which name the settings are kept as a profile, and keeps them."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gimpui
import gtk
from scanmend_front.faults import Trouble
from scanmend_front.session import Exists
from scanmend_front.words import gettext as _
from scanmend_front.words import title

from scanmend_gimp2.dialog_rows import dimmed
from scanmend_gimp2.native import native, text

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional, Tuple  # noqa: F401 - type comments

    from scanmend_front.session import Profile, Session  # noqa: F401 - type comments


def save(window, session, settings, begun):
    # type: (gtk.Window, Session, Dict[str, Any], Profile) -> Optional[Tuple[str, str]]
    """Keeps settings as a profile of the person's own; its name, and a sentence that says so.

    Args:
        window: the dialog that asks.
        session: writes the profile.
        settings: what it is to say.
        begun: the profile that was chosen; an own one's name is the first proposal.
    """
    answer = _name(window, begun.name, begun.purpose) if begun.own else _name(window, "", "")
    if answer is None or not answer[0]:
        return None
    name, purpose = answer
    purpose = purpose or _("Saved in GIMP; begun from %s.") % title(begun.name)
    try:
        try:
            path = session.save_profile(name, settings, purpose=purpose)
        except Exists:
            if not _may_replace(window, name):
                return None
            path = session.save_profile(name, settings, replace=True, purpose=purpose)
    except Trouble as trouble:
        _tell(window, trouble)
        return None
    line = _('Saved as %s. The hot folder uses it where its settings say "profile: %s".')
    return name, line % (path, name)


def _name(window, name, purpose):
    # type: (gtk.Window, str, str) -> Optional[Tuple[str, str]]
    dialog = gimpui.Dialog(native(_("Save as Profile")), native("scanmend-profile"), window, gtk.DIALOG_MODAL)
    dialog.add_button(gtk.STOCK_CANCEL, gtk.RESPONSE_CANCEL)
    dialog.add_button(gtk.STOCK_SAVE, gtk.RESPONSE_OK)
    dialog.set_default_response(gtk.RESPONSE_OK)
    names, purposes = _entry(name), _entry(purpose)
    box = gtk.VBox(False, 6)
    box.set_border_width(12)
    for part in (
        _asking(_("_Name of the profile:"), names),
        names,
        dimmed(_("The hot folder and the command line know it by this name.")),
        _asking(_("_What it is for:"), purposes),
        purposes,
    ):
        box.pack_start(part, False, False)
    dialog.vbox.pack_start(box, True, True)
    box.show_all()
    answer = dialog.run()
    told = text(names.get_text()).strip(), text(purposes.get_text()).strip()
    dialog.destroy()
    return told if answer == gtk.RESPONSE_OK else None


def _entry(proposed):
    # type: (str) -> gtk.Entry
    entry = gtk.Entry()
    entry.set_text(native(proposed))
    entry.set_activates_default(True)
    entry.set_width_chars(32)
    return entry


def _asking(words, entry):
    # type: (str, gtk.Entry) -> gtk.Label
    label = gtk.Label()
    label.set_text_with_mnemonic(native(words))
    label.set_alignment(0.0, 0.5)
    label.set_mnemonic_widget(entry)
    return label


def _may_replace(window, name):
    # type: (gtk.Window, str) -> bool
    question = native(_('There is a profile "%s" already.') % name)
    dialog = gtk.MessageDialog(window, gtk.DIALOG_MODAL, gtk.MESSAGE_QUESTION, gtk.BUTTONS_CANCEL, question)
    dialog.format_secondary_text(native(_("Its settings are lost when you replace it.")))
    dialog.add_button(native(_("_Replace")), gtk.RESPONSE_OK)
    answer = dialog.run()
    dialog.destroy()
    return answer == gtk.RESPONSE_OK


def _tell(window, trouble):
    # type: (gtk.Window, Trouble) -> None
    dialog = gtk.MessageDialog(
        window, gtk.DIALOG_MODAL, gtk.MESSAGE_ERROR, gtk.BUTTONS_CLOSE, native(trouble.sentence)
    )
    if trouble.hint:
        dialog.format_secondary_text(native(trouble.hint))
    dialog.run()
    dialog.destroy()
