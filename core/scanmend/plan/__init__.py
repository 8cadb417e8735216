"""Decides what is done to a page, from the profile, what was measured and the models that are there.

Pure and cheap: a plan can be printed, tested and shown to a person before torch is loaded.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from scanmend import cards as card_lookup
from scanmend.errors import ModelError
from scanmend.plan import blur as blurs
from scanmend.plan import jpeg as jpegs
from scanmend.plan import noise as noises
from scanmend.plan.blur import BLURRED_SPREAD, SHARP_SPREAD
from scanmend.plan.jpeg import KEPT_QUALITY, POOR_QUALITY
from scanmend.plan.noise import CLEAN_SIGMA, FULL_SIGMA, UNSEEN_CORRELATION
from scanmend.plan.values import (
    LEAST,
    ORDER,
    BlurLike,
    FactsLike,
    JpegLike,
    NoiseLike,
    Part,
    Plan,
    ScreenLike,
    Skipped,
    Step,
    Told,
)
from scanmend.plan.words import describe, to_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.cards import Card
    from scanmend.profile import Profile

__all__ = [
    "BLURRED_SPREAD", "CLEAN_SIGMA", "FULL_SIGMA", "KEPT_QUALITY", "LEAST", "ORDER", "PASSES",
    "POOR_QUALITY", "SHARP_SPREAD", "UNSEEN_CORRELATION", "BlurLike", "FactsLike", "JpegLike", "NoiseLike",
    "Part", "Plan", "ScreenLike", "Skipped", "Step", "Told", "describe", "make", "to_dict",
]  # fmt: skip

PASSES = 4
"""Turned and mirrored copies over which a fast model's answer is averaged where the best is wished for.

