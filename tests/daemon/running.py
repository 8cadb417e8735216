"""A whole daemon in this process, in a thread of its own, with a real engine."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scanmend_daemon import config
from scanmend_daemon.daemon import Daemon
from scanmend_daemon.log import Log

from tests.daemon.seeing import eventually

WAIT = 60.0


def picture(seed: int, *, form: str = "PNG", side: int = 64, noise: float = 12) -> bytes:
    """A small scan with noise enough to be restored."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, side)[None, :, None] * np.ones((side, 1, 3))
    pixels = np.clip(ramp + random.normal(0, noise, ramp.shape), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


class House:
    """A configuration with one folder, `inbox`, to which more may be added, and its daemon."""

    def __init__(self, base: Path) -> None:
        self.base, self.inbox, self.output = base, base / "inbox", base / "inbox-restored"
        self.inbox.mkdir()
        self.path = base / "watch.yaml"
        self.out = io.StringIO()
        self.daemon: Daemon | None = None
        self.configure()

    def configure(self, more: str = "", *, folder: str = "") -> None:
        lines = (
            f"    settle: {{quiet: 0.1s, give_up: 1s}}\n    limits: {{min_free: 0}}\n    rescan: 1s\n{folder}"
        )
        text = f"scanmend_daemon: 1\nfolders:\n  - watch: {self.inbox}\n{lines}{more}"
        aside = self.path.with_suffix(".new")
        aside.write_text(f"{text}state: {self.base / 'state'}\nstatus: {{http: off}}\n")
        aside.chmod(0o600)
        aside.replace(self.path)

    def load(self) -> config.Config:
        made = config.load(self.path)
        config.check(made)
        return made

    @contextmanager
    def running(self) -> Iterator[Daemon]:
        daemon = Daemon(self.load(), Log(self.out))
        faults: list[BaseException] = []

        def loop() -> None:
            try:
                daemon._open()
                daemon._loop()
            except BaseException as fault:  # noqa: BLE001 - a test tells it
                faults.append(fault)
            finally:
                daemon._close()

        thread = threading.Thread(target=loop)
        thread.start()
        self.daemon = daemon
        try:
            yield daemon
        finally:
            daemon.stop()
            thread.join(WAIT)
            print(self.out.getvalue())
            assert not faults, faults
            assert not thread.is_alive()

    def drop(self, name: str, data: bytes, *, folder: Path | None = None) -> Path:
        path = (folder or self.inbox) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.base / "arriving"
        aside.write_bytes(data)
        aside.replace(path)
        return path

    def act(self, name: str, **arguments: Any) -> dict[str, Any]:
        assert self.daemon is not None
        return self.daemon.control.act(name, arguments)

    @property
    def said(self) -> str:
        return self.out.getvalue()

    def results(self, folder: Path | None = None) -> list[str]:
        place = folder or self.output
        found = place.rglob("*") if place.is_dir() else iter(())
        return sorted(
            str(path.relative_to(place)) for path in found
            if path.is_file() and not path.name.endswith(".scanmend.json") and not path.name.startswith(".")
        )  # fmt: skip

    def until(self, fact: Callable[[], object]) -> None:
        assert eventually(fact, WAIT), self.said

    def until_results(self, *names: str) -> None:
        self.until(lambda: set(names) <= set(self.results()))

    def until_said(self, *words: str) -> None:
        self.until(lambda: all(word in self.said for word in words))

    def until_idle(self) -> None:
        daemon = self.daemon
        assert daemon is not None
        self.until(lambda: daemon.last_round and daemon._all_done())
