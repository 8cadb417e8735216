"""How GIMP 2.10's procedures are called, and the sentence that each thing they cannot do is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from scanmend_plugin.layout import lay_out

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import NOWHERE, Gimp, Ran, reaching

pytestmark = pytest.mark.slow

REFUSALS = """
import sys
def loaded():
    image = load(ARGS[0])
    return image, layer(image)
found = {}
def tried(name, image, drawable, **arguments):
    clean(image)
    before = tree(image)
    sys.stderr.write('= %s\\n' % name)
    sys.stderr.flush()
    status, _message = call(image, drawable, **dict({'profile': 'strong'}, **arguments))
    found[name] = [status, tree(image) == before, dirty(image)]

image, one = loaded()
pdb.gimp_image_convert_indexed(image, 0, 0, 16, False, True, '')
tried('indexed', image, one)

image, one = loaded()
group = pdb.gimp_layer_group_new(image)
pdb.gimp_image_insert_layer(image, group, None, 0)
tried('group', image, group)

image, one = loaded()
mask = one.create_mask(ADD_MASK_WHITE)
one.add_mask(mask)
tried('mask', image, mask)
channel = gimp.Channel(image, 'a channel', 200, 150, 50.0, gimpcolor.RGB(1.0, 0.0, 0.0))
image.add_channel(channel)
tried('channel', image, channel)
tried('selection', image, image.selection)

image, one = loaded()
one.set_offsets(100, 100)
pdb.gimp_image_select_rectangle(image, CHANNEL_OP_REPLACE, 0, 0, 50, 50)
tried('beside', image, one)

image, one = loaded()
outer = pdb.gimp_layer_group_new(image)
outer.name = 'outer'
pdb.gimp_image_insert_layer(image, outer, None, 0)
pdb.gimp_image_reorder_item(image, one, outer, 0)
pdb.gimp_item_set_lock_content(outer, True)
tried('locked', image, one, output='in-place')

image, one = loaded()
pdb.gimp_image_select_rectangle(image, CHANNEL_OP_REPLACE, 0, 0, 50, 50)
tried('floating', image, pdb.gimp_selection_float(one, 10, 10))

image, one = loaded()
call(image, one, profile='strong')
group = layer(image)
image.remove_layer(one)
tried('orphaned', image, group)

image, one = loaded()
tried('profile', image, one, profile='nobody')
tried('output', image, one, output='elsewhere')
tried('choice', image, one, noise='sometimes')
tried('number', image, one, noise='manual', noise_value=1.5)
sys.stderr.write('= end\\n')
answer(found)
"""
SAYS = {
    "indexed": "Image > Mode > RGB",
    "group": "choose a layer inside it",
    "mask": "click on the picture in the Layers dialog",
    "channel": "choose a layer",
    "selection": "choose a layer",
    "beside": "Select > None",
    "locked": "The pixels of outer are locked; unlock them",
    "floating": "anchor it first",
    "orphaned": "choose another layer",
    "profile": 'There is no profile "nobody".',
    "output": 'The argument "output" cannot be "elsewhere".',
    "choice": 'The argument "noise" cannot be "sometimes".',
    "number": 'The argument "noise-value" must lie between 0 and 1, not 1.5.',
}


@pytest.fixture(scope="module")
def refusals(gimp2: Gimp, engine: Server, made_scans: dict[str, Path]) -> Ran:
    """What became of each call, in one run: GIMP 2.10 tells a caller no sentences, it shows them."""
    scan = made_scans["rgb8"]
    return gimp2.run("import gimpcolor\n" + DRIVE[2] + REFUSALS, scan, **reaching(engine, show=[scan.parent]))


@pytest.mark.parametrize("what", SAYS)
def test_what_cannot_be_done_is_said_in_a_sentence_and_nothing_changes(what: str, refusals: Ran) -> None:
    status, same, dirty = refusals.well[what]
    said = refusals.err.split(f"= {what}\n")[1].split("= ")[0]

    assert status == "execution-error"
    assert SAYS[what] in said
    assert "Traceback" not in said
    assert same
    assert not dirty


def test_everything_on_the_menu_is_in_the_procedure_database(gimp2: Gimp) -> None:
    script = """
found = {}
for name in pdb.query('scanmend'):
    procedure = pdb[name]
    found[name] = [[one[1] for one in procedure.params], procedure.proc_blurb]
