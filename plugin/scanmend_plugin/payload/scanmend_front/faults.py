"""What may go wrong, as a person at the picture is told: a sentence, and what to do."""

from __future__ import absolute_import, division, print_function, unicode_literals


class Trouble(Exception):
    """Something that a person has to know.

    Attributes:
        sentence: what is wrong.
        hint: what to do about it; may be empty.
    """

    def __init__(self, sentence, hint=""):
        # type: (str, str) -> None
        Exception.__init__(self, sentence)
        self.sentence = sentence
        self.hint = hint

    @property
    def text(self):
        # type: () -> str
        """The sentence, and below it what to do."""
        return "\n".join(filter(None, (self.sentence, self.hint)))


class Stopped(Trouble):
    """The person has stopped it: nothing is wrong, and nothing was done."""
