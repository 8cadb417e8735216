"""The dialog in a real GIMP 2.10: it is built there as the plug-in builds it, driven, and looked into."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scanmend
import yaml
from PIL import Image
from scanmend.pipeline import Options

from tests.core.serving import Server, answers, noisy, serving, until

from .gimp import RootedGimp, Seen, reaching

pytestmark = pytest.mark.slow

DRIVER = """
import base64, json, os, signal, sys, time, traceback
sys.path.insert(0, os.path.join(gimp.directory, 'plug-ins', 'scanmend'))
sys.dont_write_bytecode = True
pdb.gimp_plugin_enable_precision()
import gimpui, gtk
gimpui.gimp_ui_init()
from scanmend_front import controls, setup
from scanmend_client import EngineFault
from scanmend_front.session import Session
from scanmend_gimp2 import dialog as module, pixels
image = gimp.image_list()[0]
layer = image.layers[0]
installation = setup.installed()
session = Session(installation)
session.open()
answer = {}
def built(box=None, **values):
    start = dict(controls.defaults(installation.keys), **values)
    subject = pixels.Subject(layer, box or pixels.whole(layer))
    made = module._Dialog(installation, session, subject, start)
    made.show()
    return made
def until(dialog, holds):
    deadline = time.time() + 90
    while not holds():
        assert time.time() < deadline, 'waited in vain'
        dialog.turn()
def text(label):
    return label.get_text()
def row(dialog, name):
    return [one for one in dialog._rows._rows if one.control.name == name][0]
def rendered(dialog):
    return dialog._preview._after is not None and not text(dialog._wait)
def told():
    with open('/out/answer.json', 'w') as file:
        json.dump(answer, file)
"""


def looked(gimp: RootedGimp, engine: Server, picture: Path, out: Path, script: str) -> dict[str, Any]:
    """What a script with the driver answers, in a GIMP that has opened the picture."""
    body = "\n".join(f"    {line}" for line in script.strip().splitlines())
    out.mkdir(parents=True, exist_ok=True)
    (out / "drive.py").write_text(f"{DRIVER}\ntry:\n{body}\nfinally:\n    told()\n", encoding="utf-8")
    steps = "py \"exec(compile(open('/out/drive.py').read(), 'drive.py', 'exec'))\""
    seen: Seen = gimp.window(steps, picture, out=out, **reaching(engine)).well()
    assert "Traceback" not in seen.out, seen.out
    found: dict[str, Any] = json.loads((out / "answer.json").read_text())
    return found


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.png"
    Image.fromarray(noisy(700, 900)).save(path)
    return path


def test_the_dialog_shows_what_was_measured_what_will_be_done_and_how_it_looks(
    gimp2: RootedGimp, engine: Server, scan: Path, tmp_path: Path
) -> None:
    script = """
dialog = built()
until(dialog, lambda: rendered(dialog))
job = dialog.follower.job
answer['hint'] = text(row(dialog, 'noise')._hint)
answer['plan'] = text(dialog._plan)
answer['device'] = text(dialog._device)
answer['profiles'] = dialog._profile._values
answer['before'] = base64.b64encode(dialog._preview._before.get_pixels())
answer['after'] = base64.b64encode(dialog._preview._after.get_pixels())
answer['box'] = list(dialog._preview.box)

row(dialog, 'noise')._combo.choose('manual')
row(dialog, 'noise')._number.set_value(0.25)
until(dialog, lambda: '0.25' in text(dialog._plan) and rendered(dialog))
answer['plan by hand'] = text(dialog._plan)
answer['values'] = dialog.values()
dialog._profile.choose('strong')
row(dialog, 'noise').reset()
until(dialog, lambda: '0.25' not in text(dialog._plan) and rendered(dialog))
answer['plan of strong'] = text(dialog._plan)
answer['number'] = row(dialog, 'keep-grain').values()['keep-grain-value']

