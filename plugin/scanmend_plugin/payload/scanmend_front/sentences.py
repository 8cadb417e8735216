"""What the engine has measured, plans and does, in a person's words."""

from __future__ import absolute_import, division, print_function, unicode_literals

from scanmend_front.words import N_, ngettext, number, percent, time_left
from scanmend_front.words import gettext as _

MYPY = False
if MYPY:
    from typing import Any, Dict, List, Mapping, Optional, Tuple  # noqa: F401 - type comments

_DOUBTFUL = 0.5  # a measured level whose error is larger than that share of it
_CORRELATED = 0.3
_SURE = 0.75  # of the chance that a picture is blurred: below it Scanmend leaves it
_BLURS = {
    "none": N_("measured: sharp"),
    "motion": N_("measured: camera shake, %s pixels"),
    "defocus": N_("measured: out of focus, %s pixels"),
    "scanner": N_("measured: soft, %s pixels"),
}
_STAGES = {
    "dust": N_("Dust and scratches"),
    "noise": N_("Noise and grain"),
    "jpeg": N_("JPEG residue"),
    "blur": N_("Blur"),
    "veil": N_("Veil and haze"),
    "fading": N_("Fading"),
}
_AT_WORK = {"start": N_("Starting"), "measure": N_("Measuring"), "restore": N_("Restoring")}


def hints(facts):
    # type: (Mapping[str, Any]) -> Dict[str, str]
    """A few words for each control for which something was measured."""
    found = {}
    noise, jpeg = facts.get("noise"), facts.get("jpeg")
    if noise:
        found["noise"] = _noise(noise)
    if jpeg:
        found["jpeg"] = _("measured: quality %d") % jpeg["quality"]
    elif noise:
        found["jpeg"] = _("measured: none")
    blur = facts.get("blur") or {}
    if blur.get("kind") in _BLURS:
        found["blur"] = _blur(blur)
    return found


def _noise(noise):
    # type: (Mapping[str, Any]) -> str
    words = _("measured: %s of 255") % number(255.0 * noise["sigma"], 1)
    if noise.get("error", 0.0) > _DOUBTFUL:
        return _("%s, uncertain") % words
    return _("%s, grainy") % words if noise.get("correlation", 0.0) > _CORRELATED else words


def _blur(blur):
    # type: (Mapping[str, Any]) -> str
    kind = blur["kind"]
    words = _(_BLURS[kind])
    if kind == "none":
        return words
    words = words % number(blur["radius"], 1)
    return _("%s, uncertain") % words if blur["chance"] < _SURE else words


def plan(values):
    # type: (Mapping[str, Any]) -> List[str]
    """What would be done, a sentence for each stage; one alone where there is nothing to do."""
    lines = [_part(part) for step in values.get("steps", ()) for part in step["parts"]]
    if not lines:
        return [_("Nothing to do: the picture stays as it is.")]
    return lines


def _part(part):
    # type: (Mapping[str, Any]) -> str
    stage = _(_STAGES.get(part["stage"], part["stage"]))
    line = _("%s: strength %s") % (stage, number(part["strength"], 2))
    if part.get("color", part["strength"]) != part["strength"]:
        line = _("%s, in colour %s") % (line, number(part["color"], 2))
    if part.get("keep_grain"):
        line = _("%s, %s of the grain given back") % (line, percent(part["keep_grain"]))
    return line


def progress(event):
    # type: (Mapping[str, Any]) -> Tuple[Optional[float], str]
    """How far a job is, from 0 to 1 or None, and a sentence about it."""
    if event["state"] != "running":
        before = event.get("position") or 0
        if before < 2:
            return None, _("Waiting for Scanmend's engine")
        return None, ngettext("Waiting for %d other picture", "Waiting for %d other pictures", before - 1) % (
            before - 1
        )
    words = _(_AT_WORK.get(event["stage"], event["stage"]))
    if not event["total"]:
        return None, words
    words = _("%s: %s of %s megapixels") % (
        words, number(event["done"], 1), number(event["total"], 1)
    )  # fmt: skip
    if event.get("eta_s") is not None:
        words = _("%s, %s") % (words, time_left(event["eta_s"]))
    return min(1.0, event["done"] / event["total"]), words
