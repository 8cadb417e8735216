"""Cells of the deblurring benchmark as tables in Markdown, each under a name by which pages hold it.

A page says where a table goes with the comments `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from bench import Cell
from scanmend.evaluate.deblur import EQUAL, LOSS, SHARP
from scanmend.psf import KINDS
from tables import settings, table

BEFORE = "input"
"""The method that does nothing."""


SIZES = (1.0, 2.0, 4.0)
"""Where blurs are parted by size: standard deviation along the widest direction, in pixels."""


def tables(found: Sequence[Cell], spreads: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """All tables for which there are cells.

    Args:
        found: the cells.
        spreads: for each row the size of its pictures' blurs, in their order.
    """
    families = [cell for cell in found if cell.group in KINDS]
    levin = [cell for cell in found if cell.group == "levin"]
    photographs = [cell for cell in found if cell.group == "photographs"]
    made = {
        "families": _means(families),
        "families-worst": _worst(families),
        "sizes": _sizes(families, spreads),
        "sharp": _sharp([cell for cell in found if cell.group == SHARP]),
        "levin": _means(levin),
        "levin-worst": _worst(levin),
        "photographs": _means(photographs),
        "photographs-worst": _worst(photographs),
        "settings": settings(found, "pictures"),
    }
    return {name: text for name, text in made.items() if text}


def insert(made: dict[str, str], page: Path) -> None:
    """Puts the tables into a page wherever it names them.

    Raises:
        SystemExit: a name in the page is none of a table, or its comment is not closed.
    """
    text = page.read_text(encoding="utf-8")
    for name, lines in made.items():
        begin = f"<!-- table: {name} -->"
        pattern = re.escape(begin) + r"\n.*?<!-- end of table -->"
        if begin in text and not re.search(pattern, text, re.DOTALL):
            raise SystemExit(f"{page}: {begin} has no <!-- end of table --> after it")
        whole = f"{begin}\n{lines}\n<!-- end of table -->"
        text = re.sub(pattern, lambda _match, whole=whole: whole, text, flags=re.DOTALL)
    page.write_text(text, encoding="utf-8")


def _means(found: Sequence[Cell]) -> str:
    """Methods down, kinds of blur across: PSNR, what it is over the input, and SSIM."""
    if not found:
        return ""
    lines = []
    for method, cells in _by_method(found).items():
        marks = [_mean(cell, _input(found, cell.row)) if cell else "" for cell in cells]
        lines.append((method, *marks, _seconds(cells)))
    return table(("method", *_heads(found), "s/MP"), lines)


def _mean(cell: Cell, before: Cell) -> str:
    gain = "" if cell.method == BEFORE else f" ({cell.psnr - before.psnr:+.2f})"
    return f"{cell.psnr:.2f}{gain} / {cell.ssim:.3f}"


def _worst(found: Sequence[Cell]) -> str:
    """The worst gain of any picture, and how many are more than 0.1 dB below their input."""
    if not found:
        return ""
    lines = []
    for method, cells in _by_method(found).items():
        if method == BEFORE:
            continue
        marks = []
        for cell in cells:
            gains = _gains(cell, _input(found, cell.row)) if cell else []
            marks.append(f"{min(gains):+.2f}, {sum(g < -LOSS for g in gains)}" if gains else "")
        lines.append((method, *marks))
    return table(("method", *_heads(found)), lines)


def _sizes(found: Sequence[Cell], spreads: Mapping[str, Sequence[float]]) -> str:
    """Mean gains over all families, by the size of the blur; a method without a cell somewhere stays out."""
    sizes = [size for row in dict.fromkeys(cell.row for cell in found) for size in spreads[row]]
    places = np.digitize(sizes, SIZES)
    counts = np.bincount(places, minlength=len(SIZES) + 1)
    lines = []
    for method, cells in _by_method(found).items():
        if method == BEFORE or None in cells:
            continue
        gains = [gain for cell in cells if cell for gain in _gains(cell, _input(found, cell.row))]
        parts = [np.array(gains)[places == n] for n in range(len(counts))]
        lines.append((method, *(f"{part.mean():+.2f}" if len(part) else "" for part in parts)))
    between = (f"{low:g} to {high:g} px" for low, high in itertools.pairwise(SIZES))
    names = (f"up to {SIZES[0]:g} px", *between, f"over {SIZES[-1]:g} px")
    heads = (f"{name} ({count})" for name, count in zip(names, counts, strict=True))
    return table(("method", *heads), lines) if lines else ""


def _sharp(found: Sequence[Cell]) -> str:
    """What is done to pictures that need nothing."""
    if not found:
        return ""
    lines = [
        (
            cell.method,
            _harm(float(np.median(cell.each))),
            _harm(min(cell.each)),
            str(sum(psnr >= EQUAL for psnr in cell.each)),
            str(sum(psnr < 50 for psnr in cell.each)),
        )
        for cell in found
        if cell.method != BEFORE
    ]
    head = ("method", "median PSNR dB", "lowest", f"identical, of {found[0].pictures}", "below 50 dB")
    return table(head, lines)


def _harm(psnr: float) -> str:
    """Equal pictures have no PSNR; a mean with them would say nothing either."""
    return f"{psnr:.2f}" if psnr < EQUAL else "identical"


def _gains(cell: Cell, before: Cell) -> list[float]:
    return [after - given for after, given in zip(cell.each, before.each, strict=True)]


def _by_method(found: Sequence[Cell]) -> dict[str, list[Cell | None]]:
    """For each method its cells in the order of the rows, None where there is none."""
    known = {(cell.method, cell.row): cell for cell in found}
    rows = list(dict.fromkeys(cell.row for cell in found))
    methods = dict.fromkeys(cell.method for cell in found)
    return {method: [known.get((method, row)) for row in rows] for method in methods}


def _input(found: Sequence[Cell], row: str) -> Cell:
    return next(cell for cell in found if cell.row == row and cell.method == BEFORE)


def _heads(found: Sequence[Cell]) -> list[str]:
    """The rows' names with their numbers of pictures."""
    counts = {cell.row: cell.pictures for cell in found}
    return [f"{row} ({count})" for row, count in counts.items()]


def _seconds(cells: Sequence[Cell | None]) -> str:
    known = [cell.seconds_per_megapixel for cell in cells if cell and cell.seconds_per_megapixel]
    return f"{sum(known) / len(known):.1f}" if known else ""
