"""The dialog in a real GIMP 3: it is built there as the plug-in builds it, driven, and looked into."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scanmend import profile

from tests.core.serving import Server, noisy, serving

from .gimp import RootedGimp, Seen, reaching

pytestmark = pytest.mark.slow

# Steps are a generator: each condition that it yields is waited for, while GTK's main loop runs.
_DRIVER = """
import hashlib, json, os, sys, time, traceback
sys.path.insert(0, os.path.join(Gimp.directory(), "plug-ins", "scanmend"))
import gi
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import GimpUi, Gtk
from scanmend_front import setup
from scanmend_front.session import Session
from scanmend_gimp3 import dialog as module, pixels

GimpUi.init("scanmend")
image = Gimp.get_images()[0]
layer = image.get_layers()[0]
procedure = Gimp.get_pdb().lookup_procedure("plug-in-scanmend-restore")
answer = {}

def built(box=None, installation=None):
    session = Session(installation or setup.installed())
    subject = pixels.Subject(layer, box or pixels.whole(layer))
    return module._Dialog(procedure, procedure.create_config(), session, subject)

def drive(dialog, steps):
    walk, now = steps(dialog), time.monotonic
    state = {"holds": next(walk), "until": now() + 60}
    def tick():
        try:
            if state["holds"]():
                state.update(holds=next(walk), until=now() + 60)
            assert now() < state["until"], "waited in vain in line %d" % walk.gi_frame.f_lineno
            return True
        except StopIteration:
            dialog._dialog.response(Gtk.ResponseType.CANCEL)
        except Exception:
            answer["wrong"] = traceback.format_exc()
            os._exit(told())  # a question may be open: nothing ends by itself any more
        return False
    GLib.timeout_add(20, tick)
    chosen = dialog.run()
    started = now()
    dialog.end(keep=chosen)
    answer.update(chosen=chosen, ending=now() - started, job=dialog.engine.job)

def told():
    with open("/out/answer.json", "w") as file:
        json.dump(answer, file)
    return 0

def hints(dialog):
    return {name: row._hint.get_text() for name, row in dialog._controls._rows.items()}

def plan(dialog):
    text = dialog._plan.get_buffer()
    return text.get_text(text.get_start_iter(), text.get_end_iter(), False)

def status(dialog):
    return dialog._status._text.get_text()

