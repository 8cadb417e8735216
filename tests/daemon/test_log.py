from __future__ import annotations

import io
import os
import pty
import select
import threading

import pytest
from scanmend_daemon.log import Log


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(5, "Input/output error")


class Gone(Broken):
    """A terminal whose window was closed."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        ours, theirs = pty.openpty()
        os.close(ours)
        os.close(theirs)
        return theirs


def test_one_event_is_one_line_whatever_a_name_does() -> None:
    out = io.StringIO()

    Log(out).say("a\n12:00:00 forged: all is well\x1b[2J.tif: taken in")

    assert out.getvalue().count("\n") == 1
    assert r"a\x0a12:00:00 forged" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_a_flood_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), [100.0]
    monkeypatch.setattr("scanmend_daemon.log.time.monotonic", lambda: now[0])
    log = Log(out)
    for number in range(1000):
        log.say(f"line {number}")
    now[0] = 101.0

    log.say("the last")

    lines = out.getvalue().splitlines()
    assert len(lines) == 52
    assert lines[-2] == "950 lines more were left out"


def test_an_endless_sentence_is_shortened() -> None:
    out = io.StringIO()

    Log(out).say("x" * 10_000)

    assert len(out.getvalue()) < 450


def test_threads_do_not_write_into_each_others_lines() -> None:
    out = io.StringIO()
    log = Log(out)
    threads = [threading.Thread(target=log.say, args=[str(number) * 50]) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(len(set(line.split()[-1])) == 1 for line in out.getvalue().splitlines())


def test_an_output_that_is_gone_does_not_stop_the_daemon() -> None:
    Log(Broken()).say("nobody hears this")

    closed = io.StringIO()
    log = Log(closed)
    closed.close()
    log.say("nor this")


def test_a_live_line_is_replaced_and_comes_back_after_an_event() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        log = Log(terminal)
        log.live("a.tif 10 %")
        log.say("b.tif: taken in")
        log.live("")
        text = ""
        while text.count("\x1b[2K") < 2 and select.select([ours], [], [], 10)[0]:
            text += os.read(ours, 4096).decode()  # a terminal hands over what it has, in pieces
    os.close(ours)

    assert log.terminal
    assert text.index("b.tif: taken in") < text.rindex("a.tif 10 %")
    assert text.endswith("\r\x1b[2K")


def test_a_terminal_that_was_closed_does_not_stop_the_daemon() -> None:
    log = Log(Gone())

    log.live("a.tif 10 %")
    log.live("a.tif 20 %")

    assert log.terminal