box = dialog._preview.box
dialog._preview._move(100, 60)
answer['blank'] = dialog._preview._after is None
until(dialog, lambda: rendered(dialog))
answer['moved'] = [dialog._preview.box.x - box.x, dialog._preview.box.y - box.y]
dialog._switch.set_active(False)
until(dialog, lambda: dialog._preview._after is None)
answer['job'] = [job, dialog.follower.job]
dialog.end()
"""
    found = looked(gimp2, engine, scan, tmp_path / "out", script)

    given = np.asarray(Image.open(scan))
    x, y, width, height = found["box"]
    before, after = (shown(found[name], width, height) for name in ("before", "after"))
    assert found["hint"].startswith("measured: ")
    assert found["plan"].startswith("Noise and grain: strength ")
    assert "cpu" in found["device"]
    assert {"gentle", "strong"} < set(found["profiles"])
    assert np.array_equal(before, given[y : y + height, x : x + width])
    whole = scanmend.restore(given, profile="gentle", options=Options(device="cpu", backend="torch"))[0]
    expected = whole[y : y + height, x : x + width]
    assert np.abs(after.astype(int) - expected).max() <= 1
    assert np.abs(before.astype(int) - expected).max() > 10
    assert "0.25" in found["plan by hand"]
    assert (found["values"]["noise"], found["values"]["noise-value"]) == ("manual", 0.25)
    assert "strength 1.00" in found["plan of strong"]
    assert found["number"] == 0.0  # what strong says
    assert found["blank"]
    assert found["moved"] == [100, 60]
    assert all(found["job"])


def shown(pixels: str, width: int, height: int) -> Any:
    """The samples of a pixbuf, whose rows may be longer than its picture."""
    data = np.frombuffer(base64.b64decode(pixels), np.uint8)
    stride = -(-width * 3 // 4) * 4 if len(data) != width * height * 3 else width * 3
    padded = np.concatenate([data, np.zeros(max(0, stride * height - len(data)), np.uint8)])
    return padded.reshape(height, stride)[:, : width * 3].reshape(height, width, 3)


def test_an_engine_that_went_away_is_told_and_found_again(
    gimp2: RootedGimp, scan: Path, tmp_path: Path
) -> None:
    # The second engine takes the place of the first one, which the script ends, at the same address.
    script = """
dialog = built()
until(dialog, lambda: rendered(dialog))
health = session.health
open('/out/kill', 'w').close()
deadline = time.time() + 60
while not os.path.exists('/out/killed') and time.time() < deadline:
    dialog.turn()
dialog._profile.choose('strong')
until(dialog, lambda: text(dialog._status))
answer['status'] = text(dialog._status)
answer['again'] = dialog._again.get_property('visible')
answer['job'] = dialog.follower.job
open('/out/start', 'w').close()
while not os.path.exists('/out/started') and time.time() < deadline:
    dialog.turn()
dialog._again.clicked()
until(dialog, lambda: dialog.follower.job and rendered(dialog))
answer['after'] = [text(dialog._status), dialog._again.get_property('visible'), text(dialog._plan)]
dialog.end()
"""
    out = tmp_path / "out"
    found = with_two_engines(gimp2, scan, out, script)

    assert "went away" in found["status"] or "does not answer" in found["status"]
    assert found["again"]
    assert found["job"] is None
    assert found["after"][:2] == ["", False]
    assert found["after"][2].startswith("Noise and grain")


def with_two_engines(gimp: RootedGimp, picture: Path, out: Path, script: str) -> dict[str, Any]:
    """Runs a script that asks, by files, for its engine to be killed, and for another one to be started."""
    place = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    out.mkdir(parents=True)

    def change(first: Server) -> None:
        until((out / "kill").exists, 120)
        first.process.kill()
        first.process.wait()
        (out / "killed").touch()
        until((out / "start").exists, 120)
        with serving(folder=place) as second:
            until(lambda: answers(second))
            (out / "started").touch()
            until((out / "answer.json").exists, 120)

    try:
        with serving(folder=place) as first:
            changing = threading.Thread(target=change, args=(first,))
            changing.start()
            found = looked(gimp, first, picture, out, script)
            changing.join()
            return found
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_what_the_dialog_has_sent_is_forgotten_when_it_is_closed(
    gimp2: RootedGimp, scan: Path, tmp_path: Path
) -> None:
    script = """
dialog = built()
until(dialog, lambda: rendered(dialog))
first = dialog.follower.job
dialog._profile.choose('strong')
until(dialog, lambda: dialog.follower.job != first and rendered(dialog))
second = dialog.follower.job
def known(job):
    try:
        return bool(session._engine()._ask('GET', '/v1/jobs/' + job))
    except EngineFault:
        return False
answer['open'] = [known(first), known(second)]
dialog.end()
answer['closed'] = [known(first), known(second)]
"""
    with serving() as server:
        found = looked(gimp2, server, scan, tmp_path / "out", script)

    assert found == {"open": [False, True], "closed": [False, False]}


def test_settings_are_kept_as_a_profile_that_the_hot_folder_reads(
    gimp2: RootedGimp, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    steps = """
action 'Restore...'; wait_window '^Restore$'; sleep 4
key alt+s; wait_window 'Save as Profile'; text 'attic'; key Return; sleep 3; shot saved
key Escape; sleep 1
"""
    with serving() as server:
        gimp2.window(steps, scan, out=tmp_path / "out", **reaching(server)).well()

    (written,) = (tmp_path / "config").rglob("attic.yaml")
    kept = written.read_text(encoding="utf-8")
    assert yaml.safe_load(kept)["noise"]["strength"] == "auto"
    assert "Saved in GIMP; begun from Gentle." in kept
