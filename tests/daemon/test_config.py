from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from scanmend.errors import ProfileError
from scanmend_daemon import config, soundness
from scanmend_daemon.config import Config, Folder
from scanmend_daemon.quantities import bytes_of, duration_text, seconds_of, size_text

DOCS = Path(__file__).parents[2] / "docs" / "watch-configuration.md"
HEAD = "scanmend_daemon: 1\n"
ONE = HEAD + "folders: [{watch: /in}]\n"
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own profiles and state are touched."""
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))


def parsed(text: str) -> Config:
    return config.parse(text, "watch.yaml", Path("/etc/scanmend/watch.yaml"))


def folder(settings: str) -> Folder:
    return parsed(f"{HEAD}folders:\n  - watch: /in\n    {settings}\n").folders[0]


def error_of(text: str) -> str:
    with pytest.raises(ProfileError) as caught:
        parsed(text)
    return str(caught.value)


def written(where: Path, text: str, mode: int = 0o644) -> Path:
    path = where / "watch.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    path.chmod(mode)
    return path


def check_error(path: Path) -> str:
    with pytest.raises(ProfileError) as caught:
        config.check(config.load(path))
    return str(caught.value)


# --- reading -----------------------------------------------------------------------------


def test_one_folder_is_enough_and_everything_else_has_its_default() -> None:
    read = parsed(ONE)

    (only,) = read.folders
    assert (only.watch, only.output, only.failed) == (Path("/in"), Path("/in-restored"), Path("/in-failed"))
    assert (only.originals, only.profile, only.quiet, only.give_up) == (None, "gentle", 5.0, 600.0)
    assert (only.zero_tail, only.recursive, only.ignore, only.sidecar) == ("hold", True, (), "optional")
    assert (only.by, only.rescan, only.poll, only.require_mount, only.weight) == ("auto", 60, 10, False, 1)
    assert (only.limits.max_bytes, only.limits.min_free) == (16 * 2**30, 2**30)
    assert (only.limits.max_megapixels, only.limits.max_pages) == (1000, 1000)
    assert (read.engine.device, read.engine.backend) == ("auto", "auto")
    assert (read.engine.jobs, read.engine.memory) == ("auto", "auto")
    assert (read.status.http, read.status.metrics) == (("127.0.0.1", 8765), True)


def test_relative_paths_start_at_the_configuration_and_a_tilde_is_home(tmp_path: Path) -> None:
    only = folder("output: ../out\n    originals: ~/done\n    profile: ./mine.yaml")

    assert only.output == Path("/etc/out")
    assert only.originals == tmp_path / "home" / "done"
    assert only.profile == "/etc/scanmend/mine.yaml"
    assert folder("profile: prints").profile == "prints"


def test_a_folder_from_the_command_line_needs_no_file(tmp_path: Path) -> None:
    read = config.for_folder(tmp_path / "Scans")

    assert read.path is None
    assert read.folders == (Folder(watch=tmp_path / "Scans"),)
    assert read.folders[0].output == tmp_path / "Scans-restored"


def test_a_folder_whose_name_is_no_utf_8_is_one_all_the_same(tmp_path: Path) -> None:
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")

    assert os.fspath(config.for_folder(strange).folders[0].watch) == strange


def test_each_configuration_has_a_state_of_its_own_by_its_real_path(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, other = (written(tmp_path / name, "folders: [{watch: in}]") for name in ("a", "b"))
    (tmp_path / "link.yaml").symlink_to(one)

    states = [config.load(path).state for path in (one, other, tmp_path / "link.yaml")]

    assert states[0] == states[2] != states[1]
    assert states[0].parent == tmp_path / "home" / "scanmend" / "watch"
    assert states[0].name.startswith("watch-")


@pytest.mark.parametrize(
    ("text", "quiet"),
    [("2s", 2), ("0.5", 0.5), ("instant", 0.5), ("multipage", 30), ("network", 10), ("{quiet: 1m30s}", 90)],
)
def test_settling_is_a_duration_a_preset_or_a_group(text: str, quiet: float) -> None:
    assert folder(f"settle: {text}").quiet == quiet


def test_everything_that_is_said_is_read() -> None:
    read = parsed(
        """scanmend_daemon: 1
folders:
  - {watch: /in, settle: {zero_tail: accept, give_up: 1h}, ignore: ["*.bak", drafts/], by: polling, poll: 3}
