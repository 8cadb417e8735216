"""What stops work without being the scan's fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Where(str, Enum):
    """What does not answer; each is tried again by itself."""

    FOLDER = "the hot folder"
    OUTPUT = "the output folder"
    STATE = "the daemon's own disk"
    ENGINE = "the engine"


class Trouble(Exception):  # noqa: N818 - no error of the scan's, which is the point
    """The surroundings are not fit for work: a full disk, a share offline, no engine.

    The job goes back into the queue, nothing is held against it, and its folder pauses until a look
    says that things are well again.
    """

    def __init__(self, where: Where, sentence: str) -> None:
        super().__init__(sentence)
        self.where, self.sentence = where, sentence


class Busy(Trouble):
    """A job of a daemon that was killed is still writing to the same place; the engine ends it soon."""


@dataclass
class Failure(Exception):  # noqa: N818 - carries what the engine said about a scan
    """The engine could not do a job.

    Attributes:
        kind: the class of `scanmend.errors` that the sentence belongs to.
        crash: how the engine's worker ended on it ("signal 11", "hang", "memory"), or None.
    """

    kind: str
    sentence: str
    hint: str = ""
    crash: str | None = None
