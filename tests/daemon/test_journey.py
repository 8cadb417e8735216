"""What a person does who has read docs/hot-folder.md and nothing else, from the first scan on."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scanmend.serve.client import Engine, EngineFault

from tests.daemon.live import Hot, hashed, short_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the engine is stopped by a signal"),
]


class Person(Hot):
    """Somebody with a home, and scans in ~/Scans."""

    def __init__(self, home: Path) -> None:
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        super().__init__(home, runtime, inbox=home / "Scans")
        self.output, self.failed = home / "Scans-restored", home / "Scans-failed"
        self.settings = home / ".config" / "scanmend"
        (self.settings / "profiles").mkdir(parents=True)

    def configured(self, profile: str, *, more: str = "") -> Person:
        """Writes ~/.config/scanmend/watch.yaml."""
        path = self.settings / "watch.yaml"
        path.write_text(
            "scanmend_daemon: 1\nfolders:\n"
            f"  - watch: ~/Scans\n    profile: {profile}\n    settle: 0.5s\n{more}status: {{http: off}}\n"
        )
        path.chmod(0o600)
        return self

    def says(self, *words: str, code: int = 0) -> str:
        """What a command says on both channels, once it ended with this code."""
        run = self.run(*words)
        assert run.returncode == code, f"{words} ended with {run.returncode}: {run.stdout}{run.stderr}"
        assert "Traceback" not in run.stderr
        return run.stdout + run.stderr

    def strengths(self) -> dict[str, object]:
        """Of each result, the strength that its sidecar names."""
        return {result.name: result.profile["noise"]["strength"] for result in self.results()}

    def stop_engine(self) -> None:
        """Ends the engine that the daemon started and that outlives it for a while."""
        with contextlib.suppress(EngineFault, ProcessLookupError):
            os.kill(Engine(str(self.runtime / "scanmend" / "engine.sock")).health()["pid"], signal.SIGTERM)


@pytest.fixture
def person() -> Iterator[Person]:
    with short_folder() as home:
        person = Person(home)
        yield person
        person.stop()
        person.stop_engine()


@pytest.fixture
def photos() -> list[Path]:
    """The three smallest of the old photographs."""
    data = os.environ.get("SCANMEND_TEST_DATA")
    if not data or not (folder := Path(data, "oldphotos")).is_dir():
        pytest.skip("SCANMEND_TEST_DATA names no folder with oldphotos in it")
    return sorted(
        (path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_size
    )[:3]


def grainy(seed: int, side: int = 60, kind: str = "png") -> bytes:
    random = np.random.default_rng(seed)
    pixels = np.linspace(60, 200, side)[:, None, None] + random.normal(0, 12, (side, side, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, kind)
    return file.getvalue()


def edit(path: Path, text: str) -> None:
    """As editors save: a new file takes the name of the old one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


# --- the first day -----------------------------------------------------------------------


