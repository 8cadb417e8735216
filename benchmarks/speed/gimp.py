"""What Filters > Restore costs in a real GIMP: the round trip of pixels, and from the click to the result.

    SCANMEND_GIMP_TOOLS=FOLDER python benchmarks/speed/gimp.py echo | click [--gimp 3 2] [--runs N]

Run as root, from the root of the repository; FOLDER holds gimp-root and its companions, see
docs/gimp-proofs.md. The engine is a real `scanmend serve`, outside of GIMP, with warm networks.

- echo: a layer of --megapixels goes to the engine and comes back with nothing done to it, against the
  same layer read and written by GIMP alone, in turn, in one GIMP; the difference is the round trip.
- click: the procedure on a selection of --selected megapixels in a layer of 12, new layers and all,
  against the networks alone on the same pixels in a process of its own, in turn; the faster of two
  each, for a machine that has other things to do.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scanmend_plugin
from scanmend import pipeline, profile
from scanmend.engine import Runner
from scanmend.image import Array
from scanmend_plugin.layout import lay_out

# The rig that drives GIMP is that of the tests; what both plug-ins share lies as it does in GIMP.
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(scanmend_plugin.__file__).parent / "payload")]
from tests.core.serving import Server, noisy, serving, until  # noqa: E402 - the path comes first
from tests.plugin.driving import DRIVE  # noqa: E402
from tests.plugin.gimp import NOWHERE, RootedGimp, Version, reaching, rooted  # noqa: E402

_MAKE = {
    3: """
