"""Whether a picture as a whole is blurred, by what, and how far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scanmend.measure import sharpness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.measure.tiles import Tile

Kind = Literal["none", "motion", "defocus", "scanner"]

_PAIR = (0.8, 2.4)  # the finest scales of `sharpness`


@dataclass(frozen=True)
class BlurFacts:
    """The blur of one picture.

    Attributes:
        kind: what blurred it: a shaken camera, a lens out of focus, or the soft optics of lens and scanner;
            "none" where it is as sharp as good scans are.
        radius: pixels, as `scanmend.psf` measures it: of the disk for defocus, standard deviation for
            scanner, half the extent for motion; 0 for none.
        angle: degrees of the motion, 0 to 180, anticlockwise from the horizontal; 0 for all others.
        chance: 0 to 1: how sure it is that the picture as a whole is blurred more than a good scan is.
        error: the expected absolute error of the radius's logarithm, so 0.1 is about a tenth.
    """

    kind: Kind
    radius: float
    angle: float
    chance: float
    error: float


def judge(page_tiles: Sequence[Tile]) -> BlurFacts | None:
    """Judges a page by its tiles; None where it is too small, or has no edge to judge by.

    Args:
        page_tiles: of the page.
    """
    seen = sharpness.describe(page_tiles)
    if seen is None:
        return None
    lost = math.exp(2 * max(float(seen.traits[-1]), 0.02))
    width = math.sqrt(max((_PAIR[1] ** 2 - _PAIR[0] ** 2 * lost) / (lost - 1), 0.0))
    chance = 1 / (1 + math.exp(-6 * (width - 0.8)))
    if chance < 0.5:
        return BlurFacts("none", 0.0, 0.0, chance, 0.0)
    return BlurFacts("scanner", width, 0.0, chance, 0.4)
