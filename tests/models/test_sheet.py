"""The contact sheet of what training shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scanmend_models._train import sheet


@pytest.mark.parametrize(("scans", "rows"), [(0, 0), (1, 1), (5, 2)])
def test_the_sheet_has_a_row_for_each_kind_and_the_scans_below(scans: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.randint(0, 256, (3, 170, 180), dtype=torch.uint8, generator=generator)] * 5

    with Image.open(io.BytesIO(sheet.draw(pictures[:2], pictures[:scans], seed=1))) as image:
        height = image.height
        pixels = np.asarray(image)

    assert height == (len(sheet.KINDS) + rows) * 186
    assert pixels[30:180, 10:160].std() > 5
    assert sheet.draw(pictures[:2], [], seed=1) == sheet.draw(pictures[:2], [], seed=1)
