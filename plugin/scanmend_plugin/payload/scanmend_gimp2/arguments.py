"""The arguments of a call: declared once, read from scripts, remembered for the next time."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gimp
import gimpfu
from gimpenums import PARASITE_PERSISTENT
from scanmend_front import controls, memory
from scanmend_front.faults import Trouble
from scanmend_front.words import gettext as _

from scanmend_gimp2.native import native, text

MYPY = False
if MYPY:
    from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple  # noqa: F401 - type comments

    from scanmend_front.setup import Installation  # noqa: F401 - type comments

_LAST = "scanmend-last-settings"  # a parasite of GIMP itself: it outlives this run of GIMP


class Argument(object):
    """One argument: one of `values`, any text where there are none, or with `high` a number from 0 to it."""

    def __init__(self, name, label, start, values=(), high=None):
        # type: (str, str, Any, Sequence[str], Optional[float]) -> None
        self.name = name
        self.label = label
        self.start = start
        self.values = tuple(values)
        self.high = high

    def checked(self, value):
        # type: (Any) -> Any
        """A value that a script has given.

        Raises:
            Trouble: it is none that this argument takes.
        """
        if self.high is not None:
            if 0.0 <= value <= self.high:
                return float(value)
            raise Trouble(
                _('The argument "%s" must lie between 0 and %s, not %s.')
                % (self.name, "%g" % self.high, "%g" % value)
            )
        word = text(value)
        if self.values and word not in self.values:
            raise Trouble(
                _('The argument "%s" cannot be "%s".') % (self.name, word),
                _("It takes one of these: %s") % ", ".join(self.values),
            )
        return word

    def as_gimpfu(self):
        # type: () -> Tuple[Any, ...]
        """What gimpfu's register takes."""
        if self.high is not None:
            words = "%s (0 - %g, counts by hand)" % (self.label, self.high)
            return gimpfu.PF_FLOAT, native(self.name), native(words), self.start
        options = ", ".join('"%s"' % value for value in self.values)
        words = "%s { %s }" % (self.label, options) if options else self.label
        return gimpfu.PF_STRING, native(self.name), native(words), native(self.start)


OUTPUT = Argument(
    "output", controls.OUTPUT_LABEL, controls.LAYERS, [value for value, _label in controls.OUTPUTS]
)


def declared(installation):
    # type: (Installation) -> List[Argument]
    """The arguments besides image and layer, in their order."""
    start = controls.defaults(installation.keys)
    found = [Argument("profile", controls.PROFILE_LABEL, start["profile"]), OUTPUT]
    for control in controls.declared(installation.keys):
        values = [value for value, _label in control.choices]
        found.append(Argument(control.name, control.label, start[control.name], values))
        if control.kind != controls.CHOICE:
            name = control.value_name
            found.append(Argument(name, control.label, start[name], high=control.high))
    return found


def given(wanted, values):
    # type: (Sequence[Argument], Sequence[Any]) -> Dict[str, Any]
    """The arguments by name, from what a script has given.

    Raises:
        Trouble: a value is none that its argument takes.
    """
    if len(values) != len(wanted):
        raise Trouble(
            _("There are %d arguments besides the image and the layer, not %d.") % (len(wanted), len(values)),
            ", ".join(argument.name for argument in wanted),
        )
    return {argument.name: argument.checked(value) for argument, value in zip(wanted, values)}


def known(wanted, values):
    # type: (Sequence[Argument], Mapping[str, Any]) -> Dict[str, Any]
    """Remembered values, as far as they still make sense, over the defaults."""
    found = {}
    for argument in wanted:
        try:
            found[argument.name] = argument.checked(values.get(argument.name, argument.start))
        except (Trouble, TypeError, ValueError):
            found[argument.name] = argument.start
    return found


def last(wanted):
    # type: (Sequence[Argument]) -> Dict[str, Any]
    """What was asked for in the dialog the last time; the defaults before the first time."""
    parasite = gimp.parasite_find(native(_LAST))
    return known(wanted, (memory.load(parasite.data) if parasite is not None else None) or {})


def keep(values):
    # type: (Mapping[str, Any]) -> None
    """Remembers values as the last ones, until GIMP's settings are reset."""
    gimp.attach_new_parasite(native(_LAST), PARASITE_PERSISTENT, memory.dump(dict(values)))
