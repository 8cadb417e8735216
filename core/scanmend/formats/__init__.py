"""Picture files: opening them by what they are, and writing them in another format.

A family is a module with `sniff(head)`, `open_file(path, limits)` and
`write_new(target, pages, meta, options)`; to add one, write it and name it in `FAMILIES`.
Families are imported when a file is opened, so that importing this package stays light.
"""

from __future__ import annotations

import dataclasses
import importlib
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from scanmend.endings import SUFFIXES
from scanmend.errors import DamagedFile, FormatError, LimitExceeded
from scanmend.formats import kinds
from scanmend.formats.base import (
    Compression,
    FormatName,
    Limits,
    OutputOptions,
    Page,
    ScanFile,
)
from scanmend.formats.meta import Metadata
from scanmend.image import Array, Layout, PageData

__all__ = [
    "FAMILIES",
    "SUFFIXES",
    "Compression",
    "FormatName",
    "Limits",
    "Metadata",
    "OutputOptions",
    "Page",
    "ScanFile",
    "convert",
    "open_scan",
]

FAMILIES: tuple[FormatName, ...] = ("tiff", "png", "jpeg", "webp", "avif", "bmp")

_HEAD = 64  # bytes that tell every known kind apart
_SMALLEST = 16  # no picture of any family is shorter
_BAND = 4 * 2**20  # bytes of a band when pages are copied
_EIGHT_BITS: tuple[FormatName, ...] = ("jpeg", "webp", "bmp")


class Family(Protocol):
    """What a module in `FAMILIES` offers."""

    def sniff(self, head: bytes) -> bool:
        """Tells from a file's first 64 bytes whether it is of this family."""

    def open_file(self, path: Path, limits: Limits) -> ScanFile:
        """Reads the headers of a file that `sniff` has recognised."""

    def write_new(
        self, target: Path, pages: Sequence[PageData], meta: Metadata, options: OutputOptions
    ) -> tuple[str, ...]:
        """Writes a new file; says what could not be carried over."""


def open_scan(path: Path, limits: Limits | None = None) -> ScanFile:
    """Opens a picture file read-only, whatever its name says it is.

    Raises:
        UnsupportedFormat: it is something else, which the sentence names.
        DamagedFile: it is empty, cut off, or contradicts itself.
        LimitExceeded: it asks for more than the limits allow.
        FormatError: there is no such file, or it may not be read.
    """
    limits = limits or Limits()
    size = _size(path)
    if size == 0:
        raise DamagedFile(f"{path.name} is empty", hint="scan or copy it again")
    if size > limits.file_bytes:
        raise LimitExceeded(f"{path.name} has {size} bytes, more than the {limits.file_bytes} allowed")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise FormatError(f"{path.name} cannot be read: {error.strerror}") from error
    for name in FAMILIES:
        family = _family(name)
        if family.sniff(head) and not kinds.only_looks_like(head):
            if size < _SMALLEST:
                raise DamagedFile(
                    f"{path.name} ends after {size} bytes, inside its header", hint="copy it again"
                )
            return family.open_file(path, limits)
    raise kinds.refusal(path.name, head, size)


def convert(
    source: ScanFile,
    target: Path,
    fmt: FormatName,
    pages: Mapping[int, PageData],
    *,
    xmp: bytes | None,
    options: OutputOptions,
) -> tuple[str, ...]:
    """Writes a new file of another format, with the source's metadata.

    Args:
        source: where unlisted pages and the metadata come from.
        target: a path that does not exist yet; on an error it may be left half written.
        fmt: the format of the new file.
        pages: new pixels by page index; the source's other pages are copied.
        xmp: the packet for the new file; None carries the source's own.
        options: encoding.

    Returns:
        Sentences about anything that could not be carried over.

    Raises:
        FormatError: the format cannot hold these pages (several of them, 16 bits, CMYK).
    """
    indices = [page.index for page in source.pages]
    chosen = [pages.get(page.index) or _copied(page) for page in source.pages]
    if unknown := sorted(set(pages) - set(indices)):
        raise FormatError(f"{source.path.name} has no page {unknown[0] + 1}")
    _check(source.path.name, fmt, [page.layout for page in chosen])
    meta = source.metadata()
    if xmp is not None:
        meta = dataclasses.replace(meta, xmp=xmp)
    notes: tuple[str, ...] = ()
    if fmt != "tiff" and chosen[0].layout.alpha == "premultiplied":  # only TIFF can say so
        chosen = [_straight(page) for page in chosen]
        notes = (f"colours were divided by their transparency, as {fmt.upper()} wants them",)
    limits = (
        f"of a {source.format.upper()} file written as {fmt.upper()}, the picture, its colour profile, "
        "resolution, EXIF, XMP and IPTC are carried over as far as the format holds them, and nothing else"
    )
    return (*notes, *_family(fmt).write_new(target, chosen, meta, options), limits)


def _size(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise FormatError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise FormatError(f"{path} is a folder, not a picture", hint="name the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise FormatError(f"{path} is not a regular file", hint="copy the picture to a file first")
    return status.st_size


def _family(name: FormatName) -> Family:
    return cast("Family", importlib.import_module(f"{__name__}.{name}"))


def _copied(page: Page) -> PageData:
    layout = page.layout
    rows = max(1, _BAND * layout.height // max(1, layout.nbytes))
    bands = (page.read(top, min(top + rows, layout.height)) for top in range(0, layout.height, rows))
    return PageData(layout, bands)


def _check(name: str, fmt: FormatName, layouts: Sequence[Layout]) -> None:
    if fmt == "tiff":
        return
    title = fmt.upper()
    if len(layouts) > 1:
        raise FormatError(f"{name} has {len(layouts)} pages, and {title} holds only one", hint="write a TIFF")
    (layout,) = layouts
    if layout.color not in ("grey", "rgb"):
        raise FormatError(f"{title} cannot hold the {layout.color} colours of {name}", hint="write a TIFF")
    if layout.dtype.kind == "f":
        raise FormatError(f"{title} cannot hold the floating-point samples of {name}", hint="write a TIFF")
    if fmt in _EIGHT_BITS and layout.dtype.itemsize > 1:
        raise FormatError(
            f"{title} holds 8 bits per sample, and {name} has {layout.bits}",
            hint="write a TIFF or PNG, or set output.depth to 8",
        )
    if fmt == "jpeg" and layout.alpha != "none":
        raise FormatError(f"JPEG cannot hold the transparency of {name}", hint="write a TIFF or PNG")


def _straight(page: PageData) -> PageData:
    return PageData(page.layout.replace(alpha="straight"), _divided(page))


def _divided(page: PageData) -> Iterator[Array]:
    """Colour divided by alpha; what is fully transparent stays as stored."""
    colors, white = page.layout.color_channels, page.layout.white
    for band in page.bands:
        result = band.copy()
        alpha = band[..., colors : colors + 1].astype(np.float64)
        color = band[..., :colors]
        divided = np.clip(np.rint(color * (white / np.maximum(alpha, 1))), 0, white)
        result[..., :colors] = np.where(alpha > 0, divided, color)
        yield result
