"""Where on the screen the preview shows which part of the picture: geometry alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scanmend_gimp3.pixels import Box

ZOOMS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class View:
    """A part of a picture, shown in an area of the screen.

    Attributes:
        picture: its width and height, in pixels.
        area: width and height of the place that shows it, in pixels of the screen.
        zoom: pixels of the screen for each of the picture.
        centre: the point of the picture in the middle of the area.
    """

    picture: tuple[int, int]
    area: tuple[int, int]
    zoom: float
    centre: tuple[float, float]

    @property
    def visible(self) -> Box:
        """The part of the picture that is shown, whole pixels, inside the picture."""
        (x, width), (y, height) = (self._span(axis) for axis in (0, 1))
        return Box(x, y, width, height)

    @property
    def origin(self) -> tuple[int, int]:
        """Where in the area the visible part begins: a picture smaller than the area is centred."""
        seen = self.visible
        free_x = self.area[0] - seen.width * self.zoom
        free_y = self.area[1] - seen.height * self.zoom
        return max(0, int(free_x / 2)), max(0, int(free_y / 2))

    def moved(self, right: float, down: float) -> View:
        """The view after the window was moved over the picture, by pixels of the picture."""
        return self.at(self.centre[0] + right, self.centre[1] + down)

    def at(self, x: float, y: float) -> View:
        """The view with this point of the picture in its middle, or as near to it as the edges let it."""
        centre = tuple(
            min(max(value, self._reach(axis) / 2), self.picture[axis] - self._reach(axis) / 2)
            for axis, value in enumerate((x, y))
        )
        return replace(self, centre=(centre[0], centre[1]))

    def resized(self, width: int, height: int) -> View:
        """The view in an area of another size."""
        return replace(self, area=(max(1, width), max(1, height))).at(*self.centre)

    def zoomed(self, zoom: float, point: tuple[float, float] | None = None) -> View:
        """The view at another zoom; a given point of the area keeps its pixel of the picture."""
        other = replace(self, zoom=zoom)
        if point is None:
            return other.at(*self.centre)
        before = self.pixel(*point)
        away = [(point[axis] - self.area[axis] / 2) / zoom for axis in (0, 1)]
        return other.at(before[0] - away[0], before[1] - away[1])

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """The place in the picture that a point of the area shows."""
        seen, (left, top) = self.visible, self.origin
        return seen.x + (x - left) / self.zoom, seen.y + (y - top) / self.zoom

    def on_screen(self, box: Box) -> Box:
        """A box of the picture in the area, from the begin of the visible part; may reach out of it."""
        seen, zoom = self.visible, self.zoom
        left, top = math.floor((box.x - seen.x) * zoom), math.floor((box.y - seen.y) * zoom)
        return Box(left, top, math.ceil(box.width * zoom), math.ceil(box.height * zoom))

    def _reach(self, axis: int) -> float:
        """Pixels of the picture that fit into the area."""
        return min(self.picture[axis], self.area[axis] / self.zoom)

    def _span(self, axis: int) -> tuple[int, int]:
        length = min(self.picture[axis], math.ceil(self.area[axis] / self.zoom))
        begin = round(self.centre[axis] - self._reach(axis) / 2)
        return min(max(0, begin), self.picture[axis] - length), length


def whole(width: int, height: int, about: Box | None) -> View:
    """A first view of a picture at 1:1, in the middle of a box of it, or of the whole."""
    box = about or Box(0, 0, width, height)
    view = View((width, height), (1, 1), 1.0, (0.0, 0.0))
    return view.at(box.x + box.width / 2, box.y + box.height / 2)
