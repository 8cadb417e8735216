"""Decides what is done to a page, from the profile, what was measured and the models that are there.

Pure and cheap: a plan can be printed, tested and shown to a person before torch is loaded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from scanmend import cards as card_lookup
from scanmend.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.cards import Card
    from scanmend.profile import Noise, Profile, Strength

ORDER = ("dust", "noise", "blur", "veil", "fading")
"""The order of the stages, always. Grain is given back after the last one.

Marks first, because every later stage would smear them; noise before blur and veil, because
both raise whatever noise is left; tone last.
"""

CLEAN_SIGMA = 1.2 / 255
"""Noise below this is left alone, in units of the display range.

Rounding to 8 bits alone is a noise of 0.29/255 (1/sqrt 12). Four times that is the line, chosen
rather than measured: below it, noise cannot be told with confidence from rounding, from resampling
and from the estimator's own error, and a scan that needs nothing must come back bit-identical.
"""

UNSEEN_CORRELATION = 0.6
"""Assumed lag-1 correlation of noise that a person names and measuring did not see."""

FULL_SIGMA = 3.0 / 255
"""From here on `auto` works at full strength; also what is assumed where nothing could be measured."""


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


class FactsLike(Protocol):
    """What a plan needs to know of a page; `scanmend.measure.Facts` is one."""

    @property
    def noise(self) -> NoiseLike: ...


@dataclass(frozen=True)
class Step:
    """One stage at work.

    Attributes:
        stage: one of `ORDER`.
        model: the card's name.
        strength: above 0, up to 1: the share of the model's change that is applied.
        keep_grain: 0 to 1: the share of the grain removed, the grey part of the noise, that is given back.
        sigma: the noise the model is told, in units of the display range.
        correlation: the noise's lag-1 correlation, in [0, 1).
        curve: (tone, sigma), rising in tone; empty where one sigma serves all tones.
    """

    stage: str
    model: str
    strength: float
    keep_grain: float
    sigma: float
    correlation: float = 0.0
    curve: tuple[tuple[float, float], ...] = ()


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
    decided = [_noise(profile, profile.noise, facts.noise, tuple(cards))]
    decided.sort(key=lambda item: ORDER.index(item[0].stage))
    return Plan(
        steps=tuple(item for item, _ in decided if isinstance(item, Step)),
        skipped=tuple(item for item, _ in decided if isinstance(item, Skipped)),
        notes=tuple(note for _, notes in decided for note in notes),
    )


def _noise(
    profile: Profile, wish: Noise, noise: NoiseLike, cards: tuple[Card, ...]
) -> tuple[Step | Skipped, tuple[str, ...]]:
    noise, notes = _told(wish, noise)
    if reason := _noise_idle(wish, noise):
        return Skipped("noise", reason), ()
    card, choice = _choose("noise", profile, wish.model, cards)
    notes += choice
    measured = noise.windows > 0
    if not measured:
        notes += (f"noise: it could not be measured; {_in_255(FULL_SIGMA)} is assumed",)
    step = Step(
        stage="noise",
        model=card.name,
        strength=_strength(wish.strength, noise.sigma),
        keep_grain=wish.keep_grain,
        sigma=noise.sigma if measured else FULL_SIGMA,
        correlation=noise.correlation if measured else 0.0,
        curve=noise.curve if measured else (),
    )
    return step, notes


@dataclass(frozen=True)
class _Told:
    """Noise as a person says it is: `NoiseLike`."""

    sigma: float
    correlation: float
    curve: tuple[tuple[float, float], ...] = ()
    windows: int = 1


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


def _noise_idle(wish: Noise, noise: NoiseLike) -> str:
    """Why there is nothing to do about noise; empty where there is."""
    if wish.strength == 0:
        return "the profile leaves it out"
    if wish.strength == "auto":
        if noise.windows == 0:
            return "it could not be measured on this picture; a strength from 0 to 1 removes it all the same"
        if noise.sigma <= CLEAN_SIGMA:
            return f"noise {_in_255(noise.sigma)} is below what a scan shows; nothing to do"
    elif noise.windows > 0 and noise.sigma == 0:
        return "no noise was measured at all"
    return ""


def _strength(wish: Strength, sigma: float) -> float:
    """A wish as it is; auto rises smoothly from 0 at CLEAN_SIGMA to 1 at FULL_SIGMA."""
    if wish != "auto":
        return float(wish)
    t = min(max((sigma - CLEAN_SIGMA) / (FULL_SIGMA - CLEAN_SIGMA), 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _choose(
    stage: str, profile: Profile, wanted: str | None, cards: tuple[Card, ...]
) -> tuple[Card, tuple[str, ...]]:
    """The model of a stage: the named one, else by quality, else of the other tier, with a note."""
    if wanted:
        card = card_lookup.find(wanted, cards)
        if card.stage != stage:
            raise ModelError(f"the model {wanted} is for {card.stage}, not for {stage}")
        return card, ()
    fitting = [card for card in cards if card.stage == stage]
    if not fitting:
        raise ModelError(
            f"no model for {stage} is installed",
            hint=f"install scanmend with its models, or set {stage}.strength=off",
        )
    for card in fitting:
        if card.tier == profile.quality:
            return card, ()
    card = fitting[0]
    return card, (
        f"{stage}: no model of quality {profile.quality} is installed; {card.name} ({card.tier}) runs",
    )


def describe(plan: Plan) -> tuple[str, ...]:
    """The plan in sentences, for people."""
    lines = [_sentence(step) for step in plan.steps]
    lines += [f"{item.stage}: left out: {item.reason}" for item in plan.skipped]
    lines += plan.notes
    if not plan.steps:
        lines.append("nothing to do: the pixels stay as they are")
    return tuple(lines)


def _sentence(step: Step) -> str:
    back = f"; {step.keep_grain:.0%} of the grain is given back" if step.keep_grain else ""
    return (
        f"{step.stage}: {step.model} at strength {step.strength:.2f} for noise of {_in_255(step.sigma)}"
        f" with correlation {step.correlation:.2f}{back}"
    )


def _in_255(sigma: float) -> str:
    return f"{sigma * 255:.1f}/255"


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready values."""
    values = asdict(plan)
    for step in values["steps"]:
        step["curve"] = [list(point) for point in step["curve"]]
    return {key: list(items) for key, items in values.items()}
