"""What both GIMP plug-ins share, against a real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from scanmend import profile
from scanmend_front import setup
from scanmend_front.faults import Stopped, Trouble
from scanmend_front.picture import Picture
from scanmend_front.session import Session
from scanmend_front.setup import Installation
from scanmend_plugin.layout import lay_out

from tests.core.serving import COMMAND, STRONG, Server, noisy, serving, until

from .foreign import LATER, later_engine, web_server
from .gimp import FOUND, NOWHERE, RootedGimp, reaching

OFF = {"scanmend": 1, "noise": {"strength": 0}, "jpeg": {"strength": 0}}
BEST = {**STRONG, "quality": "best"}
START = ("/usr/bin/env", *FOUND, *COMMAND, "--idle-exit", "60")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket; an engine that was started in it is ended."""
    made = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    yield made
    for process in psutil.process_iter(["cmdline"]):
        if str(made) in " ".join(process.info["cmdline"] or []):
            process.kill()
    shutil.rmtree(made, ignore_errors=True)


def installation(address: object, command: tuple[str, ...] = (NOWHERE,)) -> Installation:
    return Installation("0.1.0", "1", command, [str(address)], [("gentle", "")], list(profile.keys()))


def picture(pixels: np.ndarray[Any, Any], **more: Any) -> Picture:
    height, width, channels = pixels.shape
    said = {"dtype": str(pixels.dtype), "alpha": "none", "transfer": "display", **more}
    return Picture(height, width, channels, pieces=lambda: iter([pixels.tobytes()]), **said)


def samples(result: Any, plane: str = "pixels") -> bytes:
    return b"".join(result.pieces(plane))


@pytest.fixture
def session(engine: Server) -> Iterator[Session]:
    with Session(installation(engine.address)) as opened:
        yield opened


# --- finding and starting ------------------------------------------------------------------


def test_a_running_engine_is_found_at_whichever_address_it_listens(engine: Server) -> None:
    where = installation(NOWHERE + "/engine.sock")
    where.addresses = (*where.addresses, str(engine.address))
    said: list[str] = []

    with Session(where, said.append) as session:
        found = session.health["pid"]

    assert found == engine.process.pid
    assert said == []


def test_an_engine_is_started_where_none_runs_and_is_found_the_next_time(folder: Path) -> None:
    where = installation(folder / "run" / "engine.sock", START)
    said: list[str] = []

    with Session(where, said.append) as session:
        first = session.health["pid"]
    with Session(where, said.append) as session:
        second = session.health["pid"]

    assert first == second
    assert said == ["Starting Scanmend's engine"]
    assert (folder / "run").stat().st_mode & 0o777 == 0o700


def test_an_engine_is_started_at_the_next_address_where_the_first_cannot_be_had(folder: Path) -> None:
    where = installation(Path(__file__) / "run" / "engine.sock", START)
    where.addresses = (*where.addresses, str(folder / "run" / "engine.sock"))

    with Session(where) as session:
        pid = session.health["pid"]
    with Session(installation(folder / "run" / "engine.sock")) as session:
        found = session.health["pid"]

    assert found == pid


def test_a_command_that_is_missing_is_named_with_the_one_that_mends_it(folder: Path) -> None:
    with pytest.raises(Trouble) as caught:
        Session(installation(folder / "engine.sock")).open()

    assert NOWHERE in caught.value.sentence
    assert "scanmend plugin install gimp" in caught.value.hint


def test_a_command_that_fails_is_told_in_its_own_last_words(folder: Path) -> None:
    broken = (sys.executable, "-c", "import sys; sys.exit('no network could be loaded')")

    with pytest.raises(Trouble) as caught:
        Session(installation(folder / "engine.sock", broken)).open()

    assert "no network could be loaded" in caught.value.sentence
    assert "scanmend doctor" in caught.value.hint


def test_an_engine_of_another_version_is_refused_with_what_to_do(folder: Path) -> None:
    with later_engine() as address, pytest.raises(Trouble) as caught:
        Session(installation(address, tuple(COMMAND))).open()

    assert "different versions" in caught.value.sentence
    assert LATER in caught.value.sentence
    assert "scanmend plugin install gimp" in caught.value.hint


def test_what_is_no_engine_is_not_talked_to(folder: Path) -> None:
    with web_server() as address, pytest.raises(Trouble) as caught:
        Session(installation(address, tuple(COMMAND))).open()

    assert str(address) in caught.value.sentence


