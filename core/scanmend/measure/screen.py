"""Whether a picture was printed with a screen of dots: newspapers, magazines, books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.measure.tiles import Tile


@dataclass(frozen=True)
class Screen:
    """A halftone screen.

    Attributes:
        pitch: pixels from one dot to the next.
        angle: of the rows of dots, in degrees, 0 to below 90, anticlockwise from the horizontal.
    """

    pitch: float
    angle: float


def find(page_tiles: Sequence[Tile]) -> Screen | None:
    """The screen that runs through the whole picture; None where there is none."""
    return None
