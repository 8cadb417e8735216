"""In GIMP 3 a restoration is made anew also where it was copied, grew, or was damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scanmend
from PIL import Image
from scanmend.pipeline import Options

from tests.core.serving import Server

from .gimp import Gimp
from .test_gimp3_layers import far, run, samples

pytestmark = pytest.mark.slow

COPIES = """
def groups(image):
    return [one for one in image.get_layers() if one.is_group()]
def of_several(path):
    image = load(path)
    for name in ('upper', 'middle'):
        copy = layer(image).copy()
        copy.set_name(name)
        image.insert_layer(copy, None, 0)
    image.remove_layer(image.get_layers()[1])
    source = image.get_layers()[1]
    call(image, source, profile='strong')
    return image
"""


@pytest.mark.parametrize("how", ["group", "layer in it", "image", "image, saved"])
def test_the_copy_of_a_restoration_is_made_anew_from_the_same_layer(
    gimp3: Gimp,
    engine: Server,
    made_scans: dict[str, Path],
    how: str,
) -> None:
    script = f"""
image = of_several(ARGS[0])
if '{how}'.startswith('image'):
    image = image.duplicate()
    if 'saved' in '{how}':
        file = Gio.File.new_for_path('/tmp/copied.xcf')
        Gimp.file_save(QUIETLY, image, file, None)
        image = Gimp.file_load(QUIETLY, file)
else:
    copy = groups(image)[0].copy()
    image.insert_layer(copy, None, 0)
chosen = groups(image)[0]
if 'layer' in '{how}':
    chosen = chosen.get_children()[1]
call(image, chosen, profile='strong', noise='manual', noise_value=0.3)
said = call(image, groups(image)[0], profile='strong')
answer({{'said': said, 'names': names(image), 'made': held(groups(image)[0].get_children()[1])}})
"""
    found = run(gimp3, engine, COPIES + script, made_scans["rgb8"])

    scan = np.asarray(Image.open(made_scans["rgb8"]))
    restored = scanmend.restore(scan, profile="strong", options=Options(device="cpu", backend="torch"))[0]
    group = next(name for name in found["names"] if name[1])
    assert found["said"] == ["success", ""]
    assert len(group[1]) == 2, "the layers of the copy are replaced, not kept above the new ones"
    assert far(samples(found["made"]), restored) <= 1


def test_what_a_person_copied_within_a_restoration_stays(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
image = load(ARGS[0])
call(image, layer(image), profile='strong')
group = layer(image)
own = group.get_children()[1].copy()
own.set_name('retouched')
image.insert_layer(own, group, 0)
said = [call(image, group, profile='strong')]
copied = image.duplicate()
said.append(call(copied, layer(copied), profile='strong'))
answer({'said': said, 'names': names(image), 'copied': names(copied)})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    children = [["retouched", []], ["Removed", []], ["Restored", []]]
    assert found["said"] == [["success", ""]] * 2
    assert found["names"] == found["copied"] == [["Restored: Strong", children], ["Background", []]]


def test_the_mask_of_a_restoration_stays_in_its_place_where_its_group_is_larger(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
image = load(ARGS[0])
source = layer(image)
image.select_rectangle(Gimp.ChannelOps.REPLACE, 120, 0, 80, 150)
source.add_mask(source.create_mask(Gimp.AddMaskType.SELECTION))
source.set_edit_mask(False)
Gimp.Selection.none(image)
call(image, source, profile='strong')
own = Gimp.Layer.new(image, 'own', 300, 250, Gimp.ImageType.RGBA_IMAGE, 100, Gimp.LayerMode.NORMAL)
own.set_offsets(-50, -50)
image.insert_layer(own, layer(image), 0)
first = held(layer(image).get_mask())
said = call(image, layer(image), profile='strong', noise='manual', noise_value=0.3)
answer({'said': said, 'first': first, 'second': held(layer(image).get_mask())})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    assert found["said"] == ["success", ""]
    assert found["second"][1:] == found["first"][1:]
    assert samples(found["first"])[100, [150, 169, 170], 0].tolist() == [0, 0, 255]


def test_a_caller_that_feathers_its_selections_does_not_feather_what_is_put_in_place(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
found = []
for feather in (False, True):
    image = load(ARGS[0])
    image.select_rectangle(Gimp.ChannelOps.REPLACE, 50, 40, 60, 30)
    call(image, layer(image), profile='strong')
    Gimp.Selection.none(image)
    Gimp.context_set_feather(feather)
    Gimp.context_set_feather_radius(20, 20)
    call(image, layer(image), profile='strong', output='in-place')
    Gimp.context_set_feather(False)
    found.append(tree(image))
answer({'found': found})
"""
    without, with_feathers = run(gimp3, engine, script, made_scans["rgb8"])["found"]

    assert with_feathers == without
    assert len(without) == 1


@pytest.mark.parametrize(
    "damage",
    [
        {"source": 10**40, "layer": 2**80, "removed": [1], "box": [10**30, 0, -5, True]},
        {"arguments": {"noise-value": 10**400, "noise": 7, "profile": None}, "hides": "?"},
        {"name": 5},
        {"name": None, "source": 1.5, "layer": {}},
    ],
)
def test_a_damaged_memory_is_no_fault_of_the_plug_in(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path], damage: dict[str, Any]
) -> None:
    script = f"""
image = load(ARGS[0])
call(image, layer(image), profile='strong')
group = layer(image)
values = memory(group)[0]
values.update({damage!r})
data = list(json.dumps(values).encode())
group.attach_parasite(Gimp.Parasite.new('scanmend-restoration', Gimp.PARASITE_PERSISTENT, data))
answer({{'said': call(image, group, profile='strong'), 'names': names(image)}})
"""
    found = run(gimp3, engine, script, made_scans["rgb8"])

    status, message = found["said"]
    assert status == "success" or "is no longer there; choose another layer" in message
    assert len(found["names"][0][1]) == 2
