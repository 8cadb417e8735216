"""The plug-in's folder: laid out, put in its place in one step, and taken away again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import scanmend
from scanmend.errors import PublishError, UsageError
from scanmend.serve import client
from scanmend_plugin import installing, layout
from scanmend_plugin.installing import Installed, install, look, uninstall
from scanmend_plugin.layout import lay_out

from . import venv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

COMMAND = ["/opt/scanmend/bin/python", "-I", "-m", "scanmend", "serve"]
NOBODY = 65534
posix = pytest.mark.skipif(os.name == "nt", reason="Windows knows no modes and no such users")

# What the child of a test does under a limit of the system's.
LIMITED = """
import resource, sys
from pathlib import Path
from scanmend.errors import PublishError
from scanmend_plugin.installing import install
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    install(Path(sys.argv[1]), 3, ["/usr/bin/python3"])
except PublishError as error:
    print(error)
"""


def below(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder, by its name in it: the bytes of files, None of anything else."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def plug_ins(tmp_path: Path) -> Path:
    folder = tmp_path / "GIMP" / "3.0" / "plug-ins"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def old(plug_ins: Path) -> Path:
    """The folder of an older plug-in, which had one file that there is no more."""
    install(plug_ins, 3, ["/usr/bin/old"])
    folder = plug_ins / "scanmend"
    description = json.loads((folder / "scanmend.json").read_text())
    description |= {"version": "0.0.1", "files": [*description["files"], "scanmend_front/gone.py"]}
    (folder / "scanmend.json").write_text(json.dumps(description))
    (folder / "scanmend_front" / "gone.py").touch()
    return folder


@pytest.fixture
def unprivileged(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Root may write everywhere, so these tests go on as nobody."""
    if not hasattr(os, "geteuid"):
        pytest.skip("Windows knows no such user")
    if os.geteuid() != 0:
        yield
        return
    base = tmp_path_factory.getbasetemp()
    for folder in (tmp_path, base, base.parent):  # pytest makes them for their owner alone
        folder.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


# --- what lies in the folder -------------------------------------------------------------


@pytest.mark.parametrize("gimp", [2, 3])
def test_the_folder_holds_what_its_gimp_starts_and_not_the_other_ones(
    tmp_path: Path, gimp: Literal[2, 3]
) -> None:
    folder = tmp_path / "scanmend"

    lay_out(folder, gimp, command=COMMAND, addresses=["/run/engine.sock"])

    payload = Path(layout.__file__).parent / "payload"
    assert (folder / "scanmend.py").read_bytes() == (payload / f"gimp{gimp}.py").read_bytes()
    assert (folder / "scanmend_client.py").read_bytes() == Path(client.__file__).read_bytes()
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {
        "scanmend_front", f"scanmend_gimp{gimp}", "locale",
    }  # fmt: skip
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".py", ".mo", ".json"}


def test_the_plug_in_reads_what_the_installer_has_written(tmp_path: Path) -> None:
    from scanmend_front import setup  # noqa: PLC0415 - on the path since conftest

    lay_out(tmp_path / "scanmend", 3, command=COMMAND, addresses=["/run/engine.sock"])

    read = setup.installed(str(tmp_path / "scanmend" / "scanmend.json"))
    assert (read.version, read.protocol) == (scanmend.__version__, client.PROTOCOL)
    assert (read.command, read.addresses) == (tuple(COMMAND), ("/run/engine.sock",))
    assert read.profiles[0][0] == "gentle"
    assert "noise.strength" in read.keys
    assert "noise" not in read.keys


def test_the_description_names_every_file_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "scanmend"

    lay_out(folder, 2, command=COMMAND)

    named = json.loads((folder / "scanmend.json").read_text())["files"]
    assert named == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@posix
def test_gimp_may_start_the_one_file_and_read_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "scanmend"

    lay_out(folder, 3, command=COMMAND)

    modes = {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert modes.pop("scanmend.py") == 0o755
    assert set(modes.values()) == {0o644}


def test_nothing_is_laid_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "scanmend").mkdir()

    with pytest.raises(FileExistsError):
        lay_out(tmp_path / "scanmend", 3, command=COMMAND)

    assert below(tmp_path / "scanmend") == {}


