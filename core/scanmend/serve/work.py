"""What the render worker does with a job: a file to a part file, or pixels to pixels."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from scanmend import cards, pipeline
from scanmend import plan as planning
from scanmend import profile as profiles
from scanmend.errors import Cancelled, PublishError, ScanmendError, TargetExists
from scanmend.formats.base import Limits
from scanmend.measure import Facts
from scanmend.pipeline import Options, Progress
from scanmend.plan import Plan
from scanmend.profile import Profile
from scanmend.report import PageReport, scanmend_version
from scanmend.serve import names, planes, previews
from scanmend.serve.jobs import MORE_ROOM, RESULT, SCAN
from scanmend.serve.wanted import Pixels, Wanted

_KNOWN_FACTS = 64
"""Pictures whose facts are remembered: whoever tries settings on one does not have it measured each time."""


class Voice(Protocol):
    """The worker, as a job needs it."""

    settings: Mapping[str, Any]

    def tell(self, values: Mapping[str, Any]) -> None: ...
    def cancelled(self, job: str) -> bool: ...


def warm_up(device: str, backend: str) -> None:
    """Loads the networks of the default profile: of its quality, or such as there are.

    Raises:
        ScanmendError: there is no such device, or a network cannot be loaded.
    """
    engine = pipeline.shared_engine(device, backend)
    default = profiles.load(profiles.DEFAULT)
    wanted = {name for name, stage in default.stages().items() if stage.strength != 0}
    serving = [card for card in cards.shipped() if card.stage in wanted]
    by_stage = {card.stage: card for card in serving}
    by_stage |= {card.stage: card for card in serving if card.tier == default.quality}
    for card in by_stage.values():
        engine.network(card)


def facts(device: str, backend: str) -> dict[str, Any]:
    """Where networks run, and which are loaded."""
    try:
        engine = pipeline.shared_engine(device, backend)
    except (ScanmendError, ImportError, RuntimeError) as error:
        return {"device": "", "networks": [], "trouble": str(error)}
    loaded = [card.name for card in cards.installed() if engine.holds(card)]
    return {"device": f"{engine.device} ({engine.backend})", "networks": loaded, "trouble": ""}


def restore(wanted: Wanted, job: Mapping[str, Any], voice: Voice) -> dict[str, Any]:
    """Does one job; the report's values.

    Args:
        wanted: what it asks for.
        job: the server's message: `job` is its name, `values` what was asked for, `folder` its own.
        voice: takes progress, knows of cancellations.

    Raises:
        ScanmendError: nothing is left at the target then.
    """
    voice.tell({"job": job["job"], "stage": "measure"})
    profile = _profile(json.dumps(wanted.profile, sort_keys=True), wanted.profile_name)
    options = _options(wanted, voice)
    run = functools.partial(_restore_pixels if wanted.pixels else _restore_file, wanted, profile, options)
    return run(job=job, voice=voice, progress=_teller(job["job"], voice))


def measure(wanted: Wanted, job: Mapping[str, Any], voice: Voice) -> dict[str, Any]:
    """Measures pixels and plans what a profile would do to them; arguments as `restore` takes them.

    Raises:
        ScanmendError: the profile is not valid, or a network is missing.
    """
    started, shape = time.monotonic(), wanted.pixels
    assert shape is not None  # noqa: S101 - nothing else is measured
    voice.tell({"job": job["job"], "stage": "measure", "pages": 1, "megapixels": _megapixels(shape)})
    profile = _profile(json.dumps(wanted.profile, sort_keys=True), wanted.profile_name)
    facts = _facts(job, shape, _mapped(Path(job["folder"]) / SCAN, shape, "r"))
    plan = planning.make(profile, facts, cards.installed())
    return {
        "facts": facts.to_dict(),
        "plan": planning.to_dict(plan),
        "described": list(planning.describe(plan)),
        "megapixels": round(_megapixels(shape), 3),
        "seconds": round(time.monotonic() - started, 3),
    }


def _options(wanted: Wanted, voice: Voice) -> Options:
    return Options(
        device=voice.settings["device"],
        backend=voice.settings["backend"],
        limits=Limits(**wanted.limits),  # type: ignore[arg-type]
    )


@functools.lru_cache(maxsize=32)
def _profile(text: str, name: str) -> Profile:
    """Settings become a profile once for a whole backlog; JSON is YAML. Without any it is the default one."""
    if text == "{}":
        return profiles.load("gentle")
    return profiles.parse(text, name or "the profile", name=name or None)


def _teller(name: str, voice: Voice) -> Callable[[Progress], None]:
    started = time.monotonic()

    def tell(progress: Progress) -> None:
        seconds = time.monotonic() - started
        eta = seconds / progress.done * (progress.total - progress.done) if progress.done else None
        voice.tell(
            {
                "job": name,
                "stage": progress.stage,
                "page": progress.page,
                "pages": progress.pages,
                "done": round(progress.done, 3),
                "total": round(progress.total, 3),
                "eta_s": None if eta is None else round(eta, 1),
            }
        )

    return tell


# --- files -------------------------------------------------------------------------------


def _restore_file(
    wanted: Wanted,
    profile: Profile,
    options: Options,
    *,
    job: Mapping[str, Any],
    voice: Voice,
    progress: Callable[[Progress], None],
) -> dict[str, Any]:
    source, part = Path(wanted.path), Path(wanted.target)
    names.refuse_link(source)
    _refuse_target(part, wanted.target_name)
    voice.tell({"job": job["job"], "writing": True})  # from now on what stands there is ours to remove
    try:
        report = pipeline.render_file(
            source,
            part,
            profile,
            options=options,
            opened=lambda pages, megapixels: voice.tell(
                {"job": job["job"], "pages": pages, "megapixels": megapixels}
            ),
            progress=progress,
            cancel=lambda: voice.cancelled(job["job"]),
        )
        _sync(part)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    if wanted.previews:
        previews.make(source, part, wanted.previews, options.limits)
    values = report.to_dict() | {"source": wanted.name, "target": wanted.target_name}
    return values | {"notes": [names.in_words(note, job["values"]) for note in report.notes]}


def _refuse_target(part: Path, name: str) -> None:
    if os.path.lexists(part):
        raise TargetExists(f"{name} exists already", hint="choose another name")
    if not part.parent.is_dir():
        raise PublishError(f"the folder {part.parent} does not exist", hint="create it first")


def _sync(part: Path) -> None:
    with part.open("r+b") as file:
        os.fsync(file.fileno())


# --- pixels ------------------------------------------------------------------------------


def _restore_pixels(
    wanted: Wanted,
    profile: Profile,
    options: Options,
    *,
    job: Mapping[str, Any],
    voice: Voice,
    progress: Callable[[Progress], None],
) -> dict[str, Any]:
    started, folder, shape = time.monotonic(), Path(job["folder"]), wanted.pixels
    assert shape is not None  # noqa: S101 - the caller chose this function by it
    part = shape.part(wanted.region)
    voice.tell({"job": job["job"], "pages": 1, "megapixels": _megapixels(part)})
    scan = _mapped(folder / SCAN, shape, "r")
    page = _planned(job, shape, scan, profile)
    x, y, width, height = wanted.region or (0, 0, shape.width, shape.height)
    seen = scan[y : y + height, x : x + width]
    if page.plan.steps:
        result = _made(folder / RESULT, part)
        pipeline.render_pixels(
            scan,
            result,
            profile,
            alpha=shape.alpha,
            transfer=shape.transfer,
            facts=page.facts,
            region=wanted.region,
            options=options,
            progress=progress,
            cancel=lambda: voice.cancelled(job["job"]),
        )
        result.flush()
    elif wanted.region:
        result = _made(folder / RESULT, part)
        result[:] = seen
    else:
        (folder / RESULT).hardlink_to(folder / SCAN)  # nobody writes to either any more
        result = scan
    for plane in set(wanted.want) & planes.MAKERS.keys():
        with _room_for(folder / plane):
            planes.write(
                plane, folder / plane, seen, result, shape, check=functools.partial(_check, job, voice)
            )
    engine = pipeline.shared_engine(options.device, options.backend) if page.plan.steps else None
    return {
        "scanmend": scanmend_version(),
        "source": wanted.name,
        "unchanged": not page.plan.steps,
        "pages": [page.to_dict()],
        "megapixels": round(_megapixels(part) if engine else 0.0, 3),
        "seconds": round(time.monotonic() - started, 3),
        "device": f"{engine.device} ({engine.backend})" if engine else "",
        "models": {
            card.name: card.sha256
            for card in cards.installed()
            if card.name in {step.model for step in page.plan.steps}
        },
        "profile": {"name": profile.name} | profiles.to_dict(profile),
        "notes": [],
    }


def _made(path: Path, shape: Pixels) -> np.memmap[Any, Any]:
    """A new file of samples, to be filled in.

    It has its room on the disk from the beginning: a full disk would otherwise be a signal that kills.
    """
    with _room_for(path), path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, shape.bytes)
        file.truncate(shape.bytes)
    return _mapped(path, shape, "r+")


@contextlib.contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Says of samples that find no room where that was, and what to do."""
    try:
        yield
    except OSError as error:
        sentence = f"the result could not be stored in {path.parents[2]}: {error.strerror}"
        raise PublishError(sentence, hint=MORE_ROOM) from error


