"""The front ends' client: one file, the standard library alone, on every Python that hosts bring."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scanmend import places
from scanmend.serve import client
from scanmend.serve.client import Engine, EngineFault

from .serving import COMMAND, STRONG, Server, scan_file, serving, until

SOURCE = Path(client.__file__)
TOOLS = os.environ.get("SCANMEND_GIMP_TOOLS")
PROGRAM = """
from __future__ import print_function
import json, sys
sys.path.insert(0, sys.argv[1])
import client
engine = client.Engine(sys.argv[2])
keeper = engine.keep()
job = engine.submit(json.loads(sys.argv[3]))
states = [event["state"] for event in engine.events(job)]
shape = {"shape": [8, 8, 3], "dtype": "uint8"}
picture = engine.submit({"source": {"pixels": shape}, "profile": json.loads(sys.argv[4])})
engine.put_pixels(picture, bytearray(192))
for event in engine.events(picture):
    pass
pieces = list(engine.read_pixels(picture, size=100))
same = engine.get_pixels(picture) == b"".join(pieces) == bytes(bytearray(192))
lengths = [len(piece) for piece in pieces]
again = engine.submit({"source": {"job": picture, "region": [1, 2, 3, 4]}, "kind": "measure"})
report = list(engine.events(again))[-1]["report"]
listed = engine.profiles()
saved = engine.save_profile(u"negative \\xe9", {"scanmend": 1}, True, "Mine.")
try:
    next(engine.events("0" * 16))
except client.EngineFault as fault:
    kind = fault.kind
try:
    engine.save_profile(u".\\xe9", {"scanmend": 1})
except client.EngineFault as fault:
    assert str(fault)
print(json.dumps([states[-1], event["state"], same, lengths, kind, keeper.alive(), listed["default"],
    saved.endswith(u"negative \\xe9.yaml"), report["megapixels"], engine.health()["protocol"]]))
keeper.close()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as home:
        patch.setenv("XDG_CONFIG_HOME", home)  # what is saved must not reach the person's own folder
        with serving() as running:
            yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    made = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


# --- one file for every Python -------------------------------------------------------------


EXPECTED = '["done", "done", true, [100, 92], "refused", true, "gentle", true, 0.0, "1"]\n'


