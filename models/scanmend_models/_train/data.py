"""Training pictures, decoded once and held in memory as 8-bit tensors."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = {".avif", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Pictures:
    """Pictures split by source: crops of one photograph never stand on both sides.

    Attributes:
        train, held_out: (3, H, W) uint8 tensors.
        digest: SHA-256 over names and bytes of all files, for the run's record.
    """

    train: tuple[Tensor, ...]
    held_out: tuple[Tensor, ...]
    digest: str


def load(folders: list[Path], *, held_out_sources: int = 8, least: int = 160) -> Pictures:
    """Reads every picture below the folders.

    Args:
        folders: searched recursively; the part of a file name before the last "__" names
            its source photograph.
        held_out_sources: how many sources are kept for measuring progress.
        least: pictures with a side shorter than this are left out.

    Raises:
        FileNotFoundError: there is no picture to train on.
    """
    files = sorted(
        file for folder in folders for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES
    )
    if not files:
        raise FileNotFoundError(f"no pictures below {', '.join(map(str, folders))}")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(_decode, files))
    held = _held_out([file.stem for file in files], held_out_sources)
    usable = [(file.stem, x) for file, x in zip(files, pictures, strict=True) if min(x.shape[1:]) >= least]
    if not usable:
        raise FileNotFoundError(f"all pictures there have a side under {least} pixels")
    return Pictures(
        train=tuple(x for stem, x in usable if _source(stem) not in held),
        held_out=tuple(x for stem, x in usable if _source(stem) in held),
        digest=digest.hexdigest(),
    )


class Crops:
    """Draws batches of square crops, flipped and turned at random.

    Args:
        pictures: (3, H, W) uint8.
        seed: fixes every choice.
        device: where batches are wanted.
        among: of so many crops the one with most detail is taken; 1 takes each as it comes.
    """

    def __init__(
        self, pictures: tuple[Tensor, ...], seed: int, device: torch.device, *, among: int = 1
    ) -> None:
        self.pictures = pictures
        self.device = device
        self.among = among
        self.generator = torch.Generator().manual_seed(seed)

    def batch(self, count: int, side: int) -> Tensor:
        """(count, 3, side, side) float32 in [0, 1]."""
        crops = torch.stack([self._busiest(side) for _ in range(count)])
        if self.device.type == "cuda":  # pinned memory travels while the device still computes
            crops = crops.pin_memory()
        return crops.to(self.device, non_blocking=True).to(torch.float32) / 255

    def _busiest(self, side: int) -> Tensor:
        crops = [self._crop(side) for _ in range(self.among)]
        return max(crops, key=_detail) if self.among > 1 else crops[0]

    def _crop(self, side: int) -> Tensor:
        picture = self.pictures[self._below(len(self.pictures))]
        top = self._below(picture.shape[1] - side + 1)
        left = self._below(picture.shape[2] - side + 1)
        crop = picture[:, top : top + side, left : left + side]
        turns = self._below(8)
        if turns >= 4:
            crop = crop.flip(2)
        return torch.rot90(crop, turns % 4, (1, 2))

    def _below(self, bound: int) -> int:
        return int(torch.randint(bound, (), generator=self.generator))


def _detail(crop: Tensor) -> float:
    """Mean step from every other pixel of the green channel to the one below it."""
    green = crop[1, ::2, ::2].float()
    return float((green[1:] - green[:-1]).abs().mean())


def _decode(file: Path) -> Tensor:
    with Image.open(file) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def _source(stem: str) -> str:
    return stem.rsplit("__", 1)[0] if stem.count("__") > 1 else stem


def _held_out(stems: list[str], count: int) -> set[str]:
    """Sources with the lowest name hash: stable when pictures are added."""
    sources = {_source(stem) for stem in stems}
    return set(sorted(sources, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count])
