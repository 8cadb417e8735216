"""Training pictures: what is read, what is held out, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from scanmend_models._train import data


def test_crops_of_one_photograph_never_stand_on_both_sides(tmp_path: Path) -> None:
    for source in range(6):
        for crop in range(3):
            Image.new("RGB", (160, 160)).save(tmp_path / f"set__photo{source}__auto{crop}.png")

    found = data.load([tmp_path], held_out_sources=2)

    assert (len(found.train), len(found.held_out)) == (12, 6)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures"):
        data.load([tmp_path])


def test_pictures_that_are_all_too_small_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "small.png")

    with pytest.raises(FileNotFoundError, match="160 pixels"):
        data.load([tmp_path])


def test_crops_are_drawn_again_by_the_same_seed() -> None:
    pictures = tuple(torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8) for _ in range(3))
    first, again, other = (data.Crops(pictures, seed, torch.device("cpu")).batch(4, 32) for seed in (1, 1, 2))

    assert first.shape == (4, 3, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_busiest_of_several_crops_is_taken() -> None:
    calm = torch.full((3, 64, 64), 100, dtype=torch.uint8)
    busy = torch.randint(256, (3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)

    def share(among: int) -> float:
        crops = data.Crops((calm, busy), 3, torch.device("cpu"), among=among).batch(200, 16)
        return float((crops.std(dim=(1, 2, 3)) > 0).float().mean())

    assert 0.4 < share(1) < 0.6
    assert 0.65 < share(2) < 0.85
