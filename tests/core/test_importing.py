"""A person's own weights: files as others write them, and files that are none."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from scanmend import cards, checkpoints, own, places
from scanmend.engine import choose_device, load_network
from scanmend.errors import ModelError, UsageError
from scanmend.importing import import_file
from scanmend_models.mimo_unet import published
from torch import Tensor

State = dict[str, Any]
PYTHON_PATH = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)  # noqa: PTH100


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a person's own models, in a home of the test's own."""
    monkeypatch.setattr(places, "data_folder", lambda: tmp_path / "data")
    return tmp_path / "data" / "models"


def weights(blocks: int = 1, seed: int = 1) -> State:
    torch.manual_seed(seed)
    return dict(published.build(blocks).state_dict())


def checkpoint(path: Path, content: object = None, *, zipped: bool = True) -> Path:
    content = {"model": weights()} if content is None else content
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def snapshot() -> State:
    """As training leaves it: optimiser, schedule and epoch beside the weights."""
    network = published.build(1)
    network.load_state_dict(weights())
    adam = torch.optim.Adam(network.parameters(), 1e-4)
    network(torch.rand(1, 3, 8, 8)).mean().backward()
    adam.step()
    steps = torch.optim.lr_scheduler.MultiStepLR(adam, [500, 1000])
    state = {"optimizer": adam.state_dict(), "scheduler": steps.state_dict(), "epoch": 7}
    assert isinstance(state["scheduler"]["milestones"], Counter)  # type: ignore[index]
    return {"model": weights(), **state}


def prefixed(state: State) -> State:
    return OrderedDict((f"module.{name}", value) for name, value in state.items())


def as_file(content: Callable[[], object], *, zipped: bool = True) -> Callable[[Path], Path]:
    return lambda folder: checkpoint(folder / "model.pkl", content(), zipped=zipped)


def as_safetensors(folder: Path) -> Path:
    save_file(weights(), folder / "model.safetensors")
    return folder / "model.safetensors"


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "as published": as_file(lambda: {"model": weights()}),
    "in torch's old format": as_file(lambda: {"model": weights()}, zipped=False),
    "a training snapshot": as_file(snapshot),
    "an old training snapshot": as_file(snapshot, zipped=False),
    "bare": as_file(weights),
    "as state_dict": as_file(lambda: {"state_dict": weights()}),
    "from several GPUs": as_file(lambda: {"model": prefixed(weights())}),
    "as parameters": as_file(lambda: {"model": dict(published_parameters())}),
    "safetensors": as_safetensors,
}


def published_parameters() -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, torch.nn.Parameter(value)) for name, value in weights().items()]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_usual_layout_becomes_a_model_with_these_very_weights(layout: str, tmp_path: Path) -> None:
    file = LAYOUTS[layout](tmp_path)

    card, new = import_file(file)

    assert new
    assert (card.name, card.stage, card.architecture, card.blocks) == (
        "mimo-unet-1-blocks", "blur", "mimo-unet", 1,
    )  # fmt: skip
    kept, expected = load_file(card.weights), weights()
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], value) for name, value in expected.items())
    assert all(value.dtype == torch.float32 for value in kept.values())


def test_a_card_says_what_is_known_and_what_is_not(tmp_path: Path, home: Path) -> None:
    file = checkpoint(tmp_path / "my weights.pkl")

    card, _new = import_file(file)

    assert card == cards.find("mimo-unet-1-blocks")
    assert card.path == home / "mimo-unet-1-blocks" / "card.toml"
    assert card.parameters == sum(value.numel() for value in weights().values())
    assert (card.tier, card.inputs, card.multiple, card.own) == ("best", 3, 4, True)
    assert (card.licence, card.training_data) == ("unknown: the user's own file", "as its author says")
    assert card.scores == ()
    assert card.source
    assert card.source.file == "my weights.pkl"
    assert len(card.source.date) == 10
    cards.verify(card)


@pytest.mark.slow
@pytest.mark.parametrize(("blocks", "name"), [(8, "mimo-unet"), (20, "mimo-unet-plus")])
def test_the_published_networks_are_known_by_their_blocks(blocks: int, name: str, tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path / "model.pkl", {"model": weights(blocks)}))

    assert (card.name, card.blocks) == (name, blocks)
    assert card.title == f"{published.TITLES[blocks]}, imported"


