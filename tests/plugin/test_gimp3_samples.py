"""Whatever precision, curve and profile a layer has, its samples become what Scanmend makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scanmend import pipeline, profile

from tests.core.serving import Server, noisy

from .driving import DRIVE
from .gimp import Gimp, reaching

pytestmark = pytest.mark.slow

SCRIPT = """
folder, jobs = ARGS[0], json.loads(ARGS[1])
found = {}
for name, precision, kind, profile in jobs:
    grey = kind.startswith('GRAY')
    base = Gimp.ImageBaseType.GRAY if grey else Gimp.ImageBaseType.RGB
    image = Gimp.Image.new_with_precision(WIDTH, HEIGHT, base, getattr(Gimp.Precision, precision))
    if profile:
        image.set_color_profile(getattr(Gimp.ColorProfile, profile)())
    one = Gimp.Layer.new(image, name, WIDTH, HEIGHT, getattr(Gimp.ImageType, kind + '_IMAGE'), 100,
                         Gimp.LayerMode.NORMAL)
    image.insert_layer(one, None, 0)
    buffer, own = one.get_buffer(), Babl.get_name(one.get_format())
    with open(folder + '/' + name + '.before', 'rb') as file:
        buffer.set(buffer.get_extent(), own, file.read())
    buffer.flush()
    said = call(image, one, profile='strong', output='in-place')
    with open(folder + '/' + name + '.after', 'wb') as file:
        file.write(samples(one))
    found[name] = [said, own]
    image.delete()
answer(found)
"""
HEIGHT, WIDTH = 150, 200
_TYPES: dict[str, Any] = {
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "HALF": np.float16, "FLOAT": np.float32,
    "DOUBLE": np.float64,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of layer: GIMP's precision and type, the image's profile, and what its samples mean."""

    precision: str
    type: str
    transfer: Literal["display", "linear"] = "display"
    profile: str = ""

    @property
    def name(self) -> str:
        return f"{self.precision}-{self.type}-{self.profile}".lower()

    @property
    def dtype(self) -> Any:
        return _TYPES[self.precision.split("_")[0]]

    def samples(self) -> NDArray[Any]:
        """A noisy picture in this kind of samples, with values that fewer bits cannot hold."""
        colors = noisy(HEIGHT, WIDTH, channels=1 if self.type.startswith("GRAY") else 3) / 255.0
        fine = np.random.default_rng(7).uniform(0.0, 1 / 255, colors.shape)
        if self.transfer == "linear":
            colors = colors**2.2
        values = np.clip(colors + fine * (self.dtype != np.uint8), 0.0, 1.0)
        if self.type.endswith("A"):
            ramp = np.clip(np.linspace(-0.2, 1.3, WIDTH), 0.0, 1.0)
            values = np.concatenate([values, np.tile(ramp[None, :, None], (HEIGHT, 1, 1))], axis=2)
        if np.issubdtype(self.dtype, np.integer):
            return np.rint(values * np.iinfo(self.dtype).max).astype(self.dtype)
        return values.astype(self.dtype)

    def sent(self, samples: NDArray[Any]) -> NDArray[Any]:
        """The samples as the engine takes them."""
        if self.dtype is np.uint32:
            return (samples / np.float64(2**32 - 1)).astype(np.float32)
        return samples if self.dtype in (np.uint8, np.uint16) else samples.astype(np.float32)

    @property
    def level(self) -> float:
        """What may be between two results: a level of whole numbers, else of 16 bit or of the type's own."""
        return {np.uint8: 1.0, np.uint16: 1.0, np.float16: 2**-11}.get(self.dtype, 1 / 65535)


KINDS = [
    Kind("U8_NON_LINEAR", "RGB"),
    Kind("U8_NON_LINEAR", "RGBA"),
    Kind("U8_NON_LINEAR", "GRAY"),
    Kind("U8_LINEAR", "RGB", "linear"),
    Kind("U8_PERCEPTUAL", "GRAYA"),
    Kind("U16_NON_LINEAR", "GRAYA"),
    Kind("U16_LINEAR", "RGB", "linear"),
    Kind("U16_NON_LINEAR", "RGB", profile="new_rgb_adobe"),
    Kind("U16_NON_LINEAR", "RGB", "linear", profile="new_rgb_srgb_linear"),
    Kind("U16_NON_LINEAR", "GRAY", "linear", profile="new_d65_gray_linear"),
    Kind("U16_PERCEPTUAL", "RGB", profile="new_rgb_srgb_linear"),
    Kind("U32_NON_LINEAR", "RGB"),
    Kind("U32_LINEAR", "RGBA", "linear"),
    Kind("HALF_NON_LINEAR", "RGB"),
    Kind("HALF_LINEAR", "GRAY", "linear"),
    Kind("FLOAT_NON_LINEAR", "RGBA"),
    Kind("FLOAT_LINEAR", "RGB", "linear"),
    Kind("FLOAT_LINEAR", "RGB", "linear", profile="new_rgb_adobe"),
    Kind("FLOAT_NON_LINEAR", "RGB", profile="new_rgb_adobe"),
    Kind("DOUBLE_NON_LINEAR", "RGB"),
    Kind("DOUBLE_PERCEPTUAL", "GRAYA"),
]


@pytest.fixture(scope="module")
def results(gimp3: Gimp, engine: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What GIMP makes of every kind, in one run."""
    folder = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        (folder / f"{kind.name}.before").write_bytes(kind.samples().tobytes())
    jobs = [[kind.name, kind.precision, kind.type, kind.profile] for kind in KINDS]
    script = DRIVE[3] + SCRIPT.replace("WIDTH", str(WIDTH)).replace("HEIGHT", str(HEIGHT))
    ran = gimp3.run(script, folder, json.dumps(jobs), **reaching(engine, show=[folder], timeout=600))
    return {"said": ran.well, "folder": folder}


def wanted(kind: Kind, samples: NDArray[Any]) -> NDArray[Any]:
    """What Scanmend itself makes of the samples, as the engine gives them back."""
    sent = kind.sent(samples)
    result = np.empty_like(sent)
    pipeline.render_pixels(
        sent,
        result,
        profile.load("strong"),
        alpha="straight" if kind.type.endswith("A") else "none",
        transfer=kind.transfer,
        options=pipeline.Options(device="cpu", backend="torch"),
    )
    return result


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_layer_becomes_what_scanmend_makes_of_its_samples(kind: Kind, results: dict[str, Any]) -> None:
    given = kind.samples()

    said, _format = results["said"][kind.name]
    data = (results["folder"] / f"{kind.name}.after").read_bytes()
    made = kind.sent(np.frombuffer(data, kind.dtype).reshape(given.shape))

    assert said == ["success", ""]
    expected = wanted(kind, given)
    assert np.abs(made.astype(float) - expected).max() <= kind.level
    assert np.abs(expected.astype(float) - kind.sent(given)).max() > 10 * kind.level
    if kind.type.endswith("A"):
        assert np.array_equal(made[..., -1], kind.sent(given)[..., -1])
