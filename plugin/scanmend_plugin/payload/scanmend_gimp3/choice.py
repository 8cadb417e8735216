"""What a person has decided in the dialog."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """The person wants the restoration, with the arguments that the dialog has left in the config.

    Attributes:
        job: the engine's job that holds the subject's samples already, so that they are not sent again;
            None where nothing was measured.
    """

    job: str | None = None