def test_old_photographs_dropped_in_three_ways_come_out_restored_and_the_scans_stay(
    person: Person, photos: list[Path]
) -> None:
    person.start(place="Scans")
    shutil.copy(photos[0], person.inbox / f"copied{photos[0].suffix}")
    shutil.copyfile(photos[1], person.home / "elsewhere")
    (person.home / "elsewhere").rename(person.inbox / f"moved{photos[1].suffix}")
    data = photos[2].read_bytes()
    with (person.inbox / f"slow{photos[2].suffix}").open("wb", buffering=0) as file:
        for start in range(0, len(data), len(data) // 4 + 1):
            file.write(data[start : start + len(data) // 4 + 1])
            time.sleep(1)
    person.until(lambda: len(person.results()) == 3, "all are restored", 180)
    person.until(lambda: "3 restored" in person.says("status"), "status tells of them")

    names = ["copied", "moved", "slow"]
    suffixes = [photo.suffix for photo in photos]
    ways = list(zip(names, suffixes, strict=True))
    results = person.results()
    assert [result.name for result in results] == [f"{name}_restored{end}" for name, end in ways]
    assert [result.made_from for result in results] == [hashed(photo.read_bytes()) for photo in photos]
    for result, photo, (name, end) in zip(results, photos, ways, strict=True):
        with Image.open(io.BytesIO(result.data)) as after, Image.open(photo) as before:
            after.load()
            assert after.size == before.size
        assert (person.inbox / f"{name}{end}").read_bytes() == photo.read_bytes()
    told = person.says("explain", f"Scans/moved{suffixes[1]}")
    assert "gentle" in told
    assert "done" in told
    assert "3 results checked: all is well" in person.says("verify")
    assert not person.failed.exists()


def test_settings_edited_while_it_runs_hold_from_the_next_scan_on_and_earlier_ones_are_redone_on_request(
    person: Person, photos: list[Path]
) -> None:
    album = person.settings / "profiles" / "album.yaml"
    album.write_text("scanmend: 1\nnoise: {strength: 0.5, level: 8}\nquality: fast\n")
    person.configured("album").start(place="")
    first, second, third = (person.inbox / f"{name}{photos[0].suffix}" for name in ("one", "two", "three"))
    shutil.copy(photos[0], first)
    person.until(lambda: len(person.results()) == 1, "the first is restored")
    edit(album, "scanmend: 1\nnoise: {strength: 0.8, level: 8}\nquality: fast\n")
    shutil.copy(photos[1], second)
    person.until(lambda: len(person.results()) == 2, "the second is restored")
    before = person.strengths()
    said = person.says("reprocess", "--folder", str(person.home / "Scans"))
    person.until(lambda: len(person.results()) == 3, "the first is restored anew")
    edit(album, "scanmend: 1\nnoise: {strength: 0.3, level: 8}\nquality: fast\nnoize: {}\n")
    shutil.copy(photos[2], third)
    person.until(lambda: len(person.results()) == 4, "the third is restored all the same")
    status = person.says("status")
    edit(album, "scanmend: 1\nnoise: {strength: 0.3, level: 8}\nquality: fast\n")
    (person.inbox / "four.png").write_bytes(grainy(4))
    person.until(lambda: len(person.results()) == 5, "the fourth is restored")

    end = photos[0].suffix
    assert before == {f"one_restored{end}": 0.5, f"two_restored{end}": 0.8}
    assert "2 scans are restored again" in said
    assert person.strengths() == {
        **before,
        f"one_restored-2{end}": 0.8,
        f"three_restored{end}": 0.8,
        "four_restored.png": 0.3,
    }
    assert "album.yaml, line 4" in status
    assert "noize" in status
    assert "the last good ones stay" in status
    assert "album.yaml, line 4" in person.log
    assert "not valid" not in person.says("status")


# --- asking and telling ------------------------------------------------------------------


def test_each_command_does_what_the_manual_says_while_the_daemon_runs(person: Person) -> None:
    profile = person.settings / "profiles" / "album.yaml"
    profile.write_text("scanmend: 1\nnoise: {strength: 0.5, level: 8}\n")
    person.configured("album").start(place="")
    scans = str(person.inbox)
    person.says("pause", scans)
    (person.inbox / "one.png").write_bytes(grainy(1))
    person.until(lambda: "1 settling" in person.says("status"), "it is noticed")
    paused, early = person.says("status"), person.results()
    person.says("resume", scans)
    person.until(person.results, "it is restored")

    assert "paused: on request" in paused
    assert not early

    for number in (1, 2, 3):  # two are worked on, and one waits
        (person.inbox / f"large {number}.png").write_bytes(grainy(10 + number, side=1200))
    person.until(lambda: "1 in the queue, 2 being restored" in person.says("status"), "all are taken in")
    for number in (3, 2, 1):
        assert "is cancelled" in person.says("cancel", f"Scans/large {number}.png")
    person.until(lambda: "being restored" not in person.says("status"), "they are given up")
    assert [result.name for result in person.results()] == ["one_restored.png"]
    assert "cancelled on request" in person.says("explain", "Scans/large 2.png")
    edit(profile, "scanmend: 1\nnoise: {strength: off}\njpeg: {strength: off}\n")
    person.says("retry", "Scans/large 2.png")
    person.until(lambda: len(person.results()) == 2, "the one that was asked for is restored")

    half = grainy(20, kind="bmp")
    (person.inbox / "black.bmp").write_bytes(half[:5000] + bytes(len(half) - 5000))
    person.until(lambda: "scanmend release" in person.says("explain", "Scans/black.bmp"), "it is held")
    assert "black.bmp" in person.says("status")
    person.says("release", "Scans/black.bmp")
    person.until(lambda: len(person.results()) == 3, "it is let through")

    lost = person.output / "black_restored.bmp"
    lost.unlink()
    lost.with_name(f"{lost.name}.scanmend.json").unlink()
    assert "black_restored.bmp: the result is not there" in person.says("verify", scans, code=1)
    person.says("reprocess", "Scans/black.bmp")
    person.until(lost.exists, "it is made again")
    assert "all is well" in person.says("verify")
    view = json.loads(person.says("status", "--json"))["daemons"][0]
    assert view["folders"][0]["done"] >= 3
    assert view["running"]


def test_each_command_says_what_it_can_do_while_the_daemon_is_stopped(person: Person) -> None:
    assert "no hot folder has been watched yet" in person.says("status", code=1)
    person.configured("gentle", more="    limits: {max_megapixels: 0.01}\n").start(place="")
    (person.inbox / "one.png").write_bytes(grainy(1))
    (person.inbox / "large.png").write_bytes(grainy(2, side=120))
    person.until((person.failed / "large.png.txt").exists, "the large one is refused")
    person.until(person.results, "the small one is restored")
    person.stop()

    assert "is stopped" in person.says("status", code=1)
    assert "large.png" in person.says("status", code=1)
    assert "done" in person.says("explain", "Scans/one.png")
    assert "max_megapixels" in (person.failed / "large.png.txt").read_text()
    assert "1 results checked: all is well" in person.says("verify")
    assert "not running" in person.says("release", "Scans/large.png", code=2)
    assert "cannot be cancelled" in person.says("cancel", "Scans/one.png", code=2)
    person.says("retry", "Scans/large.png")
    person.says("pause")
    person.configured("strong")  # without limits
    person.says("reprocess", "Scans/one.png")
    person.start(place="")
    time.sleep(2)
    paused = [result.name for result in person.results()]
    person.says("resume")
    person.until(lambda: len(person.results()) == 3, "both are restored")

    assert paused == ["one_restored.png"]
    assert sorted(result.name for result in person.results()) == [
        "large_restored.png",
        "one_restored-2.png",
        "one_restored.png",
    ]
    person.until(lambda: not list(person.failed.glob("*")), "the note is taken back")
