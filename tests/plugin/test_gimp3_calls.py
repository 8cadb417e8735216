"""How GIMP 3's procedures are called, and the sentence that each thing they cannot do is answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scanmend_plugin.layout import lay_out

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import NOWHERE, Gimp, reaching

pytestmark = pytest.mark.slow

REFUSALS = """
def loaded():
    image = load(ARGS[0])
    return image, layer(image)
found = {}
def tried(name, image, drawables, **arguments):
    clean(image)
    before = tree(image)
    procedure = Gimp.get_pdb().lookup_procedure('plug-in-scanmend-restore')
    config = procedure.create_config()
    config.set_property('image', image)
    config.set_core_object_array('drawables', drawables)
    for key, value in {'profile': 'strong', **arguments}.items():
        config.set_property(key, value)
    status = procedure.run(config).index(0).value_nick
    found[name] = [status, Gimp.get_pdb().get_last_error(), tree(image) == before, dirty(image)]
def new(image, kind=Gimp.ImageType.RGB_IMAGE):
    made = Gimp.Layer.new(image, 'new', 20, 20, kind, 100, Gimp.LayerMode.NORMAL)
    image.insert_layer(made, None, 0)
    return made

image, one = loaded()
image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, True, '')
tried('indexed', image, [one])

image, one = loaded()
tried('several', image, [one, new(image)])
tried('none', image, [])

image, one = loaded()
group = Gimp.GroupLayer.new(image, 'a group')
image.insert_layer(group, None, 0)
tried('group', image, [group])

image, one = loaded()
mask = one.create_mask(Gimp.AddMaskType.WHITE)
one.add_mask(mask)
tried('mask', image, [mask])
channel = Gimp.Channel.new(image, 'a channel', 200, 150, 50, Gegl.Color.new('red'))
image.insert_channel(channel, None, 0)
tried('channel', image, [channel])
tried('selection', image, [image.get_selection()])

image, one = loaded()
one.set_offsets(100, 100)
image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 50, 50)
tried('beside', image, [one])

image, one = loaded()
outer = Gimp.GroupLayer.new(image, 'outer')
image.insert_layer(outer, None, 0)
image.reorder_item(one, outer, 0)
outer.set_lock_content(True)
tried('locked', image, [one], output='in-place')

image, one = loaded()
image.select_rectangle(Gimp.ChannelOps.REPLACE, 0, 0, 50, 50)
floating = Gimp.Selection.float(image, [one], 10, 10)
tried('floating', image, [floating])

image, one = loaded()
call(image, one, profile='strong')
group = layer(image)
image.remove_layer(one)
tried('orphaned', image, [group])

image, one = loaded()
one.append_filter(Gimp.DrawableFilter.new(one, 'gegl:invert-gamma', 'turned round'))
tried('filters', image, [one])
one.get_filters()[0].set_visible(False)
tried('unseen filters', image, [one])
one.get_filters()[0].set_visible(True)
tried('filters in place', image, [one], output='in-place')

image, one = loaded()
tried('profile', image, [one], profile='nobody')
answer(found)
"""
SAYS = {
    "indexed": "Image > Mode > RGB",
    "several": "choose a single layer",
    "none": "choose a single layer",
    "group": "choose a layer inside it",
    "mask": "click on the picture in the Layers dialog",
    "channel": "choose a layer",
    "selection": "choose a layer",
    "beside": "Select > None",
    "locked": "The pixels of outer are locked; unlock them",
    "floating": "anchor it first",
    "orphaned": "choose another layer",
    "filters": "merge them into it, or choose In place",
    "profile": 'There is no profile "nobody".',
}


@pytest.fixture(scope="module")
def refusals(gimp3: Gimp, engine: Server, made_scans: dict[str, Path]) -> dict[str, Any]:
    """What became of each call, in one run."""
    scan = made_scans["rgb8"]
    return gimp3.run(DRIVE[3] + REFUSALS, scan, **reaching(engine, show=[scan.parent])).well


@pytest.mark.parametrize("what", SAYS)
def test_what_cannot_be_done_is_said_in_a_sentence_and_nothing_changes(
    what: str, refusals: dict[str, Any]
) -> None:
    status, message, same, dirty = refusals[what]

    assert status == "execution-error"
    assert SAYS[what] in message
    assert same
    assert not dirty


@pytest.mark.parametrize("what", ["filters in place", "unseen filters"])
def test_filters_that_are_unseen_or_stay_are_in_nobodys_way(what: str, refusals: dict[str, Any]) -> None:
    status, _message, same, dirty = refusals[what]

    assert status == "success"
    assert not same
    assert dirty


def test_everything_on_the_menu_is_in_the_procedure_database(gimp3: Gimp) -> None:
    script = """
