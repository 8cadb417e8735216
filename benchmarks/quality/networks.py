"""Scanmend's networks as methods of the benchmark: told the truth, or measuring as `auto` does."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import scanmend
from degrade import Case
from methods import Method, Run
from scanmend import cards, pipeline
from scanmend import profile as profiles
from scanmend.cards import Card
from scanmend.evaluate import read_picture, told
from scanmend.image import FloatArray
from scanmend.plan import PASSES

LEVELS = (2, 3, 5, 7, 10, 15, 25)
"""What `noise.level` is tried at where nobody knows the noise, in 1/255."""


def networks(device: str, backend: str, *, levels: bool = False) -> tuple[Method, ...]:
    """Methods for each installed model of the noise stage: told the truth, and left to `auto`.

    A fast model is told the truth twice: as it is, and as `quality: best` runs it, on turned copies.
    With `levels` there is also a person who tries `noise.level` and keeps what comes out best.
    """
    options = pipeline.Options(device=device, backend=backend)
    found = []
    for card in cards.installed():
        if card.stage != "noise":
            continue
        said = scanmend.__version__
        wall = pipeline.shared_engine(device, backend).device.name != "cpu"
        found.append(Method(card.name, said, partial(_told, card, options), kept=False, wall=wall))
        if card.tier != "best":
            best = partial(_told, card, options, passes=PASSES)
            found.append(Method(f"{card.name} x{PASSES}", said, best, kept=False, wall=wall))
        found.append(Method(f"{card.name} auto", said, partial(_auto, card, options), kept=False, wall=wall))
        if levels:
            tried = partial(_levels, card, options)
            found.append(Method(f"{card.name} level", said, tried, kept=False, wall=wall))
    return tuple(found)


def _told(
    card: Card, options: pipeline.Options, group: str, case: Case, *, passes: int = 1
) -> dict[str, Run]:
    del group, case
    _load(card, options)
    return {"": partial(_run, card=card, options=options, passes=passes)}


def _run(case: Case, *, card: Card, options: pipeline.Options, passes: int) -> FloatArray:
    truth = case.truth
    step = replace(told(card, truth.sigma, truth.correlation, truth.curve), passes=passes)
    engine = pipeline.shared_engine(options.device, options.backend)
    return engine.runner([step], [card], grey=False).band(np.ascontiguousarray(case.scan, np.float32))


def _auto(card: Card, options: pipeline.Options, group: str, case: Case) -> dict[str, Run]:
    del group
    _load(card, options)
    return {"": partial(restored, settings=_settings(card), options=options)} if case.file else {}


def _levels(card: Card, options: pipeline.Options, group: str, case: Case) -> dict[str, Run]:
    del group
    if not case.file:
        return {}
    return {
        f"noise.level={level}": partial(
            restored, settings=(*_settings(card), "noise.strength=1", f"noise.level={level}"), options=options
        )
        for level in LEVELS
    }


def _load(card: Card, options: pipeline.Options) -> None:
    """Before the clock runs: loading is not running."""
    pipeline.shared_engine(options.device, options.backend).network(card)


def _settings(card: Card) -> tuple[str, ...]:
    """The default profile with one model, and no grain given back: it would count as noise."""
    return f"noise.model={card.name}", f"quality={card.tier}", "noise.keep_grain=0"


def restored(case: Case, *, settings: tuple[str, ...], options: pipeline.Options) -> FloatArray:
    """What the product makes of the scan's file, all its stages included."""
    if case.file is None:
        raise ValueError("a case without a file cannot be restored as one")
    data, suffix = case.file
    wanted = ("output.format=png", "output.sidecar=false", *settings)
    profile = profiles.apply_settings(profiles.load("gentle"), wanted)
    with tempfile.TemporaryDirectory() as folder:
        scan, result = Path(folder, f"scan{suffix}"), Path(folder, "result.png")
        scan.write_bytes(data)
        pipeline.restore_file(scan, result, profile, options=options)
        return read_picture(result, crop=None)
