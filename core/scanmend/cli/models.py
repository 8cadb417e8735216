"""`scanmend models`: what is installed, and whether it is what its card says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from scanmend import cards
from scanmend.cli import out
from scanmend.errors import ModelError


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
            out.json_line({**values, "error": out.error_values(error) if error else None})
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


def _values(card: cards.Card) -> dict[str, Any]:
    return {**asdict(card), "weights": str(card.weights), "path": str(card.path)}
