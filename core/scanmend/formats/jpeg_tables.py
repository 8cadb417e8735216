"""Quantisation tables of JPEG and what libjpeg's quality scale calls them.

The base tables are examples K.1 and K.2 of ITU-T T.81; the scale is the one that libjpeg
made common (`jpeg_quality_scaling`): 5000 / q below 50, 200 - 2 q above. A table here is
64 numbers in the order of the file, along the zigzag of T.81 figure A.6.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Sequence

Table = tuple[int, ...]

_LUMA_ROWS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_ROWS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def _along(diagonal: int) -> list[tuple[int, int]]:
    """Cells of one diagonal in zigzag order: odd ones run down, even ones up."""
    cells = [(row, diagonal - row) for row in range(8) if 0 <= diagonal - row < 8]
    return cells if diagonal % 2 else cells[::-1]


_ZIGZAG = tuple(cell for diagonal in range(15) for cell in _along(diagonal))
_LUMA: Table = tuple(_LUMA_ROWS[row][column] for row, column in _ZIGZAG)
_CHROMA: Table = tuple(_CHROMA_ROWS[row][column] for row, column in _ZIGZAG)


def _scaled(base: Table, quality: int) -> Table:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((step * scale + 50) // 100, 1), 255) for step in base)


@functools.lru_cache(maxsize=128)
def tables(quality: int) -> tuple[Table, Table]:
    """Luminance and chrominance tables of a quality from 1 to 100 on libjpeg's scale."""
    quality = min(max(quality, 1), 100)
    return _scaled(_LUMA, quality), _scaled(_CHROMA, quality)


def quality_of(luma_table: Sequence[int]) -> int:
    """The quality whose scaled luminance table comes closest to this one.

    Args:
        luma_table: 64 steps in zigzag order, as a DQT segment holds them.

    Returns:
        1 to 100; exact for tables that libjpeg's scale made, of several with the same
        table the highest.
    """
    return _quality_of(tuple(luma_table))


@functools.lru_cache(maxsize=64)  # a folder of scans has one table or two, and this takes milliseconds
def _quality_of(luma_table: Table) -> int:
    return max(range(1, 101), key=lambda quality: (-_distance(tables(quality)[0], luma_table), quality))


def _distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Relative, since an error of 1 in a step of 2 matters more than in one of 90."""
    return sum(abs(a - b) / (a + b) for a, b in zip(one, other, strict=True) if a + b)


def finest(candidates: Iterable[Sequence[int]]) -> Table:
    """The smallest step for each frequency among some tables."""
    return tuple(min(steps) for steps in zip(*candidates, strict=True))


def natural(table: Sequence[int]) -> list[int]:
    """The same steps row by row, the order in which Pillow takes them."""
    rows = dict(zip(_ZIGZAG, table, strict=True))
    return [rows[row, column] for row in range(8) for column in range(8)]


def parse_dqt(payload: bytes) -> dict[int, Table]:
    """Tables of a DQT segment by their number (T.81, B.2.4.1).

    Args:
        payload: of the segment, without marker and length.

    Returns:
        Whole tables only; what a cut or senseless payload has behind them is left out.
    """
    found: dict[int, Table] = {}
    at = 0
    while at < len(payload):
        wide, number = payload[at] >> 4, payload[at] & 15
        size = 128 if wide else 64
        block = payload[at + 1 : at + 1 + size]
        if wide > 1 or number > 3 or len(block) < size:
            break
        found[number] = struct.unpack(">64H" if wide else "64B", block)
        at += 1 + size
    return found
