"""In GIMP 2.10 a restoration is made anew also where it was copied; a person's own layers stay."""

from __future__ import annotations

from pathlib import Path

import pytest
from scanmend_plugin.layout import lay_out

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import NOWHERE, RootedGimp, reaching
from .test_gimp2_layers import run

pytestmark = pytest.mark.slow

WAYS = {
    "a copy of the image": "image = image.duplicate()",
    "a copy of the group": "image.add_layer(group(image).copy(), 0)",
    "an own layer in it": """
own = gimp.Layer(image, 'own', 10, 10, RGBA_IMAGE, 100, NORMAL_MODE)
pdb.gimp_image_insert_layer(image, own, group(image), 0)
""",
    "the source in it": "pdb.gimp_image_reorder_item(image, source, group(image), 0)",
}


@pytest.mark.parametrize("output", ["layers", "in-place"])
@pytest.mark.parametrize("way", WAYS)
def test_a_restoration_is_made_anew_from_its_own_layer_and_own_layers_stay(
    way: str, output: str, gimp2: RootedGimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = f"""
def group(image):
    return [one for one in image.layers if hasattr(one, 'layers')][0]
def flat(image):
    for one in image.layers:
        yield one
        for child in getattr(one, 'layers', []):
            yield child
image = load(ARGS[0])
for name in ('upper', 'middle'):
    copy = layer(image).copy()
    copy.name = name
    image.add_layer(copy, 0)
source = image.layers[1]
call(image, source, profile='strong')
{WAYS[way]}
before = sorted(one.name.split(' #')[0].replace(' copy', '') for one in flat(image))
wanted = sha1(group(image).layers[-1])
said = call(image, group(image), profile='strong', output='{output}')
after = sorted(one.name.split(' #')[0].replace(' copy', '') for one in flat(image))
answer({{'said': said, 'before': before, 'after': after, 'wanted': wanted,
        'all': [sha1(one) for one in flat(image)]}})
"""
    found = run(gimp2, engine, script, made_scans["rgb8"])

    gone = ["Removed", "Restored", "Restored: Strong"] if output == "in-place" else []
    assert found["said"] == ["success", ""]
    assert sorted([*found["after"], *gone]) == found["before"]
    assert found["wanted"] in found["all"]


@pytest.mark.parametrize("output", ["layers", "in-place"])
def test_what_was_painted_meanwhile_is_not_painted_over(
    output: str, gimp2: RootedGimp, engine: Server, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "scanmend"
    lay_out(folder, 2, command=[NOWHERE], addresses=[NOWHERE])
    with (folder / "scanmend_gimp2" / "targets.py").open("a", encoding="utf-8") as file:
        file.write("""
_really = check_still_there
def check_still_there(subject, unpainted):
    if subject.sum is not None:
        pdb.gimp_invert(subject.layer)
    _really(subject, unpainted)
""")
    scan = made_scans["rgb8"]
    script = f"""
image = load(ARGS[0])
one = layer(image)
before = samples(one)
said = call(image, one, profile='strong', output='{output}')
answer({{'said': said, 'kept': ''.join(chr(255 - ord(byte)) for byte in before) == samples(one)}})
"""

    ran = gimp2.run(DRIVE[2] + script, scan, **reaching(engine, show=[scan.parent], plug_in=folder))

    assert ran.well["kept"]
    if output == "in-place":
        assert ran.well["said"][0] != "success"
        assert "removed or changed meanwhile" in ran.err
    else:
        assert ran.well["said"] == ["success", ""]


def test_a_source_that_was_hidden_by_the_person_stays_hidden(
    gimp2: RootedGimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    script = """
image = load(ARGS[0])
source = layer(image)
source.opacity = 50.0
found = []
for seen in (True, False):
    source.visible = seen
    call(image, source, profile='strong')
    call(image, image.layers[0], profile='strong', output='in-place')
    found.append(bool(source.visible))
answer({'seen': found})
"""
    assert run(gimp2, engine, script, made_scans["rgb8"])["seen"] == [True, False]
