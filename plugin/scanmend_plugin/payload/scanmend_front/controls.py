"""What a person can set: the one table from which arguments, dialogs and settings follow.

A control lays itself over a setting of the profile. As an argument of a procedure it is a choice, NAME
("profile": as the profile says, "auto", "manual"), and a number, NAME-value, which counts by hand.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

from scanmend_front.words import N_, number, percent
from scanmend_front.words import gettext as _

MYPY = False
if MYPY:
    from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple  # noqa: F401 - type comments

PROFILE, AUTO, MANUAL = "profile", "auto", "manual"
LAYERS, IN_PLACE = "layers", "in-place"
STRENGTH, SHARE, LEVEL, CHOICE = "strength", "share", "level", "choice"


PROFILE_LABEL = N_("Profile")
PROFILE_HELP = N_("The settings to start from: one of those that ship with Scanmend, or one of your own.")
OUTPUT_LABEL = N_("Result")
OUTPUT_HELP = N_("Whether the result becomes a group of layers above this one, or takes its place.")
OUTPUTS = ((LAYERS, N_("New layers")), (IN_PLACE, N_("In place")))
"""(value, label) of the argument `output`; the default first."""


class Control(object):
    """One setting that a person can change.

    Attributes:
        name: of its arguments.
        key: of the profile's setting, dotted.
        kind: STRENGTH (automatic or 0 to 1), SHARE (0 to 1), LEVEL (automatic or 0 to 100) or CHOICE.
        label, help: for people, not yet translated.
        options: for a choice: (value, label) each.
        start: what the number is before anybody has set it.
    """

    def __init__(self, name, key, kind, label, help, options=(), start=0.5):  # noqa: A002
        # type: (str, str, str, str, str, Sequence[Tuple[str, str]], float) -> None
        self.name = name
        self.key = key
        self.kind = kind
        self.label = label
        self.help = help
        self.options = tuple(options)
        self.start = start

    @property
    def high(self):
        # type: () -> float
        """The largest number; the smallest is 0."""
        return 100.0 if self.kind == LEVEL else 1.0

    @property
    def step(self):
        # type: () -> float
        """What a press of an arrow key changes."""
        return 0.5 if self.kind == LEVEL else 0.01

    @property
    def digits(self):
        # type: () -> int
        """Digits after the point that mean something."""
        return 1 if self.kind == LEVEL else 2

    @property
    def value_name(self):
        # type: () -> str
        """The number's argument."""
        return self.name + "-value"

    @property
    def choices(self):
        # type: () -> Tuple[Tuple[str, str], ...]
        """(value, label) of the choice's argument, not yet translated; the default first."""
        first = ((PROFILE, N_("As the profile says")),)
        if self.kind == CHOICE:
            return first + self.options
        automatic = ((AUTO, N_("Automatic")),) if self.kind in (STRENGTH, LEVEL) else ()
        return first + automatic + ((MANUAL, N_("By hand")),)


CONTROLS = (
    Control(
        "noise",
        "noise.strength",
        STRENGTH,
        N_("Noise and grain"),
        N_("How much of the scanner's noise and of the grain is removed."),
    ),
    Control(
        "color-noise",
        "noise.color",
        STRENGTH,
        N_("Colour noise"),
        N_("How much of the coloured part of the noise is removed."),
    ),
    Control(
        "keep-grain",
        "noise.keep_grain",
        SHARE,
        N_("Grain kept"),
        N_("The share of the removed grain that is given back, so that skin does not turn to plastic."),
        start=0.15,
    ),
    Control(
        "noise-level",
        "noise.level",
        LEVEL,
        N_("Noise level"),
        N_("The noise's standard deviation, of 255, where you know better than what is measured."),
        start=10.0,
    ),
    Control(
        "jpeg",
        "jpeg.strength",
        STRENGTH,
        N_("JPEG residue"),
        N_("How much of the blocks and rings that JPEG has left is removed."),
    ),
    Control(
        "quality",
        "quality",
        CHOICE,
        N_("Quality"),
        N_("The best result, or a faster one."),
        options=(("best", N_("Best")), ("fast", N_("Fast"))),
    ),
    # The order is the order of arguments, so new ones come last.
    Control("blur", "blur.strength", STRENGTH, N_("Blur"), N_("How much of the blur is undone.")),
    Control(
        "blur-kind",
        "blur.kind",
        CHOICE,
        N_("Kind of blur"),
        N_("What has blurred the picture, where you know better than what is measured."),
        options=(
            (AUTO, N_("Automatic")),
            ("motion", N_("Camera shake")),
            ("defocus", N_("Out of focus")),
            ("scanner", N_("Soft scanner or lens")),
        ),
    ),
    # What a later Scanmend can do.
    Control(
        "veil",
        "veil.strength",
        STRENGTH,
        N_("Veil and haze"),
        N_("How much of the haze, flare or fog is lifted."),
    ),
    Control(
        "fading",
        "fading.strength",
        STRENGTH,
        N_("Fading"),
        N_("How much of what faded dyes have lost is given back."),
    ),
    Control(
        "dust",
        "dust.strength",
        STRENGTH,
        N_("Dust and scratches"),
        N_("How readily dust, hairs and scratches are filled in."),
    ),
    Control(
        "max-invented",
        "max_invented",
        SHARE,
        N_("Invented at most"),
        N_("Detail without evidence beyond this share falls back to the scan's own."),
        start=0.2,
    ),
)


def declared(keys):
    # type: (Iterable[str]) -> Tuple[Control, ...]
    """The controls whose settings the installed Scanmend knows: nothing else is ever shown."""
    known = set(keys)
    return tuple(control for control in CONTROLS if control.key in known)


def defaults(keys):
    # type: (Iterable[str]) -> Dict[str, Any]
    """All arguments with what they are when nobody sets them."""
    values = {"profile": "gentle", "output": LAYERS}  # type: Dict[str, Any]
    for control in declared(keys):
        values[control.name] = PROFILE
        if control.kind != CHOICE:
            values[control.value_name] = control.start
    return values


def settings(profile_settings, values):
    # type: (Mapping[str, Any], Mapping[str, Any]) -> Dict[str, Any]
    """A profile's settings with the arguments laid over them; the profile's own stay as they are."""
    result = _copied(profile_settings)
    for control in CONTROLS:
        choice = values.get(control.name, PROFILE)
        if choice == PROFILE:
            continue
        group = result
        path = control.key.split(".")
        for name in path[:-1]:
            group = group.setdefault(name, {})
        by_hand = choice == MANUAL and control.kind != CHOICE
        group[path[-1]] = round(float(values[control.value_name]), 4) if by_hand else choice
    return result


def shown(profile_settings, control):
    # type: (Mapping[str, Any], Control) -> str
    """What a profile says about a control, in words."""
    value = _found(profile_settings, control.key)
    if control.kind == CHOICE:
        return _(dict(control.options).get(value, value)) if value else ""
    if value == AUTO:
        return _("automatic")
    if value is None:
        return _("as noise and grain") if control.key == "noise.color" else ""
    if control.kind == STRENGTH and value in (0, False, "off"):
        return _("off")
    return percent(value) if control.kind == SHARE else number(value, control.digits)


def number_in(profile_settings, control):
    # type: (Mapping[str, Any], Control) -> Optional[float]
    """The number that a profile gives for a control; None where it gives a word, or nothing."""
    value = _found(profile_settings, control.key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _found(values, key):
    # type: (Any, str) -> Any
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _copied(values):
    # type: (Mapping[str, Any]) -> Dict[str, Any]
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in values.items()}
