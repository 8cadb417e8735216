"""What a plan is made from and what it is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

ORDER = ("dust", "noise", "jpeg", "blur", "veil", "fading")
"""The order of the stages, always. Grain is given back after the last one.

Marks first, because every later stage would smear them; noise and JPEG's residue before blur and
veil, because both raise whatever is left; tone last. Noise and JPEG's residue go in one pass where one
model does both: each would be taken for the other by a model that is told of one alone.
"""

DOUBT = 1.5
"""`auto` counts of a measured size what is left when it is so many times its error too high.

Even texture can read as noise, with a large error. Of 600 hard examples drawn on research pictures, most of
them small crops, 86 % of the clean ones are left alone; of noise of 2 to 4 grey levels a third is
acted on, of 4 to 8 four fifths, above that nineteen in twenty.
"""

LEAST = 0.02
"""What `auto` would do at a lower strength is lost in rounding, so the scan is left as it is."""


class NoiseLike(Protocol):
    """What a plan needs to know of the noise, in units of the display range [0, 1]."""

    @property
    def sigma(self) -> float: ...
    @property
    def curve(self) -> tuple[tuple[float, float], ...]: ...
    @property
    def correlation(self) -> float: ...
    @property
    def windows(self) -> int: ...
    @property
    def error(self) -> float: ...


class JpegLike(Protocol):
    """What a plan needs to know of what JPEG has left, in units of the display range [0, 1]."""

    @property
    def quality(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def sigma(self) -> float: ...
    @property
    def correlation(self) -> float: ...


class BlurLike(Protocol):
    """What a plan needs to know of the blur: its kind or "none", pixels, and how sure both are."""

    @property
    def kind(self) -> str: ...
    @property
    def radius(self) -> float: ...
    @property
    def chance(self) -> float: ...
    @property
    def error(self) -> float: ...


class ScreenLike(Protocol):
    """What a plan needs to know of a halftone screen: pixels from dot to dot, degrees."""

    @property
    def pitch(self) -> float: ...
    @property
    def angle(self) -> float: ...


class FactsLike(Protocol):
    """What a plan needs to know of a page; `scanmend.measure.Facts` is one."""

    @property
    def grey(self) -> bool: ...
    @property
    def noise(self) -> NoiseLike: ...
    @property
    def jpeg(self) -> JpegLike | None: ...
    @property
    def screen(self) -> ScreenLike | None: ...
    @property
    def blur(self) -> BlurLike | None: ...


@dataclass(frozen=True)
class Part:
    """What one stage of the profile asks for.

    Attributes:
        stage: one of `ORDER`.
        strength: 0 to 1, for what is alike in all channels.
        color: 0 to 1, for the rest.
        keep_grain: 0 to 1: the share of the grain, the grey part of the noise, that is given back.
        sigma: standard deviation of what is to be removed, in units of the display range; 0 for blur.
        correlation: its lag-1 correlation, in [0, 1).
        cause: what that is, in words.
    """

    stage: str
    strength: float
    color: float
    keep_grain: float
    sigma: float
    correlation: float
    cause: str


@dataclass(frozen=True)
class Told:
    """Noise as a model is told it: sigma in units of the display range, lag-1 correlation, sigma by tone."""

    sigma: float
    correlation: float = 0.0
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Step:
    """A model at work, for one stage or for several that it serves at once.

    Attributes:
        stage: one of `ORDER`; of several the first.
        model: the card's name.
        strength: 0 to 1: the share of the model's change that is applied, of its part that is alike
            in all channels.
        keep_grain: 0 to 1: the share of that part that is given back.
        sigma: the noise the model is told, in units of the display range.
        correlation: the noise's lag-1 correlation, in [0, 1).
        curve: (tone, sigma), rising in tone; empty where one sigma serves all tones.
        color: 0 to 1: the share of the rest of the model's change, its colour; None: as strength.
        passes: 1, 4 or 8: over how many turned and mirrored copies the model's answer is averaged.
        parts: what each stage asked for.
        psf: (kind, radius in pixels) of a known blur, which is undone with the model as denoiser;
            None: the model answers by itself.
        full: what the model is told where a later step needs the picture free of all that the parts are
            about; None: the same.
    """

    stage: str
    model: str
    strength: float
    keep_grain: float
    sigma: float
    correlation: float = 0.0
    curve: tuple[tuple[float, float], ...] = ()
    color: float | None = None
    passes: int = 1
    parts: tuple[Part, ...] = ()
    psf: tuple[str, float] | None = None
    full: Told | None = None


@dataclass(frozen=True)
class Skipped:
    """A stage with nothing to do, and why, in words."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What is done, in order; what is not, and why; what else a person should know.

    Without steps the result is the scan itself: callers copy the file byte for byte, or where
    the output asks for another format, the pixels.
    """

    steps: tuple[Step, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def surely(size: float, error: float) -> float:
    """The part of a measured size that is not in doubt; `error` is the expected one of its logarithm."""
    return size * math.exp(-DOUBT * error)


def smooth(t: float) -> float:
    """0 up to 0, 1 from 1 on, and no corner between; nothing where it would be next to nothing."""
    t = min(max(t, 0.0), 1.0)
    strength = t * t * (3 - 2 * t)
    return strength if strength >= LEAST else 0.0


def screened(screen: ScreenLike) -> str:
    """Why `auto` leaves a printed picture alone."""
    where = f"{screen.pitch:.1f} pixels from dot to dot at {screen.angle:.0f} degrees"
    return (
        f"a halftone screen was found ({where}), which is no noise: the profile newspaper-halftone is for"
        " such prints; a strength from 0 to 1 works all the same"
    )


def in_255(sigma: float) -> str:
    """A standard deviation as people read it."""
    return f"{sigma * 255:.1f}/255"
