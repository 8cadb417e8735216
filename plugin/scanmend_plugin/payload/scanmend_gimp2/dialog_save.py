"""Asks under which name the settings are kept as a profile, and keeps them."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gimpui
import gtk
from scanmend_front.faults import Trouble
from scanmend_front.session import Exists
from scanmend_front.words import gettext as _

from scanmend_gimp2.dialog_rows import dimmed
from scanmend_gimp2.native import native, text

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional, Tuple  # noqa: F401 - type comments

    from scanmend_front.session import Session  # noqa: F401 - type comments


def save(window, session, settings, proposed):
    # type: (gtk.Window, Session, Dict[str, Any], str) -> Optional[Tuple[str, str]]
    """Keeps settings as a profile of the person's own; its name, and a sentence that says so.

    Args:
        window: the dialog that asks.
        session: writes the profile.
        settings: what it is to say.
        proposed: the name that is offered first.
    """
    name = _name(window, proposed)
    if not name:
        return None
    try:
        try:
            path = session.save_profile(name, settings)
        except Exists:
            if not _may_replace(window, name):
                return None
            path = session.save_profile(name, settings, replace=True)
    except Trouble as trouble:
        _tell(window, trouble)
        return None
    line = _('Saved as %s. The hot folder uses it where its settings say "profile: %s".')
    return name, line % (path, name)


def _name(window, proposed):
    # type: (gtk.Window, str) -> str
    dialog = gimpui.Dialog(native(_("Save as Profile")), native("scanmend-profile"), window, gtk.DIALOG_MODAL)
    dialog.add_button(gtk.STOCK_CANCEL, gtk.RESPONSE_CANCEL)
    dialog.add_button(gtk.STOCK_SAVE, gtk.RESPONSE_OK)
    dialog.set_default_response(gtk.RESPONSE_OK)
    entry = gtk.Entry()
    entry.set_text(native(proposed))
    entry.set_activates_default(True)
    entry.set_width_chars(32)
    label = gtk.Label()
    label.set_text_with_mnemonic(native(_("_Name of the profile:")))
    label.set_alignment(0.0, 0.5)
    label.set_mnemonic_widget(entry)
    box = gtk.VBox(False, 6)
    box.set_border_width(12)
    for part in (label, entry, dimmed(_("The hot folder and the command line know it by this name."))):
        box.pack_start(part, False, False)
    dialog.vbox.pack_start(box, True, True)
    box.show_all()
    answer, name = dialog.run(), text(entry.get_text()).strip()
    dialog.destroy()
    return name if answer == gtk.RESPONSE_OK else ""


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
