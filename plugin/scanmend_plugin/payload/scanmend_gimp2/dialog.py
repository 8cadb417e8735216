"""The dialog of Filters > Restore > Restore..."""

from __future__ import absolute_import, division, print_function, unicode_literals

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional  # noqa: F401 - type comments

    from scanmend_front.session import Session  # noqa: F401 - type comments
    from scanmend_front.setup import Installation  # noqa: F401 - type comments

    from scanmend_gimp2.pixels import Subject  # noqa: F401 - type comments


class Choice(object):
    """What a person has chosen: the arguments, and the engine's job that holds the samples already, if any."""

    def __init__(self, values, job=None):
        # type: (Dict[str, Any], Optional[str]) -> None
        self.values = values
        self.job = job


def ask(installation, session, subject, values):
    # type: (Installation, Session, Subject, Dict[str, Any]) -> Optional[Choice]
    """Asks how to restore; None where the person has changed their mind."""
    return Choice(values)
