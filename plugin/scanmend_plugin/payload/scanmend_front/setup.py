"""What the installer has left beside the plug-in: where Scanmend is, and what it can do."""

from __future__ import absolute_import, division, print_function, unicode_literals

import io
import json
import os

from scanmend_front.faults import Trouble
from scanmend_front.words import gettext as _
from scanmend_front.words import known

MYPY = False
if MYPY:
    from typing import Any, Sequence, Tuple  # noqa: F401 - type comments

FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scanmend.json")
REPAIR = "scanmend plugin install gimp"
"""The command that writes it anew."""
_MOST_BYTES = 1 << 20


class Installation(object):
    """Where Scanmend is, and what it can do.

    Attributes:
        version, protocol: of the Scanmend that installed the plug-in.
        command: starts the engine.
        addresses: where it may be listening, the usual place first.
        profiles: (name, purpose) of those that ship, the default first.
        keys: the settings that profiles have.
    """

    def __init__(self, version, protocol, command, addresses, profiles, keys):
        # type: (str, str, Sequence[str], Sequence[str], Sequence[Tuple[str, str]], Sequence[str]) -> None
        self.version = version
        self.protocol = protocol
        self.command = tuple(command)
        self.addresses = tuple(addresses)
        self.profiles = tuple(profiles)
        self.keys = tuple(keys)


def installed(path=FILE):
    # type: (str) -> Installation
    """What the installer wrote; the environment's SCANMEND_ENGINE and SCANMEND_COMMAND come before it.

    Raises:
        Trouble: the file is missing or broken.
    """
    try:
        with io.open(path, encoding="utf-8") as file:
            found = _installation(json.loads(file.read(_MOST_BYTES)))
    except (IOError, OSError, ValueError, KeyError, TypeError) as error:
        raise Trouble(
            _("%s, which tells the plug-in where Scanmend is, cannot be read: %s") % (path, error),
            _("Run in a terminal: %s") % REPAIR,
        )
    return _with_environment(found)


def _installation(values):
    # type: (Any) -> Installation
    return Installation(
        _text(values["version"]),
        _text(values["protocol"]),
        [_text(word) for word in values["command"]],
        [_text(address) for address in values["addresses"]],
        [(_text(profile["name"]), known(_text(profile["purpose"]))) for profile in values["profiles"]],
        [_text(key) for key in values["keys"]],
    )


def _text(value):
    # type: (Any) -> str
    if not isinstance(value, type("")):
        raise TypeError("%r is no text" % (value,))
    return value


def _with_environment(found):
    # type: (Installation) -> Installation
    address, command = os.environ.get(str("SCANMEND_ENGINE")), os.environ.get(str("SCANMEND_COMMAND"))
    if address:
        found.addresses = (address,)
    if command:
        found.command = tuple(json.loads(command))
    return found
