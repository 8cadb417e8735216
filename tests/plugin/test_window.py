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

from .gimp import RootedGimp, Seen, reaching

pytestmark = pytest.mark.slow

# Where things are on the screen, which is the same in every run.
CANCEL = {3: "1000 843", 2: "1033 843"}
CANCELLED = """
layers
action 'Strong'
await at-work; shot at-work
xdotool mousemove {cancel}; sleep 0.5; now cancelled; xdotool click 1
await at-rest; sleep 1; shot cancelled
layers
py '{dirty}'
"""
DIRTY = {
    3: 'print("dirty", Gimp.get_images()[0].is_dirty())',
    2: 'print "dirty", bool(pdb.gimp_image_is_dirty(gimp.image_list()[0]))',
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


def cancelled(gimp: RootedGimp, engine: Server, picture: Path, out: Path) -> tuple[float, Seen]:
    """Seconds from the click on Cancel until the engine is at rest, and what was seen."""
    steps = CANCELLED.format(cancel=CANCEL[gimp.version], dirty=DIRTY[gimp.version])
    with watched(engine, out) as rested:
        seen = gimp.window(steps, picture, out=out, **reaching(engine)).well()
    return rested[0] - seen.times["cancelled"], seen


@contextmanager
def watched(engine: Server, out: Path) -> Iterator[list[float]]:
    """Tells the steps, by files, when the engine is at work on a picture and when it has rest again."""
    out.mkdir(parents=True)
    rested: list[float] = []
    over = threading.Event()

    def watch() -> None:
        talk = engine.engine
        while not over.is_set():
            running = talk.health()["running"]
            if not (out / "at-work").exists():
                if any(next(talk.events(job)).get("stage") == "restore" for job in running):
                    (out / "at-work").touch()
            elif not running:
                rested.append(time.time())
                (out / "at-rest").touch()
                return
            over.wait(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield rested
    finally:
        over.set()
        thread.join()
