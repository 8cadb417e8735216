"""The preview with all that belongs to it: names of the sides, zoom, switch, overview."""

from __future__ import annotations

from collections.abc import Callable

from gi.repository import GdkPixbuf, Gtk
from scanmend_front.words import gettext as _
from scanmend_front.words import percent

from scanmend_gimp3 import preview_pixels
from scanmend_gimp3.dialog_controls import small
from scanmend_gimp3.pixels import Box, Subject
from scanmend_gimp3.preview import Comparison
from scanmend_gimp3.preview_overview import SIDE, Overview
from scanmend_gimp3.preview_view import ZOOMS


class Panel:
    """Shows before and after of a part of a subject.

    Attributes:
        widget: the comparison, with what belongs to it above and below.
        wanted: whether anything is to be restored for it.

    Args:
        moved: told when another part is shown, or the preview was switched on or off.
    """

    def __init__(self, subject: Subject, moved: Callable[[], None]) -> None:
        self._subject, self._moved = subject, moved
        width, height = subject.picture.width, subject.picture.height
        self._selected = subject.region
        self._comparison = Comparison(width, height, self._selected, self._read, self._on_moved)
        self._spinner = Gtk.Spinner()
        self._word = Gtk.Label()
        self._zooms = {zoom: Gtk.RadioButton(label=percent(zoom), draw_indicator=False) for zoom in ZOOMS}
        self._switch = Gtk.CheckButton(label=_("Pre_view"), use_underline=True, active=True)
        self._switch.connect("toggled", self._on_switch)
        scale = SIDE / max(width, height)
        self._overview = Overview(_small(subject, scale), scale, self._comparison.move_to)
        self.widget = self._made()
        self._overview.mark(self.seen, self._selected)

    @property
    def seen(self) -> Box:
        """The part that is shown, in the picture's pixels."""
        return self._comparison.view.visible

    @property
    def wanted(self) -> bool:
        return bool(self._switch.get_active())

    def show(self, box: Box, samples: bytes) -> None:
        """Shows a restored part, given as the engine gives it."""
        self._comparison.show(box, self._pixbuf(box, samples))

    def wait(self, *, waits: bool) -> None:
        """Says whether another picture is on its way."""
        self._spinner.set_property("active", waits)
        self._word.set_text(_("Rendering") + "\u2026" if waits else "")

    def _made(self) -> Gtk.Box:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6)
        head = Gtk.Box(spacing=6)
        head.pack_start(Gtk.Label(label=_("Before")), False, False, 0)
        head.pack_end(Gtk.Label(label=_("After")), False, False, 0)
        middle = Gtk.Box(spacing=6)
        middle.pack_start(self._spinner, False, False, 0)
        middle.pack_start(self._word, False, False, 0)
        head.set_center_widget(middle)
        box.pack_start(head, False, False, 0)
        frame = Gtk.Frame()
        frame.add(self._comparison.widget)
        box.pack_start(frame, True, True, 0)
        foot = Gtk.Box(spacing=12)
        foot.pack_start(self._overview.widget, False, False, 0)
        told = _("Drag the line to compare, the picture to see another part.")
        foot.pack_start(small(told, lines=4), True, True, 0)
        beside = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=6, halign=Gtk.Align.END)
        beside.pack_start(self._zoom_buttons(), False, False, 0)
        beside.pack_start(self._switch, False, False, 0)
        foot.pack_end(beside, False, False, 0)
        box.pack_start(foot, False, False, 0)
        return box

    def _zoom_buttons(self) -> Gtk.Box:
        linked = Gtk.Box()
        linked.get_style_context().add_class("linked")
        first = self._zooms[ZOOMS[0]]
        for zoom, button in self._zooms.items():
            if button is not first:
                button.join_group(first)
            button.set_active(zoom == self._comparison.view.zoom)
            button.set_tooltip_text(_("Zoom of the preview"))
            button.connect("toggled", self._on_zoom, zoom)
            linked.pack_start(button, False, False, 0)
        return linked

    def _on_zoom(self, button: Gtk.RadioButton, zoom: float) -> None:
        if button.get_active():
            self._comparison.zoom_to(zoom)

    def _on_moved(self) -> None:
        self._zooms[self._comparison.view.zoom].set_active(True)
        self._overview.mark(self.seen, self._selected)
        self._moved()

    def _on_switch(self, _button: Gtk.CheckButton) -> None:
        if not self.wanted:
            self._comparison.forget()
        self._moved()

    def _read(self, box: Box) -> GdkPixbuf.Pixbuf:
        return self._pixbuf(box, self._subject.read(box))

    def _pixbuf(self, box: Box, samples: bytes) -> GdkPixbuf.Pixbuf:
        shown = self._subject.to_srgb8(samples, box.width, box.height)
        return preview_pixels.pixbuf(shown, 4, box.width, box.height)


def _small(subject: Subject, scale: float) -> GdkPixbuf.Pixbuf:
    """The whole picture that is sent, made smaller, or larger."""
    sent = subject.sent
    size = (max(1, round(sent.width * scale)), max(1, round(sent.height * scale)))
    samples, width, height, channels = subject.drawable.get_sub_thumbnail_data(*sent, *size)
    return preview_pixels.pixbuf(*_with_colour(samples.get_data() or b"", channels), width, height)


def _with_colour(samples: bytes, channels: int) -> tuple[bytes, int]:
    """Samples of 8 bits as red, green, blue and perhaps alpha, of which a grey layer has one or two."""
    if channels >= 3:
        return samples, channels
    grey = samples[::channels]
    rgba = bytearray(4 * len(grey))
    for at in range(3):
        rgba[at::4] = grey
    rgba[3::4] = samples[1::channels] if channels == 2 else b"\xff" * len(grey)
    return bytes(rgba), 4