engine: {device: "cuda:1", backend: torch, jobs: 3, memory: 4GiB}
status: {http: "[::1]:9000", metrics: no}
state: /var/lib/x
"""
    )

    assert (read.folders[0].zero_tail, read.folders[0].give_up) == ("accept", 3600)
    assert (read.folders[0].ignore, read.folders[0].poll) == (("*.bak", "drafts/"), 3)
    assert (read.engine.device, read.engine.jobs, read.engine.memory) == ("cuda:1", 3, 2**32)
    assert (read.status.http, read.status.metrics) == (("::1", 9000), False)
    assert read.state == Path("/var/lib/x")


@pytest.mark.parametrize("word", ["off", "false", "no", "'off'"])
def test_the_page_can_be_off(word: str) -> None:
    assert parsed(f"{ONE}status: {{http: {word}}}").status.http is None


def test_a_configuration_is_frozen_compares_and_can_be_changed_by_copy() -> None:
    read = parsed(ONE)

    with pytest.raises(FrozenInstanceError):
        read.state = Path("/x")  # type: ignore[misc]
    assert hash(read) == hash(parsed(ONE))
    assert replace(read, state=Path("/y")).folders == read.folders


# --- durations and sizes -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("10m", 600),
        ("10 min", 600),
        ("1.5h", 5400),
        ("1m30s", 90),
        ("1h 5m", 3900),
        ("250ms", 0.25),
        ("7", 7),
        ("0.5", 0.5),
        ("2d", 172800),
        ("5S", 5),
    ],
)
def test_a_duration_reads_as_people_write_it(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("16GiB", 16 * 2**30),
        ("500 MB", 500_000_000),
        ("1.5k", 1500),
        ("4 gib", 2**32),
        ("12", 12),
        ("7 bytes", 7),
        ("2TB", 2 * 10**12),
        ("1Ki", 1024),
        ("3b", 3),
    ],
)
def test_a_size_reads_as_people_write_it(text: str, count: int) -> None:
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 5s", "1e3s", "5x", "٣s", "nan", "inf", "5s!", "9" * 400])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["", "GiB", "-5", "1,5GB", "5 QB", "1e3", "٣", "nan", "i", "9" * 400])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        bytes_of(text)


@given(st.integers(1, 40 * 86400).map(float) | st.sampled_from([0.1, 0.5, 0.25]))
def test_a_duration_is_written_so_that_it_reads_back(seconds: float) -> None:
    assert seconds_of(duration_text(seconds)) == pytest.approx(seconds)


@given(st.integers(0, 2**50))
@example(16 * 2**30)
@example(500_000_000)
def test_a_size_is_written_so_that_it_reads_back(count: int) -> None:
    assert bytes_of(size_text(count)) == count


# --- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "watch.yaml is empty (a configuration starts with 'scanmend_daemon: 1')"),
        ("folders: [{watch: /a}]", "watch.yaml: the version is missing (add a line 'scanmend_daemon: 1')"),
        (HEAD, "line 1: folders is missing"),
        (HEAD + "folders: []", "line 2: folders must be a list that is not empty, not an empty list"),
        (HEAD + "folders:\n  - output: /a", "line 3: folders[0].watch is missing (add a line 'watch: ...')"),
        (HEAD + "folders: [/a]", "folders[0] must be a group of settings, not '/a' (such as watch, output"),
        (
            "scanmend_daemon: 2\nfolders: [{watch: /a}]",
            "this configuration is for another version of Scanmend",
        ),
        (ONE + "fodlers: 1", "line 3: fodlers is not a setting; did you mean folders?"),
        (ONE + "path: /x", "line 3: path is not a setting (there are scanmend_daemon, folders, engine"),
        (ONE + "engine: fast", "engine must be a group of settings, not 'fast'"),
        (ONE + "engine: {device: gpu}", "engine.device must be auto, cpu, cuda, cuda:1 or mps, not 'gpu'"),
        (ONE + "engine: {jobs: 0}", "engine.jobs must be auto or a whole number from 1 to 64, not '0'"),
        (
            ONE + "engine: {memory: 1}",
            "engine.memory must be auto or a size from 256MiB, such as 8GiB, not '1'",
        ),
        (ONE + "status: {http: 0.0.0.0:80}", "only this computer may: use 127.0.0.1, [::1] or localhost"),
        (ONE + "status: {http: '[::]:80'}", "only this computer may"),
        (ONE + "status: {http: example.org:80}", "only this computer may"),
        (ONE + "status: {http: 8765}", "status.http must be off, or an address of this computer"),
        (ONE + "status: {http: '127.0.0.1:99999'}", "a port is a number from 1 to 65535"),
        (ONE + "state: ''", "state must be a folder's path, such as ~/Scans/inbox, not empty"),
    ],
)
def test_an_error_names_file_line_key_and_what_would_do(text: str, words: str) -> None:
    assert words in error_of(text)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("orignals: x", "watch.yaml, line 4: folders[0].orignals is not a setting; did you mean originals?"),
        ("quiet: 5s", "folders[0].quiet is not a setting; did you mean settle.quiet?"),
        ("settle: {quite: 5s}", "folders[0].settle.quite is not a setting; did you mean settle.quiet?"),
        ("xyz: 1", "folders[0].xyz is not a setting (there are watch, output, originals, failed, profile"),
        ("watch: /b", "folders[0].watch is set twice; first in line 3"),
        (
            "settle: fast",
            "must be a duration from 0.1s to 1h, a preset (instant (0.5s), scanner (5s), network",
        ),
        (
            "settle: {quiet: 0}",
            "folders[0].settle.quiet must be a duration from 0.1s to 1h, such as 90s, not '0'",
        ),
        ("settle: [1]", "folders[0].settle must be a duration"),
        ("settle: 61m", "folders[0].settle must be a duration from 0.1s to 1h, a preset"),
        (
            "settle: {give_up: 31d}",
            "settle.give_up must be a duration from 1s to 30d, such as 90s, not '31d'",
        ),
        ("limits: {min_free: 2000TiB}", "limits.min_free must be a size from 0 to 1PiB"),
        ("rescan: 0.1", "folders[0].rescan must be a duration from 1s to 1d, such as 90s, not '0.1'"),
        ("limits: {max_bytes: many}", "folders[0].limits.max_bytes must be a size from 1 to 1PiB"),
        ("limits: {max_pages: 2.5}", "max_pages must be a whole number from 1 to 100000, not '2.5'"),
        ("weight: 0", "folders[0].weight must be a whole number from 1 to 100, not '0'"),
        ("recursive: maybe", "folders[0].recursive must be true or false, not 'maybe'"),
        ("originals: ''", "folders[0].originals must be keep, or the path of a folder to move them to"),
        (
            "originals: Delete",
            "must be keep, or the path of a folder to move them to, not 'Delete' (scans are",
        ),
        ("by: poll", "by must be auto, events or polling, not 'poll'"),
        ("ignore: '*.bak'", "folders[0].ignore must be a list, not '*.bak'"),
        (
            "ignore: ['ok', 'a[']",
            "folders[0].ignore[1] must be a pattern, such as *.bak or drafts/, not 'a['",
        ),
        ("profile:", "folders[0].profile must be a profile's name or path, such as prints, not empty"),
        ("output: '~no-such-user/x'", "there is no such user"),
        ('output: "a\\0b"', "it holds a control character"),
        ('output: "\\ud800"', "no file name can hold these characters"),
    ],
)
def test_an_error_in_a_folder_names_its_number_and_line(setting: str, words: str) -> None:
    assert words in error_of(f"{HEAD}folders:\n  - watch: /in\n    {setting}\n")


_TOKENS = ["folders", "watch", "settle", "limits", "engine", "http", "ignore", "off", "5s", "~", "auto", "/"]
_texts = st.lists(st.sampled_from([*_TOKENS, *": -[]{},\n\t #&*!|>%'\"\\?\x00\u2028é9"]), max_size=40).map(
    "".join
)


@given(_texts.map(lambda text: ONE + text) | _texts | _texts.map(lambda t: f"{HEAD}folders:\n  - watch: {t}"))
@example(HEAD + "folders: [{watch: '\ud800'}]")
@example(HEAD + "folders: [{watch: " + "x" * 5000 + "}]")
@example(HEAD + "folders: [{watch: /a, limits: {max_bytes: " + "9" * 400 + "}}]")
@example(HEAD + "folders: [{watch: /a, settle: " + "9" * 400 + "}]")
@example(HEAD + "folders: [{watch: /a, settle: .inf}]")
def test_no_text_causes_another_error_than_a_profile_error(text: str) -> None:
    with contextlib.suppress(ProfileError):
        config.check(parsed(text))


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(_TOKENS),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.mark.parametrize("key", list(config.FORM.keys))
@given(value=_VALUES)
def test_no_value_causes_another_error_than_a_profile_error(key: str, value: object) -> None:
    values: dict[str, object] = {"scanmend_daemon": 1, "folders": [{"watch": "/in"}]}
    *groups, leaf = key.removeprefix("folders[].").split(".")
    inner = values["folders"][0] if key.startswith("folders[]") else values  # type: ignore[index]
    for name in groups:
        inner = inner.setdefault(name, {})
    inner[leaf] = value

    with contextlib.suppress(ProfileError):
        parsed(json.dumps(values))


# --- what the disk says ------------------------------------------------------------------


def test_folders_side_by_side_are_fine_and_cause_no_remark(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    assert config.check(config.load(written(tmp_path, "folders: [{watch: in, originals: done}]"))) == ()
    assert config.check(config.for_folder(tmp_path / "in")) == ()


def test_a_watched_folder_that_is_not_there_is_a_remark(tmp_path: Path) -> None:
    remarks = config.check(config.load(written(tmp_path, "folders: [{watch: in}]")))

    assert len(remarks) == 1
    assert "folders[0].watch" in remarks[0]
    assert "is not there yet; it counts as offline until it is" in remarks[0]


@pytest.mark.parametrize("key", ["output", "failed", "originals"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("in", "is the same folder as folders[0].watch"),
        ("in/results/", "lies inside folders[0].watch"),
        (".", "folders[0].watch ("),
        ("link", "is the same folder as folders[0].watch"),
        ("link/sub", "lies inside folders[0].watch"),
        ("in/sub/../../in/x", "lies inside folders[0].watch"),
    ],
)
def test_a_folder_that_is_written_to_may_not_be_tangled_with_a_watched_one(
    key: str, path: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("in")

    sentence = check_error(written(tmp_path, f"folders: [{{watch: in, {key}: {path}}}]"))

    assert words in sentence
    assert f"folders[0].{key}" in sentence
    assert "would be taken for scans again (choose folders that lie side by side)" in sentence


def test_state_may_not_lie_in_a_watched_folder(tmp_path: Path) -> None:
    assert "state (" in check_error(written(tmp_path, "folders: [{watch: in}]\nstate: in/.state"))


def test_results_of_one_folder_may_not_fall_into_another(tmp_path: Path) -> None:
    sentence = check_error(written(tmp_path, "folders: [{watch: a, output: b/c}, {watch: b}]"))

    assert "folders[0].output" in sentence
    assert "lies inside folders[1].watch" in sentence


@pytest.mark.parametrize(("second", "words"), [("in", "are one folder"), ("in/sub", "restored twice")])
def test_nothing_is_watched_twice(second: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "other").symlink_to(second)

    for path in (second, "other"):
        for pair in (f"{{watch: in}}, {{watch: {path}}}", f"{{watch: {path}}}, {{watch: in}}"):
            assert words in check_error(written(tmp_path, f"folders: [{pair}]"))


@contextlib.contextmanager
def mounted(*command: str) -> Iterator[None]:
    """A mount for the time of a test; skipped where this machine allows none."""
    if sys.platform != "linux" or os.getuid() != 0 or not shutil.which(command[0]):
        pytest.skip(f"needs root and {command[0]} on Linux")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", command[-1]], check=True)


@pytest.mark.parametrize("output", ["bound", "bound/new", "inner"])
def test_a_bind_mount_hides_no_loop(output: str, tmp_path: Path) -> None:
    for name in ("in/sub", "bound", "inner"):
        (tmp_path / name).mkdir(parents=True)
    path = written(tmp_path, f"folders: [{{watch: in, output: {output}}}]")
    before = config.check(config.load(path))

    with (
        mounted("mount", "--bind", str(tmp_path / "in"), str(tmp_path / "bound")),
        mounted("mount", "--bind", str(tmp_path / "in" / "sub"), str(tmp_path / "inner")),
    ):
        sentence = check_error(path)

    assert before == ()
    assert "would be taken for scans again" in sentence


def test_a_ledger_on_a_network_disk_is_refused(tmp_path: Path) -> None:
    for name in ("in", "far", "share"):
        (tmp_path / name).mkdir()
    path = written(tmp_path, "folders: [{watch: in}]\nstate: share/state")

    with mounted("bindfs", "-o", "subtype=sshfs", str(tmp_path / "far"), str(tmp_path / "share")):
        sentence = check_error(path)

    assert "lies on a network disk (fuse.sshfs), where no ledger is safe (set state to a folder" in sentence
    assert config.check(config.load(path)) == ()


@posix
@pytest.mark.parametrize(("mode", "who"), [(0o666, "everybody"), (0o646, "everybody")])
def test_a_configuration_that_anybody_may_write_is_refused(mode: int, who: str, tmp_path: Path) -> None:
    path = written(tmp_path, "folders: [{watch: in}]", mode)

    assert f"can be written by {who}, who could have any folder watched" in check_error(path)
    path.chmod(0o600)
    assert len(config.check(config.load(path))) == 1


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give files away")
def test_a_configuration_that_a_group_may_write_is_refused_unless_the_group_is_one_person(
    tmp_path: Path,
) -> None:
    import pwd  # noqa: PLC0415 - Unix only

    path = written(tmp_path, "folders: [{watch: in}]", 0o664)
    of_root = check_error(path)
    alone = next(
        (user for user in pwd.getpwall() if user.pw_uid and _has_own_group(user.pw_name, user.pw_gid)), None
    )

    assert "can be written by its group" in of_root
    assert "chmod go-w" in of_root
    if alone:
        os.chown(path, alone.pw_uid, alone.pw_gid)
        config.check(config.load(path))
        os.chown(path, alone.pw_uid, 0)
        assert "can be written by its group" in check_error(path)


@posix
@pytest.mark.parametrize(
    ("name", "gid", "members", "alone"),
    [
        ("ann", 1000, [], True),
        ("ann", 1000, ["ann"], True),
        ("ann", 1000, ["ann", "bob"], False),
        ("ann", 1001, [], False),
        ("users", 1000, [], False),
    ],
)
def test_a_group_is_one_persons_where_name_number_and_members_say_so(
    name: str, gid: int, members: list[str], *, alone: bool
) -> None:
    import grp  # noqa: PLC0415 - Unix only
    import pwd  # noqa: PLC0415

    owner = pwd.struct_passwd(("ann", "x", 1000, 1000, "Ann", "/home/ann", "/bin/sh"))

    assert soundness._is_alone(owner, grp.struct_group((name, "x", gid, members))) == alone


def _has_own_group(name: str, gid: int) -> bool:
    import grp  # noqa: PLC0415 - Unix only

    with contextlib.suppress(KeyError):
        group = grp.getgrgid(gid)
        return group.gr_name == name and not group.gr_mem
    return False


def test_a_profile_that_is_not_there_or_not_valid_is_named_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("scanmend: 1\nquality: bets\n", encoding="utf-8")

    missing = check_error(written(tmp_path, "folders: [{watch: in, profile: print}]"))
    wrong = check_error(written(tmp_path, "folders: [{watch: in, profile: bad.yaml}]"))

    assert "folders[0].profile: there is no profile 'print'; did you mean prints?" in missing
    assert "line 2: quality must be best or fast, not 'bets'" in wrong


def test_a_file_where_a_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "is not a folder" in check_error(written(tmp_path, "folders: [{watch: file}]"))
    assert "cannot be a folder" in check_error(written(tmp_path, "folders: [{watch: in, output: file/x}]"))


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"none\.yaml cannot be read: No such file"):
        config.load(tmp_path / "none.yaml")


# --- comparing ---------------------------------------------------------------------------


def test_a_reload_says_each_change_in_a_line() -> None:
    old = parsed(HEAD + "folders: [{watch: /a, settle: 2s}, {watch: /b}]")
    new = parsed(
        HEAD + "folders: [{watch: /c}, {watch: /a, settle: multipage, ignore: ['*.x'], originals: /o,"
        " limits: {max_bytes: 5MB}}]\nstatus: {http: '[::1]:80'}\nengine: {memory: 4GiB, jobs: 2}"
    )

    assert config.diff(old, new) == [
        "/b: no longer watched",
        "/c: now watched",
        "/a: originals: keep -> /o",
        "/a: settle.quiet: 2s -> 30s",
        "/a: ignore: nothing -> *.x",
        "/a: limits.max_bytes: 16GiB -> 5MB",
        "engine.jobs: auto -> 2",
        "engine.memory: auto -> 4GiB",
        "status.http: 127.0.0.1:8765 -> [::1]:80",
    ]


def test_a_reload_that_changes_nothing_says_nothing() -> None:
    assert config.diff(parsed(ONE), parsed(f"# the same\n{ONE}")) == []


@pytest.mark.parametrize("key", [key for key in config.FORM.keys if key.startswith("folders[].")])
def test_no_change_of_a_folder_goes_unsaid(key: str) -> None:
    changed = {
        "watch": "/other", "recursive": "false", "ignore": "[x]", "sidecar": "required", "by": "events",
        "settle": "7s", "settle.zero_tail": "accept", "require_mount": "true", "limits": "{max_pages: 7}",
    }  # fmt: skip
    name = key.removeprefix("folders[].")
    value = changed.get(name, "7")
    *groups, leaf = name.split(".")
    setting = f"{groups[0]}: {{{leaf}: {value}}}" if groups else f"{leaf}: {value}"
    watch = "" if name == "watch" else "watch: /in, "

    lines = config.diff(parsed(ONE), parsed(f"{HEAD}folders: [{{{watch}{setting}}}]"))

    assert lines


# --- schema and documentation ------------------------------------------------------------


def test_the_schema_beside_the_module_is_current() -> None:
    """Write `config.schema_text()` into that file where this fails."""
    shipped = (resources.files("scanmend_daemon") / "schema.json").read_text(encoding="utf-8")

    assert shipped == config.schema_text()


def test_the_schema_is_valid_itself_and_refuses_what_is_unknown() -> None:
    jsonschema.Draft202012Validator.check_schema(config.FORM.schema)
    validator = jsonschema.Draft202012Validator(config.FORM.schema)

    assert validator.is_valid(yaml.safe_load(ONE))
    assert not validator.is_valid(yaml.safe_load(ONE + "fodlers: 1"))
    assert not validator.is_valid(yaml.safe_load(HEAD + "folders: []"))
    assert not validator.is_valid(yaml.safe_load(HEAD + "folders: [{watch: /a, settle: {quite: 5s}}]"))
    assert not validator.is_valid(yaml.safe_load("folders: [{watch: /a}]"))


def examples() -> list[str]:
    text = DOCS.read_text(encoding="utf-8")
    return [block.partition("```")[0] for block in text.split("```yaml\n")[1:]]


def test_the_examples_in_the_documentation_are_valid_for_us_and_for_editors() -> None:
    for example_text in examples():
        jsonschema.validate(
            yaml.safe_load(example_text), config.FORM.schema, cls=jsonschema.Draft202012Validator
        )
        parsed(example_text)

    assert len(examples()) >= 2


def test_the_last_example_spells_out_the_defaults() -> None:
    spelt = parsed(examples()[-1])

    assert spelt == parsed(f"{HEAD}folders: [{{watch: ~/Scans/inbox}}]")


def rows() -> list[str]:
    """The table of the documentation as it must be."""
    found = []
    for key, setting in config.FORM.keys.items():
        default = setting.default if isinstance(setting.default, str) else json.dumps(setting.default)
        shown = "" if setting.default is None else f"`{'[]' if setting.default == () else default}`"
        # The rows are generated: where this fails, its message is the table to put there.
        found.append(f"| `{key}` | {setting.allowed} | {shown} | {setting.about} |")
    return found


def test_every_key_is_documented_with_what_it_may_be_its_default_and_its_meaning() -> None:
    section = DOCS.read_text(encoding="utf-8").partition("## Every key")[2].partition("###")[0]

    assert [line for line in section.splitlines() if line.startswith("| `")] == rows(), "\n".join(rows())


# --- cost --------------------------------------------------------------------------------


def test_reading_a_configuration_loads_nothing_heavy() -> None:
    code = "import sys; from scanmend_daemon import config; config.for_folder('/x'); print(*sys.modules)"
    path = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)  # noqa: PTH100

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert not {"numpy", "torch", "PIL", "rich"} & set(done.stdout.split())
