"""The line at the foot of the dialog: what is being waited for, what is wrong, what was done."""

from __future__ import annotations

from collections.abc import Callable

from gi.repository import Gtk
from scanmend_front.faults import Trouble
from scanmend_front.words import gettext as _


class Status:
    """A spinner or a sign, a sentence, and a button to try again where something went wrong.

    Attributes:
        widget: shows them.

    Args:
        again: what the button does.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._passing = True
        self._spinner = Gtk.Spinner(valign=Gtk.Align.CENTER)
        self._sign = Gtk.Image(valign=Gtk.Align.CENTER)
        self._text = Gtk.Label(xalign=0.0, wrap=True, lines=2, selectable=True, hexpand=True)
        self._text.set_can_focus(False)
        self._text.set_max_width_chars(40)
        self._again = Gtk.Button(label=_("Try _Again"), use_underline=True, valign=Gtk.Align.CENTER)
        self._again.connect("clicked", lambda _button: again())
        self.device = Gtk.Label(xalign=1.0)
        self.widget = Gtk.Box(spacing=6)
        self.widget.set_size_request(-1, 36)  # two lines: nothing jumps when a sentence is long
        for part, wide in ((self._spinner, False), (self._sign, False), (self._text, True)):
            self.widget.pack_start(part, wide, wide, 0)
        self.widget.pack_start(self._again, False, False, 0)
        self.widget.pack_end(self.device, False, False, 0)
        for hidden in (self._spinner, self._sign, self._again):
            hidden.set_no_show_all(True)

    def wait(self, text: str) -> None:
        """Says what is being waited for."""
        self._show(text, sign="", waits=True)

    def fail(self, trouble: Trouble) -> None:
        """Says what is wrong, and offers to try again."""
        self._show(trouble.text, sign="dialog-warning", again=True)

    def warn(self, trouble: Trouble) -> None:
        """Says what could not be done; all else goes on."""
        self._show(trouble.text, sign="dialog-warning")

    def tell(self, text: str) -> None:
        """Says what was done."""
        self._show(text, sign="dialog-information")

    def rest(self) -> None:
        """Says nothing: all is well."""
        self._show("", sign="")

    def forget(self) -> None:
        """Takes away what was said about something that is over; trouble stays until it is mended."""
        if self._passing:
            self.rest()

    def _show(self, text: str, *, sign: str, waits: bool = False, again: bool = False) -> None:
        self._passing = not waits and not again
        self._text.set_text(text)
        self._spinner.set_visible(waits)
        self._spinner.set_property("active", waits)
        self._sign.set_visible(bool(sign))
        self._sign.set_from_icon_name(sign or "dialog-information", Gtk.IconSize.LARGE_TOOLBAR)
        self._again.set_visible(again)
