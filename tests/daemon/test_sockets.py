"""Sockets under paths of any length, and what may be in their way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from scanmend.errors import UsageError
from scanmend_daemon import sockets


def test_a_path_longer_than_a_sockets_address_is_reached_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 90) / ("b" * 90)
    deep.mkdir(parents=True)
    ear = sockets.listen_here(deep / "control.sock")

    mouth = sockets.connect(deep / "control.sock", timeout=5)
    heard, _ = ear.accept()
    mouth.sendall(b"hello")

    assert heard.recv(5) == b"hello"
    assert stat.S_IMODE((deep / "control.sock").stat().st_mode) == 0o600
    for made in (ear, mouth, heard):
        made.close()


def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    sockets.listen_here(tmp_path / "s").close()  # leaves its name behind

    ear = sockets.listen_here(tmp_path / "s")

    sockets.connect(tmp_path / "s", timeout=5).close()
    ear.close()


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "s"
    if kind == "file":
        place.write_text("mine")
    elif kind == "link":
        place.symlink_to("/nowhere")
    else:
        place.mkdir()

    with pytest.raises(UsageError, match="in the way"):
        sockets.listen_here(place)

    assert place.is_symlink() or place.exists()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        sockets.listen_here(tmp_path / "gone" / "s")


def test_a_taken_port_is_named_with_what_to_do() -> None:
    first = sockets.listen_on("127.0.0.1", 0)
    port = first.getsockname()[1]

    with pytest.raises(UsageError, match=f"127.0.0.1:{port}.*http: off"):
        sockets.listen_on("127.0.0.1", port)
    first.close()
