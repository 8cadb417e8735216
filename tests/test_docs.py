"""What README.md says a person can type is typed here."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scanmend.cli.failures import run
from scanmend.serve.client import Engine, EngineFault

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    ")]
# The hot folder has a test of its own below; installing into a GIMP is tried in tests/plugin, in real ones.
APART = ("scanmend watch", "scanmend plugin")
COMMANDS = [line for line in LINES if line.startswith("scanmend ") and not line.startswith(APART)]
WATCHING = [line for line in LINES if line.startswith("scanmend watch")]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that README.md speaks of, small and noisy."""
    random = np.random.default_rng(3)
    pixels = np.clip(random.normal(128, 12, (64, 80, 3)), 0, 255).astype(np.uint8)
    (tmp_path / "album").mkdir()
    for name in ("my_scan.tif", "a.tif", "b.jpg", "album/c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_the_readme_works(command: str, scans: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in scans.rglob("*.*")}

    code = run(shlex.split(command)[1:])

    assert (code, capfd.readouterr().err.count("scanmend: ")) == (0, 0)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("command", WATCHING)
def test_the_hot_folder_in_the_readme_works(command: str, scans: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="sm-"))  # short, for a socket's path
    (home / "Scans").mkdir()
    shutil.copy(scans / "a.tif", home / "Scans" / "a.tif")
    environment = os.environ | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "XDG_STATE_HOME": str(home)}
    words = [sys.executable, "-m", *shlex.split(command.replace("~", str(home))), "--once"]

    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        results = sorted(path.name for path in (home / "Scans-restored").iterdir())
    finally:
        with contextlib.suppress(EngineFault, ProcessLookupError):
            os.kill(Engine(str(home / "scanmend" / "engine.sock")).health()["pid"], signal.SIGTERM)
        shutil.rmtree(home, ignore_errors=True)

    assert (done.returncode, results) == (0, ["a_restored.tif", "a_restored.tif.scanmend.json"])


def test_the_readme_shows_the_main_commands() -> None:
    shown = {command.split()[1] for command in COMMANDS + WATCHING}

    assert {"restore", "inspect", "profile", "models", "doctor", "watch"} <= shown


def test_make_knows_every_target_in_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {line.split()[1] for line in LINES if line.startswith("make ")}

    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))

    missing = [link for link in links if not (page.parent / link).exists()]

    assert missing == []
