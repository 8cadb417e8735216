"""What is to be done about blur, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from scanmend.plan.values import LEAST, Part, Skipped, screened, smooth, surely

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanmend.plan.values import BlurLike, FactsLike
    from scanmend.profile import Blur

UNKNOWN = "none"
"""The kind of a blur that nobody knows, or that is not there."""

SPREAD: Mapping[str, float] = MappingProxyType({"motion": 3**-0.5, "defocus": 0.5, "scanner": 1.0})
"""Standard deviation along a blur's widest direction, for a radius of 1.

A line from -1 to 1 has a variance of 1/3, a disk one of 1/4 along each axis; softness is given as its
standard deviation. So radii of different kinds can be compared.
"""

SHARP_SPREAD, BLURRED_SPREAD = 0.5, 1.0
"""`auto` begins above the first and works at full strength from the second on: pixels, standard deviation.

Half a pixel is what the pixels of a sensor and a good lens leave by themselves: a scan that needs nothing has
to come back bit-identical.
"""

DOUBTFUL_CHANCE, SURE_CHANCE = 0.75, 0.95
"""`auto` begins above the first and works at full strength from the second on.

Soft light, skin and sky look like blur: rather a soft picture left than a sharp one harmed. Chosen on
research pictures: where `auto` began at even odds it touched a sharp one now and then, and reached little
more blur.
"""

DECONVOLVED: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"defocus": (0.5, 6.0), "scanner": (0.4, 1.5)}
)
"""Radii, from and to, of each kind that is undone by its known shape rather than by the network.

Only where the profile names the kind: measuring often takes a disk for softness of the same width, and a
wide blur that is undone by the wrong shape gains less than by the network. On research pictures the shape,
its radius right to a tenth, gains more than the network at each of these radii, and not at a softness of 2
(`benchmarks/quality/deconvolve.py`).
"""

KNOWN_ERROR = 0.15
"""Most expected error of the radius's logarithm with which a shape counts as known.

With a radius that is wrong by a tenth the shape is well ahead of the network, by a fifth no longer.
"""

CAUTION = 0.5
"""A measured radius is taken as smaller by so many times its error.

What is undone by too large a disk rings, and that shows; too small a one leaves a little blur.
"""

FAR, PASSED_OVER = 4 / 3, 0.6
"""A named width is not believed from so many times the measured one on; pixels that measuring may pass over.

