"""`scanmend restore`, as a real process on real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

PYTHON_PATH = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
ENVIRONMENT = {**os.environ, "PYTHONPATH": PYTHON_PATH, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "scanmend"]
DEADLINE = 300.0  # seconds; generous, because a busy machine loads torch slowly
WITNESS = """
import sys

def witness(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open({log!r}, "a", encoding="utf-8") as log:
            print(event, *arguments, file=log)

sys.addaudithook(witness)
"""
GOOD = ("-x.jpg", "my photo (2).jpg", "photo [1].png", "Größe 写真.png", "deep/er/scan.png")


class Run(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def scanmend(folder: Path, *arguments: str, **environment: str) -> Run:
    run = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )
    return Run(run.returncode, run.stdout, run.stderr)


def picture(path: Path, *, side: int = 96, sigma: float = 12.0, smooth: bool = True) -> Path:
    rows, columns = np.mgrid[:side, :side]
    tone = 128 + (50 * np.sin(columns / 37) + 30 * np.cos(rows / 51)) * smooth
    noise = np.random.default_rng(side).normal(0, sigma, (side, side, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = tone[..., None] + noise
    options: dict[str, Any] = {"quality": 97} if path.suffix == ".jpg" else {"compress_level": 1}
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, **options)
    return path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(event: Any, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not event():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A folder with good scans, a clean one and a broken one, restored once."""
    folder = tmp_path_factory.mktemp("batch")
    for name in GOOD:
        picture(folder / "in" / name)
    picture(folder / "in" / "clean.png", sigma=0)
    whole = picture(folder / "in" / "broken.png").read_bytes()
    (folder / "in" / "broken.png").write_bytes(whole[: len(whole) // 2])
    return folder, scanmend(folder, "restore", "in", "-o", "out", "--json")


def test_one_broken_file_does_not_stop_the_others(batch: tuple[Path, Run]) -> None:
    _, run = batch

    states = {Path(line["file"]).as_posix(): line["state"] for line in run.lines}

    assert run.code == 1
    assert states == {
        **{f"in/{name}": "restored" for name in GOOD},
        "in/clean.png": "unchanged",
        "in/broken.png": "failed",
    }


def test_results_are_mirrored_with_their_sidecars_and_nothing_else(batch: tuple[Path, Run]) -> None:
    folder, _ = batch
    names = [Path(name) for name in (*GOOD, "clean.png")]
    results = {name.with_name(f"{name.stem}_restored{name.suffix}").as_posix() for name in names}

    assert files(folder / "out") == results | {f"{name}.scanmend.json" for name in results}


def test_a_scan_that_needs_nothing_is_copied_byte_for_byte(batch: tuple[Path, Run]) -> None:
    folder, run = batch

    assert (folder / "out/clean_restored.png").read_bytes() == (folder / "in/clean.png").read_bytes()
    assert "nothing to do: copied as it is" in run.err


def test_people_are_told_on_standard_error_and_programs_on_standard_output(batch: tuple[Path, Run]) -> None:
    _, run = batch
    broken = next(line for line in run.lines if line["state"] == "failed")

    assert "restored at strength 1.0; 0.01 MP in" in run.err
    assert f"scanmend: {broken['error']['message']}" in run.err
    assert broken["error"]["exit_code"] == 4
    assert "Traceback" not in run.err


def test_the_summary_counts_every_file(batch: tuple[Path, Run]) -> None:
    _, run = batch

    counts = [line.split() for line in run.err.splitlines()[run.err.splitlines().index("7 files") + 1 :]]

    assert counts[:3] == [["restored", "5"], ["nothing", "to", "do", "1"], ["failed", "1"]]


def test_the_same_command_again_does_nothing_twice(batch: tuple[Path, Run]) -> None:
    folder, _ = batch
    before = {name: (folder / "out" / name).stat().st_mtime_ns for name in files(folder / "out")}

    run = scanmend(folder, "restore", "in", "-o", "out", "--json")

    assert sorted({line["state"] for line in run.lines}) == ["already done", "failed"]
    assert {name: (folder / "out" / name).stat().st_mtime_ns for name in files(folder / "out")} == before


def test_a_result_of_another_profile_is_an_error_that_says_what_to_do(batch: tuple[Path, Run]) -> None:
    folder, _ = batch

    run = scanmend(folder, "restore", "in/clean.png", "-o", "out", "-p", "strong")

    assert run.code == 7
    assert "exists already" in run.err
    assert "--overwrite" in run.err


def test_overwriting_replaces_a_result_of_another_profile(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", sigma=0)
    scanmend(tmp_path, "restore", "a.png")

    run = scanmend(tmp_path, "restore", "a.png", "--overwrite", "-p", "strong")

    slip = json.loads((tmp_path / "a_restored.png.scanmend.json").read_text(encoding="utf-8"))
    assert (run.code, slip["profile"]["name"]) == (0, "strong")


def test_results_beside_their_scans_are_not_restored_again(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", sigma=0)
    scanmend(tmp_path, "restore", ".")

    run = scanmend(tmp_path, "restore", ".")

    assert run.code == 0
    assert files(tmp_path) == {"a.png", "a_restored.png", "a_restored.png.scanmend.json"}


@pytest.mark.parametrize("pattern", ["*.png", "**/*.png", "."])
def test_patterns_and_folders_reach_the_same_scans(tmp_path: Path, pattern: str) -> None:
    for name in ("scan2.png", "scan10.png"):
        picture(tmp_path / name, sigma=0)

    run = scanmend(tmp_path, "restore", pattern, "--json", "-q")

    assert [Path(line["file"]).name for line in run.lines] == ["scan2.png", "scan10.png"]
    assert (run.code, run.err) == (0, "")


def test_a_name_with_a_leading_dash_goes_after_two_dashes(tmp_path: Path) -> None:
    picture(tmp_path / "-x.png", sigma=0)

    run = scanmend(tmp_path, "restore", "--", "-x.png")

    assert run.code == 0
    assert (tmp_path / "-x_restored.png").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are always text")
def test_a_name_that_is_no_text_is_restored_and_told_in_valid_json(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", sigma=0).rename(tmp_path / os.fsdecode(b"scan\xff.png"))

    run = scanmend(tmp_path, "restore", ".", "--json")

    assert (run.code, run.lines[0]["state"]) == (0, "unchanged")
    assert os.fsencode(run.lines[0]["file"]) == b"scan\xff.png"


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", side=256)

    run = scanmend(tmp_path, "restore", "a.png", "-o", "new/folder", "--dry-run")

    assert run.code == 0
    assert f"a.png -> {Path('new/folder/a_restored.png')}" in run.out
    assert "at strength 1.00" in run.out
    assert {path.name for path in tmp_path.iterdir()} == {"a.png"}


def test_a_single_file_fails_with_its_own_code_and_makes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()

    run = scanmend(tmp_path, "restore", "empty.tif", "-o", "new/folder")

    assert run.code == 4
    assert "empty.tif is empty" in run.err
    assert {path.name for path in tmp_path.iterdir()} == {"empty.tif"}


def test_a_clash_of_names_is_found_before_any_work(tmp_path: Path) -> None:
    picture(tmp_path / "a/x.png", sigma=0)
    picture(tmp_path / "b/x.png", sigma=0)

    run = scanmend(tmp_path, "restore", "a", "b", "-o", "out")

    assert run.code == 2
    assert str(Path("a/x.png")) in run.err
    assert str(Path("b/x.png")) in run.err
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_fails_once_and_before_any_work(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", sigma=0)
    picture(tmp_path / "b.png", sigma=0)

    run = scanmend(tmp_path, "restore", ".", "--device", "cuda:99")

    assert run.code == 6
    assert len(run.err.splitlines()) == 1
    assert files(tmp_path) == {"a.png", "b.png"}


def test_a_restoration_speaks_to_nobody(tmp_path: Path) -> None:
    """Whichever backend runs: OpenVINO, for one, reports its use unless it is kept from it."""
    picture(tmp_path / "a.png")
    log = tmp_path / "network.log"
    hook = tmp_path / "hook" / "sitecustomize.py"
    hook.parent.mkdir()
    hook.write_text(WITNESS.format(log=str(log)), encoding="utf-8")

    run = scanmend(tmp_path, "restore", "a.png", PYTHONPATH=f"{hook.parent}{os.pathsep}{PYTHON_PATH}")

    assert run.code == 0
    assert (log.read_text(encoding="utf-8") if log.exists() else "") == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to send")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_run_leaves_what_is_done_and_nothing_half(tmp_path: Path, number: int) -> None:
    picture(tmp_path / "1.png", sigma=0)
    big = picture(tmp_path / "2.png", side=1600, smooth=False)
    scan, out = big.read_bytes(), tmp_path / "out"
    with running(tmp_path, "restore", ".", "-o", "out", "--backend", "torch") as process:
        wait_for(
            lambda: (out / "1_restored.png").exists() and any(out.glob(".scanmend-*")),
            process,
        )
        process.send_signal(number)
        _, err = process.communicate(timeout=DEADLINE)

    assert process.returncode == 130
    assert "stopped as you asked" in err
    assert "Traceback" not in err
    assert {path.name for path in out.iterdir()} == {"1_restored.png", "1_restored.png.scanmend.json"}
    assert big.read_bytes() == scan
