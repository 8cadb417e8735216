"""Decides what is done to a page, from the profile, what was measured and the models that are there.

Pure and cheap: a plan can be printed, tested and shown to a person before torch is loaded.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from scanmend import cards as card_lookup
from scanmend.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.cards import Card
    from scanmend.profile import Jpeg, Noise, Profile, Strength

ORDER = ("dust", "noise", "jpeg", "blur", "veil", "fading")
"""The order of the stages, always. Grain is given back after the last one.

Marks first, because every later stage would smear them; noise and JPEG's residue before blur and
veil, because both raise whatever is left; tone last. Noise and JPEG's residue go in one pass where one
model does both: each would be taken for the other by a model that is told of one alone.
"""

_SERVED_BY = {"jpeg": "noise"}
"""Stages whose work models of another one do: those for noise learn from pictures that went through JPEG."""

CLEAN_SIGMA = 1.2 / 255
"""Noise below this is left alone, in units of the display range.

Rounding to 8 bits alone is a noise of 0.29/255 (1/sqrt 12). Four times that is the line, chosen
rather than measured: below it, noise cannot be told with confidence from rounding, from resampling
and from the estimator's own error, and a scan that needs nothing must come back bit-identical.
"""

DOUBT = 1.5
"""`auto` counts as noise what is left of the measured level when it is so many times its error too high.

Even texture can read as noise, with a large error. Of 600 hard examples drawn on research pictures, most of
them small crops, 86 % of the clean ones are left alone; of noise of 2 to 4 grey levels a third is
acted on, of 4 to 8 four fifths, above that nineteen in twenty.
"""

CAUTION = 0.5
"""A model is told the measured level less so many times its error: rather some noise left than detail lost.

On 18 held-out pictures with noise of all kinds that gains 0.14 dB over telling the level as measured;
taking off a quarter or three quarters of the error gains less.
"""

_WORTH_SAYING = 0.9  # of the level: what is told is named beside it where it is less

PASSES = 4
"""Turned and mirrored copies over which a fast model's answer is averaged where the best is wished for.

That gains 0.11 to 0.14 dB on white noise of 15 to 50 of 255 (`benchmarks/quality/denoise.py`).
"""

LEAST = 0.02
"""What `auto` would do at a lower strength is lost in rounding, so the scan is left as it is."""

UNSEEN_CORRELATION = 0.6
"""Assumed lag-1 correlation of noise that a person names and measuring did not see."""

FULL_SIGMA = 3.0 / 255
"""From here on `auto` works at full strength; also what is assumed where nothing could be measured."""

KEPT_QUALITY = 90
"""`auto` leaves alone what was saved as JPEG at this quality or better: nobody sees what it has lost."""

POOR_QUALITY = 75
"""From here on down `auto` removes what JPEG has left at full strength.

On 24 held-out pictures the network gains 0.16 dB at quality 95 and 0.40 dB at 90, where one picture in ten
gains nothing; at 75 it gains 0.73 dB, and at least 0.19.
"""


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


@dataclass(frozen=True)
class Part:
    """What one stage of the profile asks for.

    Attributes:
        stage: one of `ORDER`.
        strength: 0 to 1, for what is alike in all channels.
        color: 0 to 1, for the rest.
        keep_grain: 0 to 1: the share of the grain, the grey part of the noise, that is given back.
        sigma: standard deviation of what is to be removed, in units of the display range.
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


def make(profile: Profile, facts: FactsLike, cards: Sequence[Card]) -> Plan:
    """Plans one page.

    Args:
        profile: what is wished.
        facts: what was measured on the page.
        cards: the models to choose from, as `cards.installed()` gives them.

    Raises:
        ModelError: there is work for a stage, and no model for it.
    """
    noise, told = _told(profile.noise, facts.noise)
    asked = (_noise(profile.noise, noise, facts), _jpeg(profile.jpeg, facts))
    works: dict[Card, tuple[Part, ...]] = {}
    notes: tuple[str, ...] = ()
    for wish, part in zip((profile.noise, profile.jpeg), asked, strict=True):
        if isinstance(part, Skipped):
            continue
        card, choice = _choose(part.stage, profile, wish.model, tuple(cards))
        choice = () if card in works else choice
        notes += told + choice + _assumed(noise) if part.stage == "noise" else choice
        works[card] = (*works.get(card, ()), part)
    told_curve = tuple((tone, _cautiously(noise) * sigma) for tone, sigma in noise.curve)
    curve = told_curve if noise.windows else ()
    steps = [
        replace(_step(card.name, parts, curve), passes=_passes(card, profile))
        for card, parts in works.items()
    ]
    skipped = tuple(part for part in asked if isinstance(part, Skipped))
    return Plan(tuple(sorted(steps, key=lambda step: ORDER.index(step.stage))), skipped, notes)


