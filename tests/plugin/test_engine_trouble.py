"""The engine is missing, of another version, or dies: a sentence says so, and the image is as it was."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.core.serving import COMMAND, Server, noisy, serving, until

from .driving import DRIVE
from .foreign import LATER, later_engine
from .gimp import FOUND, NOWHERE, Gimp, Ran, reaching, stages

pytestmark = pytest.mark.slow

ONCE = """
image = load(ARGS[0])
answer({'said': call(image, layer(image)), 'layers': len(layers(image))})
"""
# Once with layers and once in place: what is half done would show in different ways.
SCRIPT = """
image = load(ARGS[0])
clean(image)
before = tree(image)
said = [call(image, layer(image), profile='strong', quality='best', output=output)
        for output in ('layers', 'in-place')[:int(ARGS[1])]]
answer({'said': said, 'same': tree(image) == before, 'dirty': dirty(image)})
"""


@pytest.fixture(params=[3, 2], ids=["gimp3", "gimp2"])
def gimp(request: pytest.FixtureRequest) -> Gimp:
    found: Gimp = request.getfixturevalue(f"gimp{request.param}")
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scan that keeps an engine at work for a while."""
    path = tmp_path_factory.mktemp("large") / "large.png"
    Image.fromarray(noisy(1500, 2000)).save(path)
    return path


def refused(gimp: Gimp, picture: Path, times: int = 2, **around: Any) -> str:
    """Runs a restoration that must fail and must change nothing; what GIMP and the plug-in said."""
    show = [*around.pop("show", []), picture.parent]
    ran: Ran = gimp.run(DRIVE[gimp.version] + SCRIPT, picture, times, show=show, **around)
    assert ran.well["same"], ran.values
    assert not ran.well["dirty"], ran.values
    assert len(ran.well["said"]) == times
    for status, message in ran.well["said"]:
        assert status == "execution-error", message
    return "\n".join(message for _status, message in ran.well["said"]) + "\n" + ran.err


def test_without_an_engine_the_missing_command_is_named(gimp: Gimp, made_scans: dict[str, Path]) -> None:
    said = refused(gimp, made_scans["rgb8"])

    assert NOWHERE in said
    assert "scanmend plugin install gimp" in said


def test_an_engine_of_another_version_is_told_with_what_mends_it(
    gimp: Gimp, made_scans: dict[str, Path]
) -> None:
    with later_engine() as address:
        around: dict[str, Any] = {"env": {"SCANMEND_ENGINE": str(address)}, "show": [address.parent.parent]}

        said = refused(gimp, made_scans["alpha8"], **around)

    assert LATER in said
    assert "scanmend plugin install gimp" in said


@pytest.mark.parametrize("whom", ["server", "render"])
def test_an_engine_killed_in_mid_job_is_told_and_nothing_was_done(gimp: Gimp, large: Path, whom: str) -> None:
    with serving() as server, killed_at_work(server, whom):
        said = refused(gimp, large, 1, **reaching(server))

    assert ("went away" if whom == "server" else "signal 9") in said
    assert "scanmend doctor" in said


def test_an_engine_that_does_not_run_is_started_from_inside_gimp(
    gimp: Gimp, made_scans: dict[str, Path], tmp_path: Path
) -> None:
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2]}
    if Path("/usr") in places:
        pytest.skip("this Python lies in /usr, where the folder with GIMP in it has its own")
    command = ["/usr/bin/env", *FOUND, *COMMAND, "--idle-exit", "20"]
    env = {"SCANMEND_ENGINE": str(tmp_path / "s"), "SCANMEND_COMMAND": json.dumps(command)}

    ran = gimp.run(
        DRIVE[gimp.version] + ONCE, made_scans["rgb16"],
        env=env, show=[*places, tmp_path, made_scans["rgb16"].parent],
    )  # fmt: skip

    assert ran.well == {"said": ["success", ""], "layers": 2}


@contextmanager
def killed_at_work(server: Server, whom: str) -> Iterator[None]:
    """Kills an engine, or its worker, as soon as a restoration is under way."""

    def kill() -> None:
        until(lambda: "restore" in stages(server), 200)
        os.kill(server.process.pid if whom == "server" else server.worker(whom)["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()
