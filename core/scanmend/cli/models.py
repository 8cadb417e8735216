"""`scanmend models`: what is installed, whether it is what its card says, and how good it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scanmend import cards
from scanmend.cli import inputs as names
from scanmend.cli import out
from scanmend.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scanmend.engine import Engine
    from scanmend.evaluate import Mark, deblur
    from scanmend.image import FloatArray

_SMALLEST = 64  # pixels of a side: less says nothing about a network


def list_all(*, json: bool) -> None:
    """One row for each installed model; what is left out, and why, on standard error."""
    installed, faults = _with_faults()
    for fault in faults:
        out.remark(str(fault.error))
    if json:
        out.json_document([_values(card) for card in installed])
        return
    if not installed:
        out.remark("no model is installed: install Scanmend again")
        return
    out.table(
        ("name", "stage", "tier", "parameters", "licence", "training data"),
        [
            (card.name, card.stage, card.tier, f"{card.parameters:,}", card.licence, card.training_data)
            for card in installed
        ],
    )


def _with_faults() -> tuple[tuple[cards.Card, ...], tuple[cards.Fault, ...]]:
    shipped = cards.shipped()
    own, faults = cards.own(shipped)
    return (*shipped, *own), faults


def verify(*, json: bool) -> int:
    """Hashes the weights of every model; returns the exit code."""
    installed, faults = _with_faults()
    if not installed:
        raise ModelError("no model is installed", hint="install Scanmend again")
    found = [(card.name, card.sha256, problem(card)) for card in installed]
    found += [(fault.name, "", fault.error) for fault in faults]
    for name, sha256, error in found:
        if json:
            values = {"model": name, "ok": error is None, "sha256": sha256}
            out.json_line({**values, "error": error.to_dict() if error else None})
        else:
            out.say(str(error) if error else f"{name}: ok")
    return ModelError.exit_code if any(error for _name, _sha256, error in found) else 0


def import_file(path: Path, name: str | None, *, json: bool) -> None:
    """Makes a model of a person's own weights, and says how it is used.

    Raises:
        ScanmendError: the file cannot be used, or the model cannot be stored.
    """
    from scanmend.importing import import_file  # noqa: PLC0415 - loads torch

    card, new = import_file(path, name)
    if json:
        out.json_document({**_values(card), "new": new})
        return
    state = "imported" if new else "already there"
    out.say(f"{card.name}: {state}: {card.title.removesuffix(', imported')}, {card.parameters:,} parameters")
    out.remark(f"choose it in a profile, or with: --set {card.stage}.model={card.name}")


def remove(name: str, *, json: bool) -> None:
    """Removes a model that was imported.

    Raises:
        ModelError: there is none of that name, or it ships with Scanmend.
    """
    from scanmend import own  # noqa: PLC0415 - only here

    own.remove(name)
    if json:
        out.json_line({"model": name, "removed": True})
    else:
        out.say(f"{name}: removed")


def problem(card: cards.Card) -> ModelError | None:
    """What is wrong with a model's weights, or None."""
    try:
        cards.verify(card)
    except ModelError as error:
        return error
    return None


def evaluate(
    task: str,
    images: Sequence[str],
    models: Sequence[str],
    *,
    most: int,
    clipped: bool,
    device: str,
    backend: str,
    json: bool,
) -> None:
    """Marks models on a person's own clean pictures, made worse: with white noise, or blurred in three ways.

    Args:
        task: denoise or deblur.
        images: folders, files or patterns.
        models: names; empty for all of the stage.
        most: pictures at most, spread over those that were found.
        clipped: whether noisy pictures are brought to 8 bits, as scan files are; blurred ones always are.
        device: as `engine.choose_device` takes it.
        backend: auto, torch or openvino.
        json: one object a line instead of a table.

    Raises:
        UsageError: there are no pictures, or one is too small; or blurred ones are not to be clipped.
        ModelError: a model is not installed, or is for something else.
    """
    if task == "deblur" and not clipped:
        raise UsageError("--unclipped is about noise", hint="leave it out for deblur")
    chosen = _models({"denoise": "noise", "deblur": "blur"}[task], models)
    pictures = _pictures(images, most)
    from scanmend.engine import Engine  # noqa: PLC0415 - here is work

    engine = Engine(device, backend=backend)
    if task == "deblur":
        _evaluate_deblur(engine, chosen, pictures, json=json)
    else:
        _evaluate_denoise(engine, chosen, pictures, clipped=clipped, json=json)