def _passes(card: Card, profile: Profile) -> int:
    return PASSES if profile.quality == "best" and card.tier != "best" else 1


def _step(model: str, parts: tuple[Part, ...], curve: tuple[tuple[float, float], ...]) -> Step:
    """One pass for all that is asked of a model; `curve` is that of the noise."""
    first, *others = parts
    if others:
        return _together(model, parts, curve)
    return Step(
        stage=first.stage,
        model=model,
        strength=first.strength,
        keep_grain=first.keep_grain,
        sigma=first.sigma,
        correlation=first.correlation,
        curve=curve if first.stage == "noise" else (),
        color=first.color,
        parts=parts,
    )


def _together(model: str, parts: tuple[Part, ...], curve: tuple[tuple[float, float], ...]) -> Step:
    """One pass for several parts, of which the first has the curve.

    Variances add up, each weighed by its part's strength against the strongest. So the strength times the
    variance that the model is told is the sum of what the parts ask for; it rises with each strength
    and changes smoothly with it, and a part whose strength comes to 0 fades out of all.
    """
    strengths = [max(part.strength, part.color) for part in parts]
    told = [
        strength / max(strengths) * part.sigma**2 for strength, part in zip(strengths, parts, strict=True)
    ]
    total = sum(told)
    return Step(
        stage=parts[0].stage,
        model=model,
        strength=min(1.0, sum(part.strength * part.sigma**2 for part in parts) / total),
        keep_grain=sum(share * part.keep_grain for share, part in zip(told, parts, strict=True)) / total,
        sigma=math.sqrt(total),
        correlation=sum(share * part.correlation for share, part in zip(told, parts, strict=True)) / total,
        curve=tuple(
            (tone, math.sqrt(told[0] * (sigma / parts[0].sigma) ** 2 + sum(told[1:])))
            for tone, sigma in curve
        ),
        color=min(1.0, sum(part.color * part.sigma**2 for part in parts) / total),
        parts=parts,
    )


def _noise(wish: Noise, noise: NoiseLike, facts: FactsLike) -> Part | Skipped:
    measured = noise.windows > 0
    strength, color = (
        _noise_strength(one, wish, noise, facts.screen) for one in (wish.strength, wish.color_strength())
    )
    if facts.grey:
        color = strength
    if reason := _noise_idle(wish, noise, facts.screen, max(strength, color)):
        return Skipped("noise", reason)
    sigma = _cautiously(noise) * noise.sigma if measured else FULL_SIGMA
    correlation = noise.correlation if measured else 0.0
    less = f", told as {_in_255(sigma)}" if sigma < _WORTH_SAYING * noise.sigma else ""
    cause = f"noise of {_in_255(noise.sigma if measured else sigma)}{less} with correlation {correlation:.2f}"
    return Part("noise", strength, color, wish.keep_grain, sigma, correlation, cause)


def _jpeg(wish: Jpeg, facts: FactsLike) -> Part | Skipped:
    jpeg = facts.jpeg
    if wish.strength == 0:
        return Skipped("jpeg", "the profile leaves it out")
    if jpeg is None:
        return Skipped("jpeg", "no trace of it was found")
    if wish.strength == "auto" and facts.screen:
        return Skipped("jpeg", _screened(facts.screen))
    if wish.strength == "auto" and jpeg.quality >= KEPT_QUALITY:
        return Skipped("jpeg", f"quality {jpeg.quality} leaves nothing that shows")
    poor = (KEPT_QUALITY - jpeg.quality) / (KEPT_QUALITY - POOR_QUALITY)
    strength = _smooth(poor) if wish.strength == "auto" else float(wish.strength)
    told = "as the file says" if jpeg.source == "file" else "as the pixels show"
    cause = f"what quality {jpeg.quality}, {told}, has left, about {_in_255(jpeg.sigma)}"
    return Part("jpeg", strength, strength, 0.0, jpeg.sigma, jpeg.correlation, cause)


def _screened(screen: ScreenLike) -> str:
    where = f"{screen.pitch:.1f} pixels from dot to dot at {screen.angle:.0f} degrees"
    return (
        f"a halftone screen was found ({where}), which is no noise: the profile newspaper-halftone is for"
        " such prints; a strength from 0 to 1 works all the same"
    )


def _assumed(noise: NoiseLike) -> tuple[str, ...]:
    if noise.windows > 0:
        return ()
    return (f"noise: it could not be measured; {_in_255(FULL_SIGMA)} is assumed",)


@dataclass(frozen=True)
class _Told:
    """Noise as a person says it is: `NoiseLike`."""

    sigma: float
    correlation: float
    curve: tuple[tuple[float, float], ...] = ()
    windows: int = 1
    error: float = 0.0


