"""Profiles over the engine's line: listed with all that is in them, saved as the hot folder reads them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scanmend import profile
from scanmend.serve.client import EngineFault

from .serving import STRONG, Server, serving


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(config))
        with serving() as running:
            yield running


@pytest.fixture
def own(server: Server, config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a person's own profiles, for server and test alike."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    folder = Path(server.engine.profiles()["folder"])
    assert folder == profile.user_folder()
    for path in folder.glob("*.yaml"):
        path.unlink()
    return folder


def refused(server: Server, name: str, settings: Any, **more: Any) -> EngineFault:
    with pytest.raises(EngineFault) as caught:
        server.engine.save_profile(name, settings, **more)
    assert caught.value.kind == "refused"
    return caught.value


def test_all_profiles_are_listed_with_their_settings_the_default_first(server: Server, own: Path) -> None:
    listed = server.engine.profiles()

    assert [item["name"] for item in listed["profiles"]] == list(profile.shipped())
    assert listed["default"] == listed["profiles"][0]["name"] == "gentle"
    assert {"noise.strength", "jpeg.strength", "quality", "output.name"} <= set(listed["keys"])
    assert "noise" not in listed["keys"]
    strong = next(item for item in listed["profiles"] if item["name"] == "strong")
    assert (strong["settings"], strong["own"], strong["error"]) == (STRONG, False, None)
    assert strong["purpose"]


def test_a_saved_profile_is_the_file_that_everything_else_reads(server: Server, own: Path) -> None:
    settings = {"scanmend": 1, "noise": {"strength": 0.4}, "quality": "fast"}

    path = Path(server.engine.save_profile("Große Bilder", settings, purpose="For\n large ones."))

    assert path == own / "Große Bilder.yaml"
    assert path.read_text(encoding="utf-8").splitlines()[0] == "# For large ones."
    assert profile.load("Große Bilder").noise.strength == 0.4
    entry = server.engine.profiles()["profiles"][-1]
    assert (entry["name"], entry["own"], entry["purpose"]) == ("Große Bilder", True, "For large ones.")
    assert entry["settings"] == profile.to_dict(profile.load(path))
    assert not stat.S_IMODE(path.stat().st_mode) & 0o111


def test_a_profile_is_replaced_only_on_request(server: Server, own: Path) -> None:
    server.engine.save_profile("mine", {"scanmend": 1, "noise": {"strength": 0.1}})

    fault = refused(server, "mine", {"scanmend": 1, "noise": {"strength": 0.2}})
    kept = profile.load("mine").noise.strength
    server.engine.save_profile("mine", {"scanmend": 1, "noise": {"strength": 0.3}}, replace=True)

    assert (fault.status, fault.sentence) == (409, "there is a profile mine already")
    assert (kept, profile.load("mine").noise.strength) == (0.1, 0.3)
    assert [path.name for path in own.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    "name", ["strong", "../mine", "a/b", "a\\b", ".hidden", "", " ", "x" * 101, "a\tb", "C:x"]
)
def test_a_name_that_is_none_or_taken_is_refused(server: Server, own: Path, name: str) -> None:
    fault = refused(server, name, {"scanmend": 1})

    assert (fault.status, fault.error["class"]) == (400, "UsageError")
    assert not own.exists() or not list(own.iterdir())


def test_a_setting_that_is_not_valid_is_refused_with_its_key(server: Server, own: Path) -> None:
    fault = refused(server, "mine", {"scanmend": 1, "noise": {"strengt": 1}})

    assert (fault.status, fault.error["class"], fault.error["exit_code"]) == (400, "ProfileError", 3)
    assert "noise.strength" in fault.sentence + fault.hint
    assert not (own / "mine.yaml").exists()


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"settings": 1}', b'{"settings": {}, "purpose": 1}', b'{"x": 1}']
)
def test_a_body_that_is_no_profile_is_refused(server: Server, own: Path, body: bytes) -> None:
    assert server.ask("PUT", "/v1/profiles/mine", body)[0] == 400


def test_a_file_that_is_not_valid_is_listed_with_a_sentence(server: Server, own: Path) -> None:
    own.mkdir(parents=True, exist_ok=True)
    (own / "broken.yaml").write_text("# Mine.\nscanmend: 1\nnoise: {strength: 7}\n", encoding="utf-8")

    entry = server.engine.profiles()["profiles"][-1]

    assert (entry["name"], entry["settings"]) == ("broken", None)
    assert "noise.strength" in entry["error"]


def test_a_folder_that_cannot_be_written_to_is_told(server: Server, own: Path) -> None:
    own.mkdir(parents=True, exist_ok=True)
    (own / "mine.yaml").mkdir()
    try:
        fault = refused(server, "mine", {"scanmend": 1}, replace=True)
    finally:
        (own / "mine.yaml").rmdir()

    assert (fault.status, fault.error["class"]) == (507, "PublishError")
