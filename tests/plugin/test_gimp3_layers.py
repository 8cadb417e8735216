"""In GIMP 3 a result becomes layers above its source, remembers how it was made, and can be made anew."""

from __future__ import annotations

import base64
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

pytestmark = pytest.mark.slow

HELP = """
import base64
def held(layer):
    if layer is None:
        return None
    _ok, x, y = layer.get_offsets()
    return [layer.get_name(), x, y, layer.get_width(), layer.get_height(), layer.get_visible(),
            base64.b64encode(samples(layer)).decode()]
def inside(group):
    return {child.get_name().split(' #')[0]: held(child) for child in group.get_children()}
def names(image):
    def branch(layer):
        return [layer.get_name(), [branch(one) for one in layer.get_children()] if layer.is_group() else []]
    return [branch(one) for one in layers(image)]
def memory(group):
    parasite = group.get_parasite('scanmend-restoration')
    return [json.loads(bytes(parasite.get_data())), parasite.is_persistent()] if parasite else None
def ellipse(image):
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 40, 30, 60, 50)
    Gimp.Selection.feather(image, 12)
"""


def run(gimp: Gimp, engine: Server, script: str, *scans: Path) -> dict[str, Any]:
    """What a script with the helpers answers; the scans are its arguments."""
    ran = gimp.run(DRIVE[3] + HELP + script, *scans, **reaching(engine, show=[scans[0].parent]))
    return ran.well


def samples(held: list[Any]) -> NDArray[np.uint8]:
    """The samples of a layer that a script held, (H, W, C)."""
    _name, _x, _y, width, height, _visible, data = held
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, -1)


def far(one: NDArray[Any], other: NDArray[Any]) -> int:
    """The largest difference in levels."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.fixture(scope="module")
def scan(made_scans: dict[str, Path]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(made_scans["rgb8"]))


@pytest.fixture(scope="module")
def restored(scan: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The scan as Scanmend restores it with the strong profile."""
    return scanmend.restore(scan, profile="strong", options=Options(device="cpu", backend="torch"))[0]


def test_a_result_stands_in_a_group_above_its_untouched_source(
    gimp3: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    scan: NDArray[np.uint8],
    restored: NDArray[np.uint8],
) -> None:
    script = """
image = load(ARGS[0])
source = layer(image)
source.set_offsets(-20, 35)
said = call(image, source, profile='strong', noise='manual', noise_value=1.0)
group = layer(image)
answer({'said': said, 'names': names(image), 'source': held(source), **inside(group), 'memory': memory(group),
        'tattoo': source.get_tattoo(), 'chosen': [one.get_name() for one in image.get_selected_layers()]})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    assert found["said"] == ["success", ""]
    assert found["names"] == [["Restored: Strong", [["Removed", []], ["Restored", []]]], ["Background", []]]
    assert np.array_equal(samples(found["source"]), scan)
    assert found["source"][5]
    assert found["Restored"][1:6] == [-20, 35, 200, 150, True]
    assert far(samples(found["Restored"]), restored) <= 1
    assert found["Removed"][1:6] == [-20, 35, 200, 150, False]
    taken = np.clip(scan.astype(int) - restored + 128, 0, 255)
    assert far(samples(found["Removed"]), taken) <= 1
    assert found["chosen"] == ["Restored"]
    remembered, persistent = found["memory"]
    assert persistent
    assert remembered["source"] == found["tattoo"]
    assert remembered["box"] == [0, 0, 200, 150]
    assert remembered["arguments"]["profile"] == "strong"
    assert remembered["arguments"]["noise-value"] == 1.0
    assert remembered["report"]["pages"][0]["facts"]["noise"]["sigma"] > 0.01


def test_a_soft_selection_becomes_the_mask_of_the_restored_part(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path], restored: NDArray[np.uint8]
) -> None:
    script = """
image = load(ARGS[0])
layer(image).set_offsets(-30, -10)
ellipse(image)
_ok, x, y, width, height = layer(image).mask_intersect()
box = Gegl.Rectangle.new(x - 30, y - 10, width, height)
selection = image.get_selection().get_buffer().get(box, 1.0, 'Y u8', Gegl.AbyssPolicy.NONE)
said = call(image, layer(image), profile='strong')
child = [one for one in layer(image).get_children() if one.get_name() == 'Restored'][0]
answer({'said': said, 'box': [x, y, width, height], 'layer': held(child), 'mask': held(child.get_mask()),
        'selection': base64.b64encode(selection).decode(), 'edits': child.get_edit_mask(),
        'still': not Gimp.Selection.is_empty(image)})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    x, y, width, height = found["box"]
    assert found["said"] == ["success", ""]
    assert (width, height) < (200, 150)
    assert found["layer"][1:5] == [x - 30, y - 10, width, height]
    assert far(samples(found["layer"]), restored[y : y + height, x : x + width]) <= 1
    amounts = samples(found["mask"])[..., 0]
    assert len(np.unique(amounts)) > 20  # soft
    assert amounts.tobytes() == base64.b64decode(found["selection"])
    assert not found["edits"]
    assert found["still"]