def said(python: list[str], server: Server, tmp_path: Path) -> str:
    """What a front end in a bare interpreter, with nothing but the one file, has to say."""
    shutil.copy(SOURCE, tmp_path / "client.py")
    scan = scan_file(tmp_path / "a.png", 64)
    job = f'{{"kind": "probe", "source": {{"path": "{scan}"}}}}'
    profile = __import__("json").dumps(STRONG)
    done = subprocess.run(
        [*python, "-c", PROGRAM, str(tmp_path), str(server.address), job, profile],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_runs_in_a_bare_interpreter_of_this_python(server: Server, tmp_path: Path) -> None:
    assert said([sys.executable, "-I", "-S"], server, tmp_path) == EXPECTED


def old_python(*seen: Path) -> list[str] | None:
    """Words that start a Python 2.7 that sees these folders: the system's, or that of GIMP 2.10's root."""
    choices = [["python2.7"], ["python2"]]
    if TOOLS:
        shown = [word for folder in seen for word in ("-b", str(folder))]
        choices.append([str(Path(TOOLS, "gimp-in")), "2", *shown, "--", "python2.7"])
    for words in choices:
        if shutil.which(words[0]):
            tried = subprocess.run([*words, "-c", "import httplib"], capture_output=True, check=False)
            if tried.returncode == 0:
                return words
    return None


def test_it_runs_in_python_2(server: Server, tmp_path: Path) -> None:
    python = old_python(tmp_path, server.address.parent)
    if python is None:
        pytest.skip("there is no Python 2.7 here")

    assert said([*python, "-S"], server, tmp_path) == EXPECTED


def test_its_syntax_is_that_of_python_2_too() -> None:
    text = SOURCE.read_text(encoding="utf-8")
    modern = (
        ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.AsyncFunctionDef, ast.Await, ast.NamedExpr,
        ast.YieldFrom, ast.Starred, ast.MatMult,
    )  # fmt: skip
    nodes = list(ast.walk(ast.parse(text)))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    arguments = [argument for node in functions for argument in node.args.args]

    assert text.isascii()
    assert not re.search(r"\*\w+,\s*\)", text)  # a comma after the last argument of all
    assert not [node for node in nodes if isinstance(node, modern)]
    assert not [node for node in nodes if isinstance(node, ast.Raise) and node.cause]
    assert not [node for node in functions if node.returns or node.args.kwonlyargs or node.args.posonlyargs]
    assert not [argument for argument in arguments if argument.annotation]
    assert not [node for node in nodes if isinstance(node, ast.Dict) and None in node.keys]
    assert not [node for node in nodes if isinstance(node, ast.With) and len(node.items) > 1]


def test_its_types_name_what_it_has() -> None:
    def names(path: Path) -> dict[str, set[str]]:
        body = ast.parse(path.read_text(encoding="utf-8")).body
        classes = [node for node in body if isinstance(node, ast.ClassDef)]
        return {
            node.name: {
                part.name
                for part in node.body
                if isinstance(part, ast.FunctionDef)
                and (not part.name.startswith("_") or part.name == "__init__")
            }
            for node in classes
            if not node.name.startswith("_")
        }

    ours, typed = names(SOURCE), names(SOURCE.with_suffix(".pyi"))

    typed["Keeper"].add("__init__")  # nobody but `keep` makes one
    assert ours == typed
    assert {*typed, "ENDS", "HEADER", "PROTOCOL", "clean_environment", "default_address"} == set(
        client.__all__
    )


# --- where the engine is -------------------------------------------------------------------


@pytest.mark.parametrize("runtime", ["given", "relative", "missing"])
def test_it_looks_where_the_server_listens(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # no /run/user either
    if runtime == "missing":
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    else:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path) if runtime == "given" else "run")

    assert client.default_address() == str(places.runtime_folder() / "engine.sock")


def test_an_engine_that_does_not_run_is_told_apart(folder: Path) -> None:
    with pytest.raises(EngineFault) as caught:
        Engine.connect(str(folder / "engine.sock"))

    assert caught.value.kind == "unreachable"
    assert caught.value.hint == "start it with: scanmend serve"


def test_an_engine_is_started_where_none_runs_and_used_where_one_does(folder: Path) -> None:
    address = str(folder / "engine.sock")
    first = Engine.connect(address, COMMAND, environment=os.environ)
    pid = first.health()["pid"]
    try:
        assert Engine.connect(address, [sys.executable, "-c", "raise SystemExit(9)"]).health()["pid"] == pid
    finally:
        os.kill(pid, 15)
        until(lambda: not os.path.lexists(address))


def test_an_engine_that_is_started_inherits_nothing_that_leads_its_python_astray(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "GI_TYPELIB_PATH", "DYLD_INSERT_LIBRARIES"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("SCANMEND_MALLOC", "default")
    show = "import os; print(sorted(os.environ), flush=True); raise SystemExit(7)"

    with (folder / "log").open("w+b") as log, pytest.raises(EngineFault, match="ended with status 7"):
        Engine.connect(str(folder / "engine.sock"), [sys.executable, "-c", show], log=log)

    inherited = set(ast.literal_eval((folder / "log").read_text(encoding="utf-8")))
    ours = set(os.environ) - {"PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "GI_TYPELIB_PATH"}
    assert {name for name in inherited if name.startswith(("PYTHON", "DYLD", "LD_", "GI_"))} == set()
    assert {"SCANMEND_MALLOC", "PATH", "HOME"} <= inherited & ours


def test_many_who_start_one_at_once_get_the_same(folder: Path) -> None:
    address, started = str(folder / "engine.sock"), []

    def start() -> None:
        started.append(Engine(address).start(COMMAND, environment=os.environ))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        until(lambda: sum(process.poll() == 0 for process in started) == 3)
        pid = Engine(address).health()["pid"]

        assert [process.pid for process in started if process.poll() is None] == [pid]
    finally:
        for process in started:
            process.terminate()
            process.wait()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/no/such/program"], "/no/such/program"),
        ([sys.executable, "-c", "raise SystemExit(7)"], "it ended with status 7"),
    ],
)
def test_an_engine_that_cannot_be_started_is_told_in_a_sentence(
    folder: Path, command: list[str], words: str
) -> None:
    with pytest.raises(EngineFault) as caught:
        Engine.connect(str(folder / "engine.sock"), command)

    assert caught.value.kind == "unreachable"
    assert words in caught.value.sentence


