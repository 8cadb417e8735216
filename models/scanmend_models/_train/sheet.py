"""The contact sheet: samples of every kind of degradation beside crops of real scans."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from scanmend_models._train.data import Crops
from scanmend_models._train.degrade import Degrader
from scanmend_models._train.effects import Shares

_CROP, _COLUMNS, _LABEL, _GAP = 160, 8, 22, 4
_NOTHING = Shares.none()
KINDS = {
    "as drawn in training": Shares(),
    "white noise, 8 bits": replace(_NOTHING, white=1.0, eight_bit=1.0, grey=0.2, grey_file=1.0),
    "film and print grain": replace(
        _NOTHING, grain=1.0, negative=0.35, grey=0.6, grey_file=0.4, toned=0.6, blur=0.5
    ),
    "scanner noise, white": replace(_NOTHING, scanner=1.0),
    "scanner noise, correlated": replace(_NOTHING, scanner=1.0, clumped=1.0),
    "banding": replace(_NOTHING, banding=1.0),
    "grain, scanner noise, sharpened": replace(_NOTHING, grain=1.0, scanner=1.0, sharpen=1.0),
    "grain, scanner noise, resized": replace(_NOTHING, grain=1.0, scanner=1.0, resize=1.0),
    "JPEG alone": replace(_NOTHING, jpeg=1.0, halved=0.65, shifted=0.25),
    "JPEG over grain and noise": replace(
        _NOTHING, grain=1.0, scanner=0.7, clumped=0.5, jpeg=1.0, halved=0.65, grey=0.3, grey_file=1.0
    ),
}
"""A row of the sheet for each: its label and what its samples are drawn with."""


def draw(clean: Sequence[Tensor], scans: Sequence[Tensor], seed: int) -> bytes:
    """A PNG of rows of crops, pixel for pixel.

    Args:
        clean: (3, H, W) uint8 pictures of at least 160 pixels, which are degraded.
        scans: real scans of the same form for the last rows; may be empty.
        seed: of crops and noise.
    """
    crops = Crops(tuple(clean), seed, torch.device("cpu"))
    rows = [
        (label, Degrader(seed, torch.device("cpu"), shares=shares)(crops.batch(_COLUMNS, _CROP)).scan)
        for label, shares in KINDS.items()
    ]
    real = _scan_crops(scans, seed)
    rows += [("real scans", real[at : at + _COLUMNS]) for at in range(0, len(real), _COLUMNS)]
    return _sheet(rows)


def _scan_crops(scans: Sequence[Tensor], seed: int) -> Tensor:
    """Two unturned crops of each scan."""
    generator = torch.Generator().manual_seed(seed)
    crops = []
    for scan in scans:
        for _ in range(2):
            top, left = (
                int(torch.randint(side - _CROP + 1, (), generator=generator)) for side in scan.shape[1:]
            )
            crops.append(scan[:, top : top + _CROP, left : left + _CROP].float() / 255)
    return torch.stack(crops) if crops else torch.empty(0, 3, _CROP, _CROP)


def _sheet(rows: Sequence[tuple[str, Tensor]]) -> bytes:
    height = _CROP + _LABEL + _GAP
    image = Image.new("RGB", (_COLUMNS * (_CROP + _GAP) + _GAP, len(rows) * height), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for number, (label, crops) in enumerate(rows):
        top = number * height
        pen.text((_GAP, top + 3), label, fill=(30, 30, 30), font=font)
        for column, crop in enumerate(crops):
            pixels = (crop.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            image.paste(Image.fromarray(pixels), (_GAP + column * (_CROP + _GAP), top + _LABEL))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
