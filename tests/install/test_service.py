"""The files that service managers read, judged by the systems' own checkers where those are here."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend.errors import ScanmendError, UsageError
from scanmend_install import service as services
from scanmend_install.service import Service

PYTHON_PATH = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100
ANALYZE = shutil.which("systemd-analyze")
FOLDERS = (Path("/srv/Scans & more/in box"), Path("/srv/100 % restored"))
CONFIG = Path("/etc/scanmend/watch.yaml")
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20)


def settings(unit: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.decode().split("\n"):
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def analyzed(tmp_path: Path, unit: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "scanmend-watch.service"
    path.write_bytes(unit)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    return subprocess.run(
        ["systemd-analyze", *words, str(path)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this system")
@pytest.mark.parametrize("page", [True, False])
@pytest.mark.parametrize("system", [True, False])
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, *, system: bool, page: bool) -> None:
    unit = services.text(Service(CONFIG, FOLDERS, system=system, page=page), "linux")

    run = analyzed(tmp_path, unit, "verify", "--man=no", "--system" if system else "--user")

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this system")
@pytest.mark.parametrize(("service", "most"), [
    (Service(CONFIG, FOLDERS, system=True, page=False), 6),
    (Service(CONFIG, FOLDERS, system=True), 12),
    (Service(CONFIG, FOLDERS, system=True, user="ada"), 12),
    (Service(CONFIG, FOLDERS, system=True, gpu=True), 16),
])  # fmt: skip
def test_the_machines_unit_is_hardened(tmp_path: Path, service: Service, most: int) -> None:
    """most: tenths of systemd's exposure, of 100."""
    words = ("security", "--offline=true", f"--threshold={most}")

    run = analyzed(tmp_path, services.text(service, "linux"), *words)

    assert run.returncode == 0, run.stdout[-200:]


def test_the_networks_may_make_code_while_they_run() -> None:
    for system in (True, False):
        assert b"MemoryDenyWriteExecute" not in services.text(Service(CONFIG, system=system), "linux")


def test_the_machines_unit_may_write_to_its_folders_and_to_nothing_else() -> None:
    found = settings(services.text(Service(CONFIG, FOLDERS, system=True), "linux"))

    assert found["ProtectSystem"] == ["strict"]
    assert found["ReadWritePaths"] == ['"-/srv/Scans & more/in box"', '"-/srv/100 %% restored"']
    assert found["ProtectHome"] == ["yes"]
    assert found["CapabilityBoundingSet"] == [""]


def test_folders_at_home_are_reached() -> None:
    service = Service(CONFIG, (Path("/home/ada/Scans"),), system=True, user="ada")
    found = settings(services.text(service, "linux"))

    assert found["ProtectHome"] == ["read-only"]
    assert found["User"] == ["ada"]
    assert "DynamicUser" not in found


def test_a_page_costs_the_loopback_and_no_page_costs_no_network() -> None:
    page = settings(services.text(Service(CONFIG, system=True, page=True), "linux"))
    none = settings(services.text(Service(CONFIG, system=True, page=False), "linux"))

    assert (page["PrivateNetwork"], page["IPAddressAllow"]) == (["no"], ["localhost"])
    assert (none["PrivateNetwork"], none["RestrictAddressFamilies"]) == (["yes"], ["AF_UNIX"])


def test_a_graphics_card_is_let_in_only_where_it_is_used() -> None:
    with_card = settings(services.text(Service(CONFIG, system=True, gpu=True), "linux"))
    without = settings(services.text(Service(CONFIG, system=True), "linux"))

    assert "char-nvidia* rw" in with_card["DeviceAllow"]
    assert (with_card["PrivateDevices"], without["PrivateDevices"]) == (["no"], ["yes"])


@given(name=NAMES, system=st.booleans())
def test_no_name_can_forge_a_setting(name: str, *, system: bool) -> None:
    plain = settings(
        services.text(Service(CONFIG, (Path("/srv/x"),), system=system, command=("/p",)), "linux")
    )
    odd = Service(Path("/srv") / name / "watch.yaml", (Path("/srv") / name,), system=system, command=("/p",))

    try:
        found = settings(services.text(odd, "linux"))
    except UsageError:
        assert not name.isprintable()
    else:
        assert {key: len(values) for key, values in found.items()} == {k: len(v) for k, v in plain.items()}


@pytest.mark.parametrize("name", ["a\nUser=root", "a\rb", "a\0b", "caf\udce9", "a\u2028b"])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_name_that_no_service_manager_takes_is_refused(name: str, platform: str) -> None:
    with pytest.raises(UsageError, match="cannot stand in a service's file"):
        services.text(Service(CONFIG, (Path("/srv") / name,)), platform)


@given(name=NAMES)
def test_a_launchd_list_says_what_is_started(name: str) -> None:
    printable = "".join(c for c in name if c.isprintable()) or "x"
    service = Service(
        Path("/Users/ada") / printable / "watch.yaml", command=("/opt/python", "-m", "scanmend")
    )

    values = plistlib.loads(services.text(service, "darwin"))

    assert values["ProgramArguments"] == [*service.command, "watch", str(service.config)]
    assert values["KeepAlive"] == {"SuccessfulExit": False}
    assert (values["ProcessType"], values["LowPriorityIO"], values["Label"]) == (
        "Background", True, "scanmend.watch"
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("plutil") is None, reason="plutil is not on this system")
def test_apples_own_checker_takes_the_list(tmp_path: Path) -> None:
    (tmp_path / "a.plist").write_bytes(services.text(Service(CONFIG), "darwin"))

    assert subprocess.run(["plutil", "-lint", str(tmp_path / "a.plist")], check=False).returncode == 0


