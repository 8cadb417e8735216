"""Before and after of a part of the picture, which is moved by dragging it."""

from __future__ import annotations

from collections.abc import Callable

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, GLib, Gtk  # noqa: E402 - versions come first
from scanmend_front.words import gettext as _  # noqa: E402

from scanmend_gimp3 import preview_pixels  # noqa: E402
from scanmend_gimp3.pixels import Box  # noqa: E402
from scanmend_gimp3.preview_view import ZOOMS, View, whole  # noqa: E402

_GRASP = 7  # pixels beside the divider at which it is taken hold of
_STEP = 48  # pixels of the screen that an arrow key moves
_LEAST = (420, 280)
_ARROWS = {
    Gdk.KEY_Left: (-1, 0),
    Gdk.KEY_Right: (1, 0),
    Gdk.KEY_Up: (0, -1),
    Gdk.KEY_Down: (0, 1),
}
_WHEEL = {
    Gdk.ScrollDirection.UP: (0, -1),
    Gdk.ScrollDirection.DOWN: (0, 1),
    Gdk.ScrollDirection.LEFT: (-1, 0),
    Gdk.ScrollDirection.RIGHT: (1, 0),
}


class Comparison:
    """The picture before the divider as it is, after it as it is restored.

    Attributes:
        widget: shows it.
        view: the part that is shown.

    Args:
        width, height: of the picture.
        selected: the part that will be changed, drawn as a box; None where that is all of it.
        read: gives a part of the picture as it is.
        moved: told whenever another part, or another zoom, is shown.
    """

    def __init__(
        self,
        width: int,
        height: int,
        selected: Box | None,
        read: Callable[[Box], GdkPixbuf.Pixbuf],
        moved: Callable[[], None],
    ) -> None:
        self.view = whole(width, height, selected)
        self._selected, self._read, self._moved = selected, read, moved
        self._divider = 0.5
        self._held: tuple[float, float] | None = None  # where the mouse drags from; the divider if not _pans
        self._pans = False
        self._before: GdkPixbuf.Pixbuf | None = None
        self._restored: tuple[Box, GdkPixbuf.Pixbuf] | None = None
        self._after: GdkPixbuf.Pixbuf | None = None
        self._drawing = 0
        self._image = Gtk.Image()
        self.widget = self._made()

    def show(self, box: Box, restored: GdkPixbuf.Pixbuf) -> None:
        """Shows a restored part, until the next one."""
        self._restored = (box, restored)
        self._after = None
        self._draw_soon()

    def forget(self) -> None:
        """Shows the picture as it is, since nothing is restored any more."""
        self._restored = self._after = None
        self._draw_soon()

    def move_to(self, x: float, y: float) -> None:
        """Brings a point of the picture into the middle."""
        self._look(self.view.at(x, y))

    def zoom_to(self, zoom: float, point: tuple[float, float] | None = None) -> None:
        """Shows so many pixels of the screen for each of the picture."""
        self._look(self.view.zoomed(zoom, point))

    # --- drawing -------------------------------------------------------------------------

    def _made(self) -> Gtk.Layout:
        layout = Gtk.Layout(can_focus=True, hexpand=True, vexpand=True)
        layout.set_size_request(*_LEAST)
        layout.put(self._image, 0, 0)
        layout.add_events(
            Gdk.EventMask.BUTTON_PRESS_MASK
            | Gdk.EventMask.BUTTON_RELEASE_MASK
            | Gdk.EventMask.POINTER_MOTION_MASK
            | Gdk.EventMask.SCROLL_MASK
            | Gdk.EventMask.KEY_PRESS_MASK
            | Gdk.EventMask.FOCUS_CHANGE_MASK
        )
        layout.connect("size-allocate", self._on_size)
        layout.connect("button-press-event", self._on_press)
        layout.connect("button-release-event", self._on_release)
        layout.connect("motion-notify-event", self._on_motion)
        layout.connect("scroll-event", self._on_scroll)
        layout.connect("key-press-event", self._on_key)
        layout.connect("focus-in-event", self._on_focus)
        layout.connect("focus-out-event", self._on_focus)
        about = layout.get_accessible()
        about.set_name(_("Before and after"))
        about.set_description(
            _("Arrows move the picture, Shift with left and right moves the line, + and - zoom.")
        )
        return layout

    def _look(self, view: View) -> None:
        if view == self.view:
            return
        seen = (self.view.visible, self.view.zoom)
        self.view = view
        if seen != (view.visible, view.zoom):
            self._before = self._after = None
            self._moved()
        self._draw_soon()

    def _draw_soon(self) -> None:
        if not self._drawing:
            self._drawing = GLib.idle_add(self._draw, priority=GLib.PRIORITY_HIGH_IDLE)

    def _draw(self) -> bool:
        self._drawing = 0
        if self.view.area == (1, 1):
            return False  # it has no place yet
        if self._before is None:
            self._before = preview_pixels.shown(self._read(self.view.visible), self.view.zoom)
        if self._after is None and self._restored is not None:
            self._after = self._laid_over(self._before, *self._restored)
        left, top = self.view.origin
        picture = preview_pixels.divided(self._before, self._after, self._column() - left)
        if self._selected is not None:
            preview_pixels.framed(picture, self.view.on_screen(self._selected))
        if self.widget.has_focus():
            self._mark_focus(picture)
        self._image.set_from_pixbuf(picture)
        self.widget.move(self._image, left, top)
        return False

    def _laid_over(self, before: GdkPixbuf.Pixbuf, box: Box, restored: GdkPixbuf.Pixbuf) -> GdkPixbuf.Pixbuf:
        after = before.copy()
        place = self.view.on_screen(box)
        preview_pixels.pasted(after, preview_pixels.shown(restored, self.view.zoom), place.x, place.y)
        return after

    def _mark_focus(self, picture: GdkPixbuf.Pixbuf) -> None:
        known, colour = self.widget.get_style_context().lookup_color("theme_selected_bg_color")
        red, green, blue = (colour.red, colour.green, colour.blue) if known else (0.2, 0.5, 0.9)
        value = round(255 * red) << 24 | round(255 * green) << 16 | round(255 * blue) << 8 | 0xFF
        preview_pixels.outlined(picture, 2, value)

    def _column(self) -> int:
        return round(self._divider * self.view.area[0])

    # --- mouse and keyboard --------------------------------------------------------------

    def _on_size(self, _widget: Gtk.Widget, place: Gdk.Rectangle) -> None:
        if (place.width, place.height) != self.view.area:
            self._look(self.view.resized(place.width, place.height))

    def _on_press(self, widget: Gtk.Widget, event: Gdk.EventButton) -> bool:
        if event.button != 1:
            return False
        widget.grab_focus()
        self._pans = abs(event.x - self._column()) > _GRASP
        self._held = (event.x, event.y)
        self._point_at(event.x)
        return True

    def _on_release(self, _widget: Gtk.Widget, event: Gdk.EventButton) -> bool:
        self._held = None
        self._point_at(event.x)
        return True

    def _on_motion(self, _widget: Gtk.Widget, event: Gdk.EventMotion) -> bool:
        if self._held is None:
            self._point_at(event.x)
        elif self._pans:
            right, down = self._held[0] - event.x, self._held[1] - event.y
            self._held = (event.x, event.y)
            self._look(self.view.moved(right / self.view.zoom, down / self.view.zoom))
        else:
            self._divide(event.x / self.view.area[0])
        return True

    def _on_scroll(self, _widget: Gtk.Widget, event: Gdk.EventScroll) -> bool:
        right, down = _WHEEL.get(event.direction, (0, 0))
        if event.state & Gdk.ModifierType.CONTROL_MASK:
            self._zoom_by(-down, (event.x, event.y))
        elif event.state & Gdk.ModifierType.SHIFT_MASK:
            self._step(right + down, 0)
        else:
            self._step(right, down)
        return True

    def _on_key(self, _widget: Gtk.Widget, event: Gdk.EventKey) -> bool:
        arrow = _ARROWS.get(event.keyval)
        if arrow and event.state & Gdk.ModifierType.SHIFT_MASK:
            self._divide(self._divider + 0.05 * arrow[0])
        elif arrow:
            self._step(*arrow)
        elif event.keyval in {Gdk.KEY_plus, Gdk.KEY_KP_Add, Gdk.KEY_equal}:
            self._zoom_by(1)
        elif event.keyval in {Gdk.KEY_minus, Gdk.KEY_KP_Subtract}:
            self._zoom_by(-1)
        else:
            return False
        return True

    def _on_focus(self, _widget: Gtk.Widget, _event: Gdk.Event) -> bool:
        self._draw_soon()
        return False

    def _step(self, right: int, down: int) -> None:
        self._look(self.view.moved(right * _STEP / self.view.zoom, down * _STEP / self.view.zoom))

    def _zoom_by(self, steps: int, point: tuple[float, float] | None = None) -> None:
        at = min(max(0, ZOOMS.index(self.view.zoom) + steps), len(ZOOMS) - 1)
        self.zoom_to(ZOOMS[at], point)

    def _divide(self, share: float) -> None:
        self._divider = min(max(0.0, share), 1.0)
        self._draw_soon()

    def _point_at(self, x: float) -> None:
        """Says by the mouse's own look what dragging would do."""
        if self._held is not None:
            name = "grabbing" if self._pans else "ew-resize"
        else:
            name = "grab" if abs(x - self._column()) > _GRASP else "ew-resize"
        window = self.widget.get_bin_window()
        if window is not None:
            window.set_cursor(Gdk.Cursor.new_from_name(self.widget.get_display(), name))