answer(found)
"""
    found = gimp2.run(script).well

    for arguments, blurb in found.values():
        assert arguments[:3] == ["run-mode", "image", "drawable"]
        assert blurb
    first = ["profile", "output", "noise", "noise-value", "color-noise", "color-noise-value"]
    assert {name: arguments[3:9] for name, (arguments, _blurb) in found.items()} == {
        "plug-in-scanmend-restore": first,
        "plug-in-scanmend-restore-again": [],
        "plug-in-scanmend-restore-as-archive": ["output"],
        "plug-in-scanmend-restore-as-documents": ["output"],
        "plug-in-scanmend-restore-as-gentle": ["output"],
        "plug-in-scanmend-restore-as-negatives-and-slides": ["output"],
        "plug-in-scanmend-restore-as-newspaper-halftone": ["output"],
        "plug-in-scanmend-restore-as-prints": ["output"],
        "plug-in-scanmend-restore-as-strong": ["output"],
    }


def test_a_profiles_own_procedure_and_the_last_settings_ask_nothing(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
def made(name, *more, **mode):
    image = load(ARGS[0])
    pdb[name](image, layer(image), *more, **mode)
    return [one.name for one in image.layers]
answer({'again': made('plug-in-scanmend-restore-again', run_mode=RUN_INTERACTIVE),
        'last': made('plug-in-scanmend-restore-again', run_mode=RUN_WITH_LAST_VALS),
        'script': made('plug-in-scanmend-restore-again', run_mode=RUN_NONINTERACTIVE),
        'as': made('plug-in-scanmend-restore-as-strong', 'layers', run_mode=RUN_INTERACTIVE),
        'in place': made('plug-in-scanmend-restore-as-strong', 'in-place', run_mode=RUN_NONINTERACTIVE)})
"""
    scan = made_scans["rgb8"]

    found = gimp2.run(DRIVE[2] + script, scan, **reaching(engine, show=[scan.parent])).well

    # Batch runs have no display: had one of them asked, it would have failed.
    assert found == {
        "again": ["Restored: Gentle", "Background"],
        "last": ["Restored: Gentle", "Background"],
        "script": ["Restored: Gentle", "Background"],
        "as": ["Restored: Strong", "Background"],
        "in place": ["Background"],
    }


def test_the_last_settings_outlive_gimp(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    keep = """
import os, sys
sys.path.insert(0, os.path.join(gimp.directory, 'plug-ins', 'scanmend'))
from scanmend_gimp2 import arguments
arguments.keep({'profile': 'strong', 'output': 'layers', 'noise': 'manual', 'noise-value': 0.75, 'gone': 1})
"""
    again = """
image = load(ARGS[0])
pdb['plug-in-scanmend-restore-again'](image, layer(image), run_mode=RUN_NONINTERACTIVE)
data = layer(image).parasite_find('scanmend-restoration').data
answer({'names': [one.name for one in image.layers], 'used': json.loads(data.rstrip(chr(0)))['arguments']})
"""
    scan, home = made_scans["rgb8"], tmp_path / "home"
    around = reaching(engine, show=[scan.parent], home=home)
    assert gimp2.run(keep, **around).code == 0

    found = gimp2.run(DRIVE[2] + again, scan, **around).well

    assert found["names"] == ["Restored: Strong", "Background"]
    assert (found["used"]["noise"], found["used"]["noise-value"]) == ("manual", 0.75)
    assert found["used"]["quality"] == "profile"
    assert "gone" not in found["used"]


def test_a_script_sets_what_the_profile_says_differently(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
found = {}
off = {'noise': 'manual', 'noise_value': 0.0, 'jpeg': 'manual', 'jpeg_value': 0.0}
half = {'noise': 'manual', 'noise_value': 0.5}
for name, arguments in (('strong', {}), ('half', half), ('none', off)):
    image = load(ARGS[0])
    before = sha1(layer(image))
    clean(image)
    said = call(image, layer(image), profile='strong', output='in-place', **arguments)
    found[name] = [said[0], sha1(layer(image)), sha1(layer(image)) == before, dirty(image)]
answer(found)
"""
    scan = made_scans["rgb8"]

    found = gimp2.run(DRIVE[2] + script, scan, **reaching(engine, show=[scan.parent])).well

    assert {status for status, *_rest in found.values()} == {"success"}
    changed = {"strong": [False, True], "half": [False, True], "none": [True, False]}
    assert {name: values[2:] for name, values in found.items()} == changed
    assert found["strong"][1] != found["half"][1]


def test_a_plug_in_that_lost_its_description_says_how_to_repair_it(
    gimp2: Gimp, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "scanmend"
    lay_out(folder, 2, command=[NOWHERE], addresses=[NOWHERE])
    (folder / "scanmend.json").unlink()
    scan = made_scans["rgb8"]
    script = """
image = load(ARGS[0])
name = 'plug-in-scanmend-restore'
before = sha1(layer(image))
try:
    pdb[name](image, layer(image), 'gentle', 'layers', run_mode=RUN_NONINTERACTIVE)
    answer({'said': 'success'})
except RuntimeError as error:
    answer({'said': str(error), 'same': sha1(layer(image)) == before})
"""
    ran = gimp2.run(DRIVE[2] + script, scan, plug_in=folder, show=[scan.parent])

    assert ran.well == {"said": "execution error", "same": True}
    assert "scanmend.json" in ran.err
    assert "scanmend plugin install gimp" in ran.err


def test_a_fault_of_the_plug_in_itself_is_told_with_its_kind(
    gimp2: Gimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "scanmend"
    lay_out(folder, 2, command=[NOWHERE], addresses=[NOWHERE])
    with (folder / "scanmend_gimp2" / "targets.py").open("a", encoding="utf-8") as file:
        file.write("\n\ndef find(*_anything):\n    raise ZeroDivisionError('made for a test')\n")
    scan = made_scans["rgb8"]
    script = "image = load(ARGS[0]); answer({'said': call(image, layer(image))})"

    ran = gimp2.run(DRIVE[2] + script, scan, **reaching(engine, show=[scan.parent], plug_in=folder))

    assert ran.well["said"][0] == "execution-error"
    assert "ZeroDivisionError: made for a test" in ran.err
    assert "Traceback" in ran.err