def _mapped(path: Path, shape: Pixels, mode: Any) -> np.memmap[Any, Any]:
    return np.memmap(path, dtype=np.dtype(shape.dtype).newbyteorder("<"), mode=mode, shape=shape.shape)


def _planned(
    job: Mapping[str, Any], shape: Pixels, scan: np.memmap[Any, Any], profile: Profile
) -> PageReport:
    """What is to be done with a picture; it is not measured for a profile that asks for nothing."""
    if not pipeline.wishes(profile) and job["samples"] not in _known:
        return PageReport(0, None, Plan())
    facts = _facts(job, shape, scan)
    return PageReport(0, facts, planning.make(profile, facts, cards.installed()))


def _facts(job: Mapping[str, Any], shape: Pixels, scan: np.memmap[Any, Any]) -> Facts:
    """What was measured in a job's samples, once for all jobs that share them."""
    known = _known.get(job["samples"])
    if known is None:
        known = pipeline.measure_pixels(scan, alpha=shape.alpha, transfer=shape.transfer)
        _known[job["samples"]] = known
        if len(_known) > _KNOWN_FACTS:
            del _known[next(iter(_known))]
    return known


_known: dict[str, Facts] = {}


def _check(job: Mapping[str, Any], voice: Voice) -> None:
    if voice.cancelled(job["job"]):
        raise Cancelled("the picture was not restored: stopped on request")


def _megapixels(shape: Pixels) -> float:
    return shape.height * shape.width / 1e6
