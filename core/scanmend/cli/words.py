"""What was measured and done, as sentences for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanmend.measure import BlurFacts, NoiseFacts
    from scanmend.pipeline import Inspection
    from scanmend.report import PageReport, Report

_FEW_SECONDS = 10
_MINUTE = 60
_WORTH_WORDS = 1 / 255  # below this level of noise, how it is correlated says nothing


def done(report: Report) -> str:
    """One line about a file: what was measured, what was done, how long it took."""
    pages = report.pages
    found = f"{noise(pages[0].facts.noise)} -> " if len(pages) == 1 and pages[0].facts else ""
    took = f"; {megapixels(report.megapixels)} in {duration(report.seconds)}" if report.megapixels else ""
    return f"{report.source}: {found}{_deeds(report)}{took} -> {report.target}"


def noise(facts: NoiseFacts) -> str:
    """The noise in units of 8-bit grey levels, whatever the file's depth, and how sure that is."""
    if facts.windows == 0:
        return "noise could not be measured"
    if facts.sigma < _WORTH_WORDS:
        return f"noise {facts.sigma * 255:.1f}/255"
    doubt = f" give or take {math.expm1(facts.error):.0%}" if facts.error else ""
    correlated = f" (correlated {facts.correlation:.1f})" if facts.correlation >= 0.05 else ""
    return f"noise {facts.sigma * 255:.1f}/255{doubt}{correlated}"


def blur(facts: BlurFacts) -> str:
    """What blurred a picture and how far, and how sure that is."""
    if facts.kind == "none":
        return f"sharp (blurred with a chance of {facts.chance:.0%})"
    doubt = f" give or take {math.expm1(facts.error):.0%}" if facts.error else ""
    size = {
        "motion": f"by a shake of {2 * facts.radius:.1f} pixels{doubt} at {facts.angle:.0f} degrees",
        "defocus": f"out of focus, radius {facts.radius:.1f} pixels{doubt}",
        "scanner": f"by soft optics, {facts.radius:.1f} pixels{doubt}",
    }[facts.kind]
    return f"blurred {size} (chance {facts.chance:.0%})"


def megapixels(amount: float) -> str:
    """Megapixels, with the digits that matter."""
    return f"{amount:.1f} MP" if amount >= 1 else f"{amount:.2f} MP"


def duration(seconds: float) -> str:
    """Seconds, or minutes and seconds."""
    if seconds < _FEW_SECONDS:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def planned(inspection: Inspection) -> list[str]:
    """The plan of each page, a sentence a line."""
    lines = []
    several = len(inspection.pages) > 1
    for page in inspection.pages:
        lead = f"page {page['page']}: " if several else ""
        sentences = page["plan"] or [f"kept as it is: {page['refusal']}"]
        lines += [f"{lead}{sentence}" for sentence in sentences]
    return lines + [f"note: {note}" for note in inspection.notes]


def picture(page: dict[str, Any]) -> str:
    """A page of an inspection in one line: size, depth, colour, resolution, compression."""
    parts = [f"{page['width']} x {page['height']}", f"{page['bits']} bits", page["color"]]
    if page["alpha"] != "none":
        parts.append("with alpha")
    if page["dpi"]:
        parts.append(f"{page['dpi'][0]:g} dpi")
    if page["icc"]:
        parts.append("colour profile")
    if page["compression"]:
        parts.append(page["compression"])
    return ", ".join(parts)


def _deeds(report: Report) -> str:
    if len(report.pages) == 1:
        return _page_deed(report.pages[0], report)
    restored = [page for page in report.pages if page.plan.steps]
    idle = [page for page in report.pages if not page.plan.steps and not page.refusal]
    refused = [page for page in report.pages if page.refusal]
    parts = [f"{len(restored)} restored ({_noise_range(restored)})"] if restored else []
    parts += [f"{len(idle)} with nothing to do"] if idle else []
    parts += [f"page {page.index + 1} kept as it is: {page.refusal}" for page in refused]
    return f"{len(report.pages)} pages: {', '.join(parts)}"


def _strengths(page: PageReport) -> Iterator[str]:
    for step in page.plan.steps:
        if step.strength or step.color:  # others only make way for a later step
            yield f"{step.strength:.1f}{' for blur' if step.stage == 'blur' else ''}"


def _page_deed(page: PageReport, report: Report) -> str:
    if page.refusal:
        return f"kept as it is: {page.refusal}"
    if page.plan.steps:
        return "restored at strength " + ", ".join(_strengths(page))
    output = report.profile["output"]
    if not report.unchanged:
        return f"nothing to restore: written with {output['depth']} bits"
    copied = output["format"] == "same"
    return "nothing to do: copied as it is" if copied else "nothing to do: its pixels are as they were"


def _noise_range(pages: Iterable[PageReport]) -> str:
    levels = [page.facts.noise.sigma * 255 for page in pages if page.facts]
    low, high = (f"{level:.1f}" for level in (min(levels), max(levels)))
    return f"noise {low}/255" if low == high else f"noise {low} to {high}/255"
