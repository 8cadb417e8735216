"""A run's progress as a picture: what the log holds, drawn with Pillow."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SIZE, _MARGIN, _GAP = (960, 600), (70, 30), 36
_INK, _GRID = (40, 40, 40), (222, 222, 222)
_COLOURS = ((31, 119, 180), (214, 96, 20), (44, 140, 60), (150, 60, 160), (120, 90, 60))

Row = tuple[int, float, float, dict[str, float]]
"""Step, minutes, loss, scores."""


def draw(rows: Sequence[Row], title: str) -> bytes:
    """A PNG of 960 x 600 pixels: the scores above, the loss below, over minutes."""
    image = Image.new("RGB", _SIZE, "white")
    pen = ImageDraw.Draw(image)
    pen.text((_MARGIN[0], 8), title, fill=_INK, font=ImageFont.load_default(15))
    minutes = [row[1] for row in rows]
    scores = {name: [row[3].get(name, math.nan) for row in rows] for name in (rows[-1][3] if rows else {})}
    low = _MARGIN[1] + (_SIZE[1] - 2 * _GAP) * 2 // 3
    _panel(pen, (_MARGIN[1] + 8, low - _GAP // 2), minutes, scores)
    _panel(pen, (low + _GAP // 2, _SIZE[1] - _GAP), minutes, {"loss": [row[2] for row in rows]})
    pen.text((_SIZE[0] - 100, _SIZE[1] - 18), "minutes", fill=_INK, font=ImageFont.load_default(13))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _panel(
    pen: ImageDraw.ImageDraw, rows: tuple[int, int], minutes: list[float], lines: dict[str, list[float]]
) -> None:
    """Lines over minutes between two heights of the picture, with ticks and the last values."""
    left, right, (top, bottom) = _MARGIN[0], _SIZE[0] - 130, rows
    finite = sorted(value for line in lines.values() for value in line if math.isfinite(value))
    pen.rectangle((left, top, right, bottom), outline=_INK)
    if not finite:
        return
    # A run's first values are far off and would flatten all that follows.
    low, high = _limits(finite[len(finite) // 12], finite[-1 - len(finite) // 50])
    longest = max(minutes[-1], 1e-9)

    def place(minute: float, value: float) -> tuple[float, float]:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return left + (right - left) * minute / longest, bottom - (bottom - top) * share

    font = ImageFont.load_default(13)
    for value in _ticks(low, high):
        height = place(0, value)[1]
        pen.line((left + 1, height, right - 1, height), fill=_GRID)
        pen.text((left - 8, height), f"{value:g}", fill=_INK, font=font, anchor="rm")
    for minute in _ticks(0, longest):
        across = place(minute, low)[0]
        pen.line((across, bottom, across, bottom + 4), fill=_INK)
        pen.text((across, bottom + 5), f"{minute:g}", fill=_INK, font=font, anchor="ma")
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [place(m, v) for m, v in zip(minutes, line, strict=True) if math.isfinite(v)]
        if len(points) > 1:
            pen.line(points, fill=colour, width=2)
        pen.text((right + 8, top + 18 * number), f"{name}  {line[-1]:.4g}", fill=colour, font=font)


def _limits(low: float, high: float) -> tuple[float, float]:
    margin = max((high - low) * 0.05, abs(high) * 1e-3, 1e-6)
    return low - margin, high + margin


def _ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two limits: 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    apart = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [apart * number for number in range(math.ceil(low / apart), math.floor(high / apart) + 1)]