def _evaluate_denoise(
    engine: Engine, chosen: Sequence[cards.Card], pictures: Sequence[FloatArray], *, clipped: bool, json: bool
) -> None:
    from scanmend.evaluate import evaluate as mark  # noqa: PLC0415 - loads NumPy

    rows: list[Mark] = []
    for card in chosen:
        for row in mark(engine, card, pictures, clipped=clipped):
            rows.append(row)
            if json:
                out.json_line({**row.to_dict(), "clipped": clipped})
    if not json:
        _show(rows, clipped=clipped)


def _evaluate_deblur(
    engine: Engine, chosen: Sequence[cards.Card], pictures: Sequence[FloatArray], *, json: bool
) -> None:
    from scanmend.evaluate import deblur  # noqa: PLC0415 - loads NumPy

    rows: list[deblur.Mark] = []
    for card in chosen:
        for row in deblur.evaluate(engine, card, pictures):
            rows.append(row)
            if json:
                out.json_line(row.to_dict())
    if not json:
        _show_deblurring(rows)


def _models(stage: str, wanted: Sequence[str]) -> list[cards.Card]:
    """The named models of a stage, or all of it."""
    installed = cards.installed()
    chosen = [cards.find(name, installed) for name in dict.fromkeys(wanted)]
    if others := [card for card in chosen if card.stage != stage]:
        hint = "`scanmend models list` says what each is for"
        raise ModelError(f"the model {others[0].name} is for {others[0].stage}, not for {stage}", hint=hint)
    chosen = chosen or [card for card in installed if card.stage == stage]
    if not chosen:
        raise ModelError(f"no model for {stage} is installed", hint="install Scanmend again")
    return chosen


def _pictures(images: Sequence[str], most: int) -> list[FloatArray]:
    """The central squares of the pictures, at most so many, spread over the folder."""
    from scanmend.evaluate import read_picture  # noqa: PLC0415 - loads NumPy

    paths = [item.path for item in names.expand(images, recursive=True)]
    places = sorted({n * len(paths) // most for n in range(most)}) if len(paths) > most else range(len(paths))
    pictures = []
    for path in (paths[place] for place in places):
        pictures.append(read_picture(path))
        if min(pictures[-1].shape[:2]) < _SMALLEST:
            raise UsageError(
                f"{path} has a side of less than {_SMALLEST} pixels", hint="leave it out of --images"
            )
    return pictures


def _show(rows: Sequence[Mark], *, clipped: bool) -> None:
    out.table(
        ("model", "sigma", "noisy dB", "PSNR dB", "SSIM", "s/megapixel"),
        [
            (
                row.model,
                f"{row.sigma:g}",
                f"{row.noisy:.2f}",
                f"{row.psnr:.2f}",
                f"{row.ssim:.4f}",
                f"{row.seconds_per_megapixel:.2f}",
            )
            for row in rows
        ],
    )
    state = "clipped and rounded to 8 bits" if clipped else "not clipped"
    out.remark(
        f"white noise of sigma/255, {state}; pictures: {rows[0].pictures}, the central 512 pixels of each"
    )


def _show_deblurring(rows: Sequence[deblur.Mark]) -> None:
    out.table(
        ("model", "family", "input dB", "PSNR dB", "gain", "worst", "below", "SSIM", "s/megapixel"),
        [
            (
                row.model,
                row.family,
                "" if row.blurred is None else f"{row.blurred:.2f}",
                f"{row.psnr:.2f}",
                "" if row.gain is None else f"{row.gain:+.2f}",
                f"{row.worst:.2f}" if row.gain is None else f"{row.worst:+.2f}",
                "" if row.gain is None else str(row.below),
                f"{row.ssim:.4f}",
                f"{row.seconds_per_megapixel:.2f}",
            )
            for row in rows
        ],
    )
    out.remark(
        "worst: the picture that fares worst; below: pictures more than 0.1 dB under their input;"
        f" pictures: {rows[0].pictures}, the central 512 pixels of each"
    )


def _values(card: cards.Card) -> dict[str, Any]:
    return {**asdict(card), "weights": str(card.weights), "path": str(card.path)}
