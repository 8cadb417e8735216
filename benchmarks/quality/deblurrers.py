"""Scanmend's own ways of deblurring as methods of the benchmark."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import scanmend
import torch
from degrade import Case
from methods import Method, Run
from networks import restored
from scanmend import cards, pipeline
from scanmend.cards import Card
from scanmend.deconvolve import deconvolve
from scanmend.evaluate import deblur, told
from scanmend.image import FloatArray
from scanmend.plan import PASSES

AUTO = "auto"
"""The product: the gentle profile with `blur.strength=auto`, knowing nothing but the file."""
KNOWN = "plug and play, kernel told"
"""`scanmend.deconvolve` with the true kernel, and the fast model for noise as its denoiser."""
_SETTINGS = (
    "blur.strength=auto",
    "noise.keep_grain=0",
    "quality=fast",
)  # grain given back would count as noise


def deblurrers(device: str, backend: str) -> tuple[Method, ...]:
    """Each installed model for blur at full strength, once and as the mean over turned copies; `auto`."""
    options = pipeline.Options(device=device, backend=backend)
    wall = pipeline.shared_engine(device, backend).device.name != "cpu"
    found = []
    for card in cards.installed():
        if card.stage == "blur":
            for name, passes in ((card.name, 1), (f"{card.name} x{PASSES}", PASSES)):
                run = partial(_alone, card, options, passes)
                found.append(Method(name, scanmend.__version__, run, kept=False, wall=wall))
    product, known = partial(_auto, options), partial(_known, options)
    return (
        *found,
        Method(AUTO, scanmend.__version__, product, kept=False, wall=wall),
        Method(KNOWN, scanmend.__version__, known, kept=False, wall=wall),
    )


def _alone(card: Card, options: pipeline.Options, passes: int, group: str, case: Case) -> dict[str, Run]:
    del group, case
    pipeline.shared_engine(options.device, options.backend).network(card)  # loading is not running
    return {"": partial(run_model, card=card, options=options, passes=passes)}


def run_model(case: Case, *, card: Card, options: pipeline.Options, passes: int = 1) -> FloatArray:
    """A model at full strength on a case's scan."""
    step = replace(deblur.step(card), passes=passes)
    engine = pipeline.shared_engine(options.device, options.backend)
    return engine.runner([step], [card], grey=False).band(np.ascontiguousarray(case.scan, np.float32))


def _auto(options: pipeline.Options, group: str, case: Case) -> dict[str, Run]:
    del group
    if case.file is None:
        return {}
    return {"": partial(auto, options=options)}


def auto(case: Case, options: pipeline.Options) -> FloatArray:
    """What the product makes of the scan's file."""
    return restored(case, settings=_SETTINGS, options=options)


def _known(options: pipeline.Options, group: str, case: Case) -> dict[str, Run]:
    del group
    denoisers = [card for card in cards.installed() if (card.stage, card.tier) == ("noise", "fast")]
    if case.blur is None or not case.blur.linear or not denoisers:  # it takes blur to be linear in light
        return {}
    pipeline.shared_engine(options.device, options.backend).network(denoisers[0])
    return {"": partial(_deconvolved, card=denoisers[0], options=options)}


def _deconvolved(case: Case, *, card: Card, options: pipeline.Options) -> FloatArray:
    engine = pipeline.shared_engine(options.device, options.backend)

    def denoised(planes: torch.Tensor, level: float) -> torch.Tensor:
        runner = engine.runner([told(card, level * 255)], [card], grey=False)
        pixels = runner.band(np.ascontiguousarray(planes[0].permute(1, 2, 0).numpy()))
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]

    scan = np.ascontiguousarray(case.scan.transpose(2, 0, 1))
    planes = torch.from_numpy(scan)[None]
    sharp = deconvolve(planes, case.blur.kernel, sigma=case.truth.sigma / 255, denoise=denoised)
    return np.ascontiguousarray(sharp[0].permute(1, 2, 0).numpy())