def test_a_windows_task_says_what_is_started_and_never_ends_by_itself() -> None:
    config = Path("C:\\Scans & more\\watch.yaml")
    task = services.text(Service(config, command=("C:\\Python\\python.exe", "-m", "scanmend")), "win32")
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    root = ET.fromstring(task)  # noqa: S314 - our own

    assert task.startswith((b"\xff\xfe", b"\xfe\xff"))
    assert root.findtext(f".//{space}Command") == "C:\\Python\\pythonw.exe"
    assert root.findtext(f".//{space}Arguments") == '-m scanmend watch "C:\\Scans & more\\watch.yaml"'
    assert root.findtext(f".//{space}ExecutionTimeLimit") == "PT0S"
    assert root.find(f".//{space}LogonTrigger") is not None


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("/a/watch.yaml", "scanmend-watch"),
        ("/a/negatives.yaml", "scanmend-watch-negatives"),
        ("/a/my scans!.yaml", "scanmend-watch-my-scans"),
        ("/a/....yaml", "scanmend-watch"),
    ],
)
def test_each_configuration_has_a_service_of_its_own(config: str, name: str) -> None:
    assert Service(Path(config)).name == name


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that writes down what it is told; its file `fail` makes it refuse."""
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/told"\n'
        f'if [ -e "{tmp_path}/fail" ]; then echo "Failed to connect to bus" >&2; exit 1; fi\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def told(manager: Path) -> list[str]:
    return (manager / "told").read_text().splitlines()


def test_installing_writes_the_unit_and_starts_it_and_uninstalling_takes_it_away(manager: Path) -> None:
    service = Service(CONFIG, FOLDERS)
    path = manager / "config" / "systemd" / "user" / "scanmend-watch.service"

    said = services.install(service, "linux")
    written = path.read_bytes()
    services.uninstall(service, "linux")

    assert written == services.text(service, "linux")
    assert any("enable-linger" in line for line in said)
    assert not path.exists()
    assert told(manager) == [
        "--user daemon-reload",
        "--user enable --now scanmend-watch.service",
        "--user disable --now scanmend-watch.service",
        "--user daemon-reload",
    ]


def test_installing_again_replaces_what_was_installed(manager: Path) -> None:
    services.install(Service(CONFIG, FOLDERS[:1]), "linux")

    services.install(Service(Path("/else/watch.yaml"), FOLDERS), "linux")

    assert b"/else/watch.yaml" in services.place(Service(CONFIG), "linux").read_bytes()
    assert told(manager)[2:] == [  # the one that ran with the old settings is stopped first
        "--user disable --now scanmend-watch.service",
        "--user daemon-reload",
        "--user enable --now scanmend-watch.service",
    ]
    assert len(list((manager / "config" / "systemd" / "user").iterdir())) == 1  # no litter


def test_somebody_elses_unit_is_neither_replaced_nor_removed(manager: Path) -> None:
    path = services.place(Service(CONFIG), "linux")
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")

    for action in (services.install, services.uninstall):
        with pytest.raises(UsageError, match="not written by Scanmend"):
            action(Service(CONFIG), "linux")

    assert "ExecStart=/bin/true" in path.read_text()
    assert not (manager / "told").exists()


def test_what_the_service_manager_says_is_passed_on(manager: Path) -> None:
    (manager / "fail").touch()

    with pytest.raises(ScanmendError, match="Failed to connect to bus"):
        services.install(Service(CONFIG), "linux")
    code, words = services.status(Service(CONFIG), "linux")

    assert (code, words) == (1, "Failed to connect to bus")


def test_what_is_not_installed_cannot_be_taken_away(manager: Path) -> None:
    with pytest.raises(UsageError, match="is not installed"):
        services.uninstall(Service(CONFIG), "linux")


def test_without_a_service_manager_the_file_can_still_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    with pytest.raises(UsageError, match=r"systemctl is not on this system.*scanmend service show"):
        services.install(Service(CONFIG), "linux")

    assert services.text(Service(CONFIG), "linux")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_system_is_told_so() -> None:
    with pytest.raises(UsageError, match="plan9"):
        services.text(Service(CONFIG), "plan9")


def scanmend(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": PYTHON_PATH,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    return subprocess.run(
        [sys.executable, "-m", "scanmend", "service", *arguments],
        cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit is systemd's")
def test_show_prints_the_unit_of_a_configuration_with_its_folders(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    config = tmp_path / "watch.yaml"
    config.write_text(f"scanmend_daemon: 1\nfolders:\n  - watch: {tmp_path}/inbox\nstatus: {{http: off}}\n")

    found = settings(scanmend(tmp_path, "show", "watch.yaml", "--system", "--as", "ada").stdout.encode())
    wrong = scanmend(tmp_path, "show", "nothing.yaml")

    assert found["ExecStart"] == [f'"{sys.executable}" "-m" "scanmend" "watch" "{config}"']
    assert f'"-{tmp_path}/inbox"' in found["ReadWritePaths"]
    assert f'"-{tmp_path}/inbox-restored"' in found["ReadWritePaths"]
    assert (found["User"], found["PrivateNetwork"]) == (["ada"], ["yes"])
    assert wrong.returncode != 0
    assert "nothing.yaml" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit is systemd's")
def test_a_configuration_that_is_not_valid_is_never_installed(manager: Path) -> None:
    (manager / "watch.yaml").write_text("scanmend_daemon: 1\nfolders: []\n")

    run = scanmend(manager, "install", "watch.yaml")

    assert run.returncode == 3
    assert not (manager / "told").exists()
