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

    from scanmend.evaluate import Mark
    from scanmend.image import FloatArray

_SMALLEST = 64  # pixels of a side: less says nothing about a network


def list_all(*, json: bool) -> None:
    """One row for each installed model."""
    installed = cards.installed()
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


def verify(*, json: bool) -> int:
    """Hashes the weights of every model; returns the exit code."""
    installed = cards.installed()
    if not installed:
        raise ModelError("no model is installed", hint="install Scanmend again")
    failed = False
    for card in installed:
        error = problem(card)
        failed = failed or error is not None
        if json:
            values = {"model": card.name, "ok": error is None, "sha256": card.sha256}
            out.json_line({**values, "error": error.to_dict() if error else None})
        else:
            out.say(str(error) if error else f"{card.name}: ok")
    return ModelError.exit_code if failed else 0


def problem(card: cards.Card) -> ModelError | None:
    """What is wrong with a model's weights, or None."""
    try:
        cards.verify(card)
    except ModelError as error:
        return error
    return None


def evaluate(
    images: Sequence[str],
    models: Sequence[str],
    *,
    most: int,
    clipped: bool,
    device: str,
    backend: str,
    json: bool,
) -> None:
    """Marks models on a person's own clean pictures with white noise added.

    Args:
        images: folders, files or patterns.
        models: names; empty for all of the noise stage.
        most: pictures at most, spread over those that were found.
        clipped: whether noisy pictures are brought to 8 bits, as scan files are.
        device: as `engine.choose_device` takes it.
        backend: auto, torch or openvino.
        json: one object a line instead of a table.

    Raises:
        UsageError: there are no pictures, or one is too small.
        ModelError: a model is not installed, or is not for noise.
    """
    chosen = _noise_models(models)
    pictures = _pictures(images, most)
    from scanmend.engine import Engine  # noqa: PLC0415 - here is work
    from scanmend.evaluate import evaluate as mark  # noqa: PLC0415

    engine = Engine(device, backend=backend)
    rows: list[Mark] = []
    for card in chosen:
        for row in mark(engine, card, pictures, clipped=clipped):
            rows.append(row)
            if json:
                out.json_line({**row.to_dict(), "clipped": clipped})
    if not json:
        _show(rows, clipped=clipped)


def _noise_models(wanted: Sequence[str]) -> list[cards.Card]:
    installed = cards.installed()
    chosen = [cards.find(name, installed) for name in dict.fromkeys(wanted)]
    if others := [card.name for card in chosen if card.stage != "noise"]:
        raise ModelError(f"the model {others[0]} is not for noise", hint="evaluate knows models for noise")
    chosen = chosen or [card for card in installed if card.stage == "noise"]
    if not chosen:
        raise ModelError("no model for noise is installed", hint="install Scanmend again")
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


def _values(card: cards.Card) -> dict[str, Any]:
    return {**asdict(card), "weights": str(card.weights), "path": str(card.path)}