def test_the_engine_is_looked_for_where_it_listens_and_where_sandboxes_can_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("Linux alone has sandboxes that hide the runtime folder")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    addresses = layout.default_addresses()

    assert addresses == ["/run/user/7/scanmend/engine.sock", f"{tmp_path}/scanmend/run/engine.sock"]


# --- installing --------------------------------------------------------------------------


def test_installing_makes_one_folder_and_leaves_nothing_beside_it(plug_ins: Path, tmp_path: Path) -> None:
    lay_out(tmp_path / "scanmend", 3, command=COMMAND)

    install(plug_ins, 3, COMMAND)

    assert names(plug_ins) == ["scanmend"]
    assert below(plug_ins / "scanmend") == below(tmp_path / "scanmend")
    assert look(plug_ins, 3, COMMAND) == Installed("current", scanmend.__version__)


def test_an_older_plug_in_is_replaced_with_all_its_files(plug_ins: Path, old: Path) -> None:
    before = look(plug_ins, 3, COMMAND)

    install(plug_ins, 3, COMMAND)

    assert before == Installed("old", "0.0.1")
    assert look(plug_ins, 3, COMMAND).state == "current"
    assert not (old / "scanmend_front" / "gone.py").exists()
    assert names(plug_ins) == ["scanmend"]


def test_a_changed_file_or_another_command_makes_a_plug_in_old(plug_ins: Path) -> None:
    install(plug_ins, 3, COMMAND)
    moved = look(plug_ins, 3, ["/elsewhere/python"])
    (plug_ins / "scanmend" / "scanmend.py").write_text("changed")

    changed = look(plug_ins, 3, COMMAND)

    assert (moved.state, changed.state) == ("old", "old")


def test_files_that_a_person_added_outlive_an_upgrade(plug_ins: Path, old: Path) -> None:
    (old / "notes.txt").write_text("mine")
    (old / "more").mkdir()
    (old / "more" / "a.txt").write_text("mine too")
    (old / "scanmend_front" / "__pycache__").mkdir()
    (old / "scanmend_front" / "__pycache__" / "gone.cpython-313.pyc").touch()

    install(plug_ins, 3, COMMAND)

    assert (old / "notes.txt").read_text() == "mine"
    assert (old / "more" / "a.txt").read_text() == "mine too"
    assert not (old / "scanmend_front" / "__pycache__").exists()


@pytest.mark.parametrize(
    "inside", [{}, {"scanmend.json": "{}"}, {"scanmend.json": "no"}, {"scanmend.py": "#"}]
)
def test_a_folder_of_somebody_elses_is_never_touched(plug_ins: Path, inside: dict[str, str]) -> None:
    folder = plug_ins / "scanmend"
    folder.mkdir()
    for name, text in inside.items():
        (folder / name).write_text(text)
    before = below(plug_ins)

    with pytest.raises(UsageError, match="was not written by Scanmend"):
        install(plug_ins, 3, COMMAND)
    with pytest.raises(UsageError, match="was not written by Scanmend"):
        uninstall(plug_ins)

    assert look(plug_ins, 3, COMMAND) == Installed("foreign")
    assert below(plug_ins) == before


@posix
def test_a_link_is_never_followed(plug_ins: Path, tmp_path: Path) -> None:
    lay_out(tmp_path / "elsewhere", 3, command=COMMAND)
    (plug_ins / "scanmend").symlink_to(tmp_path / "elsewhere")
    before = below(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match="is a link"):
        install(plug_ins, 3, ["/other"])
    with pytest.raises(UsageError, match="is a link"):
        uninstall(plug_ins)

    assert below(tmp_path / "elsewhere") == before
    assert (plug_ins / "scanmend").is_symlink()


@posix
def test_a_link_to_nothing_is_left_as_it_is(plug_ins: Path) -> None:
    (plug_ins / "scanmend").symlink_to("/nowhere/scanmend")

    with pytest.raises(UsageError, match="is a link"):
        install(plug_ins, 3, COMMAND)

    assert (plug_ins / "scanmend").readlink() == Path("/nowhere/scanmend")


@posix
def test_a_folder_that_cannot_be_written_to_gets_a_sentence(plug_ins: Path, unprivileged: None) -> None:
    with pytest.raises(PublishError, match=r"scanmend cannot be changed: Permission denied"):
        install(plug_ins, 3, COMMAND)

    assert names(plug_ins) == []


