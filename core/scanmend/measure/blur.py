"""Whether a picture as a whole is blurred, by what, and how far.

The blur meter (`scanmend_models.blur_meter`) reads it from the traits of `sharpness`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from scanmend.measure import network, sharpness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.image import Array, FloatArray
    from scanmend.measure.tiles import Tile

Kind = Literal["none", "motion", "defocus", "scanner"]
KINDS: tuple[Kind, ...] = ("none", "motion", "defocus", "scanner")

NAME = "blur-meter"
_BLURS = len(KINDS) - 1
_SCALES = (-4.0, 2.0)
_RADII = (0.3, 30.0)
_EVEN = 0.5  # chance from which a kind is named
# Added to the log odds of "none": sharp must not be called blurred. Chosen on photographs that neither
# trained the meter nor judge it: of 111, one alarm as they are, and five under noise of 10 of 255.
_CAUTION = 1.0


@dataclass(frozen=True)
class BlurFacts:
    """The blur of one picture.

    Attributes:
        kind: what blurred it: a shaken camera, a lens out of focus, or the soft optics of lens and scanner;
            "none" where it is more likely as sharp as good scans are.
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

    Raises:
        ModelError: the blur meter is not installed or is damaged.
    """
    seen = sharpness.describe(page_tiles)
    return read(seen.traits, seen.angle) if seen else None


def read(traits: FloatArray, direction: float) -> BlurFacts:
    """What the blur meter says.

    Args:
        traits: (sharpness.COUNT,).
        direction: degrees: what the traits were turned to.

    Raises:
        ModelError: the blur meter is not installed or is damaged.
    """
    odds, radii, scales, turn = np.split(network.read(NAME, traits), np.cumsum((_BLURS + 1, _BLURS, _BLURS)))
    odds[0] += _CAUTION
    share = np.exp(odds - odds.max())
    chance = float(share[1:].sum() / share.sum())
    if chance < _EVEN:
        return BlurFacts("none", 0.0, 0.0, chance, 0.0)
    blur = int(odds[1:].argmax())
    kind = KINDS[blur + 1]
    return BlurFacts(
        kind=kind,
        radius=float(np.clip(np.exp(radii[blur]), *_RADII)),
        angle=_turned(direction, turn) if kind == "motion" else 0.0,
        chance=chance,
        error=float(np.exp(np.clip(scales[blur], *_SCALES))),
    )


def _turned(direction: float, turn: Array) -> float:
    """Degrees, 0 to below 180: a direction turned by half the angle of (cosine, sine)."""
    return (direction + math.degrees(math.atan2(turn[1], turn[0])) / 2) % 180
