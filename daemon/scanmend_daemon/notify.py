"""Tells systemd how the daemon is: ready, reloading, alive, stopping. Elsewhere nothing happens.

The protocol is a datagram of `KEY=VALUE` lines to the socket named by `NOTIFY_SOCKET`; see sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_STATUS = 1000  # characters: a status line is read by a person


class Notifier:
    """The service manager's ear, or nobody's where the daemon was not started by one.

    Args:
        environment: where `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` are looked up.

    Attributes:
        watchdog_s: seconds after which `alive` is due again, half of what systemd allows; None where
            it does not ask.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _interval(environment) if self._address else None

    @property
    def listening(self) -> bool:
        """Whether anybody asked to be told."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """The daemon has begun its work, or is back from reloading."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for people, which `systemctl status` shows."""
        self._send(*_status(text))

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows, whatever came of it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """The work goes on. Call it only where something proves that, never from a bare timer."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        """The daemon is ending its work."""
        self._send("STOPPING=1", *_status(status))

    def _send(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        # systemd may be restarting, or its queue full: no reason for a scan to wait or to fail.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.setblocking(False)
            ear.sendto("\n".join(lines).encode("utf-8", "backslashreplace"), self._address)


def _address(name: str) -> str:
    """The socket's address; a leading @ stands for Linux's abstract names."""
    if not hasattr(socket, "AF_UNIX") or not name.startswith(("/", "@")):
        return ""
    return f"\0{name[1:]}" if name.startswith("@") else name


def _interval(environment: Mapping[str, str]) -> float | None:
    wanted, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not wanted.isdecimal() or process not in {"", str(os.getpid())}:
        return None  # a child of the service inherits the variables, but is not the one to be watched
    return int(wanted) / 2e6 or None


def _status(text: str) -> list[str]:
    line = " ".join(text.split())[:_LONGEST_STATUS]
    return [f"STATUS={line}"] if line else []
