"""The hot folder's commands as real processes, against a real server fed by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scanmend_daemon import web
from scanmend_daemon.asking import in_full

from tests.daemon import show

PYTHON_PATH = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
ENVIRONMENT = {**os.environ, "PYTHONPATH": PYTHON_PATH, "PYTHONIOENCODING": "utf-8"}


def scanmend(home: Path, *arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanmend", *arguments],
        cwd=home,
        env={**ENVIRONMENT, "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def state_of(home: Path, name: str) -> Path:
    made = home / "state" / "scanmend" / "watch" / name
    made.mkdir(parents=True)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / "Dias").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def view(home: Path, tmp_path_factory: pytest.TempPathFactory) -> show.Show:
    snapshot = show.busy_snapshot()
    snapshot["folders"][0]["watch"] = str(home / "inbox")
    return show.Show(snapshot, tmp_path_factory.mktemp("previews"))


@pytest.fixture
def daemon(home: Path, view: show.Show) -> Iterator[web.Server]:
    server = web.Server(view, ("127.0.0.1", 0), state_of(home, "watch-1") / "control.sock")
    server.start()
    yield server
    server.stop()


def test_status_says_what_runs_what_failed_and_where_the_page_is(
    daemon: web.Server, home: Path, view: show.Show
) -> None:
    run = scanmend(home, "status")

    assert (run.returncode, run.stderr) == (0, "")
    for words in (
        f"{daemon.address}/?token={view.token}",
        "about 21 min",
        "scan0042.tif: noise 35 %",
        "nothing is mounted at /mnt/nas",
        "1520",
        "-> scan or copy it again",
    ):
        assert words in run.stdout


def test_status_as_json_is_the_snapshot_and_the_pages_address(
    daemon: web.Server, home: Path, view: show.Show
) -> None:
    told = json.loads(scanmend(home, "status", "--json").stdout)

    assert told == {"daemons": [{**view.view, "page": f"{daemon.address}/?token={view.token}"}]}


def test_with_no_daemon_ever_status_says_how_to_start_one(home: Path) -> None:
    run = scanmend(home, "status")

    assert run.returncode == 1
    assert "scanmend watch ~/Scans" in run.stderr
    assert json.loads(scanmend(home, "status", "--json").stdout) == {"daemons": []}


def test_of_a_daemon_that_is_down_status_shows_how_it_stood(home: Path) -> None:
    (state_of(home, "watch-1") / "status.json").write_text(json.dumps(show.busy_snapshot()))

    run, told = scanmend(home, "status"), json.loads(scanmend(home, "status", "--json").stdout)

    assert run.returncode == 1
    assert "is stopped" in run.stdout
    assert "scan or copy it again" in run.stdout
    assert told["daemons"][0]["running"] is False


def test_a_status_file_cut_short_is_no_daemon(home: Path) -> None:
    (state_of(home, "watch-1") / "status.json").write_text('{"version": "0.')

    assert "no hot folder has been watched" in scanmend(home, "status").stderr


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["pause"], ("pause", {})),
        (["pause", "inbox"], ("pause", {"folder": "HOME/inbox"})),
        (["resume", "inbox/"], ("resume", {"folder": "HOME/inbox"})),
        (["verify"], ("verify", {})),
        (["retry", "1520"], ("retry", {"job": 1520})),
        (["retry", "--all"], ("retry", {"all": True})),
        (["cancel", "inbox/a.tif"], ("cancel", {"file": "HOME/inbox/a.tif"})),
        (["cancel", "./12"], ("cancel", {"file": "HOME/12"})),
        (["release", "inbox/Dias/../a.tif"], ("release", {"file": "HOME/inbox/a.tif"})),
        (["reprocess", "inbox/a.tif"], ("reprocess", {"file": "HOME/inbox/a.tif"})),
        (["reprocess", "--folder", "inbox"], ("reprocess", {"folder": "HOME/inbox"})),
        (["explain", "inbox/a.tif"], ("explain", {"file": "HOME/inbox/a.tif"})),
        (["status", "inbox/a.tif"], ("explain", {"file": "HOME/inbox/a.tif"})),
    ],
)
def test_each_command_asks_the_daemon_for_the_right_thing(
    daemon: web.Server, home: Path, view: show.Show, arguments: list[str], asked: tuple[str, dict[str, Any]]
) -> None:
    run = scanmend(home, *arguments)
    name, values = asked

    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout
    assert view.asked == [
        (name, {key: v.replace("HOME", str(home)) if isinstance(v, str) else v for key, v in values.items()})
    ]


def test_explain_tells_state_reason_profile_and_result(daemon: web.Server, home: Path) -> None:
    told = scanmend(home, "explain", "inbox/scan0050.tif").stdout

    for words in ("queued", "its turn comes", "prints", "scan0050_restored.tif", "after 2 tries"):
        assert words in told


def test_a_name_that_is_no_text_arrives_as_it_is(daemon: web.Server, home: Path, view: show.Show) -> None:
    run = scanmend(home, "release", b"inbox/caf\xe9.tif")

    assert run.returncode == 0
    assert view.asked == [("release", {"file": f"{home}/inbox/caf\udce9.tif"})]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["retry", "99"], "there is no failed job 99"),
        (["retry"], "retry what?"),
        (["cancel"], "cancel what?"),
        (["reprocess"], "reprocess what?"),
        (["reprocess", "a.tif", "--folder", "inbox"], "reprocess what?"),
        (["pause", "elsewhere"], "elsewhere is no hot folder (hot folders are: "),
        (["status", "--state", "elsewhere"], "is not the state folder of a hot folder"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_code_2(
    daemon: web.Server, home: Path, arguments: list[str], words: str
) -> None:
    run = scanmend(home, *arguments)

    assert run.returncode == 2
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_problems_that_verify_finds_are_named_and_make_the_code_1(
    daemon: web.Server, home: Path, view: show.Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        "sentence": "2 results checked: 1 problem",
        "problems": ["a_restored.tif: the result is not there"],
    }
    monkeypatch.setattr(view, "act", lambda _name, _arguments: found)

    run = scanmend(home, "verify")

    assert run.returncode == 1
    assert run.stdout.splitlines() == [
        "a_restored.tif: the result is not there",
        "2 results checked: 1 problem",
    ]


def test_of_several_daemons_the_one_whose_folder_it_is_gets_told(
    daemon: web.Server, home: Path, view: show.Show, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (home / "other").mkdir()
    snapshot = show.quiet_snapshot()
    snapshot["folders"][0]["watch"] = str(home / "other")
    second = show.Show(snapshot, tmp_path_factory.mktemp("previews2"))
    server = web.Server(second, None, state_of(home, "other-2") / "control.sock")
    server.start()
    by_file, by_number = scanmend(home, "cancel", "other/a.tif"), scanmend(home, "cancel", "12")
    lost, both = scanmend(home, "explain", "nowhere/a.tif"), scanmend(home, "status")
    server.stop()

    assert by_file.returncode == 0
    assert second.asked == [("cancel", {"file": f"{home}/other/a.tif"})]
    assert view.asked == []
    assert "several hot folder daemons" in by_number.stderr
    assert "lies in no hot folder" in lost.stderr
    assert both.stdout.count("is running") == 2


def test_a_folder_named_through_a_link_is_found(daemon: web.Server, home: Path, view: show.Show) -> None:
    (home / "link").symlink_to("inbox")

    scanmend(home, "pause", "link")
    scanmend(home, "cancel", "link/a.tif")

    assert view.asked == [("pause", {"folder": f"{home}/inbox"}), ("cancel", {"file": f"{home}/inbox/a.tif"})]


def test_a_link_in_the_hot_folder_itself_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "scan.tif").symlink_to("/etc/passwd")

    assert in_full(str(tmp_path / "inbox" / "scan.tif")) == str(tmp_path / "inbox" / "scan.tif")


def test_asking_loads_neither_torch_nor_numpy_nor_a_server(daemon: web.Server, home: Path) -> None:
    code = (
        "import sys; from scanmend.cli import hotfolder; hotfolder.status(None, json=True, state=None);"
        "heavy = {'torch', 'numpy', 'PIL', 'rich', 'uvicorn', 'starlette', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {**ENVIRONMENT, "XDG_STATE_HOME": str(home / "state")}

    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert run.stdout.splitlines()[-1] == "[]"
