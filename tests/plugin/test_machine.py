"""How another program is run from here: as the desktop would start it, and never for too long."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from scanmend_plugin import machine

posix = pytest.mark.skipif(os.name == "nt", reason="these are Unix' paths and programs")


@posix
def test_a_program_finds_its_own_python_before_that_of_an_active_virtual_environment() -> None:
    given = {
        "PATH": "/home/ann/venv/bin:/home/ann/bin:/usr/bin",
        "VIRTUAL_ENV": "/home/ann/venv",
        "LANG": "de",
    }

    env = machine.environment("/opt/gimp/bin/gimp-console", given)

    assert env == {"PATH": "/opt/gimp/bin:/usr/local/bin:/usr/bin:/bin:/home/ann/bin", "LANG": "de"}


@posix
def test_the_environment_that_scanmend_runs_in_is_left_out_without_being_active(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/ann/venv")

    env = machine.environment("flatpak", {"PATH": "/home/ann/venv/bin:/usr/bin"})

    assert env["PATH"] == "/usr/local/bin:/usr/bin:/bin"


def test_nothing_that_leads_another_python_astray_is_handed_on() -> None:
    given = {"PYTHONPATH": "/a", "PYTHONHOME": "/b", "PATH": "", "HOME": "/home/ann"}

    env = machine.environment("gimp", given)

    assert set(env) == {"PATH", "HOME"}


@posix
def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"

    code, said = machine.run(["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], 0.5)

    assert (code, said) == (-1, "")
    status = Path("/proc") / child.read_text().strip() / "stat"
    assert not status.exists() or " Z " in status.read_text()  # gone, or nobody has buried it yet


@posix
def test_what_a_program_says_is_read_whichever_way_it_says_it() -> None:
    assert machine.said_by(["sh", "-c", "echo out; echo err >&2"]) == "out\nerr\n"
    assert machine.said_by(["/nowhere/gimp", "--version"]) == ""


def test_folders_that_are_none_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    listing = machine.this().listing

    assert list(listing(tmp_path)) == ["file"]
    assert list(listing(tmp_path / "file")) == []
    assert list(listing(tmp_path / "nothing")) == []