def test_in_place_a_selection_decides_how_much_of_each_pixel_changes(
    gimp3: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    scan: NDArray[np.uint8],
    restored: NDArray[np.uint8],
) -> None:
    script = """
image = load(ARGS[0])
ellipse(image)
whole = Gegl.Rectangle.new(0, 0, 200, 150)
selection = image.get_selection().get_buffer().get(whole, 1.0, 'Y u8', Gegl.AbyssPolicy.NONE)
said = call(image, layer(image), profile='strong', output='in-place')
answer({'said': said, 'layer': held(layer(image)), 'names': names(image),
        'selection': base64.b64encode(selection).decode()})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    made = samples(found["layer"])
    selected = np.frombuffer(base64.b64decode(found["selection"]), np.uint8).reshape(150, 200, 1)
    assert found["said"] == ["success", ""]
    assert found["names"] == [["Background", []]]
    assert np.array_equal(made[selected[..., 0] == 0], scan[selected[..., 0] == 0])
    # GIMP mixes in linear light, so the mixture itself is GIMP's.
    assert far(made[selected[..., 0] == 255], restored[selected[..., 0] == 255]) <= 1
    low, high = np.minimum(scan, restored).astype(int) - 1, np.maximum(scan, restored).astype(int) + 1
    assert np.all((made >= low) & (made <= high))


@pytest.mark.parametrize("chosen", ["group", "Restored", "Removed"])
def test_a_restoration_is_made_anew_in_its_own_place(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path], chosen: str
) -> None:
    script = f"""
image = load(ARGS[0])
source = layer(image)
ellipse(image)
call(image, source, profile='strong', noise='manual', noise_value=0.5)
group = layer(image)
first = inside(group)
mask = held([one for one in group.get_children() if one.get_name() == 'Restored'][0].get_mask())
Gimp.Selection.none(image)
above = Gimp.Layer.new(image, 'above', 10, 10, Gimp.ImageType.RGBA_IMAGE, 100, Gimp.LayerMode.NORMAL)
image.insert_layer(above, None, 0)
image.reorder_item(group, None, 2)  # below its source, where the person wants it
own = Gimp.Layer.new(image, 'own', 10, 10, Gimp.ImageType.RGBA_IMAGE, 100, Gimp.LayerMode.NORMAL)
image.insert_layer(own, group, 0)
again = group if '{chosen}' == 'group' else [
    one for one in group.get_children() if one.get_name() == '{chosen}'][0]
said = call(image, again, profile='strong')
group = image.get_layers()[2]
child = [one for one in group.get_children() if one.get_name() == 'Restored'][0]
answer({{'said': said, 'names': names(image), 'first': first, 'second': inside(group), 'mask': mask,
        'new mask': held(child.get_mask()), 'memory': memory(group)}})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    children = [["own", []], ["Removed", []], ["Restored", []]]
    assert found["said"] == ["success", ""]
    assert found["names"] == [["above", []], ["Background", []], ["Restored: Strong", children]]
    assert found["second"]["Restored"][:5] == found["first"]["Restored"][:5]
    assert far(samples(found["second"]["Restored"]), samples(found["first"]["Restored"])) > 5
    assert found["new mask"][1:] == found["mask"][1:]
    assert found["memory"][0]["arguments"]["noise"] == "profile"