# --- pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_with_nothing_to_do_the_samples_come_back_as_they_were(session: Session, dtype: str) -> None:
    pixels = noisy(64, 80, channels=4).astype(dtype)
    if dtype == "float32":
        pixels /= 255

    result = session.restore(picture(pixels, alpha="straight"), OFF, "off")

    assert samples(result) == pixels.tobytes()
    assert result.unchanged


def test_noise_is_taken_out_and_told_on_the_way(session: Session) -> None:
    pixels = noisy(600, 800)
    told: list[tuple[float | None, str]] = []

    result = session.restore(picture(pixels), STRONG, "strong", progress=lambda *said: told.append(said))
    restored = np.frombuffer(samples(result), np.uint8).reshape(pixels.shape)

    assert np.std(restored[..., 0] - pixels[..., 0].astype(float)) > 5
    shares = [share for share, _ in told if share is not None]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert any("Restoring" in text for _, text in told)


def test_the_same_profile_by_name_and_by_hand_gives_the_same_samples(session: Session) -> None:
    pixels = noisy(96, 96)
    listed = session.profile("strong").settings

    by_name = samples(session.restore(picture(pixels), listed, "strong"))

    assert by_name == samples(session.restore(picture(pixels), STRONG, "strong"))


def test_a_profile_that_is_not_there_is_answered_with_those_that_are(session: Session) -> None:
    with pytest.raises(Trouble) as caught:
        session.profile("gentel")

    assert '"gentel"' in caught.value.sentence
    assert "gentle" in caught.value.hint


def test_a_profile_whose_file_is_not_valid_is_answered_with_what_is_wrong_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    file = folder / "scanmend" / "profiles" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("scanmend: 1\nnoise:\n  strength: lots\n", encoding="utf-8")
    with serving(folder=folder) as server, Session(installation(server.address)) as session:
        with pytest.raises(Trouble) as caught:
            session.profile("mine")
        with pytest.raises(Trouble) as other:
            session.profile("nobody")

    assert f"{file}, line 3" in caught.value.sentence
    assert "lots" in caught.value.sentence
    assert "mine" not in other.value.hint


def test_what_was_measured_is_told_and_the_samples_need_no_second_journey(session: Session) -> None:
    pixels = noisy(256, 256)
    measured = session.measure(picture(pixels), STRONG)

    result = session.restore(measured.job, STRONG, "strong")

    assert "measured" in measured.hints["noise"]
    assert measured.plan
    assert samples(result) == samples(session.restore(picture(pixels), STRONG, "strong"))


def test_a_region_comes_back_alone_and_is_what_the_whole_would_have_there(session: Session) -> None:
    pixels = noisy(400, 500)
    whole = np.frombuffer(samples(session.restore(picture(pixels), STRONG, "s")), np.uint8)
    x, y, width, height = 130, 90, 200, 150

    part = session.restore(picture(pixels), STRONG, "s", region=(x, y, width, height))

    wanted = whole.reshape(pixels.shape)[y : y + height, x : x + width].astype(int)
    given = np.frombuffer(samples(part), np.uint8).reshape(height, width, 3)
    assert np.abs(given - wanted).max() <= 1


def test_the_difference_says_what_was_taken_out(session: Session) -> None:
    pixels = noisy(200, 200)

    result = session.restore(picture(pixels), STRONG, "strong", want=["difference"])

    restored = np.frombuffer(samples(result), np.uint8).astype(int)
    difference = np.frombuffer(samples(result, "difference"), np.uint8).astype(int)
    expected = np.clip(pixels.reshape(-1) - restored + 127.5, 0, 255)
    assert np.abs(difference - expected).max() <= 1


def test_settings_that_no_profile_may_have_are_refused_in_a_sentence(session: Session) -> None:
    with pytest.raises(Trouble) as caught:
        session.restore(picture(noisy(32, 32)), {"scanmend": 1, "noise": {"strength": 7}}, "mine")

    assert "strength" in caught.value.sentence


# --- stopping and dying --------------------------------------------------------------------


def idle(server: Server) -> bool:
    health = server.engine.health()
    return not health["queue"] and not health["running"]


