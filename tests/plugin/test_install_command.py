"""`scanmend plugin` as a person runs it: on settings folders alone, and in a real GIMP 3 and 2.10."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
import scanmend_plugin

from . import venv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .gimp import RootedGimp

    Command = Callable[..., subprocess.CompletedProcess[str]]

METAINFO = Path(scanmend_plugin.__file__).parent / "payload" / "org.scanmend.Scanmend.gimp.metainfo.xml"
ODD_HOME = '/home/gimp/Änn\'s "home"'
PROCEDURE = "plug-in-scanmend-restore"

# Everything in one go, as entering a GIMP's folder costs more than what is done there. Each step leaves what
# it printed, and its exit code, in a file of its name.
JOURNEY = """
set -u
out=$1 python=$2
shopt -s nullglob
step() {
    name=$1; shift
    "$python" -m scanmend "$@" >"$out/$name.out" 2>"$out/$name.err"
    echo $? >"$out/$name.code"
}
export PATH=$(dirname "$python"):$PATH  # as in a terminal with the environment active
unset SCANMEND_ENGINE SCANMEND_COMMAND  # what the rig sets for runs without an engine
export HOME="$HOME/Änn's \\"home\\""  # nobody calls it so, and nothing may stumble over it
mkdir "$HOME"
step would plugin install gimp --dry-run --json
find ~ -path "*GIMP*" >"$out/untouched"
step install plugin install gimp --json
plug_in=$(echo "$HOME"/.config/GIMP/*/plug-ins/scanmend)
ls ~/.config/GIMP/* >"$out/settings"
step again plugin install gimp --no-check
step check plugin check gimp
sed -i 's/"command": \\[/"command": ["\\/gone\\/python", /' "$plug_in/scanmend.json"
step moved plugin check gimp --json
step mended plugin install gimp --no-check
mv "$plug_in/scanmend_front" /tmp/front
step broken plugin check gimp --json
mv /tmp/front "$plug_in/scanmend_front"
step uninstall plugin uninstall gimp
find ~/.config/GIMP -name '*scanmend*' -path '*plug-ins*' >"$out/left"
step gone plugin check gimp
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return venv.installed(tmp_path_factory.mktemp("python") / "venv")


@pytest.fixture
def scanmend(python: Path, tmp_path: Path) -> Command:
    """The command, for a person whose home is empty and who has no program but it."""
    return lambda *words: venv.ran(python, "-m", "scanmend", *words, home=tmp_path)


def settings(home: Path, *versions: str) -> list[Path]:
    folders = [home / ".config" / "GIMP" / version for version in versions]
    for folder in folders:
        folder.mkdir(parents=True)
    return [folder / "plug-ins" / "scanmend" for folder in folders]


linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="these are the places of Linux")


@linux
def test_every_gimp_gets_the_plug_in_of_its_generation(scanmend: Command, tmp_path: Path) -> None:
    two, three, next_one = settings(tmp_path, "2.10", "3.0", "3.2")

    done = scanmend("plugin", "install", "gimp")

    assert (done.returncode, done.stderr) == (0, "")
    assert (two / "scanmend_gimp2").is_dir()
    assert (three / "scanmend_gimp3").is_dir()
    assert (next_one / "scanmend_gimp3").is_dir()
    assert "ok  GIMP 3.2: the plug-in is now in" in done.stdout
    assert "its program was not found, so it was not started" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Start GIMP anew")


@linux
def test_the_installed_command_is_that_of_the_environment_it_was_run_from(
    scanmend: Command, python: Path, tmp_path: Path
) -> None:
    (three,) = settings(tmp_path, "3.0")

    scanmend("plugin", "install", "gimp", "--no-check")

    written = json.loads((three / "scanmend.json").read_text())
    assert written["command"] == [str(python), "-I", "-m", "scanmend", "serve"]
    assert written["addresses"][-1] == f"{tmp_path}/.local/state/scanmend/run/engine.sock"


@linux
def test_a_dry_run_says_what_would_be_done_and_does_nothing(scanmend: Command, tmp_path: Path) -> None:
    (three,) = settings(tmp_path, "3.0")

    done = scanmend("plugin", "install", "gimp", "--dry-run")

    assert done.stdout == f"ok  GIMP 3.0: the plug-in would be put into {three}\n"
    assert list(three.parent.parent.iterdir()) == []


@linux
def test_one_version_may_be_meant_alone(scanmend: Command, tmp_path: Path) -> None:
    two, three = settings(tmp_path, "2.10", "3.0")

    done = scanmend("plugin", "install", "gimp", "--gimp", "3", "--json")

    assert [one["version"] for one in json.loads(done.stdout)["gimps"]] == ["3.0"]
    assert (two.exists(), three.exists()) == (False, True)


@linux
def test_one_folder_may_be_meant_alone(scanmend: Command, tmp_path: Path) -> None:
    (two,) = settings(tmp_path, "2.10")
    folder = tmp_path / "gimp" / "3.0" / "plug-ins"
    folder.mkdir(parents=True)

    done = scanmend("plugin", "install", "gimp", "--gimp", str(folder))

    assert done.returncode == 0
    assert (folder / "scanmend" / "scanmend_gimp3").is_dir()
    assert not two.exists()


@linux
@pytest.mark.parametrize(
    ("gimp", "sentence"),
    [
        ("3.4", "GIMP 3.4 was never started here"),
        ("2.8", "there is no plug-in for GIMP 2.8"),
        ("2", "no GIMP 2 was found"),
        ("nowhere/plug-ins", "is no folder"),
        (".", "does not tell which GIMP it is of"),
    ],
)
def test_a_gimp_that_is_not_there_gets_a_sentence(
    scanmend: Command, tmp_path: Path, gimp: str, sentence: str
) -> None:
    settings(tmp_path, "3.0")

    done = scanmend("plugin", "install", "gimp", "--gimp", gimp)

    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
    assert not (tmp_path / ".config" / "GIMP" / "3.4").exists()


@linux
def test_without_any_gimp_the_command_says_so(scanmend: Command) -> None:
    done = scanmend("plugin", "install", "gimp")

    assert (done.returncode, done.stdout) == (2, "")
    assert "no GIMP was found" in done.stderr


@linux
def test_a_folder_of_somebody_elses_fails_alone(scanmend: Command, tmp_path: Path) -> None:
    two, three = settings(tmp_path, "2.10", "3.0")
    three.mkdir(parents=True)
    (three / "scanmend.py").write_text("mine")

    done = scanmend("plugin", "install", "gimp")

    assert done.returncode == 1
    assert f"DO  GIMP 3.0: {three} was not written by Scanmend" in done.stdout
    assert (three / "scanmend.py").read_text() == "mine"
    assert (two / "scanmend.json").exists()


@linux
def test_checking_tells_a_missing_and_an_old_plug_in(scanmend: Command, tmp_path: Path) -> None:
    _, three = settings(tmp_path, "2.10", "3.0")
    scanmend("plugin", "install", "gimp", "--gimp", "3.0", "--no-check")
    (three / "scanmend_front" / "words.py").write_text("")

    done = scanmend("plugin", "check", "gimp", "--json")

    said = {one["version"]: one for one in json.loads(done.stdout)["gimps"]}
    assert done.returncode == 1
    assert "is not in" in said["2.10"]["checks"][0]["found"]
    assert "differs from this one's" in said["3.0"]["checks"][0]["found"]
    assert {one["checks"][0]["to_do"] for one in said.values()} == {"scanmend plugin install gimp"}


@linux
def test_uninstalling_leaves_the_settings_as_they_were(scanmend: Command, tmp_path: Path) -> None:
    (three,) = settings(tmp_path, "3.0")
    scanmend("plugin", "install", "gimp", "--no-check")

    would = scanmend("plugin", "uninstall", "gimp", "--dry-run")
    still_there = three.exists()
    done = scanmend("plugin", "uninstall", "gimp")
    again = scanmend("plugin", "uninstall", "gimp")

    assert (would.stdout, still_there) == (f"ok  GIMP 3.0: {three} would be removed\n", True)
    assert done.stdout == f"ok  GIMP 3.0: {three} was removed\n"
    assert again.stdout == "ok  GIMP 3.0: the plug-in is not installed\n"
    assert list(three.parent.iterdir()) == []


@linux
@pytest.mark.slow  # the doctor times the networks
def test_the_doctor_names_each_gimp(scanmend: Command, tmp_path: Path) -> None:
    _, three = settings(tmp_path, "2.10", "3.0")
    scanmend("plugin", "install", "gimp", "--gimp", "3.0", "--no-check")

    done = scanmend("doctor")

    assert "ok  GIMP 2.10: has no plug-in; scanmend plugin install gimp puts it there" in done.stdout
    assert f"is in {three}" in done.stdout


# --- in a real GIMP ----------------------------------------------------------------------


class Journey:
    """What each step of JOURNEY printed, and how it ended."""

    def __init__(self, gimp: RootedGimp, python: Path, out: Path) -> None:
        self.out = out
        (out / "journey.sh").write_text(JOURNEY)
        shown = [out, *venv.shown(python)]
        ran = gimp.inside("bash", out / "journey.sh", out, python, show=shown, timeout=600)
        assert ran.code == 0, ran.err

    def code(self, step: str) -> int:
        return int((self.out / f"{step}.code").read_text())

    def text(self, step: str) -> str:
        return (self.out / f"{step}.out").read_text() + (self.out / f"{step}.err").read_text()

    def values(self, step: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.out / f"{step}.out").read_text())
        return values

    def wrong(self, step: str) -> list[str]:
        """What a check found amiss."""
        return [
            line["found"] for one in self.values(step)["gimps"] for line in one["checks"] if not line["ok"]
        ]

    def lines(self, name: str) -> list[str]:
        return (self.out / name).read_text().splitlines()


@pytest.fixture(scope="module", params=["3.0", "2.10"])
def journey(
    request: pytest.FixtureRequest, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Journey]:
    """A person's way with a GIMP that was never started: installed, checked, broken, mended, uninstalled."""
    version = request.param
    gimp = request.getfixturevalue("window3" if version == "3.0" else "gimp2")
    return version, Journey(gimp, python, tmp_path_factory.mktemp(f"journey-{version}"))


@pytest.mark.slow
def test_a_dry_run_does_not_even_have_gimp_make_its_settings(journey: tuple[str, Journey]) -> None:
    version, steps = journey

    (told,) = steps.values("would")["gimps"]

    assert (told["version"], told["state"], told["ok"]) == (version, "installed", True)
    assert steps.lines("untouched") == []


@pytest.mark.slow
def test_a_gimp_that_was_never_started_gets_its_settings_and_the_plug_in(
    journey: tuple[str, Journey],
) -> None:
    version, steps = journey

    (told,) = steps.values("install")["gimps"]
    found = " ".join(line["found"] for line in told["checks"])

    assert (steps.code("install"), told["ok"], told["state"]) == (0, True, "installed")
    assert told["folder"] == f"{ODD_HOME}/.config/GIMP/{version}/plug-ins/scanmend"
    assert f"it knows {PROCEDURE}" in found
    assert "the engine starts when it is needed, and both speak the same protocol" in found
    assert "gradients" in steps.lines("settings")  # made by GIMP itself


@pytest.mark.slow
def test_installing_again_finds_nothing_to_do_and_checking_finds_it_well(
    journey: tuple[str, Journey],
) -> None:
    _, steps = journey

    assert "was up to date" in steps.text("again")
    assert (steps.code("again"), steps.code("check")) == (0, 0)
    assert steps.text("check").count("ok  GIMP") == 3


@pytest.mark.slow
def test_a_scanmend_that_has_moved_away_is_noticed_and_mended(journey: tuple[str, Journey]) -> None:
    _, steps = journey

    assert steps.code("moved") == 1
    assert any("/gone/python is missing" in sentence for sentence in steps.wrong("moved"))
    assert "was replaced" in steps.text("mended")


@pytest.mark.slow
def test_a_plug_in_that_does_not_start_is_noticed(journey: tuple[str, Journey]) -> None:
    _, steps = journey

    assert steps.code("broken") == 1
    assert len(steps.wrong("broken")) >= 2
    assert "Traceback" not in steps.text("broken")


@pytest.mark.slow
def test_uninstalling_takes_all_of_it_away(journey: tuple[str, Journey]) -> None:
    _, steps = journey

    assert "was removed" in steps.text("uninstall")
    assert steps.lines("left") == []
    assert steps.code("gone") == 1
    assert "the plug-in is not in" in steps.text("gone")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder with a path that is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="sh-", dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def listening(python: Path, home: Path) -> Iterator[None]:
    """Does as the units of `scanmend service install --engine` have systemd do."""
    address = home / ".local" / "state" / "scanmend" / "run" / "engine.sock"
    address.parent.mkdir(parents=True, mode=0o700)
    (home / "run").mkdir(mode=0o700)
    env = [f"--setenv=HOME={home}", f"--setenv=XDG_RUNTIME_DIR={home}/run"]
    words = ["systemd-socket-activate", "-l", str(address), *env, str(python), "-m", "scanmend", "serve"]
    waiting = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not address.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        waiting.terminate()
        waiting.wait(timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not on this system"
)
def test_a_gimp_in_a_sandbox_reaches_the_engine_that_systemd_starts_for_it(
    window3: RootedGimp, python: Path, home: Path
) -> None:
    around: dict[str, Any] = {
        "env": {"SNAP": "/snap/gimp/1", "SCANMEND_ENGINE": "", "SCANMEND_COMMAND": ""},
        "show": venv.shown(python),
        "home": home,
    }
    command = (python, "-m", "scanmend", "plugin")

    alone = window3.inside(*command, "install", "gimp", **around)
    with listening(python, home):
        served = window3.inside(*command, "check", "gimp", **around)

    assert "may not start it from inside its Snap" in alone.out
    assert "-> scanmend service install --engine has the system start it" in alone.out
    assert "the engine answers at /home/gimp/.local/state/scanmend/run/engine.sock" in served.out
    assert (alone.code, served.code) == (1, 0), served.out


@pytest.mark.slow
def test_a_gimp_2_10_without_python_is_left_out(gimp2: RootedGimp, python: Path, tmp_path: Path) -> None:
    hidden = f"{tmp_path}:/usr/lib/gimp/2.0/interpreters"  # as the distributions' packages are
    show = [*venv.shown(python), Path(hidden)]

    done = gimp2.inside(python, "-m", "scanmend", "plugin", "install", "gimp", show=show)

    assert done.code == 1
    assert done.out.startswith("--  GIMP 2.10: this GIMP 2.10 has no Python")


@pytest.mark.slow
def test_a_gimp_2_10_whose_python_is_broken_is_noticed_by_asking_it(
    gimp2: RootedGimp, python: Path, tmp_path: Path
) -> None:
    (tmp_path / "nothing").touch()
    hidden = f"{tmp_path}/nothing:/usr/lib/gimp/2.0/plug-ins/python-eval.py"
    show = [*venv.shown(python), Path(hidden)]

    done = gimp2.inside(python, "-m", "scanmend", "plugin", "install", "gimp", show=show)

    assert done.code == 1
    assert "DO  GIMP 2.10: this GIMP has no Python, which its plug-ins need" in done.out


# --- what software centres read ----------------------------------------------------------


def test_the_metainfo_says_that_it_extends_gimp() -> None:
    root = ET.parse(METAINFO).getroot()  # noqa: S314 - our own

    assert root.get("type") == "addon"
    assert root.findtext("extends") == "org.gimp.GIMP"
    assert f"{root.findtext('id')}.metainfo.xml" == METAINFO.name


@pytest.mark.skipif(shutil.which("appstreamcli") is None, reason="appstreamcli is not on this system")
def test_appstreams_own_checker_takes_the_metainfo() -> None:
    done = subprocess.run(
        ["appstreamcli", "validate", "--no-net", str(METAINFO)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
