from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scanmend import cards
from scanmend.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = b"weights"
CARD = f"""
name = "grain-fast"
stage = "noise"
tier = "fast"
title = "Fast grain removal"
known_failures = ["Halftone screens are taken for noise."]

[network]
inputs = 5
multiple = 8
halo = 64
dtypes = ["float32", "bfloat16"]
parameters = 1000
macs_per_pixel = 2000

[weights]
file = "weights.safetensors"
sha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}"

[training]
data = "Made up."
compute = "None."
licence = "MIT"

[[scores]]
set = "set"
metric = "PSNR dB"
sigma = 15
value = 33.1
command = "make score"

[[scores]]
set = "set"
metric = "seconds"
value = 1
command = "make bench"
"""


def write(root: Path, folder: str = "grain_fast", text: str = CARD) -> Path:
    path = root / folder / "card.toml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    (path.parent / "weights.safetensors").write_bytes(WEIGHTS)
    return path


def test_a_card_says_all_that_its_file_says(tmp_path: Path) -> None:
    path = write(tmp_path)

    (card,) = cards.in_folder(tmp_path)

    assert card == cards.Card(
        name="grain-fast",
        stage="noise",
        tier="fast",
        title="Fast grain removal",
        inputs=5,
        multiple=8,
        halo=64,
        dtypes=("float32", "bfloat16"),
        parameters=1000,
        macs_per_pixel=2000,
        licence="MIT",
        training_data="Made up.",
        training_compute="None.",
        scores=(
            cards.Score("set", "PSNR dB", 15.0, 33.1, "make score"),
            cards.Score("set", "seconds", None, 1.0, "make bench"),
        ),
        weights=path.parent / "weights.safetensors",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        known_failures=("Halftone screens are taken for noise.",),
        path=path,
    )
    assert card.module == "scanmend_models.grain_fast"


@pytest.mark.parametrize(
    "line", [line for line in CARD.partition("[[scores]]")[0].splitlines() if " = " in line]
)
def test_every_key_must_be_there_and_its_absence_is_named(line: str, tmp_path: Path) -> None:
    path = write(tmp_path, text=CARD.replace(line, "", 1))

    with pytest.raises(ModelError, match=rf"{line.partition(' = ')[0]} is missing") as caught:
        cards.read(path)

    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "grain-fast"', 'name = "Grain Fast"', "name must be lower-case letters"),
        ('tier = "fast"', 'tier = "quick"', "tier must be fast or best, not 'quick'"),
        ('stage = "noise"', "stage = 1", "stage must be one lower-case word, not 1"),
        ("inputs = 5", "inputs = 0", "network.inputs must be a whole number from 1 to 4096, not 0"),
        ("inputs = 5", "inputs = true", "network.inputs must be a whole number"),
        ("multiple = 8", "multiple = 8.0", "network.multiple must be a whole number"),
        ("halo = 64", "halo = -1", "network.halo must be a whole number from 0"),
        (
            '["float32", "bfloat16"]',
            '["int8"]',
            "network.dtypes must be a list of bfloat16, float16, float32",
        ),
        ('["float32", "bfloat16"]', "[]", "network.dtypes must be"),
        ('"weights.safetensors"', '"../weights.safetensors"', "weights.file must be the name of a file"),
        ('"weights.safetensors"', '""', "weights.file must be the name of a file"),
        ('sha256 = "', 'sha256 = "00', "weights.sha256 must be 64 lower-case hexadecimal digits"),
        ('title = "Fast grain removal"', 'title = " "', "title must be a text"),
        ("value = 33.1", "value = inf", r"scores\[0\].value must be a finite number"),
        ("value = 33.1", "value = nan", r"scores\[0\].value must be a finite number"),
        ('metric = "seconds"', "metric = 1", r"scores\[1\].metric must be a text"),
        ("[network]", "network = 1\n[other]", "network must be a table"),
        ("[training]", "[training]\nepochs = 3", "training.epochs is not a key of a card"),
        ("[[scores]]", "[extra]\n[[scores]]", "extra is not a key of a card"),
        ("inputs = 5", "inputs = ", "is not a TOML file"),
        ("inputs = 5", f"inputs = {'[' * 20_000}", "is not a TOML file"),
        ("inputs = 5", "inputs = 5 #" + "x" * 300_000, "is larger than 256 KiB"),
    ],
)
def test_a_wrong_card_is_refused_with_its_file_and_the_key(
    old: str, new: str, words: str, tmp_path: Path
) -> None:
    assert old in CARD
    path = write(tmp_path, text=CARD.replace(old, new, 1))

    with pytest.raises(ModelError, match=words) as caught:
        cards.read(path)

    assert str(path) in caught.value.message


def test_a_card_that_cannot_be_read_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        cards.read(tmp_path / "card.toml")


def test_cards_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "a", CARD.replace("grain-fast", "z"))
    write(tmp_path, "b", CARD.replace("grain-fast", "y"))
    (tmp_path / "_train").mkdir()

    assert [card.name for card in cards.in_folder(tmp_path)] == ["y", "z"]


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")

    with pytest.raises(ModelError, match="both carry the name grain-fast"):
        cards.in_folder(tmp_path)


def test_a_misspelt_model_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write(tmp_path)

    with pytest.raises(ModelError, match="there is no model 'grain-fats'; did you mean grain-fast"):
        cards.find("grain-fats", cards.in_folder(tmp_path))


def test_where_no_model_is_installed_the_error_says_so() -> None:
    with pytest.raises(ModelError, match="no model is installed at all"):
        cards.find("grain-fast", ())


def test_the_weights_of_the_card_pass(tmp_path: Path) -> None:
    cards.verify(cards.read(write(tmp_path)))


def test_changed_weights_are_found_out(tmp_path: Path) -> None:
    card = cards.read(write(tmp_path))
    card.weights.write_bytes(WEIGHTS[:-1])

    with pytest.raises(ModelError, match="the weights of grain-fast are not those of its card"):
        cards.verify(card)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    card = cards.read(write(tmp_path))
    card.weights.unlink()

    with pytest.raises(ModelError, match=r"weights.safetensors: No such file"):
        cards.verify(card)


def test_the_installed_cards_are_valid_and_their_weights_are_theirs() -> None:
    found = cards.installed()
    if not found:
        pytest.skip("no model is installed beside the sources yet")

    for card in found:
        cards.verify(card)
        assert cards.find(card.name) == card


def test_listing_the_cards_imports_neither_the_models_nor_torch() -> None:
    code = (
        "import sys; from scanmend import cards; cards.installed();"
        "print([name for name in ('scanmend_models', 'torch', 'numpy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