def stopped_after(session: Session, server: Server) -> tuple[float, float]:
    """Seconds from the wish to stop until the call is over, and until the engine is at rest."""
    wished: list[float] = []
    at_work = threading.Event()

    def stop() -> bool:
        if at_work.is_set() and not wished:
            wished.append(time.monotonic())
        return bool(wished)

    with pytest.raises(Stopped):
        session.restore(
            picture(noisy(1600, 1600)), BEST, "best", stop=stop,
            progress=lambda share, _text: at_work.set() if share is not None else None,
        )  # fmt: skip
    over = time.monotonic()
    until(lambda: idle(server))
    return over - wished[0], time.monotonic() - wished[0]


def test_a_wish_to_stop_ends_the_call_and_the_engine_within_a_second(
    session: Session, engine: Server
) -> None:
    tries = [stopped_after(session, engine)]
    while max(tries[-1]) >= 1 and len(tries) < 4:  # the machine may have been busy with something else
        tries.append(stopped_after(session, engine))

    assert max(tries[-1]) < 1, tries
    assert samples(session.restore(picture(noisy(32, 32)), OFF, "off"))  # it is still there


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_told: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", [RuntimeError("the host has gone"), KeyboardInterrupt()])
def test_a_host_that_fails_in_the_middle_leaves_no_engine_at_work(
    session: Session, engine: Server, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        session.restore(picture(noisy(1600, 1600)), BEST, "best", progress=raising(error))

    until(lambda: idle(engine), 5)


def test_a_layer_that_cannot_be_read_leaves_no_job_behind(session: Session, engine: Server) -> None:
    source = picture(noisy(32, 32))
    source.pieces = raising(RuntimeError("the layer has gone"))

    with pytest.raises(RuntimeError):
        session.restore(source, STRONG, "strong")

    until(lambda: idle(engine), 5)


def test_of_many_stopped_calls_no_listener_stays(session: Session, engine: Server) -> None:
    before = threading.active_count()
    open_before = len(psutil.Process().net_connections("unix"))
    for _ in range(5):
        with pytest.raises(Stopped):
            session.restore(picture(noisy(200, 200)), STRONG, "strong", stop=lambda: True)

    until(lambda: threading.active_count() <= before, 10)
    until(lambda: len(psutil.Process().net_connections("unix")) <= open_before, 10)
    until(lambda: idle(engine))


def test_an_engine_killed_in_mid_job_is_told_and_the_next_call_starts_anew(folder: Path) -> None:
    def kill(share: float | None, _text: str) -> None:
        if share is not None:
            os.kill(server.process.pid, signal.SIGKILL)

    with serving(folder=folder) as server:
        where = installation(server.address, START)
        with Session(where) as session, pytest.raises(Trouble) as caught:
            session.restore(picture(noisy(1600, 1600)), BEST, "best", progress=kill)

        with Session(where) as session:
            again = session.health["pid"]

    assert not isinstance(caught.value, Stopped)
    assert caught.value.sentence.count("went away") == 1
    assert "scanmend doctor" in caught.value.hint
    assert again != server.process.pid


def test_a_worker_killed_in_mid_job_is_told_and_the_engine_goes_on(session: Session, engine: Server) -> None:
    def kill(share: float | None, _text: str) -> None:
        if share is not None:
            os.kill(engine.worker("render")["pid"], signal.SIGKILL)

    with pytest.raises(Trouble) as caught:
        session.restore(picture(noisy(1600, 1600)), BEST, "best", progress=kill)

    assert "signal 9" in caught.value.sentence
    assert samples(session.restore(picture(noisy(32, 32)), OFF, "off"))


# --- where Scanmend is ---------------------------------------------------------------------


def test_what_the_installer_wrote_is_read_and_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scanmend.json"
    described = {
        "version": "0.1.0", "protocol": "1", "command": ["/a", "b"], "addresses": ["/c", "/d"],
        "profiles": [{"name": "gentle", "purpose": "For all."}], "keys": ["noise.strength"],
    }  # fmt: skip
    path.write_text(json.dumps(described))
    for name in ("SCANMEND_ENGINE", "SCANMEND_COMMAND"):
        monkeypatch.delenv(name, raising=False)

    plain = setup.installed(str(path))
    monkeypatch.setenv("SCANMEND_ENGINE", "/e")
    monkeypatch.setenv("SCANMEND_COMMAND", '["/f", "ü"]')
    overridden = setup.installed(str(path))

    assert (plain.command, plain.addresses) == (("/a", "b"), ("/c", "/d"))
    assert plain.profiles == (("gentle", "For all."),)
    assert (overridden.command, overridden.addresses) == (("/f", "ü"), ("/e",))


@pytest.mark.parametrize(
    "text", [None, "", "[]", "null", "{}", '{"version": 1}', "\udcff", '{"version": "0.1.0", "keys": 3}']
)
def test_a_description_that_is_missing_or_broken_names_the_file_and_the_command(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "scanmend.json"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(Trouble) as caught:
        setup.installed(str(path))

    assert str(path) in caught.value.sentence
    assert "scanmend plugin install gimp" in caught.value.hint


# --- in the interpreters that hosts bring --------------------------------------------------

PROGRAM = """
from __future__ import print_function, unicode_literals
import json, sys, threading
sys.path.insert(0, sys.argv[1])
from scanmend_front import controls, memory, setup
from scanmend_front.faults import Stopped, Trouble
from scanmend_front.picture import Picture
from scanmend_front.session import Session

said, shares, stops = {}, [], []
data = bytes(bytearray(i * 37 % 256 for i in range(300 * 200 * 3)))
picture = Picture(200, 300, 3, "uint8", "none", "display", lambda: iter([data[:1000], data[1000:]]))
where = setup.installed()
session = Session(where)
session.open()
gentle = session.profiles()[0]
said["profile"] = [gentle.name, sorted(gentle.settings)[:2], gentle.own]
settings = controls.settings(gentle.settings, {"noise": "manual", "noise-value": 0.5, "jpeg": "auto"})
said["settings"] = [settings["noise"]["strength"], settings["jpeg"]["strength"]]
measured = session.measure(picture, settings)
said["hint"] = measured.hints["noise"].split(":")[0]
result = session.restore(
    measured.job, settings, "mine", region=(10, 20, 100, 50), want=["difference"],
    progress=lambda share, text: shares.append(text),
)
said["bytes"] = [sum(len(piece) for piece in result.pieces(plane)) for plane in ("pixels", "difference")]
said["remembered"] = memory.load(memory.dump({"a": result.job}))["a"] == result.job
nothing = {"noise": "manual", "noise-value": 0.0, "jpeg": "manual", "jpeg-value": 0.0}
off = controls.settings(settings, nothing)
said["same"] = b"".join(session.restore(picture, off, "off").pieces()) == data
try:
    session.restore(picture, settings, "mine", stop=lambda: True)
except Stopped as stopped:
    said["stopped"] = stopped.sentence
try:
    session.restore(picture, {"scanmend": 1, "noise": {"strength": "\\u00e4"}}, "mine")
except Trouble as trouble:
    said["refused"] = "\\u00e4" in trouble.sentence
session.close()
where.addresses, where.command = ("/nowhere/engine.sock",), ("/nowhere/scanmend",)
try:
    Session(where).open()
except Trouble as trouble:
    said["missing"] = trouble.text.count("\\n")
print(json.dumps(said, sort_keys=True))
"""
SAID = {
    "profile": ["gentle", ["blur", "jpeg"], False],
    "settings": [0.5, "auto"],
    "hint": "measured",
    "bytes": [15000, 15000],
    "remembered": True,
    "same": True,
    "stopped": "Stopped; the image is unchanged.",
    "refused": True,
    "missing": 1,
}


def test_a_bare_interpreter_needs_nothing_but_the_plug_ins_own_folder(engine: Server, tmp_path: Path) -> None:
    lay_out(tmp_path / "scanmend", 3)
    bare = {"PATH": os.environ["PATH"], "SCANMEND_ENGINE": str(engine.address)}

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", PROGRAM, str(tmp_path / "scanmend")],
        capture_output=True, text=True, check=False, env=bare,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == SAID


@pytest.mark.slow
def test_python_2_of_gimp_runs_the_very_same_files(gimp2: RootedGimp, engine: Server, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    place = gimp2.plug_in.parent

    ran = gimp2.inside(
        "python2.7", "-B", "-S", "-3", "-W", "ignore::DeprecationWarning", tmp_path / "program.py",
        gimp2.plug_in, **reaching(engine, show=[tmp_path, place]),
    )  # fmt: skip

    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == SAID
