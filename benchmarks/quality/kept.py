"""Results of slow methods, kept in a file from run to run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from degrade import Case


@dataclass(frozen=True)
class Result:
    """One method in one setting on one picture; seconds for the picture."""

    psnr: float
    ssim: float
    seconds: float


class Kept:
    """A file of JSON lines, appended to as results come: stopping loses nothing but the last.

    The key holds a hash of the scan and of the clean picture, so what is kept can never be taken
    for another noise. Several processes may append to one file.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, Result] = {}
        if path and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                values = json.loads(line)
                self._known[values["key"]] = Result(values["psnr"], values["ssim"], values["seconds"])

    def get(self, key: str) -> Result | None:
        return self._known.get(key)

    def put(self, key: str, result: Result, row: str) -> None:
        """Keeps a result; the row's name is for people who read the file."""
        self._known[key] = result
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "row": row, **asdict(result)}) + "\n")


def key(method: str, version: str, setting: str, case: Case) -> str:
    """Method, version and setting in words, and a hash of the picture with and without its noise."""
    digest = hashlib.sha256(case.scan.astype("<f4").tobytes())
    digest.update(case.clean.astype("<f4").tobytes())
    return " | ".join((method, version, setting, digest.hexdigest()[:24]))
