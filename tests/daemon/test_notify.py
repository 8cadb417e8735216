"""What systemd hears, on a real socket in its place."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scanmend_daemon.notify import Notifier


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        yield made


def heard(ear: socket.socket) -> dict[str, str]:
    return dict(line.partition("=")[::2] for line in ear.recv(4096).decode().split("\n"))


def notifier(tmp_path: Path, **more: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), **more})


def test_each_word_is_the_one_that_systemd_knows(ear: socket.socket, tmp_path: Path) -> None:
    told = notifier(tmp_path)

    told.ready("2 folders")
    told.status("37 in the queue")
    told.alive()
    told.stopping()

    assert heard(ear) == {"READY": "1", "STATUS": "2 folders"}
    assert heard(ear) == {"STATUS": "37 in the queue"}
    assert heard(ear) == {"WATCHDOG": "1"}
    assert heard(ear) == {"STOPPING": "1"}


def test_reloading_says_when(ear: socket.socket, tmp_path: Path) -> None:
    before = time.monotonic_ns() // 1000
    notifier(tmp_path).reloading()
    values = heard(ear)

    assert values["RELOADING"] == "1"
    assert before <= int(values["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000


def test_a_file_name_in_a_status_forges_no_line(ear: socket.socket, tmp_path: Path) -> None:
    notifier(tmp_path).status("scan\nREADY=1\n\udce9.tif")

    assert heard(ear) == {"STATUS": "scan READY=1 \\udce9.tif"}


def test_the_watchdog_is_fed_twice_as_often_as_it_asks(ear: socket.socket, tmp_path: Path) -> None:
    asked = notifier(tmp_path, WATCHDOG_USEC="60000000", WATCHDOG_PID=str(os.getpid()))
    others = notifier(tmp_path, WATCHDOG_USEC="60000000", WATCHDOG_PID="1")

    assert asked.watchdog_s == 30
    assert others.watchdog_s is None
    assert notifier(tmp_path, WATCHDOG_USEC="0").watchdog_s is None
    assert notifier(tmp_path).watchdog_s is None


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="abstract sockets are Linux's")  # noqa: PTH110
def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0scanmend-test-{os.getpid()}")
        ear.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@scanmend-test-{os.getpid()}"}).ready()

        assert heard(ear) == {"READY": "1"}


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}])
def test_where_nobody_listens_nothing_happens(environment: dict[str, str]) -> None:
    told = Notifier(environment)

    told.ready("words")
    told.alive()

    assert not told.listening


def test_a_service_manager_that_is_gone_harms_nothing(tmp_path: Path) -> None:
    notifier(tmp_path).ready()
