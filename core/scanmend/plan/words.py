"""A plan for people, and for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanmend.plan.values import Part, Plan, Step


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
    how = f"deconvolution with {step.model}" if step.psf else step.model
    return f"{part.stage}: {how} at strength {part.strength:.2f}{color} for {part.cause}{back}{together}"


def to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-ready values."""
    values = asdict(plan)
    for step in values["steps"]:
        for told in filter(None, (step, step["full"])):
            told["curve"] = [list(point) for point in told["curve"]]
        step["parts"] = list(step["parts"])
        step["psf"] = list(step["psf"]) if step["psf"] else None
    return {key: list(items) for key, items in values.items()}