procedures = {}
for name in Gimp.get_pdb().query_procedures('scanmend', *['.*'] * 7):
    found = Gimp.get_pdb().lookup_procedure(name)
    procedures[name] = [found.get_menu_label(), found.get_menu_paths(), found.get_image_types(),
                        [spec.name for spec in found.get_arguments()]]
answer(procedures)
"""
    found = gimp3.run(script).well

    for name, (_label, paths, types, arguments) in found.items():
        below = "/With a Profile" if "restore-as-" in name else ""
        assert paths == [f"<Image>/Filters/Restore{below}"]
        assert types == "RGB*, GRAY*"
        assert arguments[:3] == ["run-mode", "image", "drawables"]
    assert {name: (label, arguments[3:7]) for name, (label, _, _, arguments) in found.items()} == {
        "plug-in-scanmend-restore": ("_Restore...", ["profile", "output", "noise", "noise-value"]),
        "plug-in-scanmend-restore-again": ("Restore with _Last Settings", []),
        "plug-in-scanmend-restore-as-archive": ("Archive", ["output"]),
        "plug-in-scanmend-restore-as-documents": ("Documents", ["output"]),
        "plug-in-scanmend-restore-as-gentle": ("Gentle", ["output"]),
        "plug-in-scanmend-restore-as-negatives-and-slides": ("Negatives and slides", ["output"]),
        "plug-in-scanmend-restore-as-newspaper-halftone": ("Newspaper halftone", ["output"]),
        "plug-in-scanmend-restore-as-prints": ("Prints", ["output"]),
        "plug-in-scanmend-restore-as-strong": ("Strong", ["output"]),
    }


def test_only_the_first_procedure_asks_and_only_interactively(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
def status(name, mode):
    image = load(ARGS[0])
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    config.set_property('run-mode', mode)
    config.set_property('image', image)
    config.set_core_object_array('drawables', [layer(image)])
    return [procedure.run(config).index(0).value_nick, [one.get_name() for one in image.get_layers()]]
MODE = Gimp.RunMode
answer({'again': status('plug-in-scanmend-restore-again', MODE.INTERACTIVE),
        'last': status('plug-in-scanmend-restore', MODE.WITH_LAST_VALS),
        'as': status('plug-in-scanmend-restore-as-strong', MODE.INTERACTIVE)})
"""
    scan = made_scans["rgb8"]

    found = gimp3.run(DRIVE[3] + script, scan, **reaching(engine, show=[scan.parent])).well

    # Batch runs have no display: had one of them asked, it would have failed.
    assert found["again"] == ["success", ["Restored: Gentle", "Background"]]
    assert found["last"] == ["success", ["Restored: Gentle", "Background"]]
    assert found["as"] == ["success", ["Restored: Strong", "Background"]]


