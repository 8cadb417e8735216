"""Draws before and after into one picture: the whole with a split, and crops at twice their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scanmend import formats
from scanmend.image import to_float

if TYPE_CHECKING:
    from pathlib import Path

    from scanmend.formats.base import Page
    from scanmend.image import FloatArray

SIDE = 512
"""Longest side of the whole picture and of the block of crops."""
CROP = 128
"""Side of a crop in the scan's own pixels."""
MARGIN, CAPTION = 12, 26
PAPER, INK = (250, 250, 248), (40, 40, 40)


class Places(NamedTuple):
    """Top left corners (x, y) of the two crops."""

    first: tuple[int, int]
    second: tuple[int, int]


def draw(before: Path, after: Path, target: Path, *, places: Places | None = None) -> None:
    """Writes the comparison of two files' first pages as a PNG; both have the same pixel grid."""
    with formats.open_scan(before) as old, formats.open_scan(after) as new:
        pages = old.pages[0], new.pages[0]
        where = places or _places(pages[0])
        whole = _split(overview(pages[0]), overview(pages[1]))
        rows = [[_double(crop(page, place)) for page in pages] for place in where]
        icc = pages[0].icc
    canvas = _compose(whole, rows)
    canvas.save(target, icc_profile=icc)


def overview(page: Page) -> FloatArray:
    """The page at no more than SIDE pixels: (h, w, 3) in [0, 1], read in bands, averaged in squares."""
    height, width = page.layout.height, page.layout.width
    step = max(1, -(-max(height, width) // SIDE))
    used = width // step * step
    bands = [_pixels(page, top, top + step)[:, :used] for top in range(0, height - step + 1, step)]
    return np.stack([band.reshape(step, -1, step, 3).mean(axis=(0, 2)) for band in bands])


def crop(page: Page, place: tuple[int, int]) -> FloatArray:
    """A square of CROP pixels, smaller at the page's edge: (h, w, 3) in [0, 1]."""
    x, y = place
    return _pixels(page, y, min(y + CROP, page.layout.height))[:, x : x + CROP]


def _pixels(page: Page, top: int, bottom: int) -> FloatArray:
    """Rows as (h, W, 3), grey repeated."""
    pixels = to_float(page.read(top, bottom), page.layout)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _places(page: Page) -> Places:
    """Two squares on the diagonal, for scans nobody has looked at yet."""
    height, width = page.layout.height, page.layout.width
    x, y = max(width - CROP, 0), max(height - CROP, 0)
    return Places((x * 2 // 5, y * 2 // 5), (x * 3 // 5, y * 3 // 5))


def _split(before: FloatArray, after: FloatArray) -> Image.Image:
    """Left half before, right half after, with a line between."""
    middle = before.shape[1] // 2
    both = np.concatenate((before[:, :middle], after[:, middle:]), axis=1)
    both[:, middle - 1 : middle + 1] = 1
    return _image(both)


def _double(pixels: FloatArray) -> Image.Image:
    """Each pixel as a square of four: nothing is smoothed that a person should judge."""
    return _image(pixels.repeat(2, axis=0).repeat(2, axis=1))


def _image(pixels: FloatArray) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _compose(whole: Image.Image, rows: list[list[Image.Image]]) -> Image.Image:
    columns = [max(row[side].width for row in rows) for side in (0, 1)]
    crops_left = whole.width + 2 * MARGIN
    width = crops_left + sum(columns) + 2 * MARGIN
    height = CAPTION + max(whole.height, sum(row[0].height + MARGIN for row in rows) - MARGIN) + MARGIN
    canvas = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    canvas.paste(whole, (MARGIN, CAPTION))
    second = crops_left + columns[0] + MARGIN
    pen.text((MARGIN, 5), "left half: scan, right half: restored", INK, font)
    for left, words in ((crops_left, "scan, 2x"), (second, "restored, 2x")):
        pen.text((left, 5), words, INK, font)
    top = CAPTION
    for old, new in rows:
        canvas.paste(old, (crops_left, top))
        canvas.paste(new, (second, top))
        top += old.height + MARGIN
    return canvas