That gains 0.11 to 0.14 dB on white noise of 15 to 50 of 255 (`benchmarks/quality/denoise.py`).
"""

_SERVED_BY = {"jpeg": "noise"}
"""Stages whose work models of another one do: those for noise learn from pictures that went through JPEG."""

_Curve = tuple[tuple[float, float], ...]
_Work = tuple["Card", "tuple[str, float] | None"]
"""A card, and the known blur that it serves as denoiser for."""


def make(profile: Profile, facts: FactsLike, cards: Sequence[Card]) -> Plan:
    """Plans one page.

    Args:
        profile: what is wished.
        facts: what was measured on the page.
        cards: the models to choose from, as `cards.installed()` gives them.

    Raises:
        ModelError: there is work for a stage, and no model for it.
    """
    noise, told = noises.told(profile.noise, facts.noise)
    blur = blurs.told(profile.blur, facts.blur)
    asked = (
        noises.part(profile.noise, noise, facts),
        jpegs.part(profile.jpeg, facts),
        blurs.part(profile.blur, blur, facts),
    )
    asked, notes = _with_noise_aside(asked, noise, facts, tuple(cards))
    works: dict[_Work, tuple[Part, ...]] = {}
    for wish, part in zip((profile.noise, profile.jpeg, profile.blur), asked, strict=True):
        if isinstance(part, Skipped):
            continue
        psf = blurs.psf(profile.blur, blur, facts.blur) if part.stage == "blur" else None
        card, choice = _choose("noise" if psf else part.stage, profile, wish.model, tuple(cards))
        notes += blurs.notes(profile.blur, blur, facts.blur) if part.stage == "blur" else ()
        choice = () if psf or (card, psf) in works else choice
        notes += told + choice + noises.assumed(noise) if part.stage == "noise" else choice
        works[card, psf] = (*works.get((card, psf), ()), part)
    curve = noises.curve(noise)
    steps = [_step(card, psf, parts, curve, profile) for (card, psf), parts in works.items()]
    if isinstance(asked[-1], Skipped):  # nothing comes after noise and JPEG
        steps = [replace(step, full=None) for step in steps]
    skipped = tuple(part for part in asked if isinstance(part, Skipped))
    return Plan(tuple(sorted(steps, key=lambda step: ORDER.index(step.stage))), skipped, notes)


_Asked = tuple["Part | Skipped", "Part | Skipped", "Part | Skipped"]


def _with_noise_aside(
    asked: _Asked, noise: NoiseLike, facts: FactsLike, cards: tuple[Card, ...]
) -> tuple[_Asked, tuple[str, ...]]:
    """Noise that stays where blur goes: it is taken out while the blur is undone, and given back after.

    Undoing blur raises all that is fine, noise as well. Without a model for noise that is what happens.
    """
    noised, saved, blurred = asked
    if isinstance(blurred, Skipped) or isinstance(noised, Part):
        return asked, ()
    part = noises.aside(noise, facts)
    if part is None or not any(card.stage == "noise" and not card.own for card in cards):
        return asked, ()
    why = f"noise: taken out only while the blur is undone, and all given back: {noised.reason}"
    return (part, saved, blurred), (why,)


def _passes(card: Card, profile: Profile) -> int:
    return PASSES if profile.quality == "best" and card.tier != "best" else 1


def _step(
    card: Card, psf: tuple[str, float] | None, parts: tuple[Part, ...], curve: _Curve, profile: Profile
) -> Step:
    """One pass for all that is asked of a model; `curve` is that of the noise."""
    first, *others = parts
    if others:
        return replace(_together(card.name, parts, curve), passes=_passes(card, profile))
    return Step(
        stage=first.stage,
        model=card.name,
        strength=first.strength,
        keep_grain=first.keep_grain,
        sigma=blurs.LEFT_SIGMA if psf else first.sigma,
        correlation=first.correlation,
        curve=curve if first.stage == "noise" else (),
        color=first.color,
        passes=1 if psf else _passes(card, profile),
        parts=parts,
        psf=psf,
    )


def _together(model: str, parts: tuple[Part, ...], curve: _Curve) -> Step:
    """One pass for several parts, of which the first has the curve.

    The strength times the variance that the model is told is the sum of what the parts ask for; it rises
    with each strength and changes smoothly with it, and a part whose strength comes to 0 fades out of all.
    """
    strengths = [max(part.strength, part.color) for part in parts]
    shares = [strength / max(strengths) for strength in strengths]
    told = [share * part.sigma**2 for share, part in zip(shares, parts, strict=True)]
    total = sum(told)
    known = _told(parts, shares, curve)
    return Step(
        stage=parts[0].stage,
        model=model,
        strength=min(1.0, sum(part.strength * part.sigma**2 for part in parts) / total),
        keep_grain=sum(share * part.keep_grain for share, part in zip(told, parts, strict=True)) / total,
        sigma=known.sigma,
        correlation=known.correlation,
        curve=known.curve,
        color=min(1.0, sum(part.color * part.sigma**2 for part in parts) / total),
        parts=parts,
        full=None if min(shares) == 1 else _told(parts, [1.0] * len(parts), curve),
    )


def _told(parts: Sequence[Part], shares: Sequence[float], curve: _Curve) -> Told:
    """What a model is told of several parts: variances add up, each weighed by its share."""
    told = [share * part.sigma**2 for share, part in zip(shares, parts, strict=True)]
    total = sum(told)
    correlation = sum(share * part.correlation for share, part in zip(told, parts, strict=True)) / total
    tones = tuple(
        (tone, math.sqrt(told[0] * (sigma / parts[0].sigma) ** 2 + sum(told[1:]))) for tone, sigma in curve
    )
    return Told(math.sqrt(total), correlation, tones)


def _choose(
    stage: str, profile: Profile, wanted: str | None, cards: tuple[Card, ...]
) -> tuple[Card, tuple[str, ...]]:
    """The model of a stage: the named one, else by quality, else of the other tier, with a note.

    A person's own weights, of which nobody knows how good they are, run only where a profile names them.
    """
    served = _SERVED_BY.get(stage, stage)
    if wanted:
        card = card_lookup.find(wanted, cards)
        if card.stage != served:
            raise ModelError(f"the model {wanted} is for {card.stage}, not for {stage}")
        return card, ()
    fitting = [card for card in cards if card.stage == served and not card.own]
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
