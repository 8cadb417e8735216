"""Text between this plug-in, which knows one kind, and GIMP's modules, which know UTF-8 in Python 2."""

from __future__ import absolute_import, division, print_function, unicode_literals

MYPY = False
if MYPY:
    from typing import Any  # noqa: F401 - type comments


def native(text):
    # type: (str) -> str
    """Text as GIMP's modules take it."""
    return text if isinstance(text, str) else text.encode("utf-8")


def text(value):
    # type: (Any) -> str
    """Text that came from GIMP's modules; None is no text at all."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else "%s" % value


def said(error):
    # type: (BaseException) -> str
    """What an exception says; its representation where Python 2 cannot make text of it."""
    try:
        return "%s" % error
    except UnicodeError:
        return text(repr(error))
