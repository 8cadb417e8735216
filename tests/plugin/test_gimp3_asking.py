"""What a person chooses in GIMP 3's dialog is what is done, remembered, and asked again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import RootedGimp, reaching

pytestmark = pytest.mark.slow

NOTE = """
def note(name):
    image = Gimp.get_images()[0]
    parasite = image.get_layers()[0].get_parasite('scanmend-restoration')
    arguments = json.loads(bytes(parasite.get_data()))['arguments'] if parasite else {}
    print('noted', json.dumps([name, tree(image), arguments, image.is_dirty()]))
"""
# Tab goes to the profiles, Down to the next one; the dialog's own button is "R_estore".
STEPS = """
inside() { py "exec(open('$DRIVE').read()); image = Gimp.get_images()[0]; $1"; }
note() { inside "note('$1')"; }
asked() { action 'Restore...'; wait_window '^Restore$' 60; sleep 2; }
# `py` counts its calls, so none of them may run in a shell of its own, as $(...) would.
asks() { inside "print($1)" >/tmp/asked; answer=$(cat /tmp/asked); }
becomes() { for _ in $(seq 120); do asks "$1"; [ "$answer" = "$2" ] && return 0; sleep 0.25; done; return 1; }
COUNT='len(image.get_layers())'
TOP='image.get_layers()[0].get_id()'

inside "clean(image)"
asked; shot asked; key Escape; note escaped
asked; key Tab; key Down Down; sleep 1; shot documents; key alt+e; becomes "$COUNT" 2; note documents
inside "image.set_selected_layers([image.get_layers()[1]])"
action 'Restore with Last Settings'; becomes "$COUNT" 3; note again
focus_main; key ctrl+z; key ctrl+z; becomes "$COUNT" 1
inside "print(call(image, layer(image), profile='strong', keep_grain='manual', keep_grain_value=0.6))"
note made; asks "$TOP"; top=$answer
asked; shot anew; key alt+e; becomes "$TOP != $top and len(layer(image).get_children())" 2; note anew
focus_main; key ctrl+z; note 'made again'; key ctrl+z; note none
inside "words = Gimp.TextLayer.new(image, 'words', Gimp.context_get_font(), 30, Gimp.Unit.pixel())
image.insert_layer(words, None, 0)
print('text', call(image, layer(image), output='in-place'))"
"""


@pytest.fixture(scope="module")
def seen(
    window3: RootedGimp, engine: Server, made_scans: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What was said; after each step the layers, what the topmost remembers, and whether anything changed."""
    folder = tmp_path_factory.mktemp("asking")
    (folder / "drive.py").write_text(DRIVE[3] + NOTE, encoding="utf-8")
    steps = f"DRIVE={folder / 'drive.py'}\n{STEPS}"
    around = reaching(engine, show=[folder])
    out = window3.window(steps, made_scans["rgb8"], out=folder / "out", **around).well().out
    noted = [json.loads(line[6:]) for line in out.splitlines() if line.startswith("noted ")]
    return {"said": out, **{name: rest for name, *rest in noted}}


def test_a_dialog_that_is_closed_leaves_no_trace(seen: dict[str, Any]) -> None:
    layers, _arguments, dirty = seen["escaped"]

    assert len(layers) == 1
    assert not dirty


def test_what_is_chosen_is_done_and_done_again_with_last_settings(seen: dict[str, Any]) -> None:
    layers, arguments, _dirty = seen["documents"]

    assert [layer[0] for layer in layers] == ["Restored: Documents", "rgb8.png"]
    assert arguments["profile"] == "documents"
    assert [layer[0] for layer in seen["again"][0]] == [
        "Restored: Documents",
        "Restored: Documents #1",
        "rgb8.png",
    ]
    assert in_force(seen["again"][1]) == in_force(arguments)
    assert seen["again"][0][0][4] == layers[0][4]  # the same samples


def test_a_restoration_is_asked_about_with_its_own_settings_and_replaced(seen: dict[str, Any]) -> None:
    made, anew = seen["made"], seen["anew"]

    assert made[1]["profile"] == "strong"
    assert made[1]["keep-grain"] == "manual"
    assert in_force(anew[1]) == in_force(made[1])
    assert anew[0] == made[0]


def in_force(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that decide anything: numbers count where they are set by hand."""
    idle = {f"{name}-value" for name, choice in arguments.items() if choice in {"profile", "auto"}}
    return {name: value for name, value in arguments.items() if name not in idle}


def test_making_anew_is_one_step_of_undo(seen: dict[str, Any]) -> None:
    assert seen["made again"][:2] == seen["made"][:2]
    assert [layer[0] for layer in seen["none"][0]] == ["rgb8.png"]


def test_a_text_layer_is_not_restored_in_place(seen: dict[str, Any]) -> None:
    assert "text ['execution-error'" in seen["said"]
    assert "choose New layers, or rasterize it first" in seen["said"]
