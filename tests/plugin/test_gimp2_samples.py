"""Whatever precision a layer has in GIMP 2.10, its samples become what Scanmend makes of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.core.serving import Server

from . import scans
from .driving import DRIVE
from .gimp import Gimp, reaching
from .test_gimp3_samples import HEIGHT, WIDTH, Kind, wanted

pytestmark = pytest.mark.slow

SCRIPT = """
folder, jobs = ARGS[0], json.loads(ARGS[1])
found = {}
for name, precision, kind, profile in jobs:
    base = GRAY if kind.startswith('GRAY') else RGB
    image = pdb.gimp_image_new_with_precision(WIDTH, HEIGHT, base, getattr(gimpenums, precision))
    if profile:
        with open(str(folder + '/' + profile), 'rb') as file:
            data = [ord(byte) for byte in file.read()]
        pdb.gimp_image_set_color_profile(image, len(data), data)
    one = pdb.gimp_layer_new(image, WIDTH, HEIGHT, getattr(gimpenums, kind + '_IMAGE'), 'one', 100.0, 28)
    pdb.gimp_image_insert_layer(image, one, None, 0)
    region = one.get_pixel_rgn(0, 0, WIDTH, HEIGHT, True, False)
    with open(str(folder + '/' + name + '.before'), 'rb') as file:
        region[0:WIDTH, 0:HEIGHT] = file.read()
    one.flush()
    before = sha1(one)
    called = call(image, one, profile='strong', output='layers')
    with open(str(folder + '/' + name + '.layer'), 'wb') as file:
        file.write(samples(image.layers[0].layers[-1]))
    same = sha1(one) == before
    pdb.gimp_image_remove_layer(image, image.layers[0])
    in_place = call(image, one, profile='strong', output='in-place')
    with open(str(folder + '/' + name + '.place'), 'wb') as file:
        file.write(samples(one))
    found[name] = [called, in_place, same]
    pdb.gimp_image_delete(image)
answer(found)
"""

KINDS = [
    Kind("U8_GAMMA", "RGB"),
    Kind("U8_GAMMA", "RGBA"),
    Kind("U8_GAMMA", "GRAY"),
    Kind("U8_LINEAR", "RGB", "linear"),
    Kind("U16_GAMMA", "GRAYA"),
    Kind("U16_LINEAR", "RGB", "linear"),
    Kind("U16_GAMMA", "RGB", profile="adobe.icc"),
    Kind("U32_GAMMA", "RGB"),
    Kind("U32_LINEAR", "RGBA", "linear"),
    Kind("HALF_GAMMA", "RGB", profile="adobe.icc"),
    Kind("HALF_LINEAR", "GRAY", "linear"),
    Kind("FLOAT_GAMMA", "RGBA"),
    Kind("FLOAT_LINEAR", "RGB", "linear", profile="adobe.icc"),
    Kind("DOUBLE_GAMMA", "GRAYA"),
    Kind("DOUBLE_LINEAR", "RGB", "linear"),
]


@pytest.fixture(scope="module")
def results(gimp2: Gimp, engine: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What GIMP makes of every kind, in one run."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "adobe.icc").write_bytes(scans.adobe_rgb())
    for kind in KINDS:
        (folder / f"{kind.name}.before").write_bytes(kind.samples().tobytes())
    jobs = [[kind.name, f"PRECISION_{kind.precision}", kind.type, kind.profile] for kind in KINDS]
    script = "import gimpenums\n" + SCRIPT.replace("WIDTH", str(WIDTH)).replace("HEIGHT", str(HEIGHT))
    ran = gimp2.run(DRIVE[2] + script, folder, json.dumps(jobs), **reaching(engine, show=[folder]))
    return {"said": ran.well, "folder": folder}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_layer_becomes_what_scanmend_makes_of_its_samples(kind: Kind, results: dict[str, Any]) -> None:
    given = kind.samples()
    expected = wanted(kind, given)

    made = []
    for end in ("layer", "place"):
        data = (results["folder"] / f"{kind.name}.{end}").read_bytes()
        made.append(kind.sent(np.frombuffer(data, kind.dtype).reshape(given.shape)))

    assert results["said"][kind.name] == [["success", ""], ["success", ""], True]
    for samples in made:
        assert np.abs(samples.astype(float) - expected).max() <= kind.level
        if kind.type.endswith("A"):
            assert np.array_equal(samples[..., -1], kind.sent(given)[..., -1])
    assert np.abs(expected.astype(float) - kind.sent(given)).max() > 10 * kind.level