def test_the_engine_builds_what_was_imported(tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path / "model.pkl"))
    network, picture = published.build(1), torch.rand(1, 3, 16, 24)
    network.load_state_dict(weights())

    loaded = load_network(card)

    with torch.inference_mode():
        assert torch.equal(loaded(picture), network(picture))
    assert choose_device("cpu").name == "cpu"


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_exactly_in_float32(kind: torch.dtype, tmp_path: Path) -> None:
    state = {name: value.to(kind) for name, value in weights().items()}

    card, _new = import_file(checkpoint(tmp_path / "model.pkl", state))

    kept = load_file(card.weights)
    assert all(torch.equal(kept[name], value.float()) for name, value in state.items())


@torch.inference_mode()
def test_the_halo_is_as_far_as_a_cut_shows(tmp_path: Path) -> None:
    """Weights that pass a pixel on unchanged need next to none; others need more."""
    near = {name: torch.zeros_like(value) for name, value in weights().items()}
    far = {name: 1.6 * value for name, value in weights().items()}

    small, _new = import_file(checkpoint(tmp_path / "near.pkl", near))
    large, _new = import_file(checkpoint(tmp_path / "far.pkl", far))

    assert small.halo == 8
    assert large.halo in (40, 48)
    network, picture = load_network(large), torch.rand(1, 3, 64, 512)
    cut = network(picture[..., 256:])[..., large.halo :]
    assert (cut - network(picture)[..., 256 + large.halo :]).abs().max() < 1 / 255


# --- importing again, and names ----------------------------------------------------------


def test_the_same_file_is_there_already(tmp_path: Path, home: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl")
    first, _new = import_file(file)

    again, new = import_file(file, name="other")

    assert (again, new) == (first, False)
    assert [path.name for path in home.iterdir()] == ["mimo-unet-1-blocks"]


def test_the_same_weights_in_another_file_are_there_already(tmp_path: Path, home: Path) -> None:
    first, _new = import_file(checkpoint(tmp_path / "model.pkl"))

    again, new = import_file(checkpoint(tmp_path / "old.pkl", {"model": weights(), "epoch": 1}, zipped=False))

    assert (again, new) == (first, False)
    assert [path.name for path in home.iterdir()] == ["mimo-unet-1-blocks"]


def test_other_weights_of_the_same_network_get_a_number(tmp_path: Path) -> None:
    names = [
        import_file(checkpoint(tmp_path / f"{seed}.pkl", weights(seed=seed)))[0].name for seed in (1, 2, 3)
    ]

    assert names == ["mimo-unet-1-blocks", "mimo-unet-1-blocks-2", "mimo-unet-1-blocks-3"]


def test_a_name_can_be_chosen(tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path / "model.pkl"), name="gopro")

    assert card.name == "gopro"
    assert cards.find("gopro") == card


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Go Pro", "--name must be lower-case letters"),
        ("../gopro", "--name must be lower-case letters"),
        ("", "--name must be lower-case letters"),
        ("a" * 65, "--name must be lower-case letters"),
        ("grain-fast", "that of a model that ships"),
        ("taken", "the name taken is taken"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, words: str, tmp_path: Path, home: Path) -> None:
    import_file(checkpoint(tmp_path / "first.pkl"), name="taken")
    file = checkpoint(tmp_path / "model.pkl", weights(seed=2))

    with pytest.raises(ModelError, match=words):
        import_file(file, name=name)

    assert [path.name for path in home.iterdir()] == ["taken"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file names")
@pytest.mark.parametrize("name", ['a"b\\c.pkl', "line\nbreak.pkl", "\U0001f5bc.pkl", "\x7f.pkl"])
def test_a_file_may_be_called_anything(name: str, tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path / "model.pkl").rename(tmp_path / name))

    assert card.source
    assert card.source.file == name


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl").rename(tmp_path / "\udcff.pkl")

    with pytest.raises(ModelError, match="is no valid text"):
        import_file(file)


# --- what is refused ---------------------------------------------------------------------


def changed(name: str, value: object) -> State:
    return {"model": {**weights(), name: value}}


def spoilt(name: str, number: float) -> State:
    state = weights()
    state[name].view(-1)[0] = number
    return state


def missing(name: str) -> State:
    return {key: value for key, value in weights().items() if key != name}