def test_a_source_that_was_hidden_is_seen_again_when_its_restoration_is_put_in_place(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
image = load(ARGS[0])
source = layer(image)
source.set_opacity(60)
call(image, source, profile='strong')
seen = [source.get_visible()]
call(image, layer(image), profile='strong', noise='manual', noise_value=0.5)
seen.append(source.get_visible())
said = call(image, layer(image), profile='strong', output='in-place')
answer({'said': said, 'seen': [*seen, source.get_visible()], 'names': names(image)})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    assert found["said"] == ["success", ""]
    assert found["seen"] == [False, False, True]
    assert found["names"] == [["Background", []]]


def test_a_restoration_can_be_put_in_place_later(
    gimp3: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    scan: NDArray[np.uint8],
    restored: NDArray[np.uint8],
) -> None:
    script = """
image = load(ARGS[0])
image.select_rectangle(Gimp.ChannelOps.REPLACE, 50, 40, 60, 30)
call(image, layer(image), profile='strong')
image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 10, 10)
before = sha1(image.get_selection())
said = call(image, layer(image), profile='strong', output='in-place')
answer({'said': said, 'names': names(image), 'layer': held(layer(image)),
        'channels': len(image.get_channels()), 'same': sha1(image.get_selection()) == before})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    wanted = scan.copy()
    wanted[40:70, 50:110] = restored[40:70, 50:110]
    assert found["said"] == ["success", ""]
    assert found["names"] == [["Background", []]]
    assert far(samples(found["layer"]), wanted) <= 1
    assert found["same"]
    assert found["channels"] == 0


def test_a_group_takes_the_place_of_a_layer_that_is_masked_or_shines_through(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
found = {}
def restored(name, prepare, path):
    image = load(path)
    source = layer(image)
    prepare(image, source)
    said = call(image, source, profile='strong')
    group = [one for one in image.get_layers() if one.is_group()]
    group = group[0] if group else source.get_parent().get_children()[0]
    found[name] = {'said': said, 'names': names(image), 'seen': source.get_visible(),
                   'mask': held(group.get_mask()), 'opacity': group.get_opacity(),
                   'mode': group.get_mode().value_nick}
    own = source.get_mask()
    found[name]['own mask'] = held(own) if own else None
def masked(image, source):
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 20, 70, 70)
    Gimp.Selection.feather(image, 15)
    source.add_mask(source.create_mask(Gimp.AddMaskType.SELECTION))
    source.set_edit_mask(False)
    Gimp.Selection.none(image)
def thin(image, source):
    source.set_opacity(50)
    source.set_mode(Gimp.LayerMode.MULTIPLY)
def nested(image, source):
    outer = Gimp.GroupLayer.new(image, 'outer')
    image.insert_layer(outer, None, 0)
    image.reorder_item(source, outer, 0)
restored('plain', lambda image, source: source.add_alpha(), ARGS[0])
restored('masked', masked, ARGS[0])
restored('thin', thin, ARGS[0])
restored('fading', lambda image, source: None, ARGS[1])
restored('nested', nested, ARGS[0])
answer(found)
"""
    found = run(gimp3, engine, script, made_scans["rgb8"], made_scans["alpha8"])

    assert {name: kind["seen"] for name, kind in found.items()} == {
        "plain": True, "nested": True, "masked": False, "thin": False, "fading": False,
    }  # fmt: skip
    assert all(kind["said"] == ["success", ""] for kind in found.values())
    assert found["masked"]["mask"][1:5] == [0, 0, 200, 150]
    assert found["masked"]["mask"][-1] == found["masked"]["own mask"][-1]
    assert found["plain"]["mask"] is None
    assert (found["thin"]["opacity"], found["thin"]["mode"]) == (50.0, "multiply")
    inner = [["Removed", []], ["Restored", []]]
    assert found["nested"]["names"] == [["outer", [["Restored: Strong", inner], ["Background", []]]]]


def test_one_undo_takes_a_restoration_back_and_one_redo_brings_it_again(
    window3: RootedGimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    drive = tmp_path / "drive.py"
    drive.write_text(DRIVE[3], encoding="utf-8")
    start = f"exec(open('{drive}').read()); image = Gimp.get_images()[0]"
    steps = f"""
layers
py "{start}; ellipse = image.select_ellipse(Gimp.ChannelOps.REPLACE, 40, 30, 90, 80)"
focus_main; layers
py "{start}; print(call(image, layer(image), profile='strong'))"
layers; shot restored; focus_main; key ctrl+z; layers; key ctrl+y; layers
py "{start}; print(call(image, layer(image), profile='strong', noise='manual', noise_value=0.4))"
layers; focus_main; key ctrl+z; layers; key ctrl+z; layers
py "{start}; print(call(image, layer(image), profile='strong', output='in-place'))"
layers; focus_main; key ctrl+z; layers
"""
    around = reaching(engine, show=[tmp_path])

    seen = window3.window(steps, made_scans["rgb8"], out=tmp_path / "out", **around).well()

    assert seen.out.count("['success', '']") == 3, seen.out
    plain, selected, first, undone, redone, second, back, none, in_place, last = seen.layers
    assert plain == selected == undone == none == last
    assert len(first) == 2  # the group and its source
    assert first[1:] == plain
    assert redone == back == first
    assert second != first
    assert len(in_place) == 1
    assert in_place != plain
