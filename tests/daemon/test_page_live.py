"""The status page of a real daemon with a real engine, in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scanmend_daemon import asking

from tests.daemon.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.skipif(sys.platform == "win32", reason="the control socket is a Unix socket"),
]
PYTHON_PATH = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
PATIENCE = 120.0  # seconds: the engine has to load torch


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="sm-"))  # short, as sockets' names have to be
    yield made
    shutil.rmtree(made)


@pytest.fixture
def daemon(home: Path) -> Iterator[Callable[[], dict[str, Any]]]:
    """A daemon that watches home/inbox; called, it gives its snapshot with the page's address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (home / "inbox").mkdir()
    (home / "run").mkdir(mode=0o700)
    (home / "watch.yaml").write_text(
        f"scanmend_daemon: 1\nfolders:\n  - watch: {home}/inbox\n    settle: {{quiet: 0.2s, give_up: 1s}}\n"
        f"status: {{http: '127.0.0.1:{port}'}}\nstate: {home}/state\n"
    )
    environment = {**os.environ, "PYTHONPATH": PYTHON_PATH, "XDG_RUNTIME_DIR": str(home / "run"),
                   "XDG_CONFIG_HOME": str(home / "config"), "OMP_NUM_THREADS": "1"}  # fmt: skip
    with (home / "log").open("wb") as log:
        scanmend = [sys.executable, "-m", "scanmend"]
        # The daemon would start one itself, which then outlives it and this test.
        engine = subprocess.Popen([*scanmend, "serve"], env=environment, stdout=log, stderr=log)
        until((home / "run" / "scanmend" / "engine.sock").exists)
        watch = [*scanmend, "watch", str(home / "watch.yaml")]
        process = subprocess.Popen(watch, env=environment, stdout=log, stderr=log)

    def look() -> dict[str, Any]:
        assert process.poll() is None, (home / "log").read_text()
        try:
            (found,) = asking.found(home / "state")
        except Exception:  # noqa: BLE001 - it is only just starting
            return {"running": False, "recent": [], "failures": [], "page": None}
        return {**found.view, "page": found.page}

    yield look
    for started in (process, engine):
        started.terminate()
        started.wait(timeout=60)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (met := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return met


def grainy(path: Path) -> None:
    pixels = np.random.default_rng(0).normal(128, 12, (400, 500, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def test_a_scan_is_seen_before_and_after_and_a_failed_one_is_tried_again_at_a_click(
    daemon: Callable[[], dict[str, Any]], home: Path, tmp_path: Path
) -> None:
    until(lambda: daemon()["running"])
    grainy(home / "whole.png")
    (home / "inbox" / "cut.png").write_bytes((home / "whole.png").read_bytes()[:20_000])
    shutil.copy(home / "whole.png", home / "inbox" / "whole.png")
    until(lambda: daemon()["failures"] and any(row["state"] == "done" for row in daemon()["recent"]))
    browser = Browser(tmp_path / "chromium")
    try:
        browser.look(1280)
        browser.open(str(daemon()["page"]))
        browser.evaluate(
            "document.querySelector('.pair').scrollIntoView()"
        )  # pictures load when they are seen
        browser.until("[...document.querySelectorAll('.pair img')].every((i) => i.complete)")
        widths = browser.evaluate("[...document.querySelectorAll('.pair img')].map((i) => i.naturalWidth)")
        job = daemon()["failures"][0]["job"]
        browser.click(f"#retry-{job}")
        browser.until("document.querySelector('#said').textContent")
        said = browser.evaluate("document.querySelector('#said').textContent")
        until(lambda: (home / "log").read_text().count("cut.png: failed") == 2)
        if kept := os.environ.get("SCANMEND_TEST_PICTURES"):
            Path(kept, "page-live.png").write_bytes(browser.picture())
    finally:
        browser.close()

    assert len(widths) == 2
    assert min(widths) > 100
    assert "cut.png" in said
    assert (home / "inbox" / "cut.png").exists()
    assert (home / "inbox" / "whole.png").exists()
