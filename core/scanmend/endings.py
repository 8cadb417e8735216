"""How a picture's name ends: known without loading the code that reads pictures."""

from __future__ import annotations

from typing import Literal

FormatName = Literal["tiff", "png", "jpeg", "webp", "avif", "bmp"]

SUFFIXES: dict[str, FormatName] = {
    ".tif": "tiff",
    ".tiff": "tiff",
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".webp": "webp",
    ".avif": "avif",
    ".bmp": "bmp",
    ".dib": "bmp",
}
