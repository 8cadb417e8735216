"""GIMP's real window on an unseen screen: what a person does there, and what becomes of the image."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.core.serving import Server, noisy

from .gimp import RootedGimp, Seen, reaching, stages

pytestmark = pytest.mark.slow

# Where things are on the screen, which is the same in every run.
CANCEL = {3: "1000 843", 2: "1033 843"}
SUBMENU = {3: "455 491", 2: "445 499"}
RESTORE = {3: "695 516", 2: "764 566"}

CANCELLED = """
layers
action 'Strong'
await at-work; shot at-work
xdotool mousemove {cancel}; sleep 0.5; now cancelled; xdotool click 1
await at-rest; sleep 1; shot cancelled
layers
py '{dirty}'
"""
JOURNEY = """
layers
key alt+r; sleep 1; xdotool mousemove {submenu}; sleep 1; xdotool mousemove_relative 3 1; sleep 2; shot menu
click {restore}; wait_window '^Restore$'; await at-rest; sleep 2; shot dialog
rm -f /out/at-work; key Return; await at-work; shot progress
for _ in $(seq 60); do
    py '{groups}' >/out/groups; if grep -q Restored /out/groups; then break; fi; sleep 0.5
done
sleep 2; shot result
echo "# tree"; py '{tree}'
focus_main; key ctrl+z; sleep 1; layers; shot undone
py '{dirty}'
"""
REFUSED = """
layers
action 'Strong'; wait_window '^GIMP Message$'; shot message
key Return; layers
py '{dirty}'
"""
DIRTY = {
    3: 'print("dirty", Gimp.get_images()[0].is_dirty())',
    2: 'print "dirty", bool(pdb.gimp_image_is_dirty(gimp.image_list()[0]))',
}
GROUPS = {
    3: "print(*[layer.get_name() for layer in Gimp.get_images()[0].get_layers() if layer.is_group()])",
    2: 'print " ".join(l.name for l in gimp.image_list()[0].layers if hasattr(l, "layers"))',
}
TREE = {
    3: """
for layer in Gimp.get_images()[0].get_layers():
    print("layer", layer.get_name(), "|", layer.get_visible())
    for child in layer.get_children() if layer.is_group() else []:
        print("in it", child.get_name(), "|", child.get_visible())
""",
    2: """
for layer in gimp.image_list()[0].layers:
    print "layer", layer.name, "|", bool(layer.visible)
    for child in getattr(layer, "layers", []):
        print "in it", child.name, "|", bool(child.visible)
""",
}


@pytest.fixture(params=[3, 2], ids=["gimp3", "gimp2"])
def gimp(request: pytest.FixtureRequest) -> RootedGimp:
    found: RootedGimp = request.getfixturevalue("window3" if request.param == 3 else "gimp2")
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.png"
    Image.fromarray(noisy(1500, 2000)).save(path)
    return path


def test_cancel_in_the_status_bar_stops_the_engine_and_leaves_the_image(
    gimp: RootedGimp, engine: Server, large: Path, tmp_path: Path
) -> None:
    rest, seen = cancelled(gimp, engine, large, tmp_path / "first")
    if rest >= 1:  # the machine may have been busy with something else
        rest, seen = cancelled(gimp, engine, large, tmp_path / "second")

    assert rest < 1
    assert len(seen.layers) == 2
    assert seen.layers[0] == seen.layers[1]
    assert "dirty False" in seen.out


def test_a_person_chooses_looks_and_gets_layers_that_one_undo_takes_away(
    gimp: RootedGimp, engine: Server, tmp_path: Path
) -> None:
    picture, out, version = tmp_path / "scan.png", tmp_path / "out", gimp.version
    Image.fromarray(noisy(1200, 1500)).save(picture)
    places = {"submenu": SUBMENU[version], "restore": RESTORE[version]}
    asked = {"groups": GROUPS[version], "tree": TREE[version], "dirty": DIRTY[version]}

    with watched(engine, out):
        seen = gimp.window(JOURNEY.format(**places, **asked), picture, out=out, **reaching(engine)).well()

    tree = seen.out.split("# tree\n", 1)[1].splitlines()[:4]
    assert tree[0] == "layer Restored: Gentle | True"
    assert sorted(line.endswith("True") for line in tree[1:3]) == [False, True]
    assert "in it Removed | False" in tree[1:3]
    assert tree[3] == "layer scan.png | True"
    assert len(seen.layers) == 2
    assert seen.layers[0] == seen.layers[1]
    for name in ("menu", "dialog", "progress", "result", "undone"):
        assert looks_different(out / f"{name}.png", out / "undone.png") == (name != "undone")


def test_what_is_wrong_is_shown_in_a_window_of_gimps_own(
    gimp: RootedGimp, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    steps, picture = REFUSED.format(dirty=DIRTY[gimp.version]), made_scans["rgb8"]

    seen = gimp.window(steps, picture, out=tmp_path / "out").well()

    assert len(seen.layers) == 2
    assert seen.layers[0] == seen.layers[1]
    assert "dirty False" in seen.out


def looks_different(one: Path, other: Path) -> bool:
    with Image.open(one) as first, Image.open(other) as second:
        return first.convert("RGB").tobytes() != second.convert("RGB").tobytes()


def cancelled(gimp: RootedGimp, engine: Server, picture: Path, out: Path) -> tuple[float, Seen]:
    """Seconds from the click on Cancel until the engine is at rest, and what was seen."""
    steps = CANCELLED.format(cancel=CANCEL[gimp.version], dirty=DIRTY[gimp.version])
    with watched(engine, out) as moments:
        seen = gimp.window(steps, picture, out=out, **reaching(engine)).well()
    click = seen.times["cancelled"]
    assert any(busy for moment, busy in moments if moment < click)
    return min(moment for moment, busy in moments if moment > click and not busy) - click, seen


@contextmanager
def watched(engine: Server, out: Path) -> Iterator[list[tuple[float, bool]]]:
    """Tells the steps, by files, that the engine restores, or that it has been at rest for a second.

    Yields:
        Moments, and whether the engine was at work then.
    """
    out.mkdir(parents=True)
    moments: list[tuple[float, bool]] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            busy = stages(engine)
            moments.append((time.time(), bool(busy)))
            if "restore" in busy:
                (out / "at-work").touch()
            resting = not any(was for moment, was in moments if moment > time.time() - 1)
            if resting and len(moments) > 10:
                (out / "at-rest").touch()
            else:
                (out / "at-rest").unlink(missing_ok=True)
            over.wait(0.03)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield moments
    finally:
        over.set()
        thread.join()