def test_a_file_in_the_way_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "plug-ins").touch()

    with pytest.raises(PublishError, match="cannot be changed"):
        install(tmp_path / "plug-ins", 3, COMMAND)

    assert names(tmp_path) == ["plug-ins"]


@posix
def test_an_installation_that_fails_half_way_leaves_the_old_plug_in_and_nothing_else(
    plug_ins: Path, old: Path
) -> None:
    before = below(plug_ins)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path if p)}  # noqa: PTH100

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(plug_ins)], env=env, capture_output=True, text=True, check=True
    )

    assert "File too large" in done.stdout
    assert below(plug_ins) == before


def test_what_a_killed_installation_left_long_ago_goes_with_the_next(plug_ins: Path) -> None:
    long_ago, now = plug_ins / ".scanmend-old", plug_ins / ".scanmend-new"
    for folder in (long_ago, now):
        lay_out(folder / "scanmend", 3, command=COMMAND)
    os.utime(long_ago, (time.time() - 7200,) * 2)

    install(plug_ins, 3, COMMAND)

    assert names(plug_ins) == [".scanmend-new", "scanmend"]


# --- taking it away ----------------------------------------------------------------------


def test_uninstalling_leaves_what_was_there_before(plug_ins: Path) -> None:
    (plug_ins / "other").mkdir()
    (plug_ins / "other" / "other.py").touch()
    before = below(plug_ins)
    install(plug_ins, 3, COMMAND)
    (plug_ins / "scanmend" / "__pycache__").mkdir()
    (plug_ins / "scanmend" / "__pycache__" / "scanmend_client.cpython-313.pyc").touch()

    there, left = uninstall(plug_ins)

    assert (there, left) == (True, [])
    assert below(plug_ins) == before


def test_uninstalling_leaves_a_persons_own_files(plug_ins: Path, old: Path) -> None:
    (old / "notes.txt").write_text("mine")

    there, left = uninstall(plug_ins)

    assert (there, left) == (True, ["notes.txt"])
    assert below(plug_ins) == {"scanmend": None, "scanmend/notes.txt": b"mine"}


def test_a_description_cannot_have_files_elsewhere_removed(plug_ins: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    install(plug_ins, 3, COMMAND)
    path = plug_ins / "scanmend" / "scanmend.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps({**description, "files": ["../../../../precious.txt", str(precious)]}))

    uninstall(plug_ins)

    assert precious.read_text() == "mine"


def test_uninstalling_what_is_not_there_says_so(plug_ins: Path) -> None:
    assert uninstall(plug_ins) == (False, [])


# --- the command that starts the engine --------------------------------------------------

_ASK = "from scanmend_plugin import installing as i; print(*i.working_command())"


def test_the_command_of_an_editable_installation_starts_isolated(tmp_path: Path) -> None:
    python = venv.installed(tmp_path / "venv")

    done = venv.ran(python, "-c", _ASK, home=tmp_path)

    assert done.stdout.split() == [str(python), "-I", "-m", "scanmend", "serve"]


@posix
def test_what_pip_has_installed_for_one_user_is_found_by_the_command(tmp_path: Path) -> None:
    base = os.path.realpath(sys.executable)
    there = "import site; print(site.getusersitepackages())"
    packages = Path(venv.ran(base, "-c", there, home=tmp_path).stdout.strip())
    packages.mkdir(parents=True)
    (packages / "scanmend.pth").write_text(f"{venv.finders()}\n")

    done = venv.ran(base, "-c", _ASK, home=tmp_path)

    assert done.stdout.split() == [base, "-E", "-m", "scanmend", "serve"]


def test_a_scanmend_that_only_pythonpath_knows_gets_a_sentence(tmp_path: Path) -> None:
    base = os.path.realpath(sys.executable)
    known = os.pathsep.join(venv.finders().split("\n"))

    done = venv.ran(base, "-m", "scanmend", "plugin", "install", "gimp", home=tmp_path, PYTHONPATH=known)

    assert done.returncode == UsageError.exit_code
    assert "PYTHONPATH alone" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_interpreters_link_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/ann/venv/bin/python")

    assert layout.default_command()[0] == "/home/ann/venv/bin/python"
    assert installing.default_command(flags=("-E",))[1] == "-E"