def test_one_that_never_answers_is_given_up(folder: Path) -> None:
    with pytest.raises(EngineFault, match="was started and does not answer"):
        Engine.connect(
            str(folder / "engine.sock"), [sys.executable, "-c", "import time; time.sleep(2)"], wait=0.2
        )


# --- strangers on the line -----------------------------------------------------------------


def answering(folder: Path, answer: bytes) -> str:
    """The address of something that gives one answer to whoever connects."""
    address = str(folder / "stranger.sock")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(1)

    def serve() -> None:
        with listener:
            line, _ = listener.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return address


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "protocol"),
        (b"HTTP/1.1 200 OK\r\nScanmend-Protocol: 2\r\nContent-Length: 2\r\n\r\n{}", "protocol"),
        (b"HTTP/1.1 426 Upgrade Required\r\nScanmend-Protocol: 2\r\nContent-Length: 2\r\n\r\n{}", "protocol"),
        (b"HTTP/1.1 200 OK\r\nScanmend-Protocol: 1\r\nContent-Length: 99\r\n\r\n{", "unreachable"),
        (b"HTTP/1.1 200 OK\r\nScanmend-Protocol: 1\r\nContent-Length: 1\r\n\r\n{", "unreachable"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", "refused"),
        (b"", "unreachable"),
    ],
)
def test_whatever_answers_is_a_fault_in_a_sentence(folder: Path, answer: bytes, kind: str) -> None:
    engine = Engine(answering(folder, answer))

    with pytest.raises(EngineFault) as caught:
        engine.health()

    assert caught.value.kind == kind
    assert caught.value.sentence


def test_one_who_listens_and_says_nothing_is_given_up(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(folder / "s"))
        silent.listen(1)
        began = time.monotonic()

        with pytest.raises(EngineFault, match="does not answer"):
            Engine(str(folder / "s"), timeout=0.2).health()

    assert time.monotonic() - began < 10


def test_a_file_that_is_no_socket_is_not_talked_to(folder: Path) -> None:
    place = folder / "engine.sock"
    place.touch()

    with pytest.raises(EngineFault) as caught:
        Engine(str(place)).health()

    assert caught.value.kind == "protocol"


def test_a_refusal_that_comes_before_all_was_sent_is_heard(server: Server) -> None:
    shape = {"shape": [1000, 1000, 3], "dtype": "uint8"}
    job = server.engine.submit({"source": {"pixels": shape}, "profile": STRONG})
    server.engine.put_pixels(job, bytes(3_000_000))

    with pytest.raises(EngineFault, match="have come already") as caught:
        server.engine.put_pixels(job, bytes(3_000_000))

    assert (caught.value.kind, caught.value.status) == ("refused", 409)


@pytest.mark.parametrize("content", ["", "{}", '{"port": "x", "token": "t"}', "[1]"])
def test_a_token_file_that_is_none_is_told(folder: Path, content: str) -> None:
    (folder / "engine.json").write_text(content, encoding="ascii")

    with pytest.raises(EngineFault) as caught:
        Engine(str(folder / "engine.json")).health()

    assert caught.value.kind == "protocol"


def test_events_that_break_off_are_no_end(tmp_path: Path) -> None:
    with serving() as server:
        job = server.restore(scan_file(tmp_path / "a.png", 900), tmp_path / "part")
        events = server.engine.events(job)
        next(events)

        server.process.kill()
        with pytest.raises(EngineFault) as caught:
            list(events)

    assert caught.value.kind == "unreachable"