def test_a_plug_in_that_lost_its_description_says_how_to_repair_it(
    gimp3: Gimp, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "scanmend"
    lay_out(folder, 3, command=[NOWHERE], addresses=[NOWHERE])
    (folder / "scanmend.json").unlink()
    scan = made_scans["rgb8"]
    script = "image = load(ARGS[0]); answer({'said': call(image, layer(image))})"

    found = gimp3.run(DRIVE[3] + script, scan, plug_in=folder, show=[scan.parent]).well

    status, message = found["said"]
    assert status == "execution-error"
    assert "scanmend.json" in message
    assert "scanmend plugin install gimp" in message


CHANGES = {
    "resized": "target.layer.resize(100, 100, 0, 0)",
    "removed": "image.remove_layer(target.layer)",
    "deeper": "image.convert_precision(Gimp.Precision.U16_NON_LINEAR)",
}


@pytest.mark.parametrize("output", ["layers", "in-place"])
def test_what_was_painted_meanwhile_is_not_painted_over(
    output: str, gimp3: Gimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(tmp_path, "restoring", """
_really = _keep
def _keep(image, target, subject, result, values):
    target.layer.invert(False)
    _really(image, target, subject, result, values)
""")  # fmt: skip
    scan = made_scans["rgb8"]
    script = """
image = load(ARGS[0])
one = layer(image)
before = samples(one)
said = call(image, one, profile='strong', output=ARGS[1])
answer({'said': said, 'kept': bytes(255 - one for one in before) == samples(one)})
"""

    around = reaching(engine, show=[scan.parent], plug_in=folder)
    found = gimp3.run(DRIVE[3] + script, scan, output, **around).well

    assert found["kept"]
    if output == "in-place":
        assert "removed or changed meanwhile" in found["said"][1]
    else:
        assert found["said"] == ["success", ""]


@pytest.mark.parametrize("what", CHANGES)
def test_a_layer_that_was_changed_meanwhile_is_left_alone(
    what: str, gimp3: Gimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(tmp_path, "restoring", f"""
_really = _keep
def _keep(image, target, subject, result, values):
    {CHANGES[what]}
    image.clean_all()
    _really(image, target, subject, result, values)
""")  # fmt: skip
    scan = made_scans["rgb8"]
    script = """
image = load(ARGS[0])
answer({'said': call(image, layer(image), profile='strong', output=ARGS[1]), 'dirty': image.is_dirty(),
        'layers': len(image.get_layers())})
"""
    for output in ("layers", "in-place"):
        around = reaching(engine, show=[scan.parent], plug_in=folder)
        found = gimp3.run(DRIVE[3] + script, scan, output, **around).well

        assert found["said"][0] == "execution-error"
        assert "removed or changed meanwhile" in found["said"][1]
        assert not found["dirty"]
        assert found["layers"] == (0 if what == "removed" else 1)


def test_a_layer_that_travels_in_strips_becomes_the_same(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    strips = changed(tmp_path, "pixels", "MOST_BYTES = 7001")
    scan = made_scans["alpha16"]
    script = """
image = load(ARGS[0])
said = call(image, layer(image), profile='strong')
answer({'said': said, 'made': [sha1(one) for one in layer(image).get_children()]})
"""

    found = [
        gimp3.run(DRIVE[3] + script, scan, **reaching(engine, show=[scan.parent], plug_in=folder)).well
        for folder in ("usual", strips)
    ]

    assert found[0]["said"] == ["success", ""]
    assert found[0] == found[1]


def changed(folder: Path, module: str, code: str) -> Path:
    """A plug-in in which a module does something else at its end."""
    made = folder / "scanmend"
    lay_out(made, 3, command=[NOWHERE], addresses=[NOWHERE])
    with (made / "scanmend_gimp3" / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write("\n" + code)
    return made


def test_a_fault_of_the_plug_in_itself_is_told_with_its_kind(
    gimp3: Gimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed(tmp_path, "targets", "def find(*_all): raise ZeroDivisionError('made for a test')\n")
    scan = made_scans["rgb8"]
    script = "image = load(ARGS[0]); answer({'said': call(image, layer(image))})"

    ran = gimp3.run(DRIVE[3] + script, scan, **reaching(engine, show=[scan.parent], plug_in=folder))

    status, message = ran.well["said"]
    assert status == "execution-error"
    assert "ZeroDivisionError: made for a test" in message
    assert "Traceback" in ran.err