width, height, runs = [int(word) for word in ARGS[:3]]
image = Gimp.Image.new_with_precision(width, height, Gimp.ImageBaseType.RGB, Gimp.Precision.U8_NON_LINEAR)
made = Gimp.Layer.new(image, 'scan', width, height, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
image.insert_layer(made, None, 0)
def fill(data, rows):
    for top in range(0, height, rows):
        made.get_buffer().set(Gegl.Rectangle.new(0, top, width, rows), "R'G'B' u8", data)
""",
    2: """
width, height, runs = [int(word) for word in ARGS[:3]]
image = gimp.Image(width, height, RGB)
made = gimp.Layer(image, 'scan', width, height, RGB_IMAGE, 100, NORMAL_MODE)
image.add_layer(made, 0)
def fill(data, rows):
    region = made.get_pixel_rgn(0, 0, width, height, True, False)
    for top in range(0, height, rows):
        region[0:width, top:top + rows] = data
    made.flush()
""",
}
_ECHO = {
    3: """
CONVERT = {'u8': None, 'u16': Gimp.Precision.U16_NON_LINEAR, 'float': Gimp.Precision.FLOAT_NON_LINEAR}
def convert(precision):
    if CONVERT[precision] is not None:
        image.convert_precision(CONVERT[precision])
def imports():
    import sys
    sys.path.insert(0, Gimp.directory() + '/plug-ins/scanmend')
    from scanmend_gimp3.pixels import Subject, whole, write
    def put(subject, pieces):
        shadow = made.get_shadow_buffer()
        write(shadow, subject.target, subject.samples, pieces)
        made.merge_shadow(False)
    return (lambda: Subject(made, whole(made))), put
""",
    2: """
def convert(precision):
    global made  # GIMP's module keeps the old precision with the old object
    if precision != 'u8':
        wanted = {'u16': PRECISION_U16_GAMMA, 'float': PRECISION_FLOAT_GAMMA}
        pdb.gimp_image_convert_precision(image, wanted[precision])
        made = layer(image)
def imports():
    import sys
    sys.path.insert(0, str(gimp.directory) + '/plug-ins/scanmend')
    from scanmend_gimp2.pixels import Subject, whole
    def put(subject, pieces):
        subject.fill_shadow(pieces)
        made.merge_shadow(False)
    return (lambda: Subject(made, whole(made))), put
""",
}
_ROUNDS = """
import os, time
fill(os.urandom(width * 3 * 500), 500)
subject_of, put = imports()
from scanmend_front import setup
from scanmend_front.session import Session
OFF = {'scanmend': 1, 'noise': {'strength': 0}, 'jpeg': {'strength': 0}}
found = {}
with Session(setup.installed()) as session:
    for precision in ('u8', 'u16', 'float'):
        convert(precision)
        subject = subject_of()
        def alone():
            put(subject, subject.picture.pieces())
        def echo():
            result = session.restore(subject.picture, OFF, 'off')
            put(subject, result.pieces())
            result.drop()
        before = sha1(made)
        found[precision] = []
        for turn in range(runs + 1):
            seconds = {}
            for work in ((alone, echo) if turn % 2 else (echo, alone)):
                began = time.time()
                work()
                seconds[work.__name__] = time.time() - began
            found[precision].append([seconds['alone'], seconds['echo']])
        assert sha1(made) == before
answer(found)
"""
_SELECT = {
    3: "image.select_rectangle(Gimp.ChannelOps.REPLACE, *[int(word) for word in ARGS[3:7]])\n",
    2: "pdb.gimp_image_select_rectangle(image, CHANNEL_OP_REPLACE, *[int(word) for word in ARGS[3:7]])\n",
}
_CLICK = """
import time
with open(ARGS[7], 'rb') as file:
    fill(file.read(), height)
seconds = []
for turn in range(3):
    began = time.time()
    said = call(image, made, profile='gentle', quality=ARGS[8])
    seconds.append(time.time() - began)
    assert said[0] == 'success', said
    assert len(layers(image)) == 2
    image.remove_layer(layers(image)[0])
answer({'seconds': seconds[1:]})
"""


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp") as name:
        gimps = [_gimp(version, Path(name)) for version in options.gimp]
        with serving("--idle-exit", "3600") as server, closing(server.engine.keep()):
            until(lambda: server.worker("render")["state"] == "ready", 300)
            _MEASURES[options.measure](gimps, server, Path(name), options)


def echo(gimps: list[RootedGimp], server: Server, _folder: Path, options: argparse.Namespace) -> None:
    """Seconds that the engine's round trip adds to GIMP's own reading and writing."""
    width, height = 6000, int(options.megapixels * 1e6 / 6000) // 500 * 500
    for gimp in gimps:
        script = DRIVE[gimp.version] + _MAKE[gimp.version] + _ECHO[gimp.version] + _ROUNDS
        ran = gimp.run(script, width, height, options.runs, **reaching(server, timeout=1800))
        print(f"GIMP {gimp.version}, {width * height / 1e6:.0f} megapixels, {options.runs} pairs")
        for precision, pairs in ran.well.items():
            kept = pairs[1:]  # the first one finds everything cold
            own, whole = (statistics.median(pair[at] for pair in kept) for at in (0, 1))
            added = [there - alone for alone, there in kept]
            print(
                f"  {precision:6} GIMP's own copies {own:.2f} s, with the engine {whole:.2f} s:"
                f" {statistics.median(added):.2f} s for the round trip, {max(added):.2f} s at most"
            )


def click(gimps: list[RootedGimp], server: Server, folder: Path, options: argparse.Namespace) -> None:
    """Seconds from the call to the layers, and those of the networks alone."""
    width, height = 4000, 3000
    side = int((options.selected * 1e6 * 0.8) ** 0.5)
    box = (1200, 900, int(options.selected * 1e6 / side), side)
    pixels = noisy(height, width)
    (folder / "samples").write_bytes(pixels.tobytes())
    cut = np.ascontiguousarray(pixels[box[1] : box[1] + box[3], box[0] : box[0] + box[2]])
    _inference(cut, options.quality)  # loads the network
    pairs: dict[Version, list[tuple[float, float]]] = {gimp.version: [] for gimp in gimps}
    for _ in range(options.runs):
        for gimp in gimps:
            words = [width, height, 1, *box, folder / "samples", options.quality]
            script = DRIVE[gimp.version] + _MAKE[gimp.version] + _SELECT[gimp.version] + _CLICK
            ran = gimp.run(script, *words, **reaching(server, show=[folder], timeout=1800))
            alone = min(_inference(cut, options.quality) for _ in range(2))
            pairs[gimp.version].append((min(ran.well["seconds"]), alone))
    print(f"{box[2] * box[3] / 1e6:.2f} of 12 megapixels, 8 bit, quality {options.quality}")
    for version, measured in pairs.items():
        shares = [(there - 0.5) / alone for there, alone in measured]
        there, alone = (statistics.median(pair[at] for pair in measured) for at in (0, 1))
        print(
            f"  GIMP {version}: click to result {there:.2f} s, inference {alone:.2f} s:"
            f" {statistics.median(shares):.2f} times it and 0.5 s, {max(shares):.2f} at most"
        )


def _inference(pixels: Array, quality: str) -> float:
    """Seconds in the networks for these pixels, measured, planned and blended as ever."""
    spent = 0.0
    band = Runner.band

    def timed(*args: Any, **named: Any) -> Array:
        nonlocal spent
        started = time.perf_counter()
        result: Array = band(*args, **named)
        spent += time.perf_counter() - started
        return result

    Runner.band = timed  # type: ignore[method-assign]
    try:
        wanted = replace(profile.load("gentle"), quality=quality)
        pipeline.restore(pixels, wanted, options=pipeline.Options(device="cpu", backend="torch"))
    finally:
        Runner.band = band  # type: ignore[method-assign]
    return spent


def _gimp(version: Version, folder: Path) -> RootedGimp:
    plug_in = folder / f"gimp{version}" / "scanmend"
    lay_out(plug_in, version, command=[NOWHERE], addresses=[NOWHERE])
    found = rooted(version, plug_in)
    if isinstance(found, str):
        sys.exit(found)
    return found


_MEASURES = {"echo": echo, "click": click}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("measure", choices=_MEASURES)
    parser.add_argument("--gimp", type=int, nargs="+", choices=[3, 2], default=[3, 2])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--selected", type=float, default=2.0, help="megapixels")
    parser.add_argument("--quality", choices=["fast", "best"], default="fast")
    return parser.parse_args()


if __name__ == "__main__":
    main()
