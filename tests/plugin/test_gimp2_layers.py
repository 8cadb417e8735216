"""In GIMP 2.10 a result becomes layers above its source, remembers how it was made, and can be made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scanmend
from numpy.typing import NDArray
from PIL import Image
from scanmend.pipeline import Options

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import Gimp, RootedGimp, reaching
from .test_gimp3_layers import far, samples

pytestmark = pytest.mark.slow

HELP = """
import base64
def held(layer):
    if layer is None:
        return None
    x, y = layer.offsets
    return [layer.name, x, y, layer.width, layer.height, bool(layer.visible),
            base64.b64encode(samples(layer))]
def inside(group):
    return {child.name.split(' #')[0]: held(child) for child in group.layers}
def restored(group):
    return [child for child in group.layers if child.name.startswith('Restored')][0]
def names(image):
    def branch(layer):
        return [layer.name, [branch(one) for one in layer.layers] if hasattr(layer, 'layers') else []]
    return [branch(one) for one in layers(image)]
def memory(group):
    parasite = group.parasite_find('scanmend-restoration')
    return [json.loads(parasite.data.rstrip(chr(0))), parasite.is_persistent] if parasite else None
def box_of(layer, x, y, width, height):
    region = layer.get_pixel_rgn(x, y, width, height, False, False)
    return base64.b64encode(region[x:x + width, y:y + height])
def ellipse(image):
    pdb.gimp_image_select_ellipse(image, CHANNEL_OP_REPLACE, 40, 30, 60, 50)
    pdb.gimp_selection_feather(image, 12)
"""


def run(gimp: Gimp, engine: Server, script: str, *scans: Path) -> dict[str, Any]:
    """What a script with the helpers answers; the scans are its arguments."""
    return gimp.run(DRIVE[2] + HELP + script, *scans, **reaching(engine, show=[scans[0].parent])).well


@pytest.fixture(scope="module")
def scan(made_scans: dict[str, Path]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(made_scans["rgb8"]))


@pytest.fixture(scope="module")
def strong(scan: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The scan as Scanmend restores it with the strong profile."""
    return scanmend.restore(scan, profile="strong", options=Options(device="cpu", backend="torch"))[0]


def test_a_result_stands_in_a_group_above_its_untouched_source(
    gimp2: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    scan: NDArray[np.uint8],
    strong: NDArray[np.uint8],
) -> None:
    script = """
image = load(ARGS[0])
source = layer(image)
source.set_offsets(-20, 35)
said = call(image, source, profile='strong', noise='manual', noise_value=1.0)
group = layer(image)
answer(dict(inside(group), said=said, names=names(image), source=held(source), memory=memory(group),
            tattoo=source.tattoo, chosen=image.active_layer.name))
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    assert found["said"] == ["success", ""]
    assert found["names"] == [["Restored: Strong", [["Removed", []], ["Restored", []]]], ["Background", []]]
    assert np.array_equal(samples(found["source"]), scan)
    assert found["source"][5]
    assert found["Restored"][1:6] == [-20, 35, 200, 150, True]
    assert far(samples(found["Restored"]), strong) <= 1
    assert found["Removed"][1:6] == [-20, 35, 200, 150, False]
    taken = np.clip(scan.astype(int) - strong + 128, 0, 255)
    assert far(samples(found["Removed"]), taken) <= 1
    assert found["chosen"] == "Restored"
    remembered, persistent = found["memory"]
    assert persistent
    assert remembered["source"] == found["tattoo"]
    assert remembered["box"] == [0, 0, 200, 150]
    assert remembered["arguments"]["noise-value"] == 1.0
    assert remembered["report"]["pages"][0]["facts"]["noise"]["sigma"] > 0.01


def test_a_soft_selection_becomes_the_mask_of_the_restored_part(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path], strong: NDArray[np.uint8]
) -> None:
    script = """
image = load(ARGS[0])
layer(image).set_offsets(-30, -10)
ellipse(image)
_hit, x, y, width, height = pdb.gimp_drawable_mask_intersect(layer(image))
selected = box_of(image.selection, x - 30, y - 10, width, height)
said = call(image, layer(image), profile='strong')
child = restored(layer(image))
answer({'said': said, 'box': [x, y, width, height], 'layer': held(child), 'mask': held(child.mask),
        'selected': selected, 'edits': bool(child.edit_mask),
        'still': not pdb.gimp_selection_is_empty(image)})
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    x, y, width, height = found["box"]
    assert found["said"] == ["success", ""]
    assert (width, height) < (200, 150)
    assert found["layer"][1:5] == [x - 30, y - 10, width, height]
    assert far(samples(found["layer"]), strong[y : y + height, x : x + width]) <= 1
    assert len(np.unique(samples(found["mask"]))) > 20  # soft
    assert found["mask"][-1] == found["selected"]
    assert not found["edits"]
    assert found["still"]