def _told(wish: Noise, noise: NoiseLike) -> tuple[NoiseLike, tuple[str, ...]]:
    """The noise that the profile says, with a note, or else what was measured.

    Grain that JPEG or resampling has smeared is seldom seen as noise by measuring, and is then
    clumped: its correlation is taken as UNSEEN_CORRELATION, that of grain blurred by about a pixel.
    """
    if wish.level == "auto":
        return noise, ()
    seen = noise.windows > 0 and noise.sigma * 255 >= wish.level / 2
    told = _Told(wish.level / 255, noise.correlation if seen else UNSEEN_CORRELATION)
    return told, (f"noise: the profile says {wish.level:g}/255; measured was {_in_255(noise.sigma)}",)


def _noise_idle(wish: Noise, noise: NoiseLike, screen: ScreenLike | None, strength: float) -> str:
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
        return _screened(screen)
    if noise.sigma > CLEAN_SIGMA:
        return (
            f"what reads as noise of {_in_255(noise.sigma)} may be texture; noise.level or a strength"
            " from 0 to 1 removes it all the same"
        )
    return f"noise {_in_255(noise.sigma)} is below what a scan shows; nothing to do"


def _noise_strength(wish: Strength, of: Noise, noise: NoiseLike, screen: ScreenLike | None) -> float:
    """A wish as it is; auto rises smoothly from 0 at CLEAN_SIGMA to 1 at FULL_SIGMA.

    Where noise cannot be told from what the picture is made of, auto does nothing, unless the profile
    names the level.
    """
    if wish != "auto":
        return float(wish)
    if noise.windows == 0 or (screen and of.level == "auto"):
        return 0.0
    return _smooth((_surely(noise) - CLEAN_SIGMA) / (FULL_SIGMA - CLEAN_SIGMA))


def _surely(noise: NoiseLike) -> float:
    """The part of the level that is not in doubt."""
    return noise.sigma * math.exp(-DOUBT * noise.error)


def _cautiously(noise: NoiseLike) -> float:
    """The share of the level that a model is told."""
    return math.exp(-CAUTION * noise.error)


def _smooth(t: float) -> float:
    """0 up to 0, 1 from 1 on, and no corner between; nothing where it would be next to nothing."""
    t = min(max(t, 0.0), 1.0)
    strength = t * t * (3 - 2 * t)
    return strength if strength >= LEAST else 0.0


def _choose(
    stage: str, profile: Profile, wanted: str | None, cards: tuple[Card, ...]
) -> tuple[Card, tuple[str, ...]]:
    """The model of a stage: the named one, else by quality, else of the other tier, with a note."""
    served = _SERVED_BY.get(stage, stage)
    if wanted:
        card = card_lookup.find(wanted, cards)
        if card.stage != served:
            raise ModelError(f"the model {wanted} is for {card.stage}, not for {stage}")
        return card, ()
    fitting = [card for card in cards if card.stage == served]
    if not fitting:
        raise ModelError(
            f"no model for {stage} is installed",
            hint=f"install scanmend with its models, or set {stage}.strength=off",
        )
    for card in fitting:
        if card.tier == profile.quality:
            return card, ()
    card = fitting[0]
    how = f"runs on {PASSES} turned copies, and the mean counts" if _passes(card, profile) > 1 else "runs"
    return card, (
        f"{stage}: no model of quality {profile.quality} is installed; {card.name} ({card.tier}) {how}",
    )


def describe(plan: Plan) -> tuple[str, ...]:
    """The plan in sentences, for people."""
    lines = [_sentence(part, step) for step in plan.steps for part in step.parts]
    lines += [f"{item.stage}: left out: {item.reason}" for item in plan.skipped]
    lines += plan.notes
    if not plan.steps:
        lines.append("nothing to do: the pixels stay as they are")
    return tuple(lines)


def _sentence(part: Part, step: Step) -> str:
    color = f", {part.color:.2f} in colour," if part.color != part.strength else ""
    back = f"; {part.keep_grain:.0%} of the grain is given back" if part.keep_grain else ""
    together = f"; in one pass with {step.stage}" if part.stage != step.stage else ""
    return (
        f"{part.stage}: {step.model} at strength {part.strength:.2f}{color} for {part.cause}{back}{together}"
    )


def _in_255(sigma: float) -> str:
    return f"{sigma * 255:.1f}/255"


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready values."""
    values = asdict(plan)
    for step in values["steps"]:
        step["curve"] = [list(point) for point in step["curve"]]
        step["parts"] = list(step["parts"])
    return {key: list(items) for key, items in values.items()}
