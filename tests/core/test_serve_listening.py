"""Where the engine listens: a second socket for sandboxes, and sockets that systemd hands over."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scanmend import places
from scanmend.errors import UsageError
from scanmend.serve import listening
from scanmend.serve.client import Engine, EngineFault

from .serving import COMMAND, WAIT, Server, launch, serving, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")
ACTIVATE = shutil.which("systemd-socket-activate")
needs_systemd = pytest.mark.skipif(ACTIVATE is None, reason="systemd-socket-activate is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    made = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def pid_at(address: Path) -> int | None:
    try:
        return int(Engine(str(address)).health()["pid"])
    except EngineFault:
        return None


# --- the second socket ---------------------------------------------------------------------


def test_it_listens_where_sandboxes_look_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    with serving(folder=folder) as server:
        assert server.shared == places.shared_socket()
        assert pid_at(server.shared) == pid_at(server.address) == server.process.pid
        assert stat.S_IMODE(server.shared.stat().st_mode) == 0o600
        assert stat.S_IMODE(server.shared.parent.stat().st_mode) == 0o700
    assert not server.shared.exists()


def test_who_chooses_an_address_is_found_nowhere_else(folder: Path) -> None:
    address = folder / "own.sock"
    process = launch(folder, "--socket", str(address))
    try:
        until(lambda: pid_at(address))

        assert not (folder / "state").exists()
    finally:
        process.terminate()
        process.communicate(timeout=WAIT)


def test_a_second_socket_that_cannot_be_had_is_done_without(folder: Path) -> None:
    (folder / "state").write_text("no folder", encoding="ascii")

    with serving(folder=folder) as server:
        assert pid_at(server.address) == server.process.pid


def test_a_second_engine_leaves_the_shared_socket_to_the_first(folder: Path) -> None:
    with serving(folder=folder) as first:
        other = folder / "other"
        other.mkdir()
        process = subprocess.Popen(
            COMMAND,
            env={**os.environ, "XDG_RUNTIME_DIR": str(other), "XDG_STATE_HOME": str(folder / "state")},
            stdout=subprocess.PIPE,
            text=True,
        )
        second = Server(process, other / "scanmend" / "engine.sock")
        try:
            until(lambda: pid_at(second.address))

            assert pid_at(first.shared) == first.process.pid
        finally:
            process.terminate()
            process.communicate(timeout=WAIT)
        assert pid_at(first.shared) == first.process.pid


# --- sockets that systemd hands over -------------------------------------------------------


@contextmanager
def activated(folder: Path, address: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who listens in the engine's place and starts it at the first knock."""
    address.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "OMP", "HOME"))}
    kept |= {"XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    given = [f"--setenv={name}={value}" for name, value in kept.items()]
    assert ACTIVATE
    process = subprocess.Popen(
        [ACTIVATE, "-l", str(address), *given, *COMMAND], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    try:
        until(address.exists)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=WAIT)


@needs_systemd
def test_a_handed_over_socket_starts_it_and_everybody_finds_the_same_engine(folder: Path) -> None:
    shared = folder / "state" / "scanmend" / "run" / "engine.sock"
    usual = folder / "scanmend" / "engine.sock"
    with activated(folder, shared) as process:
        assert not usual.exists()

        pid = pid_at(shared)

        assert pid == process.pid  # it has become the engine
        assert pid_at(usual) == pid
    assert not usual.exists()
    assert shared.exists()  # it was not the engine's to remove


@needs_systemd
def test_an_engine_that_runs_already_takes_nothing_from_systemd(folder: Path) -> None:
    shared = folder / "state" / "scanmend" / "run" / "engine.sock"
    with activated(folder, shared) as process, serving(folder=folder) as server:
        assert pid_at(server.address) == server.process.pid

        assert pid_at(shared) == process.pid  # systemd still listened, and has one answer


@needs_systemd
def test_a_socket_on_which_systemd_listens_is_not_taken_away(folder: Path) -> None:
    usual = folder / "scanmend" / "engine.sock"
    with activated(folder, usual) as waiting:
        said = launch(folder).communicate(timeout=WAIT)[0]

        assert f"another program listens on {usual}" in said
        assert pid_at(usual) == waiting.pid


@needs_systemd
def test_an_address_beside_a_handed_over_socket_is_refused(folder: Path) -> None:
    address = folder / "a.sock"
    assert ACTIVATE
    words = [
        ACTIVATE,
        "-l",
        str(address),
        *(f"--setenv={name}={os.environ[name]}" for name in ("PYTHONPATH",) if name in os.environ),
    ]
    process = subprocess.Popen(
        [*words, *COMMAND, "--socket", str(folder / "b.sock")], stderr=subprocess.PIPE, text=True
    )
    until(address.exists)
    with socket.socket(socket.AF_UNIX) as knock:
        knock.connect(str(address))
        said = process.communicate(timeout=WAIT)[1]

    assert process.returncode == 2
    assert "systemd has opened the socket already" in said


def handed(make: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch) -> tuple[socket.socket, ...]:
    """What is made of a socket that lies where systemd puts its first one."""
    with make() as ear:
        monkeypatch.setattr(listening, "_FIRST_HANDED", os.dup(ear.fileno()))
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    return listening.handed_over()


def test_what_is_handed_to_another_process_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")

    assert listening.handed_over() == ()


@pytest.mark.parametrize("kind", ["port", "nameless", "deaf", "open"])
def test_what_is_no_socket_of_this_users_alone_is_refused(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make() -> socket.socket:
        ear = socket.socket(socket.AF_INET if kind == "port" else socket.AF_UNIX)
        if kind in ("deaf", "open"):
            ear.bind(str(folder / "s"))
            (folder / "s").chmod(0o666 if kind == "open" else 0o600)
        if kind in ("port", "open"):
            ear.listen()
        return ear

    with pytest.raises(UsageError) as caught:
        handed(make, monkeypatch)

    assert ("others may write" if kind == "open" else "no Unix socket that listens") in caught.value.message


def test_workers_inherit_nothing_that_was_handed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> socket.socket:
        ear = socket.socket(socket.AF_UNIX)
        ear.bind(str(folder / "s"))
        (folder / "s").chmod(0o600)
        ear.listen()
        return ear

    (ear,) = handed(make, monkeypatch)

    with ear:
        assert not ear.get_inheritable()
        assert not [name for name in os.environ if name.startswith("LISTEN_")]
