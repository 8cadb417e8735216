"""What is to be done about noise and grain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scanmend.plan.values import Part, Skipped, in_255, screened, smooth, surely

if TYPE_CHECKING:
    from scanmend.plan.values import FactsLike, NoiseLike, ScreenLike
    from scanmend.profile import Noise, Strength

CLEAN_SIGMA = 1.2 / 255
"""Noise below this is left alone, in units of the display range.

Rounding to 8 bits alone is a noise of 0.29/255 (1/sqrt 12). Four times that is the line, chosen
rather than measured: below it, noise cannot be told with confidence from rounding, from resampling
and from the estimator's own error, and a scan that needs nothing must come back bit-identical.
"""

FULL_SIGMA = 3.0 / 255
"""From here on `auto` works at full strength; also what is assumed where nothing could be measured."""

CAUTION = 0.5
"""A model is told the measured level less so many times its error: rather some noise left than detail lost.

On 18 held-out pictures with noise of all kinds that gains 0.14 dB over telling the level as measured;
taking off a quarter or three quarters of the error gains less.
"""

UNSEEN_CORRELATION = 0.6
"""Assumed lag-1 correlation of noise that a person names and measuring did not see."""

_WORTH_SAYING = 0.9  # of the level: what is told is named beside it where it is less


@dataclass(frozen=True)
class _Told:
    """Noise as a person says it is: `NoiseLike`."""

    sigma: float
    correlation: float
    curve: tuple[tuple[float, float], ...] = ()
    windows: int = 1
    error: float = 0.0


def told(wish: Noise, noise: NoiseLike) -> tuple[NoiseLike, tuple[str, ...]]:
    """The noise that the profile says, with a note, or else what was measured.

    Grain that JPEG or resampling has smeared is seldom seen as noise by measuring, and is then
    clumped: its correlation is taken as UNSEEN_CORRELATION, that of grain blurred by about a pixel.
    """
    if wish.level == "auto":
        return noise, ()
    seen = noise.windows > 0 and noise.sigma * 255 >= wish.level / 2
    named = _Told(wish.level / 255, noise.correlation if seen else UNSEEN_CORRELATION)
    return named, (f"noise: the profile says {wish.level:g}/255; measured was {in_255(noise.sigma)}",)


def part(wish: Noise, noise: NoiseLike, facts: FactsLike) -> Part | Skipped:
    """What the profile asks for; `noise` is what `told` gave."""
    strength, color = (
        _strength(one, wish, noise, facts.screen) for one in (wish.strength, wish.color_strength())
    )
    if facts.grey:
        color = strength
    if reason := _idle(wish, noise, facts.screen, max(strength, color)):
        return Skipped("noise", reason)
    return _part(noise, strength, color, wish.keep_grain)


def aside(noise: NoiseLike, facts: FactsLike) -> Part | None:
    """Noise that stays in the picture and has to be kept from a later stage; None where there surely is none.

    Args:
        noise: what `told` gave.
        facts: of the page; the dots of a screen are no noise.
    """
    if facts.screen or noise.windows == 0 or surely(noise.sigma, noise.error) <= CLEAN_SIGMA:
        return None
    return _part(noise, 0.0, 0.0, 0.0)


def curve(noise: NoiseLike) -> tuple[tuple[float, float], ...]:
    """(tone, sigma) as a model is told it; empty where nothing is known."""
    return tuple((tone, _share(noise) * sigma) for tone, sigma in noise.curve) if noise.windows else ()


def assumed(noise: NoiseLike) -> tuple[str, ...]:
    """A note where the level could not be measured."""
    if noise.windows > 0:
        return ()
    return (f"noise: it could not be measured; {in_255(FULL_SIGMA)} is assumed",)


def _part(noise: NoiseLike, strength: float, color: float, keep_grain: float) -> Part:
    measured = noise.windows > 0
    sigma = _share(noise) * noise.sigma if measured else FULL_SIGMA
    correlation = noise.correlation if measured else 0.0
    less = f", told as {in_255(sigma)}" if sigma < _WORTH_SAYING * noise.sigma else ""
    cause = f"noise of {in_255(noise.sigma if measured else sigma)}{less} with correlation {correlation:.2f}"
    return Part("noise", strength, color, keep_grain, sigma, correlation, cause)


def _share(noise: NoiseLike) -> float:
    """The share of the level that a model is told."""
    return math.exp(-CAUTION * noise.error)


def _strength(wish: Strength, of: Noise, noise: NoiseLike, screen: ScreenLike | None) -> float:
    """A wish as it is; auto rises smoothly from 0 at CLEAN_SIGMA to 1 at FULL_SIGMA.

    Where noise cannot be told from what the picture is made of, auto does nothing, unless the profile
    names the level.
    """
    if wish != "auto":
        return float(wish)
    if noise.windows == 0 or (screen and of.level == "auto"):
        return 0.0
    return smooth((surely(noise.sigma, noise.error) - CLEAN_SIGMA) / (FULL_SIGMA - CLEAN_SIGMA))


def _idle(wish: Noise, noise: NoiseLike, screen: ScreenLike | None, strength: float) -> str:
    """Why there is nothing to do about noise; empty where there is."""
    if wish.strength == 0 and wish.color_strength() == 0:
        return "the profile leaves it out"
    if noise.windows > 0 and noise.sigma == 0 and strength > 0:
        return "no noise was measured at all"
    if strength > 0:
        return ""
    if "auto" not in (wish.strength, wish.color_strength()):
        return "the profile leaves it out but for colour, and the page is grey"
    if noise.windows == 0:
        return "it could not be measured on this picture; a strength from 0 to 1 removes it all the same"
    if noise.sigma > CLEAN_SIGMA and screen:
        return screened(screen)
    if noise.sigma > CLEAN_SIGMA:
        return (
            f"what reads as noise of {in_255(noise.sigma)} may be texture; noise.level or a strength"
            " from 0 to 1 removes it all the same"
        )
    return f"noise {in_255(noise.sigma)} is below what a scan shows; nothing to do"