Standard deviations. A sharp picture that is undone by the shape of a blur it does not have is spoilt
altogether, while the network leaves it much as it is.
"""

SURELY_SHARP = 0.1
"""A page without measured blur is sharp below this chance of one; grain can hide what blur there is."""

LEFT_SIGMA = 1.0 / 255
"""Noise that a denoised picture still has, as deconvolution is told it."""


@dataclass(frozen=True)
class _Told:
    """Blur as a person says it is, in part or wholly: `BlurLike`."""

    kind: str
    radius: float
    chance: float
    error: float


def told(wish: Blur, blur: BlurLike | None) -> BlurLike | None:
    """The blur that the profile says, what it leaves open as it was measured; None where nothing is known.

    A kind that the profile names has the measured radius, brought to that kind's measure. A radius that it
    names is in no doubt.
    """
    if wish.kind == "auto" and wish.radius == "auto":
        return blur
    measured = blur.kind if blur else UNKNOWN
    kind = measured if wish.kind == "auto" else wish.kind
    if wish.radius != "auto":
        return _Told(kind, wish.radius, chance=1.0, error=0.0)
    if blur is None:
        return None
    radius = blur.radius * _spread(measured) / _spread(kind)
    return _Told(kind, radius, blur.chance, blur.error)


def part(wish: Blur, blur: BlurLike | None, facts: FactsLike) -> Part | Skipped:
    """What the profile asks for; `blur` is what `told` gave."""
    strength = _strength(wish, blur, facts)
    if strength == 0:
        return Skipped("blur", _idle(wish, blur, facts))
    kind = wish.kind if wish.kind != "auto" else blur.kind if blur else UNKNOWN
    return Part("blur", strength, strength, 0.0, 0.0, 0.0, _cause(kind, blur.radius if blur else 0.0))


def psf(wish: Blur, blur: BlurLike | None, measured: BlurLike | None) -> tuple[str, float] | None:
    """Kind and radius where the blur's shape is known well enough to be undone by it; None: by a network.

    Args:
        wish: of the profile.
        blur: what `told` gave.
        measured: on the page.
    """
    if wish.model or wish.kind not in DECONVOLVED or blur is None or _unfit(blur, measured):
        return None
    return blur.kind, blur.radius * math.exp(-CAUTION * blur.error)


def notes(wish: Blur, blur: BlurLike | None, measured: BlurLike | None) -> tuple[str, ...]:
    """Why a kind that the profile names is not undone by its shape; empty where it is or none is named."""
    if wish.model or wish.kind not in DECONVOLVED:
        return ()
    why = _unfit(blur, measured) if blur else "nothing is known of its radius: blur.radius says it"
    return (f"blur: not undone by the shape of {wish.kind}, but by a network: {why}",) if why else ()


def _unfit(blur: BlurLike, measured: BlurLike | None) -> str:
    """What speaks against undoing a blur by its shape; empty where nothing does."""
    low, high = DECONVOLVED.get(blur.kind, (math.inf, 0.0))
    if measured is None:
        return "the page is too small, or has too few edges, to be judged"
    if blur.error > KNOWN_ERROR:
        return (
            f"its radius is {blur.radius:.1f} give or take {math.expm1(blur.error):.0%}: blur.radius says it"
        )
    if not low <= blur.radius <= high:
        return f"its radius is {blur.radius:.1f}, and shapes from {low:g} to {high:g} pixels are undone"
    if _contradicts(measured, blur):
        return "the page measures as far sharper than that"
    return ""


def _contradicts(measured: BlurLike, blur: BlurLike) -> bool:
    """Whether the page is surely far sharper than it is said to be."""
    if not measured.radius:
        return measured.chance < SURELY_SHARP and blur.radius * _spread(blur.kind) > FAR * PASSED_OVER
    width = max(measured.radius * _spread(measured.kind) * math.exp(measured.error), PASSED_OVER)
    return blur.radius * _spread(blur.kind) > FAR * width


def _strength(wish: Blur, blur: BlurLike | None, facts: FactsLike) -> float:
    """A wish as it is; auto rises smoothly with what is surely blurred, and with how sure that is."""
    if wish.strength != "auto":
        return float(wish.strength)
    if blur is None or (facts.screen and wish.radius == "auto"):
        return 0.0
    size = surely(blur.radius, blur.error) * _spread(blur.kind)
    wide = smooth((size - SHARP_SPREAD) / (BLURRED_SPREAD - SHARP_SPREAD))
    strength = wide * smooth((blur.chance - DOUBTFUL_CHANCE) / (SURE_CHANCE - DOUBTFUL_CHANCE))
    return strength if strength >= LEAST else 0.0


def _idle(wish: Blur, blur: BlurLike | None, facts: FactsLike) -> str:
    """Why there is nothing to do about blur."""
    if wish.strength != "auto":
        return "the profile leaves it out"
    if facts.screen and wish.radius == "auto":
        return screened(facts.screen)
    if blur is None:
        return "it could not be judged on this picture; a strength from 0 to 1 works all the same"
    if blur.radius == 0:
        return "sharp enough: no blur was measured"
    if blur.radius * _spread(blur.kind) <= SHARP_SPREAD:
        return f"sharp enough: {_cause(blur.kind, blur.radius)} is that of a good scan"
    return (
        f"sharp enough, or soft by itself: {_cause(blur.kind, blur.radius)} is too doubtful; blur.radius or"
        " a strength from 0 to 1 undoes it all the same"
    )


def _spread(kind: str) -> float:
    """As SPREAD; the least of all where the kind is not known."""
    return SPREAD.get(kind, min(SPREAD.values()))


def _cause(kind: str, radius: float) -> str:
    named = {"motion": "motion blur", "defocus": "defocus", "scanner": "softness of scanner or lens"}
    what = named.get(kind, "blur of no known kind")
    return f"{what} of {radius:.1f} pixels" if radius else what
