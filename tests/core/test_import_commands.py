"""A person's own model through the commands, the plan, the engine process and the hot folder."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scanmend import cards, own, plan, profile
from scanmend.engine import Engine
from scanmend.errors import ModelError
from scanmend.importing import import_file
from scanmend.measure import Facts, NoiseFacts
from scanmend_daemon import config
from scanmend_daemon.resolve import Profiles
from scanmend_models.mimo_unet import published

from .serving import serving
from .test_cli_commands import scanmend

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems name the data folder otherwise"
)
BLUR = ("--set", "blur.model=mine", "--set", "blur.strength=1")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a person's own models, in a home of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "scanmend" / "models"


def checkpoint(folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    state = {name: 1.5 * value for name, value in published.build(1).state_dict().items()}
    torch.save({"model": state}, folder / f"{seed}.pkl")
    return folder / f"{seed}.pkl"


def scan(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(60, 200, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((100, 60), Image.Resampling.BICUBIC).save(path)
    return path


def test_a_checkpoint_is_imported_listed_used_and_removed(tmp_path: Path, home: Path) -> None:
    checkpoint(tmp_path), scan(tmp_path / "a.png")
    data = {"XDG_DATA_HOME": str(tmp_path / "data")}

    imported = scanmend(tmp_path, "models", "import", "1.pkl", "--name", "mine", **data)
    again = scanmend(tmp_path, "models", "import", "1.pkl", "--json", **data)
    listed = scanmend(tmp_path, "models", "list", "--json", **data)
    verified = scanmend(tmp_path, "models", "verify", **data)
    restored = scanmend(
        tmp_path, "restore", *BLUR, "--backend", "torch", "a.png", "-o", "b.png", "--json", **data
    )
    removed = scanmend(tmp_path, "models", "remove", "mine", **data)

    assert imported.stdout.startswith("mine: imported: MIMO-UNet with 1 block, ")
    assert "--set blur.model=mine" in imported.stderr
    assert (json.loads(again.stdout)["name"], json.loads(again.stdout)["new"]) == ("mine", False)
    assert json.loads(listed.stdout)[-1]["source"]["file"] == "1.pkl"
    assert verified.stdout.splitlines()[-1] == "mine: ok"
    assert restored.returncode == 0
    assert list(json.loads(restored.stdout.splitlines()[-1])["report"]["models"])[-1] == "mine"
    assert (removed.returncode, removed.stdout) == (0, "mine: removed\n")
    assert not list(home.iterdir())


def test_what_cannot_be_imported_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"hello")

    bad = scanmend(tmp_path, "models", "import", "x.pkl")
    none = scanmend(tmp_path, "models", "import", "y.pkl")
    shipped = scanmend(tmp_path, "models", "remove", "grain-fast")

    assert [run.returncode for run in (bad, none, shipped)] == [5, 2, 5]
    assert all(run.stdout == "" and len(run.stderr.splitlines()) == 1 for run in (bad, none, shipped))
    assert bad.stderr.startswith("scanmend: x.pkl is no checkpoint")


def test_a_damaged_model_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path), "mine")
    card.path.write_text("name = 3", encoding="utf-8")
    data = {"XDG_DATA_HOME": str(tmp_path / "data")}

    listed = scanmend(tmp_path, "models", "list", "--json", **data)
    verified = scanmend(tmp_path, "models", "verify", "--json", **data)
    inspected = scanmend(tmp_path, "inspect", str(scan(tmp_path / "a.png")), **data)
    named = scanmend(tmp_path, "inspect", *BLUR, "a.png", **data)

    assert "mine" not in [card["name"] for card in json.loads(listed.stdout)]
    assert "card.toml" in listed.stderr
    lines = [json.loads(line) for line in verified.stdout.splitlines()]
    assert [line["model"] for line in lines if not line["ok"]] == ["mine"]
    assert verified.returncode == 5
    assert inspected.returncode == 0
    assert named.returncode != 0
    assert "scanmend models remove mine" in named.stderr


def planned(wish: profile.Blur, known: Sequence[cards.Card]) -> plan.Plan:
    noise = NoiseFacts(sigma=0.0, curve=(), correlation=0.0, chroma=1.0, windows=0)
    asked = dataclasses.replace(profile.load("gentle"), blur=wish, quality="best")
    return plan.make(asked, Facts(height=60, width=100, bits=8, grey=False, noise=noise), known)


def test_a_plan_takes_own_weights_only_where_they_are_named(tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path), "mine")

    named = planned(profile.Blur(model="mine", strength=1.0), (card,))
    with pytest.raises(ModelError, match="no model for blur is installed"):
        planned(profile.Blur(strength=1.0), (card,))

    assert [step.model for step in named.steps] == ["mine"]


def test_an_engine_that_runs_on_sees_weights_imported_anew_under_the_same_name(tmp_path: Path) -> None:
    engine, picture = Engine("cpu", backend="torch"), torch.rand(1, 3, 16, 16)
    answers = []
    for seed in (1, 2):
        card, _new = import_file(checkpoint(tmp_path, seed), "mine")
        with torch.inference_mode():
            answers.append(engine.network(card)(picture))
        own.remove("mine")

    assert not torch.equal(*answers)


def test_an_engine_process_takes_a_model_that_was_imported_after_its_start(tmp_path: Path) -> None:
    source, target = scan(tmp_path / "a.png"), tmp_path / "b.png"
    wished = profile.to_dict(profile.overlay(profile.load("gentle"), "blur: {model: mine, strength: 1}", "x"))
    with serving() as server:
        before = server.end(server.restore(source, target, profile=wished))
        import_file(checkpoint(tmp_path), "mine")
        after = server.end(server.restore(source, target, profile=wished))

    assert before["state"] == "failed"
    assert "there is no model 'mine'" in json.dumps(before).replace('\\"', '"')
    assert after["state"] == "done"
    assert list(after["report"]["models"])[-1] == "mine"


def test_a_hot_folder_s_account_knows_with_which_own_weights_a_scan_was_restored(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.yaml").write_text("blur: {model: mine, strength: 1}\n", encoding="utf-8")
    folder = config.for_folder(tmp_path / "in").folders[0]
    profiles = Profiles("1", print)

    def digests() -> tuple[str, str]:
        return profiles.resolve(folder, "a.tif").digest, profiles.resolve(folder, "b.tif").digest

    found = [digests()]
    for seed in (1, 2):
        import_file(checkpoint(tmp_path, seed), "mine")
        found.append(digests())
        own.remove("mine")

    assert len({named for named, _plain in found}) == 3
    assert len({plain for _named, plain in found}) == 1
