"""The words that people see, in their language; and numbers as they write them."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gettext as _catalogues
import locale
import os
import sys

DOMAIN = "scanmend-gimp"
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "locale")

_catalogue = _catalogues.translation(DOMAIN, FOLDER, fallback=True)


def gettext(text):
    # type: (str) -> str
    """The text in the person's language, or as it is."""
    if sys.version_info[0] == 2:
        return _catalogue.ugettext(text)  # type: ignore[attr-defined, no-any-return]
    return _catalogue.gettext(text)


def ngettext(one, many, number):
    # type: (str, str, int) -> str
    """The text for so many, in the person's language."""
    if sys.version_info[0] == 2:
        return _catalogue.ungettext(one, many, number)  # type: ignore[attr-defined, no-any-return]
    return _catalogue.ngettext(one, many, number)


def known(text):
    # type: (str) -> str
    """A text that stands elsewhere, such as a shipped profile's purpose, in the person's language."""
    return gettext(text)


def N_(text):  # noqa: N802 - the mark that gettext's tools look for
    # type: (str) -> str
    """Marks a text that is translated where it is shown."""
    return text


_ = gettext

# Names of files are no words for people: those that ship are shown so.
TITLES = {
    "gentle": N_("Gentle"),
    "archive": N_("Archive"),
    "documents": N_("Documents"),
    "negatives-and-slides": N_("Negatives and slides"),
    "newspaper-halftone": N_("Newspaper halftone"),
    "prints": N_("Prints"),
    "strong": N_("Strong"),
}


def title(profile):
    # type: (str) -> str
    """What a profile is called where people choose; a person's own keeps the name they gave it."""
    return _(TITLES[profile]) if profile in TITLES else profile


def number(value, digits):
    # type: (float, int) -> str
    """A number with so many digits after the point, or the comma, of the person's language."""
    return locale.format_string(str("%%.%df" % digits), value)


def percent(share):
    # type: (float) -> str
    """A share from 0 to 1 in percent."""
    return _("%s %%") % number(100.0 * share, 0)


def time_left(seconds):
    # type: (float) -> str
    """Seconds to wait, as roughly as people count them."""
    if seconds < 90:
        whole = max(1, int(round(seconds)))
        return ngettext("about %d second left", "about %d seconds left", whole) % whole
    minutes = int(round(seconds / 60))
    return ngettext("about %d minute left", "about %d minutes left", minutes) % minutes
