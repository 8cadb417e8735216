"""The bootstrap on a small stand-in for the repository, with real environments and a real pip."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SCRIPT = Path(__file__).resolve().parents[2] / "install" / "bootstrap.py"

# A build backend without requirements: pip needs no index, so these tests run offline.
BACKEND = """
import zipfile
INFO = "tiny-1.dist-info"
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr("tiny.py", "")
        requires = "".join(f"Requires-Dist: {word}\\n" for word in REQUIRES)
        extras = "Provides-Extra: demo\\nProvides-Extra: dev\\n"
        head = "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n" + extras
        wheel.writestr(INFO + "/METADATA", head + requires)
        wheel.writestr(INFO + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "/RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
DEMO = "import os, sys, tiny\nprint('demo', os.getcwd(), *sys.argv[1:])\n"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load()


def stand_in(folder: Path, *requires: str) -> Path:
    """A repository with nothing in it but what the bootstrap needs."""
    (folder / "install").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "install")
    (folder / "install" / "constraints.txt").write_text("")
    (folder / "install" / "demo.py").write_text(DEMO)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(f"REQUIRES = {requires!r}\n{BACKEND}")
    return folder


def run(repo: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [
            sys.executable,
            "install/bootstrap.py" if not cwd else repo / "install" / "bootstrap.py",
            *arguments,
        ],
        cwd=cwd or repo,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in whose environment is made; the tests that share it leave it ready."""
    repo = stand_in(tmp_path_factory.mktemp("ready") / "a folder with spaces")
    made = run(repo, "venv", "--extras", "demo")
    assert made.returncode == 0, made.stderr
    return repo


def stamp_of(repo: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads((repo / ".venv" / bootstrap.STAMP).read_text())
    return values


def test_the_demo_gets_its_scans_and_stays_where_the_person_stands(ready: Path, tmp_path: Path) -> None:
    done = run(ready, "demo", "a.tif", "my scan.jpg", cwd=tmp_path)

    assert done.stdout == f"demo {tmp_path} a.tif my scan.jpg\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_already_right_is_left_alone(ready: Path) -> None:
    log = ready / ".venv" / bootstrap.LOG
    before = log.stat().st_mtime_ns

    done = run(ready, "venv")

    assert (done.returncode, done.stdout) == (0, "")
    assert log.stat().st_mtime_ns == before


@pytest.mark.slow
def test_another_extra_is_added_and_the_old_ones_stay(tmp_path: Path) -> None:
    repo = stand_in(tmp_path)
    run(repo, "venv", "--extras", "demo")

    done = run(repo, "venv", "--extras", "dev")

    assert "Environment ready" in done.stdout
    assert stamp_of(repo)["extras"] == ["demo", "dev"]


@pytest.mark.slow
def test_changed_constraints_are_installed_again_and_the_environment_is_kept(tmp_path: Path) -> None:
    repo = stand_in(tmp_path)
    run(repo, "venv")
    kept = repo / ".venv" / "kept"
    kept.touch()
    (repo / "install" / "constraints.txt").write_text("something==1\n")
    before = stamp_of(repo)

    done = run(repo, "venv")

    assert "Environment ready" in done.stdout
    assert kept.exists()
    assert stamp_of(repo) != before


@pytest.mark.slow
def test_an_environment_whose_python_has_gone_is_made_anew(tmp_path: Path) -> None:
    repo = stand_in(tmp_path)
    run(repo, "venv")
    python = bootstrap.interpreter(repo / ".venv")
    python.unlink()
    python.symlink_to(tmp_path / "no such python")

    done = run(repo, "demo")

    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


@pytest.mark.slow
def test_a_library_that_cannot_be_had_is_one_sentence_and_leaves_no_stamp(tmp_path: Path) -> None:
    repo = stand_in(tmp_path, "no-such-library-at-all")

    done = run(repo, "demo")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("bootstrap: a library has no build for this Python or machine: ")
    assert not (repo / ".venv" / bootstrap.STAMP).exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [(Path.touch, "is a file"), (lambda path: (path / "letters").mkdir(parents=True), "of something else")],
)
def test_a_place_that_is_taken_is_one_sentence_and_stays(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    repo, place = stand_in(tmp_path / "repo"), tmp_path / "place"
    make(place)

    done = run(repo, "venv", "--venv", str(place))

    assert done.returncode == 1
    assert done.stderr.startswith("bootstrap: ")
    assert words in done.stderr
    assert list(tmp_path.glob("place/*")) in ([], [place / "letters"])


def test_an_unknown_command_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    done = run(stand_in(tmp_path), "restore")

    assert done.returncode == 2
    assert all(command in done.stderr for command in ("demo", "test", "venv"))


@pytest.mark.parametrize("version", [(3, 9), (3, 6), (2, 7)])
def test_an_old_python_is_told_which_one_is_needed(version: tuple[int, int]) -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"needs Python 3\.10 or newer and this is \d\.\d:"):
        bootstrap.check_python(version)


def test_the_script_still_parses_on_the_pythons_that_it_refuses() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))

    assert tree.body


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        (
            "WARNING: NewConnectionError('...')\nERROR: No matching distribution found for torch",
            "machine online",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "has no build for this Python"),
        ("ERROR: ResolutionImpossible: for help visit ...", "contradicts pyproject.toml"),
        ("ERROR: first\nERROR: flux capacitor missing", "flux capacitor missing"),
        ("", "did not say why"),
    ],
)
def test_pips_words_become_one_sentence(said: str, sentence: str) -> None:
    explained = bootstrap.explain(said, Path("pip.log"))

    assert sentence in explained
    assert "\n" not in explained


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"fingerprint": 3}', '{"fingerprint": "a", "extras": null}', "\0"]
)
def test_a_damaged_stamp_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / bootstrap.STAMP).write_text(text)

    assert bootstrap.read_stamp(tmp_path) == bootstrap.Stamp()