def test_a_soft_selection_is_kept_at_every_precision(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
found = {}
for precision in (100, 200, 250, 300, 350, 500, 550, 600, 650, 700, 750):
    image = load(ARGS[0])
    pdb.gimp_image_convert_precision(image, precision)
    ellipse(image)
    _hit, x, y, width, height = pdb.gimp_drawable_mask_intersect(layer(image))
    selected = box_of(image.selection, x, y, width, height)
    said = call(image, layer(image), profile='strong')
    found[precision] = [said, held(restored(layer(image)).mask)[-1] == selected]
    pdb.gimp_image_delete(image)
answer(found)
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    assert len(found) == 11
    assert {name: kept for name, kept in found.items() if kept != [["success", ""], True]} == {}


def test_in_place_a_selection_decides_how_much_of_each_pixel_changes(
    gimp2: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    scan: NDArray[np.uint8],
    strong: NDArray[np.uint8],
) -> None:
    script = """
image = load(ARGS[0])
ellipse(image)
selected = held(image.selection)
said = call(image, layer(image), profile='strong', output='in-place')
answer({'said': said, 'layer': held(layer(image)), 'names': names(image), 'selected': selected})
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    made, selected = samples(found["layer"]), samples(found["selected"])[..., 0]
    assert found["said"] == ["success", ""]
    assert found["names"] == [["Background", []]]
    assert np.array_equal(made[selected == 0], scan[selected == 0])
    # How GIMP mixes is GIMP's own.
    assert far(made[selected == 255], strong[selected == 255]) <= 1
    low, high = np.minimum(scan, strong).astype(int) - 1, np.maximum(scan, strong).astype(int) + 1
    assert np.all((made >= low) & (made <= high))


@pytest.mark.parametrize("chosen", ["group", "Restored", "Removed"])
def test_a_restoration_is_made_anew_in_its_own_place(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path], chosen: str
) -> None:
    script = f"""
image = load(ARGS[0])
source = layer(image)
ellipse(image)
call(image, source, profile='strong', noise='manual', noise_value=0.5)
group = layer(image)
first, mask = inside(group), held(restored(group).mask)
pdb.gimp_selection_none(image)
above = pdb.gimp_layer_new(image, 10, 10, RGBA_IMAGE, 'above', 100.0, 28)
pdb.gimp_image_insert_layer(image, above, None, 0)
pdb.gimp_image_reorder_item(image, group, None, 2)  # below its source, where the person wants it
again = group if '{chosen}' == 'group' else [one for one in group.layers if one.name == '{chosen}'][0]
said = call(image, again, profile='strong')
group = image.layers[2]
answer({{'said': said, 'names': names(image), 'first': first, 'second': inside(group), 'mask': mask,
        'new mask': held(restored(group).mask), 'memory': memory(group)}})
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    children = [["Removed", []], ["Restored", []]]
    assert found["said"] == ["success", ""]
    assert found["names"] == [["above", []], ["Background", []], ["Restored: Strong", children]]
    assert found["second"]["Restored"][:5] == found["first"]["Restored"][:5]
    assert far(samples(found["second"]["Restored"]), samples(found["first"]["Restored"])) > 5
    assert found["new mask"][1:] == found["mask"][1:]
    assert found["memory"][0]["arguments"]["noise"] == "profile"


def test_a_restoration_can_be_put_in_place_later(
    gimp2: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    scan: NDArray[np.uint8],
    strong: NDArray[np.uint8],
) -> None:
    script = """
image = load(ARGS[0])
pdb.gimp_image_select_rectangle(image, CHANNEL_OP_REPLACE, 50, 40, 60, 30)
call(image, layer(image), profile='strong')
pdb.gimp_image_select_rectangle(image, CHANNEL_OP_REPLACE, 0, 0, 10, 10)
before = sha1(image.selection)
said = call(image, layer(image), profile='strong', output='in-place')
answer({'said': said, 'names': names(image), 'layer': held(layer(image)),
        'channels': len(image.channels), 'same': sha1(image.selection) == before})
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    wanted_ = scan.copy()
    wanted_[40:70, 50:110] = strong[40:70, 50:110]
    assert found["said"] == ["success", ""]
    assert found["names"] == [["Background", []]]
    assert far(samples(found["layer"]), wanted_) <= 1
    assert found["same"]
    assert found["channels"] == 0


def test_a_group_takes_the_place_of_a_layer_that_is_masked_or_shines_through(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
found = {}
def tried(name, prepare, path):
    image = load(path)
    source = layer(image)
    prepare(image, source)
    said = call(image, source, profile='strong')
    group = layer(image)
    if group.name == 'outer':
        group = group.layers[0]
    found[name] = {'said': said, 'names': names(image), 'seen': bool(source.visible),
                   'mask': held(group.mask), 'opacity': group.opacity, 'mode': group.mode,
                   'own mask': held(source.mask)}
def masked(image, source):
    pdb.gimp_image_select_rectangle(image, CHANNEL_OP_REPLACE, 20, 20, 70, 70)
    pdb.gimp_selection_feather(image, 15)
    source.add_mask(source.create_mask(ADD_MASK_SELECTION))
    source.edit_mask = False
    pdb.gimp_selection_none(image)
def thin(image, source):
    source.opacity = 50.0
    source.mode = LAYER_MODE_MULTIPLY
def nested(image, source):
    outer = pdb.gimp_layer_group_new(image)
    outer.name = 'outer'
    pdb.gimp_image_insert_layer(image, outer, None, 0)
    pdb.gimp_image_reorder_item(image, source, outer, 0)
tried('plain', lambda image, source: source.add_alpha(), ARGS[0])
tried('masked', masked, ARGS[0])
tried('thin', thin, ARGS[0])
tried('fading', lambda image, source: None, ARGS[1])
tried('nested', nested, ARGS[0])
answer(dict(found, multiply=LAYER_MODE_MULTIPLY))
"""
    found = run(gimp2, engine, script, made_scans["rgb8"], made_scans["alpha8"])
    multiply = found.pop("multiply")

    assert {name: kind["seen"] for name, kind in found.items()} == {
        "plain": True, "nested": True, "masked": False, "thin": False, "fading": False,
    }  # fmt: skip
    assert all(kind["said"] == ["success", ""] for kind in found.values())
    assert found["masked"]["mask"][1:5] == [0, 0, 200, 150]
    assert found["masked"]["mask"][-1] == found["masked"]["own mask"][-1]
    assert found["plain"]["mask"] is None
    assert (found["thin"]["opacity"], found["thin"]["mode"]) == (50.0, multiply)
    inner = [["Removed", []], ["Restored", []]]
    assert found["nested"]["names"] == [["outer", [["Restored: Strong", inner], ["Background", []]]]]


def test_one_undo_takes_a_restoration_back_and_one_redo_brings_it_again(
    gimp2: RootedGimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    drive = tmp_path / "drive.py"
    drive.write_text(DRIVE[2], encoding="utf-8")
    start = f"exec(open('{drive}').read()); image = gimp.image_list()[0]; flush = gimp.displays_flush"
    steps = f"""
layers
py "{start}; pdb.gimp_image_select_ellipse(image, CHANNEL_OP_REPLACE, 40, 30, 90, 80)"
focus_main; layers
py "{start}; print call(image, layer(image), profile='strong'); flush()"
layers; shot restored; focus_main; key ctrl+z; layers; shot undone; key ctrl+y; layers
py "{start}; print call(image, layer(image), profile='strong', noise='manual', noise_value=0.4); flush()"
layers; focus_main; key ctrl+z; layers; key ctrl+z; layers
py "{start}; print call(image, layer(image), profile='strong', output='in-place'); flush()"
layers; focus_main; key ctrl+z; layers
"""
    around = reaching(engine, show=[tmp_path])

    seen = gimp2.window(steps, made_scans["rgb8"], out=tmp_path / "out", **around).well()

    assert seen.out.count("['success', '']") == 3, seen.out
    plain, selected, first, undone, redone, second, back, none, in_place, last = seen.layers
    assert plain == selected == undone == none == last
    assert len(first) == 2  # the group and its source
    assert first[1:] == plain
    assert redone == back == first
    assert second != first
    assert len(in_place) == 1
    assert in_place != plain