def part(dialog, left):
    picture = dialog._panel._comparison._image.get_pixbuf()
    samples, step = picture.get_pixels(), picture.get_rowstride()
    half = picture.get_n_channels() * (picture.get_width() // 2 - 20)
    first = 0 if left else picture.get_n_channels() * picture.get_width() - half
    rows = (samples[row * step + first :][:half] for row in range(picture.get_height()))
    return hashlib.sha1(b"".join(rows)).hexdigest()

def rendered(dialog):
    engine = dialog.engine
    def holds():
        shown = engine._shown is not None and engine._shown == engine._wish()
        return shown and not dialog._panel._comparison._drawing
    return holds

def question():
    found = [one for one in Gtk.Window.list_toplevels() if isinstance(one, Gtk.Dialog) and one.get_visible()]
    return next((one for one in found if one.get_title() != "Restore"), None)

def soon(call):
    GLib.idle_add(lambda: call() and False)
"""


def _driven(gimp: RootedGimp, steps: str, image: Path, out: Path, **around: Any) -> dict[str, Any]:
    """What steps in GIMP's Python answered, with GIMP's window as it was seen."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "drive.py").write_text(_DRIVER + steps + "\ntold()\n", encoding="utf-8")
    seen = gimp.window('layers; py "$(cat /out/drive.py)"; layers', image, out=out, **around)
    assert (out / "answer.json").exists(), f"{seen.out}\n{seen.err}\n{seen.log}"
    answer: dict[str, Any] = json.loads((out / "answer.json").read_text(encoding="utf-8"))
    assert "wrong" not in answer, answer["wrong"]
    seen.well()
    return {**answer, "window": seen}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A noisy scan, larger than the preview."""
    path = tmp_path_factory.mktemp("scan") / "scan.png"
    Image.fromarray(noisy(900, 1100)).save(path)
    return path


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the person's settings, as the engine and the command see them."""
    return tmp_path_factory.mktemp("settings")


@pytest.fixture(scope="module")
def keeping(settings: Path) -> Iterator[Server]:
    """An engine that keeps profiles in a folder of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(settings))
        with serving("--idle-exit", "1800") as server:
            yield server


_THROUGH = """
def steps(dialog):
    config = dialog._config
    yield lambda: status(dialog)
    answer["first"] = {"hints": hints(dialog), "plan": plan(dialog), "status": status(dialog)}
    yield rendered(dialog)
    answer["then"] = {"hints": hints(dialog), "plan": plan(dialog), "status": status(dialog)}
    answer["says"] = dialog._controls._rows["noise"]._combo.get_active_text()
    answer["device"] = dialog._status.device.get_text()
    answer["auto"] = [part(dialog, True), part(dialog, False)]

    answer["by hand before"] = dialog._controls._rows["noise"]._scale.get_sensitive()
    config.set_property("noise", "manual")
    config.set_property("noise-value", 0.4)
    answer["by hand"] = dialog._controls._rows["noise"]._scale.get_sensitive()
    yield rendered(dialog)
    answer["weaker"] = [part(dialog, True), part(dialog, False)]
    answer["weaker plan"] = plan(dialog)

    view = dialog._panel._comparison
    view.move_to(300, 300)
    yield lambda: not view._drawing
    answer["moved at once"] = part(dialog, True)
    answer["waiting"] = dialog._panel._word.get_text()
    yield rendered(dialog)
    answer["moved"] = [part(dialog, True), part(dialog, False)]

    soon(dialog._save.clicked)
    yield question
    entry = next(one for one in question().get_content_area().get_children()[0] if isinstance(one, Gtk.Entry))
    entry.set_text("grandma's album")
    answer["remark"] = dialog._profiles.purpose.get_text()
    question().response(Gtk.ResponseType.OK)
    yield lambda: question() is None and "grandma" in status(dialog)
    answer["saved"] = status(dialog)
    answer["chosen now"] = [config.get_property(name) for name in ("profile", "noise")]
    answer["purpose"] = dialog._profiles.purpose.get_text()
    answer["own says"] = dialog._controls._rows["noise"]._combo.get_active_text()
    answer["sees"] = rendered(dialog)()  # the same settings by another name: nothing is rendered again

    config.set_property("noise", "manual")
    config.set_property("noise-value", 0.7)
    soon(dialog._save.clicked)
    yield question
    answer["proposed"] = question().get_content_area().get_children()[0].get_children()[1].get_text()
    question().response(Gtk.ResponseType.OK)
    yield lambda: isinstance(question(), Gtk.MessageDialog)
    answer["asked"] = question().get_property("text")
    question().response(Gtk.ResponseType.OK)
    yield lambda: question() is None and config.get_property("noise") == "profile"
    config.set_property("quality", "fast")
    yield lambda: dialog._panel._word.get_text() != ""  # it is closed while it renders

drive(built(), steps)
"""


@pytest.fixture(scope="module")
def through(
    window3: RootedGimp, scan: Path, keeping: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """One way through the dialog, from its first look to Cancel."""
    return _driven(window3, _THROUGH, scan, tmp_path_factory.mktemp("out"), **reaching(keeping))


def test_hints_and_plan_arrive_after_the_dialog_is_shown(through: dict[str, Any]) -> None:
    first, then = through["first"], through["then"]

    assert (first["hints"]["noise"], first["plan"], bool(first["status"])) == ("measuring", "", True)
    assert then["hints"]["noise"].startswith("measured: ")
    assert "strength" in then["plan"]
    assert then["status"] == ""
    assert "cpu" in through["device"]
    assert through["says"] == "As the profile says (automatic)"


def test_the_preview_shows_the_scan_on_the_left_and_follows_the_settings_on_the_right(
    through: dict[str, Any],
) -> None:
    auto, weaker = through["auto"], through["weaker"]

    assert (through["by hand before"], through["by hand"]) == (False, True)
    assert weaker[0] == auto[0]
    assert weaker[1] != auto[1]
    assert "0.40" in through["weaker plan"]


def test_the_scan_moves_at_once_and_its_restoration_follows(through: dict[str, Any]) -> None:
    assert through["moved at once"] == through["moved"][0] != through["weaker"][0]
    assert through["waiting"] == "Rendering\u2026"


def test_settings_become_a_profile_that_is_chosen_and_can_be_replaced(
    through: dict[str, Any], settings: Path
) -> None:
    path = settings / "scanmend" / "profiles" / "grandma's album.yaml"
    assert through["saved"].startswith(f"Saved as {path}.")
    assert "profile: grandma's album\"" in through["saved"]
    assert through["chosen now"] == ["grandma's album", "profile"]
    assert through["own says"] == "As the profile says (0.40)"
    assert through["sees"]
    assert through["remark"] != through["purpose"] == "Saved in GIMP; begun from Gentle."
    assert through["proposed"] == "grandma's album"
    assert through["asked"] == 'There is a profile "grandma\'s album" already.'
    assert "strength: 0.7" in path.read_text(encoding="utf-8")
    checked = [sys.executable, "-m", "scanmend", "profile", "check", str(path)]
    done = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_cancel_ends_within_a_second_and_leaves_nothing_behind(
    through: dict[str, Any], keeping: Server
) -> None:
    window: Seen = through["window"]

    assert not through["chosen"]
    assert through["ending"] < 1.0
    assert window.layers[0] == window.layers[1]
    status, _answer = keeping.ask("GET", f"/v1/jobs/{through['job']}")
    assert status == 404


_WITHOUT = """
installation = setup.installed()
running, installation.addresses = installation.addresses, ("/nowhere/at/all",)

def steps(dialog):
    yield lambda: dialog._status._again.get_visible()
    answer["sentence"] = status(dialog)
    answer["hint"] = hints(dialog)["noise"]
    dialog._config.set_property("noise", "manual")
    answer["usable"] = dialog._controls._rows["noise"]._scale.get_sensitive()
    installation.addresses = running
    dialog._status._again.clicked()
    yield rendered(dialog)
    answer["again"] = [dialog._status._again.get_visible(), status(dialog), hints(dialog)["noise"]]
    dialog._config.set_property("profile", "gone")
    yield lambda: status(dialog)
    answer["gone"] = [status(dialog), dialog._profiles.combo.get_active_id()]
    dialog._config.set_property("noise", "profile")
    dialog._config.set_property("profile", "strong")
    yield rendered(dialog)
    yield lambda: not status(dialog)
    answer["numbers"] = [
        [row._combo.get_active_text(), row._config.get_property("keep-grain-value")]
        for row in [dialog._controls._rows["keep-grain"]]
    ][0]
    session = dialog.engine._session
    session._engine().cancel(dialog.engine.job)  # the engine has forgotten the picture
    dialog._config.set_property("noise", "auto")
    yield lambda: dialog._status._again.get_visible()
    answer["forgotten"] = status(dialog)
    dialog._status._again.clicked()
    yield rendered(dialog)
    panel = dialog._panel
    panel._switch.set_active(False)
    yield lambda: not panel._comparison._drawing
    answer["off"] = [panel._comparison._after is None, panel._word.get_text()]
    panel._switch.set_active(True)
    yield rendered(dialog)
    answer["on"] = panel._comparison._after is not None

drive(built(installation=installation), steps)
"""


def test_what_goes_wrong_is_said_and_can_be_mended_in_the_dialog(
    window3: RootedGimp, scan: Path, engine: Server, tmp_path: Path
) -> None:
    strong = profile.load("strong").noise.keep_grain

    seen = _driven(window3, _WITHOUT, scan, tmp_path / "out", **reaching(engine))

    assert "scanmend plugin install gimp" in seen["sentence"]
    assert seen["hint"] == ""
    assert seen["usable"]
    assert seen["again"][:2] == [False, ""]
    assert seen["again"][2].startswith("measured: ")
    assert seen["gone"] == ['There is no profile "gone".\nChoose another one.', "gone"]
    assert seen["numbers"] == [f"As the profile says ({100 * strong:.0f} %)", strong]
    assert seen["forgotten"]
    assert seen["off"] == [True, ""]
    assert seen["on"]


_ODD = """
def made(width, height, kind, precision, base):
    other = Gimp.Image.new_with_precision(width, height, base, precision)
    one = Gimp.Layer.new(other, "odd", width, height, kind, 100, Gimp.LayerMode.NORMAL)
    other.insert_layer(one, None, 0)
    buffer = one.get_buffer()
    noise = bytes(100 + value % 50 for value in os.urandom(4 * width * height))
    buffer.set(Gegl.Rectangle.new(0, 0, width, height), "R'G'B'A u8", noise)
    buffer.flush()
    return one

ODD = {
    "a column": (1, 3000, Gimp.ImageType.GRAYA_IMAGE, Gimp.Precision.U16_NON_LINEAR, Gimp.ImageBaseType.GRAY),
    "a dot": (3, 2, Gimp.ImageType.GRAY_IMAGE, Gimp.Precision.U8_NON_LINEAR, Gimp.ImageBaseType.GRAY),
    "linear": (300, 200, Gimp.ImageType.RGBA_IMAGE, Gimp.Precision.FLOAT_LINEAR, Gimp.ImageBaseType.RGB),
    "a part": (2000, 900, Gimp.ImageType.RGB_IMAGE, Gimp.Precision.U16_LINEAR, Gimp.ImageBaseType.RGB),
}
for name, values in ODD.items():
    layer = made(*values)
    def steps(dialog):
        yield lambda: dialog._panel._comparison._image.get_pixbuf()
        yield rendered(dialog)
        yield lambda: dialog._panel._comparison._after is not None
        shown = dialog._panel._comparison._image.get_pixbuf()
        small = dialog._panel._overview._image.get_pixbuf()
        first = shown.get_pixels()[0]
        seen = [*dialog._panel.seen]
        found = [shown.get_width(), shown.get_height(), small.get_width(), small.get_height()]
        answer[name] = [seen, found, 40 <= first <= 190, status(dialog)]
    drive(built(pixels.Box(1500, 50, 60, 40) if name == "a part" else None), steps)
"""


def test_layers_of_every_size_and_kind_are_shown(
    window3: RootedGimp, scan: Path, engine: Server, tmp_path: Path
) -> None:
    seen = _driven(window3, _ODD, scan, tmp_path / "out", **reaching(engine))

    column, dot, linear, part = (seen[name] for name in ("a column", "a dot", "linear", "a part"))
    assert (column[0][2], column[1][0], column[1][2:]) == (1, 1, [1, 120])
    assert dot[:2] == [[0, 0, 3, 2], [3, 2, 120, 80]]
    assert linear == [[0, 0, 300, 200], [300, 200, 120, 80], True, ""]
    left, _, width, _ = part[0]
    assert left + width / 2 == pytest.approx(768 / 2, abs=1)  # of what is sent, the selection in its middle
    assert part[2:] == [True, ""]


_PLACES = """
import os, sys
sys.path.insert(0, os.path.join(Gimp.directory(), "plug-ins", "scanmend"))
from scanmend_gimp3.pixels import Box
from scanmend_gimp3.preview_view import View, whole

view = whole(1000, 800, None).resized(400, 300)
def shown(view):
    return [list(view.visible), list(view.origin)]
near = view.zoomed(2.0, (100, 50))
small = whole(100, 80, None).resized(400, 300)
answer(dict(
    middle=shown(view),
    about=shown(whole(1000, 800, Box(700, 500, 100, 100)).resized(400, 300)),
    edge=shown(view.moved(-5000, 5000)),
    back=shown(view.moved(-5000, 0).moved(10, 0)),
    half=shown(view.zoomed(0.5)),
    kept=[view.pixel(100, 50), near.pixel(100, 50)],
    small=shown(small.moved(30, 30)),
    on_screen=list(near.on_screen(near.visible)),
))
"""


def test_the_preview_never_leaves_the_picture(window3: RootedGimp) -> None:
    ran = window3.run(_PLACES)

    seen = ran.well
    assert seen["middle"] == [[300, 250, 400, 300], [0, 0]]
    assert seen["about"] == [[550, 400, 400, 300], [0, 0]]
    assert seen["edge"] == [[0, 500, 400, 300], [0, 0]]
    assert seen["back"] == [[10, 250, 400, 300], [0, 0]]
    assert seen["half"] == [[100, 100, 800, 600], [0, 0]]
    assert np.allclose(*seen["kept"], atol=1.0)
    assert seen["small"] == [[0, 0, 100, 80], [150, 110]]
    assert seen["on_screen"] == [0, 0, 400, 300]


_DONE = """
py 'import time
deadline = time.monotonic() + 90
while len(Gimp.get_images()[0].get_layers()) < 2 and time.monotonic() < deadline:
    time.sleep(0.1)'
layers
"""


def test_the_menu_opens_the_dialog_and_its_button_restores(
    window3: RootedGimp, scan: Path, engine: Server, tmp_path: Path
) -> None:
    steps = "layers; action 'Restore...'; wait_window '^Restore$'; sleep 2; shot dialog; key alt+e;" + _DONE

    seen = window3.window(steps, scan, out=tmp_path / "out", **reaching(engine)).well()

    before, after = seen.layers
    assert [layer.name for layer in before] == ["scan.png"]
    assert after[1] == before[0]
    assert len(after) == 2
    assert after[0].sha1 != before[0].sha1