KERNEL = "Encoder.0.layers.0.main.0.main.0.weight"
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a missing weight": (
        lambda: missing("SCM2.conv.main.0.bias"),
        "MIMO-UNet with 1 block needs SCM2.conv.main.0.bias, which is missing",
    ),
    "one too many": (lambda: changed("SCM3.bias", torch.zeros(3)), "which has no SCM3.bias"),
    "a wrong shape": (
        lambda: changed(KERNEL, torch.zeros(64, 32, 3, 3)),
        f"{KERNEL} is 64 x 32 x 3 x 3, not 32 x 32 x 3 x 3",
    ),
    "another network": (lambda: {"conv.weight": torch.zeros(3)}, "the first is conv.weight"),
    "nothing": (dict, "no weights of MIMO-UNet"),
    "an empty model": (lambda: {"model": {}, "epoch": 3}, "no weights of MIMO-UNet"),
    "not a number": (lambda: spoilt(KERNEL, float("nan")), f"{KERNEL} holds numbers that are infinite or"),
    "infinity": (lambda: spoilt("Convs.0.main.0.bias", float("inf")), "Convs.0.main.0.bias holds numbers"),
    "enormous numbers": (
        lambda: {name: value.clamp(-1, 1) * 1e36 for name, value in weights().items()},
        "a network with these weights returns no numbers",
    ),
    "double precision": (
        lambda: {name: value.double() for name, value in weights().items()},
        "holds float64, not float32",
    ),
    "whole numbers": (lambda: changed(KERNEL, torch.zeros(32, 32, 3, 3, dtype=torch.int64)), "holds int64"),
    "a sparse weight": (
        lambda: changed(KERNEL, torch.zeros(32, 32, 3, 3).to_sparse()),
        f"{KERNEL} is not stored as plain numbers",
    ),
    "a number among weights": (lambda: changed(KERNEL, 3.0), f"{KERNEL} is a float, not weights"),
    "a strange name": (lambda: changed("x\n\x1b[31m", torch.zeros(1)), r"'x\\n\\x1b\[31m', which is no name"),
    "a number as name": (lambda: {7: torch.zeros(1)}, "7, which is no name of weights"),
    "one tensor": (lambda: torch.zeros(3), "holds a Tensor, not named weights"),
    "a list": (lambda: [torch.zeros(3)], "holds a list, not named weights"),
    "too many blocks": (
        lambda: {f"Encoder.0.layers.{n}.x": torch.zeros(1) for n in range(65)},
        "65 residual blocks a stage, and 64 is the most",
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("what", REFUSED)
def test_weights_that_do_not_fit_are_refused_in_one_sentence(
    what: str, *, zipped: bool, tmp_path: Path, home: Path
) -> None:
    content, words = REFUSED[what]
    if what == "a sparse weight" and not zipped:
        pytest.skip("the old format is written for dense tensors alone here")
    file = checkpoint(tmp_path / "model.pkl", content(), zipped=zipped)

    with pytest.raises(ModelError, match=words.replace("+", r"\+")) as caught:
        import_file(file)

    assert "\n" not in str(caught.value)
    assert str(file) in caught.value.message
    assert not home.exists() or not list(home.iterdir())


class Attack:
    """Runs a command as soon as it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(*, zipped: bool, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = checkpoint(tmp_path / "model.pkl", {"model": weights(), "x": Attack(marker)}, zipped=zipped)

    with pytest.raises(ModelError, match=r"holds a Python object \(.*system\), which is never loaded"):
        import_file(file)

    assert not marker.exists()


def test_a_plain_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": Attack(marker)}))

    with pytest.raises(ModelError, match=r"never loaded|no checkpoint"):
        import_file(tmp_path / "model.pkl")

    assert not marker.exists()


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.7, 0.99, 0.99999])
@pytest.mark.parametrize("layout", ["as published", "in torch's old format", "safetensors"])
def test_a_file_that_was_cut_short_is_refused(layout: str, share: float, tmp_path: Path, home: Path) -> None:
    file = LAYOUTS[layout](tmp_path)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    with pytest.raises(ModelError) as caught:
        import_file(file)

    assert "\n" not in str(caught.value)
    assert str(file) in caught.value.message
    assert not home.exists()


def test_a_changed_byte_in_an_archive_is_noticed(tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)

    with pytest.raises(ModelError, match="damaged"):
        import_file(file)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no checkpoint"),
        (b"hello, world\n" * 100, "no checkpoint"),
        (b"\xff\xd8\xff\xe0" + bytes(1000), "no checkpoint"),
        (b"\x80\x02}q\x00.", "no checkpoint"),
        (b"\x80\x02" + b"(" * 100_000 + b".", "no checkpoint"),
        (b"PK\x03\x04" + bytes(100), "cut short or damaged"),
        ((2**62).to_bytes(8, "little") + b'{"a":1}', "damaged safetensors"),
        ((7).to_bytes(8, "little") + b'{"a":1}', "damaged safetensors"),
    ],
)
def test_files_of_other_kinds_are_refused(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(data)

    with pytest.raises(ModelError, match=words):
        import_file(tmp_path / "model.pkl")


def test_an_archive_of_other_things_is_no_checkpoint(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr("MIMO-UNet.pkl", b"x")

    with pytest.raises(ModelError, match="ZIP archive, not a checkpoint") as caught:
        import_file(tmp_path / "weights.zip")

    assert "unpack it" in caught.value.hint


def rewritten(file: Path, change: Callable[[str, bytes], bytes], *, how: int = zipfile.ZIP_STORED) -> Path:
    """A checkpoint with other entries in its archive."""
    with zipfile.ZipFile(file) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in entries:
            archive.writestr(name, change(name, data))
    return file


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    file = rewritten(checkpoint(tmp_path / "model.pkl"), lambda _n, data: data, how=zipfile.ZIP_DEFLATED)

    with pytest.raises(ModelError, match="compressed archive"):
        import_file(file)


ODD = 4321
"""Numbers in a tensor of tests, to be found again in the file."""
CLAIM = b"\x8a\x06" + (2**46).to_bytes(6, "little")  # LONG1: 256 TiB in float32


def test_an_archive_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl", {"model": {"x": torch.zeros(ODD)}})
    said = b"M" + ODD.to_bytes(2, "little")
    file = rewritten(file, lambda _name, data: data.replace(said, CLAIM))

    with pytest.raises(ModelError, match="no checkpoint that torch can read"):
        import_file(file)


def test_an_old_file_that_claims_more_than_there_is_memory_is_refused(tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl", {"model": {"x": torch.zeros(ODD)}}, zipped=False)
    file.write_bytes(file.read_bytes().replace(b"M" + ODD.to_bytes(2, "little"), CLAIM))

    with pytest.raises(ModelError, match="no checkpoint that torch can read"):
        import_file(file)


def test_an_archive_with_too_short_a_record_is_refused_and_read_no_further(tmp_path: Path) -> None:
    """torch's ordinary reader would take what lies behind in memory for weights."""
    file = checkpoint(tmp_path / "model.pkl", {"model": {"x": torch.zeros(10 * ODD)}})
    file = rewritten(file, lambda name, data: data[:4] if name.endswith("/0") else data)

    with pytest.raises(ModelError, match="no checkpoint that torch can read"):
        import_file(file)


def test_a_view_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    view = torch.zeros(4).as_strided((1, 1), (1, 1))
    file = checkpoint(tmp_path / "model.pkl", {"model": {"x": view}})
    with zipfile.ZipFile(file) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
        pickled = archive.read(entry)
    # The offset, the size and the strides: 0, (1, 1), (1, 1) become 0, (255, 255), (1, 1).
    place = pickled.index(b"K\x01K\x01\x86")
    grown = pickled[:place] + b"K\xffK\xff\x86" + pickled[place + 5 :]
    file = rewritten(file, lambda name, data: grown if name.endswith("data.pkl") else data)

    with pytest.raises(ModelError, match="no checkpoint that torch can read"):
        import_file(file)


def test_a_missing_file_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        import_file(tmp_path / "none.pkl")


@pytest.mark.parametrize("place", [".", os.devnull])
def test_what_is_no_file_is_not_read(place: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not a file"):
        import_file(tmp_path / place)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.pkl"
    with file.open("wb") as large:
        large.truncate(checkpoints.MAX_BYTES + 1)

    with pytest.raises(ModelError, match="larger than 1024 MiB"):
        import_file(file)


# --- the folder --------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a thing of Unix")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl")
    code = (
        "import resource, sys\n"
        "from scanmend.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "main(sys.argv[1:])"
    )

    run = subprocess.run(
        [sys.executable, "-c", code, "models", "import", str(file)],
        env={**os.environ, "PYTHONPATH": PYTHON_PATH, "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout) == (5, "")
    assert "scanmend: the model cannot be stored in" in run.stderr
    assert "Traceback" not in run.stderr
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((".safetensors", "card.toml"))]
    assert not list(tmp_path.rglob(".part-*"))


def test_what_a_killed_import_left_is_no_model_and_goes_with_a_later_one(tmp_path: Path, home: Path) -> None:
    import_file(checkpoint(tmp_path / "model.pkl"), name="first")
    old, fresh = home / ".part-old", home / ".part-new"
    for folder in (old, fresh):
        (home / "first").rename(folder)
        folder.mkdir(exist_ok=True)
        import_file(tmp_path / "model.pkl", name="first")
    os.utime(old, (time.time() - 4000,) * 2)

    import_file(checkpoint(tmp_path / "second.pkl", weights(seed=2)), name="second")

    assert [card.name for card in cards.installed() if card.own] == ["first", "second"]
    assert cards.own()[1] == ()
    assert (old.exists(), fresh.exists()) == (False, True)


def test_a_model_is_removed_and_its_name_is_free(tmp_path: Path, home: Path) -> None:
    file = checkpoint(tmp_path / "model.pkl")
    import_file(file)

    own.remove("mimo-unet-1-blocks")

    assert not list(home.iterdir())
    assert import_file(file)[1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("grain-fast", "grain-fast ships with Scanmend, and stays"),
        ("none", "there is no imported model 'none'"),
        ("..", "there is no imported model"),
        ("../models/first", "there is no imported model"),
        ("", "there is no imported model"),
        (".part-x", "there is no imported model"),
    ],
)
def test_only_imported_models_are_removed(name: str, words: str, tmp_path: Path, home: Path) -> None:
    import_file(checkpoint(tmp_path / "model.pkl"), name="first")
    (home / ".part-x").mkdir()

    with pytest.raises(ModelError, match=words):
        own.remove(name)

    assert sorted(path.name for path in home.iterdir()) == [".part-x", "first"]


DAMAGE: dict[str, tuple[str, str, str]] = {
    "no TOML": ("[network]", "[network", "is not a TOML file"),
    "another name": ('name = "mine"', 'name = "yours"', "name must be mine, as the folder's"),
    "a module of Python": ('"mimo-unet"', '"os.path"', "network.architecture must be one of mimo-unet, not"),
    "no architecture": ('architecture = "mimo-unet"\nblocks = 1\n', "", "network.architecture and"),
    "too many blocks": ("blocks = 1", "blocks = 65", "network.blocks must be a whole number from 1 to 64"),
    "other inputs": ("inputs = 3", "inputs = 5", "network.inputs must be 3"),
    "weights elsewhere": (
        '"weights.safetensors"',
        '"../x/weights"',
        "weights.file must be the name of a file",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_card_is_named_and_breaks_nothing_else(what: str, tmp_path: Path) -> None:
    import_file(checkpoint(tmp_path / "sound.pkl"), name="sound")
    card, _new = import_file(checkpoint(tmp_path / "model.pkl", weights(seed=2)), name="mine")
    before, after, words = DAMAGE[what]
    text = card.path.read_text(encoding="utf-8")
    card.path.write_text(text.replace(before, after), encoding="utf-8")

    (fault,) = cards.own()[1]

    assert text.count(before) == 1
    assert fault.name == "mine"
    assert words in fault.error.message
    assert "scanmend models remove mine" in fault.error.hint
    assert [card.name for card in cards.installed() if card.own] == ["sound"]
    with pytest.raises(ModelError, match=r"card\.toml"):
        cards.find("mine")
    own.remove("mine")
    assert cards.own()[1] == ()


def test_a_name_that_a_shipped_model_has_taken_leaves_the_own_one_out(tmp_path: Path, home: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path / "model.pkl"))
    text = card.path.read_text(encoding="utf-8").replace(card.name, "grain-fast")
    card.path.write_text(text, encoding="utf-8")
    (home / card.name).rename(home / "grain-fast")

    (fault,) = cards.own()[1]

    assert "the name grain-fast is that of a model that ships" in fault.error.message
    assert not cards.find("grain-fast").own


def test_altered_weights_are_told_from_those_of_the_card(tmp_path: Path) -> None:
    card, _new = import_file(checkpoint(tmp_path / "model.pkl"))
    save_file({"x": torch.zeros(1)}, card.weights)

    with pytest.raises(ModelError, match="are not those of its card") as caught:
        cards.verify(card)

    assert "scanmend models remove mimo-unet-1-blocks" in caught.value.hint
    with pytest.raises(ModelError, match="are not those of its card"):
        import_file(tmp_path / "model.pkl")


def tensors(path: Path) -> dict[str, Tensor]:
    return checkpoints.read(path)


def test_reading_keeps_the_order_and_takes_off_the_prefix_of_all_or_of_none(tmp_path: Path) -> None:
    both = {"module.b": torch.zeros(1), "module.a": torch.ones(2)}

    plain = tensors(checkpoint(tmp_path / "all.pkl", both))
    mixed = tensors(checkpoint(tmp_path / "some.pkl", {**both, "c": torch.zeros(1)}))

    assert list(plain) == ["b", "a"]
    assert list(mixed) == ["module.b", "module.a", "c"]
