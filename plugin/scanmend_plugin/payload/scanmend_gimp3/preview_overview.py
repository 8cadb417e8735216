"""The whole picture, small, with the part that the preview shows; a click shows another."""

from __future__ import annotations

from collections.abc import Callable

from gi.repository import Gdk, GdkPixbuf, Gtk
from scanmend_front.words import gettext as _

from scanmend_gimp3 import preview_pixels
from scanmend_gimp3.pixels import Box

SIDE = 120
"""Pixels of the screen that its longer side has."""


class Overview:
    """The whole picture, with a box around the part that is shown.

    Args:
        picture: small, at most SIDE pixels a side.
        scale: its pixels for each of the picture's.
        chosen: told the point of the picture that was clicked.
    """

    def __init__(
        self, picture: GdkPixbuf.Pixbuf, scale: float, chosen: Callable[[float, float], None]
    ) -> None:
        self._picture = preview_pixels.shown(picture, 1.0)
        self._scale, self._chosen = scale, chosen
        self._image = Gtk.Image()
        self.widget = Gtk.EventBox(valign=Gtk.Align.START)
        self.widget.add(self._image)
        self.widget.add_events(Gdk.EventMask.BUTTON_PRESS_MASK | Gdk.EventMask.BUTTON1_MOTION_MASK)
        self.widget.connect("button-press-event", self._on_mouse)
        self.widget.connect("motion-notify-event", self._on_mouse)
        self.widget.set_tooltip_text(_("Click to see that part."))

    def mark(self, seen: Box, selected: Box | None) -> None:
        """Draws what is shown, and what will be changed."""
        picture = self._picture.copy()
        if selected is not None:
            preview_pixels.framed(picture, self._small(selected))
        preview_pixels.outlined(picture, 1, 0x000000FF, self._small(seen))
        inner = self._small(seen)
        if inner.width > 4 and inner.height > 4:
            inside = Box(inner.x + 1, inner.y + 1, inner.width - 2, inner.height - 2)
            preview_pixels.outlined(picture, 2, 0xFFFFFFFF, inside)
        self._image.set_from_pixbuf(picture)

    def _small(self, box: Box) -> Box:
        x, y = int(box.x * self._scale), int(box.y * self._scale)
        right, bottom = ((box.x + box.width) * self._scale, (box.y + box.height) * self._scale)
        return Box(x, y, max(3, round(right) - x), max(3, round(bottom) - y))

    def _on_mouse(self, _widget: Gtk.Widget, event: Gdk.EventButton) -> bool:
        self._chosen(event.x / self._scale, event.y / self._scale)
        return True
