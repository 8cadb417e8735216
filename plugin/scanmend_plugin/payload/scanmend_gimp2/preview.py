"""Before and after of a part of the picture, which is moved by dragging it."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gtk
from scanmend_front.words import gettext as _

from scanmend_gimp2.native import native
from scanmend_gimp2.pixels import Box, shown

MYPY = False
if MYPY:
    from typing import Any, Callable, Optional, Tuple  # noqa: F401 - type comments

    from scanmend_gimp2.pixels import Subject  # noqa: F401 - type comments

_SIDES = (460, 400)  # pixels of the screen, one for each of the picture
_GRASP = 7  # pixels beside the divider at which it is taken hold of
_STEP = 48  # pixels that an arrow key moves
_LIGHT, _DARK = 0xFFFFFFFF, 0x000000FF
_CHECKS = (8, 0x999999, 0x666666)  # GIMP's own checks behind what is transparent
_ARROWS = {"Left": (-1, 0), "Right": (1, 0), "Up": (0, -1), "Down": (0, 1)}


class Preview(object):
    """The picture before the divider as it is, after it as it is restored.

    Attributes:
        widget: shows it.

    Args:
        subject: the picture.
        moved: called when another part is shown.
    """

    def __init__(self, subject, moved):
        # type: (Subject, Callable[[], None]) -> None
        self._subject, self._moved = subject, moved
        self._divider = 0.5
        self._held = None  # type: Optional[Tuple[float, float]]
        self._pans = False
        self._before = None  # type: Optional[gtk.gdk.Pixbuf]
        self._after = None  # type: Optional[gtk.gdk.Pixbuf]
        self.box = self._first()
        self._image = gtk.Image()
        self.widget = gtk.EventBox()
        self.widget.add(self._image)
        self.widget.set_size_request(*_SIDES)
        self._listen()

    def show(self, box, samples):
        # type: (Box, bytes) -> None
        """Shows a restored part, given as the engine gives it."""
        if box == self.box:
            self._after = self._pixbuf(samples)
            self.draw()

    def forget(self):
        # type: () -> None
        """Shows the picture as it is."""
        self._after = None
        self.draw()

    def draw(self):
        # type: () -> None
        """Draws what there is."""
        if self._before is None:
            self._before = self._pixbuf(self._subject.read(self.box))
        picture = self._before.copy()
        if self._after is not None:
            self._divide(picture, self._after)
        if self._subject.region is not None:
            x, y, width, height = self._subject.region
            _outline(picture, Box(x - self.box.x, y - self.box.y, width, height))
        self._image.set_from_pixbuf(picture)

    # --- what is shown -------------------------------------------------------------------

    def _first(self):
        # type: () -> Box
        """A first part: in the middle of what is selected."""
        picture = self._subject.picture
        x, y, width, height = self._subject.region or (0, 0, picture.width, picture.height)
        wide, high = min(_SIDES[0], picture.width), min(_SIDES[1], picture.height)
        return self._inside(x + width // 2 - wide // 2, y + height // 2 - high // 2, wide, high)

    def _inside(self, x, y, width, height):
        # type: (int, int, int, int) -> Box
        picture = self._subject.picture
        return Box(
            max(0, min(x, picture.width - width)), max(0, min(y, picture.height - height)), width, height
        )

    def _pixbuf(self, samples):
        # type: (bytes) -> gtk.gdk.Pixbuf
        width, height = self.box.width, self.box.height
        pixels, channels = shown(self._subject, samples, width, height)
        picture = gtk.gdk.pixbuf_new_from_data(
            pixels, gtk.gdk.COLORSPACE_RGB, channels == 4, 8, width, height, width * channels
        )
        if channels == 4:
            return picture.composite_color_simple(width, height, gtk.gdk.INTERP_NEAREST, 255, *_CHECKS)
        return picture.copy()  # not every PyGTK keeps the bytes that the picture shows

    def _divide(self, picture, after):
        # type: (gtk.gdk.Pixbuf, gtk.gdk.Pixbuf) -> None
        width, height = self.box.width, self.box.height
        at = self._column()
        if at < width:
            after.copy_area(at, 0, width - at, height, picture, at, 0)
        middle = height // 2
        for part, colour in (
            (Box(at - 2, 0, 4, height), _DARK),
            (Box(at - 1, 0, 2, height), _LIGHT),
            (Box(at - 5, middle - 16, 10, 32), _DARK),
            (Box(at - 4, middle - 15, 8, 30), _LIGHT),
        ):
            _fill(picture, part, colour)

    def _column(self):
        # type: () -> int
        return int(round(self._divider * self.box.width))

    # --- mouse and keyboard --------------------------------------------------------------

    def _listen(self):
        # type: () -> None
        self.widget.set_flags(gtk.CAN_FOCUS)
        self.widget.add_events(
            gtk.gdk.BUTTON_PRESS_MASK
            | gtk.gdk.BUTTON_RELEASE_MASK
            | gtk.gdk.BUTTON1_MOTION_MASK
            | gtk.gdk.KEY_PRESS_MASK
        )
        self.widget.connect(native("button-press-event"), self._on_press)
        self.widget.connect(native("button-release-event"), self._on_release)
        self.widget.connect(native("motion-notify-event"), self._on_motion)
        self.widget.connect(native("key-press-event"), self._on_key)
        tip = _(
            "Drag the line to compare, drag the picture to see another part. "
            "Keys: arrows move the picture, Shift with left and right moves the line."
        )
        self.widget.set_tooltip_text(native(tip))

    def _on_press(self, widget, event):
        # type: (gtk.Widget, Any) -> bool
        widget.grab_focus()
        self._pans = self._after is None or abs(self._place(event)[0] - self._column()) > _GRASP
        self._held = (event.x, event.y)
        return True

    def _on_release(self, _widget, _event):
        # type: (gtk.Widget, Any) -> bool
        self._held = None
        return True

    def _on_motion(self, _widget, event):
        # type: (gtk.Widget, Any) -> bool
        if self._held is None:
            return False
        if self._pans:
            right, down = int(self._held[0] - event.x), int(self._held[1] - event.y)
            self._held = (self._held[0] - right, self._held[1] - down)
            self._move(right, down)
        else:
            self._set_divider(self._place(event)[0] / self.box.width)
        return True

    def _on_key(self, _widget, event):
        # type: (gtk.Widget, Any) -> bool
        arrow = _ARROWS.get(gtk.gdk.keyval_name(event.keyval))
        if arrow is None:
            return False
        if event.state & gtk.gdk.SHIFT_MASK:
            self._set_divider(self._divider + 0.05 * arrow[0])
        else:
            self._move(_STEP * arrow[0], _STEP * arrow[1])
        return True

    def _place(self, event):
        # type: (Any) -> Tuple[float, float]
        """The pixel of what is shown at which the mouse is: a small picture stands in the middle."""
        place = self.widget.get_allocation()
        return (
            event.x - (place.width - self.box.width) // 2,
            event.y - (place.height - self.box.height) // 2,
        )

    def _move(self, right, down):
        # type: (int, int) -> None
        box = self._inside(self.box.x + right, self.box.y + down, self.box.width, self.box.height)
        if box != self.box:
            self.box = box
            self._before = self._after = None
            self.draw()
            self._moved()

    def _set_divider(self, share):
        # type: (float) -> None
        self._divider = min(max(0.0, share), 1.0)
        self.draw()


def _fill(picture, box, colour):
    # type: (gtk.gdk.Pixbuf, Box, int) -> None
    """Fills what of a box lies in the picture with a colour, 0xRRGGBBAA."""
    left, top = max(0, box.x), max(0, box.y)
    right = min(box.x + box.width, picture.get_width())
    bottom = min(box.y + box.height, picture.get_height())
    if left < right and top < bottom:
        picture.subpixbuf(left, top, right - left, bottom - top).fill(colour)


def _outline(picture, box):
    # type: (gtk.gdk.Pixbuf, Box) -> None
    """Draws a line around a box, seen on any picture."""
    for away, colour in ((0, _DARK), (1, _LIGHT)):
        x, y = box.x - away, box.y - away
        width, height = box.width + 2 * away, box.height + 2 * away
        for line in (
            Box(x, y, width, 1),
            Box(x, y + height - 1, width, 1),
            Box(x, y, 1, height),
            Box(x + width - 1, y, 1, height),
        ):
            _fill(picture, line, colour)
