"""The engine that systemd starts when a program in a sandbox asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scanmend.errors import UsageError
from scanmend_install import engine as engines
from scanmend_install.engine import Engine

from tests.install.test_service import manager, scanmend, told

__all__ = ["manager"]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the units are systemd's")
ENGINE = Engine(
    Path("/home/ada/100 % state/engine.sock"), ("/opt/my python/python", "-m", "scanmend", "serve")
)


def units(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "config" / "systemd" / "user").iterdir())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this system")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    engine = Engine(ENGINE.address, (sys.executable, *ENGINE.command[1:]))
    for path, text in engines.texts(engine).items():
        (tmp_path / path.name).write_bytes(text)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}

    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--user", *map(str, tmp_path.glob("scanmend-*"))],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (run.returncode, run.stderr) == (0, "")


def test_the_socket_is_this_persons_alone_and_names_are_taken_literally() -> None:
    socket, service = (text.decode() for text in engines.texts(ENGINE).values())

    assert "ListenStream=/home/ada/100 %% state/engine.sock\n" in socket
    assert "SocketMode=0600\nDirectoryMode=0700\n" in socket
    assert 'ExecStart="/opt/my python/python" "-m" "scanmend" "serve"\n' in service


def test_installing_has_systemd_listen_and_uninstalling_takes_it_away(manager: Path) -> None:
    engines.install(ENGINE, "linux")
    written = units(manager)
    engines.uninstall("linux")

    assert written == ["scanmend-engine.service", "scanmend-engine.socket"]
    assert units(manager) == []
    stopping = "--user disable --now scanmend-engine.socket scanmend-engine.service"
    assert told(manager) == [
        stopping,
        "--user daemon-reload",
        "--user enable --now scanmend-engine.socket",
        stopping,
        "--user daemon-reload",
    ]


def test_somebody_elses_unit_is_left_as_it_is(manager: Path) -> None:
    path = manager / "config" / "systemd" / "user" / "scanmend-engine.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")

    with pytest.raises(UsageError, match="not written by Scanmend"):
        engines.install(ENGINE, "linux")
    with pytest.raises(UsageError, match="not written by Scanmend"):
        engines.uninstall("linux")

    assert units(manager) == ["scanmend-engine.service"]
    assert not (manager / "told").exists()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_told_that_they_need_no_such_service(platform: str) -> None:
    for action in (engines.uninstall, engines.status, lambda where: engines.install(ENGINE, where)):
        with pytest.raises(UsageError, match="start the engine themselves"):
            action(platform)


def test_the_command_shows_the_units_and_refuses_what_only_hot_folders_have(tmp_path: Path) -> None:
    shown = scanmend(tmp_path, "show", "--engine")
    wrong = scanmend(tmp_path, "install", "--engine", "--system")
    absent = scanmend(tmp_path, "status", "--engine")

    assert "[Socket]" in shown.stdout
    assert f'ExecStart="{sys.executable}" "-m" "scanmend" "serve"' in shown.stdout
    assert (wrong.returncode, absent.returncode) == (UsageError.exit_code,) * 2
    assert "give --engine alone" in wrong.stderr
    assert not (tmp_path / "config").exists()
