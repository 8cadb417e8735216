"""How far the restoration is, in GIMP's own progress bar."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gimp

from scanmend_gimp2.native import native

MYPY = False
if MYPY:
    from typing import Optional  # noqa: F401 - type comments


class Progress(object):
    """GIMP's progress bar; its Cancel ends this process, and with it the job, which is attached to it."""

    def __init__(self):
        # type: () -> None
        self._text = None  # type: Optional[str]

    def say(self, text):
        # type: (str) -> None
        """What is being waited for, nobody knows how long."""
        self.tell(None, text)

    def tell(self, share, text):
        # type: (Optional[float], str) -> None
        """How far it is, from 0 to 1 or None where that is not known, and a sentence."""
        if self._text is None:
            gimp.progress_init(native(text))
        elif text != self._text:
            gimp.pdb.gimp_progress_set_text(native(text))
        self._text = text
        if share is None:
            gimp.pdb.gimp_progress_pulse()
        else:
            gimp.progress_update(share)

    def end(self):
        # type: () -> None
        """Nothing is being waited for any more."""
        if self._text is not None:
            gimp.pdb.gimp_progress_end()
        self._text = None
