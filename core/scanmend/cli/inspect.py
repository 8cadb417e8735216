"""`scanmend inspect`: what a scan is, what was measured, and what a profile would do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanmend import profile as profiles
from scanmend.cli import inputs as names
from scanmend.cli import out, words
from scanmend.cli.stopping import stop_requests
from scanmend.errors import Cancelled, ScanmendError, as_scanmend_error
from scanmend.measure import BlurFacts, NoiseFacts
from scanmend.pipeline import Inspection, inspect_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scanmend.profile import Profile


def run(
    inputs: Sequence[str], *, profile: str, settings: Sequence[str], json: bool, recursive: bool, debug: bool
) -> int:
    """Inspects each file; returns the exit code.

    Raises:
        UsageError: a pattern matches nothing, or a folder holds no scans.
        ProfileError: the profile or a setting is not valid.
    """
    wanted = profiles.apply_settings(profiles.load(profile), settings)
    found = names.expand(inputs, recursive=recursive)
    failures: list[ScanmendError] = []
    with stop_requests() as stopped:
        for item in found:
            if stopped():
                return Cancelled.exit_code
            if error := _one(item.path, wanted, json=json, debug=debug):
                failures.append(error)
    return out.exit_code(failures, len(found))


def _one(path: Path, profile: Profile, *, json: bool, debug: bool) -> ScanmendError | None:
    try:
        inspection = inspect_file(path, profile)
    except Exception as cause:  # noqa: BLE001 - one bad file must not stop the rest
        error = as_scanmend_error(cause, path)
        out.complain(error, cause, debug=debug)
        if json:
            out.json_line({"file": str(path), "error": error.to_dict()})
        return error
    if json:
        out.json_line({**inspection.to_dict(), "error": None})
    else:
        _show(inspection)
    return None


def _show(inspection: Inspection) -> None:
    pages = len(inspection.pages)
    out.say(f"{inspection.path}: {inspection.format.upper()}{f', {pages} pages' if pages > 1 else ''}")
    for page in inspection.pages:
        lead = f"page {page['page']}: " if pages > 1 else ""
        out.say(f"  {lead}{words.picture(page)}")
        for line in _measured(page):
            out.say(f"    {line}")
        for sentence in page["plan"] or [f"kept as it is: {page['refusal']}"]:
            out.say(f"    plan: {sentence}")
    for note in inspection.notes:
        out.say(f"  note: {note}")


def _measured(page: dict[str, Any]) -> list[str]:
    if page["noise"] is None:
        return []
    facts = NoiseFacts(**{**page["noise"], "curve": tuple(map(tuple, page["noise"]["curve"]))})
    lines = [words.noise(facts)]
    if facts.curve:
        levels = ", ".join(f"{sigma * 255:.1f} at {tone:.0%}" for tone, sigma in facts.curve)
        lines.append(f"by tone, from black to white: {levels}")
    if facts.windows and page["color"] != "grey":
        lines.append(f"colour noise {facts.chroma:.1f} times that of the brightness")
    return lines + _saved(page["jpeg"]) + _printed(page["screen"]) + _blurred(page["blur"])


def _saved(jpeg: dict[str, Any] | None) -> list[str]:
    if jpeg is None:
        return []
    known = "as the file says" if jpeg["source"] == "file" else "as the pixels show"
    down, across = jpeg["grid"]
    grid = f", its blocks starting at column {across}, row {down}" if jpeg["source"] == "pixels" else ""
    return [
        f"JPEG of quality {jpeg['quality']}, {known}{grid}; its error is about {jpeg['sigma'] * 255:.1f}/255"
    ]


def _printed(screen: dict[str, Any] | None) -> list[str]:
    if screen is None:
        return []
    return [f"halftone screen: {screen['pitch']:.1f} pixels from dot to dot at {screen['angle']:.0f} degrees"]


def _blurred(blur: dict[str, Any] | None) -> list[str]:
    return [words.blur(BlurFacts(**blur))] if blur else []
