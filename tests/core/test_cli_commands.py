"""The commands beside `restore`, as real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scanmend_models
from PIL import Image
from scanmend import profile as profiles
from scanmend.cli.failures import take_debug
from scanmend.errors import FormatError, OutOfMemory, PublishError, ScanmendError, as_scanmend_error

PYTHON_PATH = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
ENVIRONMENT = {**os.environ, "PYTHONPATH": PYTHON_PATH, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
MODELS = Path(scanmend_models.__path__[0])


def scanmend(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanmend", *arguments],
        cwd=folder,
        env={**ENVIRONMENT, "XDG_CONFIG_HOME": str(folder / "config"), **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def grain(path: Path, side: int = 256) -> None:
    pixels = np.random.default_rng(0).normal(128, 10, (side, side, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, compress_level=1)


def test_the_version_is_one_line(tmp_path: Path) -> None:
    run = scanmend(tmp_path, "--version")

    assert (run.returncode, run.stdout.split()[0]) == (0, "scanmend")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("restroe", "a.tif"), 2, "restroe"),
        (("restore", "a.tif", "--sett", "x"), 2, "--sett"),
        (("restore", "missing.tif"), 4, "there is no file missing.tif"),
        (("restore", "missing.tif", "-p", "gentel"), 3, "did you mean gentle"),
        (("restore", "missing.tif", "--set", "noise.strength=2"), 3, "noise.strength must be"),
        (("restore", "*.tif"), 2, "nothing matches *.tif"),
        (("inspect", "missing.tif"), 4, "there is no file missing.tif"),
        (("profile", "check", "missing.yaml"), 3, "there is no file missing.yaml"),
        (
            ("train", "grain", "--data", "nowhere", "-o", "run", "--minutes", "1"),
            2,
            "there is no folder nowhere",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_and_the_right_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    run = scanmend(tmp_path, *arguments)

    assert run.returncode == code
    assert words in run.stderr + run.stdout
    assert "Traceback" not in run.stderr


def test_debug_shows_where_an_error_came_from_wherever_it_stands(tmp_path: Path) -> None:
    run = scanmend(tmp_path, "restore", "missing.tif", "--debug")

    assert run.returncode == 4
    assert "Traceback" in run.stderr
    assert run.stderr.rstrip().endswith("scanmend: there is no file missing.tif")


def test_debug_after_two_dashes_is_a_file_name() -> None:
    assert take_debug(["restore", "--debug", "--", "--debug"]) == (True, ["restore", "--", "--debug"])
    assert take_debug(["restore", "--", "--debug"]) == (False, ["restore", "--", "--debug"])


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (MemoryError(), OutOfMemory),
        (OSError(5, "Input/output error", "scan.tif"), FormatError),
        (OSError(5, "Input/output error", "elsewhere"), PublishError),
        (ValueError("odd"), ScanmendError),
        (FormatError("it is broken"), FormatError),
    ],
)
def test_any_exception_becomes_a_sentence_that_names_the_file(
    raised: Exception, becomes: type[ScanmendError]
) -> None:
    error = as_scanmend_error(raised, Path("scan.tif"))

    assert type(error) is becomes
    assert "scan.tif" in error.message


def test_inspecting_tells_the_noise_and_the_plan(tmp_path: Path) -> None:
    grain(tmp_path / "scan.png")

    run = scanmend(tmp_path, "inspect", "scan.png")

    assert run.returncode == 0
    assert "256 x 256, 8 bits, rgb" in run.stdout
    assert "noise 1" in run.stdout
    assert "plan: noise: grain" in run.stdout


def test_inspecting_in_json_gives_one_object_a_file_also_for_a_broken_one(tmp_path: Path) -> None:
    grain(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])

    run = scanmend(tmp_path, "inspect", ".", "--json")

    good, broken = (json.loads(line) for line in run.stdout.splitlines())
    assert run.returncode == 1
    assert good["pages"][0]["noise"]["sigma"] * 255 == pytest.approx(10, rel=0.2)
    assert (Path(broken["file"]).name, broken["error"]["class"]) == ("b.png", "DamagedFile")


def test_shown_settings_are_those_of_the_profile_and_of_set(tmp_path: Path) -> None:
    run = scanmend(tmp_path, "profile", "show", "prints", "--set", "noise.strength=0.6")

    shown = profiles.parse(run.stdout, "shown.yaml", name="prints")

    assert shown == profiles.apply_settings(profiles.load("prints"), ["noise.strength=0.6"])


def test_a_new_profile_is_valid_listed_and_found_by_its_name(tmp_path: Path) -> None:
    made = scanmend(tmp_path, "profile", "new", "mine", "--from", "strong", HOME=str(tmp_path))

    shown = scanmend(tmp_path, "profile", "show", "mine", "--json", HOME=str(tmp_path))
    listed = scanmend(tmp_path, "profile", "list", "--json", HOME=str(tmp_path))
    again = scanmend(tmp_path, "profile", "new", "mine", HOME=str(tmp_path))

    assert made.returncode == 0
    assert json.loads(shown.stdout) == {"name": "mine", **profiles.to_dict(profiles.load("strong"))}
    assert "mine" in {item["name"] for item in json.loads(listed.stdout)}
    assert (again.returncode, "exists already" in again.stderr) == (7, True)


def test_a_new_profile_cannot_take_the_name_of_one_that_ships(tmp_path: Path) -> None:
    run = scanmend(tmp_path, "profile", "new", "gentle", HOME=str(tmp_path))

    assert (run.returncode, "ships with Scanmend" in run.stderr) == (2, True)


def test_checking_profiles_tells_the_line(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("scanmend: 1\n", encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("scanmend: 1\nnosie: {}\n", encoding="utf-8")

    run = scanmend(tmp_path, "profile", "check", "good.yaml", "bad.yaml")

    assert run.returncode == 1
    assert "good.yaml: ok" in run.stdout
    assert "bad.yaml, line 2: nosie is not a setting; did you mean noise?" in run.stdout


def test_the_schema_is_json(tmp_path: Path) -> None:
    run = scanmend(tmp_path, "profile", "schema")

    assert json.loads(run.stdout) == profiles.schema()


def test_the_installed_models_are_listed_and_verified(tmp_path: Path) -> None:
    listed = scanmend(tmp_path, "models", "list", "--json")
    table = scanmend(tmp_path, "models", "list")
    verified = scanmend(tmp_path, "models", "verify")

    names = [card["name"] for card in json.loads(listed.stdout)]
    assert names
    assert all(name in table.stdout for name in names)
    assert verified.stdout.splitlines() == [f"{name}: ok" for name in names]


def test_altered_weights_are_found_out(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "scanmend_models", ignore=shutil.ignore_patterns("__pycache__"))
    weights = next(tmp_path.glob("scanmend_models/*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")

    run = scanmend(tmp_path, "models", "verify", "--json", PYTHONPATH=f"{tmp_path}{os.pathsep}{PYTHON_PATH}")

    assert run.returncode == 5
    assert [json.loads(line)["ok"] for line in run.stdout.splitlines()].count(False) == 1


@pytest.mark.slow
def test_training_writes_weights_and_goes_on_with_its_run(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in "abcdefghijkl":  # eight sources are held out
        grain(tmp_path / "pictures" / f"{name}.png")
    command = (
        "train",
        "grain",
        "--data",
        "pictures",
        "-o",
        "run",
        "--no-compile",
        "--batch",
        "1",
        "--patch",
        "32",
    )

    first = scanmend(tmp_path, *command, "--minutes", "0.01")
    second = scanmend(tmp_path, *command, "--minutes", "0.02")

    assert (first.returncode, second.returncode) == (0, 0)
    assert (tmp_path / "run" / "weights.safetensors").exists()
    assert "resumed at step" in second.stdout


def test_training_without_pictures_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    run = scanmend(tmp_path, "train", "grain", "--data", "empty", "-o", "run", "--minutes", "1")

    assert (run.returncode, "no pictures below empty" in run.stderr) == (2, True)


def test_doctor_says_for_each_line_whether_it_is_well(tmp_path: Path) -> None:
    run = scanmend(tmp_path, "doctor", "--json")

    report = json.loads(run.stdout)
    names = [check["name"] for check in report["checks"]]

    assert {"Python", "packages", "device", "OpenVINO", "temporary folder", "formats"} <= set(names)
    assert run.returncode == (0 if report["ok"] else 1)
    assert all(check["ok"] or check["to_do"] for check in report["checks"])


@pytest.mark.skipif(os.name == "nt", reason="TMPDIR is TEMP there")
def test_doctor_says_what_to_do_where_something_is_wrong(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "scanmend_models", ignore=shutil.ignore_patterns("__pycache__"))
    next(tmp_path.glob("scanmend_models/*/weights.safetensors")).unlink()

    run = scanmend(tmp_path, "doctor", PYTHONPATH=f"{tmp_path}{os.pathsep}{PYTHON_PATH}")

    assert run.returncode == 1
    assert "DO  model" in run.stdout
    assert "-> install Scanmend again" in run.stdout
