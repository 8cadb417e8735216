"""Samples of a layer, between GIMP's buffers and the engine: exact, in strips, colour space included."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import gi

gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Babl, Gegl, Gimp  # noqa: E402 - versions come first
from scanmend_front.picture import Picture  # noqa: E402
from scanmend_front.stretch import Stream, surrounding  # noqa: E402

# GEGL's buffers count a transfer's bytes in 32 bits, and a strip is held twice for a moment.
MOST_BYTES = 1 << 26
"""Bytes of a strip: of what is in memory at a time."""

# What the engine takes as it is; the others travel as float, in the same colour space.
_TRAVELS = {"u8": "uint8", "u16": "uint16", "float": "float32"}
_MASK = "Y float"
_SHOWN = "R'G'B'A u8"  # without a space: sRGB


class Box(NamedTuple):
    """A rectangle in pixels: of a layer, of the picture that is sent, or of the image."""

    x: int
    y: int
    width: int
    height: int

    def moved(self, x: int, y: int) -> Box:
        """The same rectangle so many pixels further right and down."""
        return Box(self.x + x, self.y + y, self.width, self.height)

    def within(self, other: Box) -> Box:
        """The part that lies in the other; without width or height where none does."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        return Box(left, top, max(0, right - left), max(0, bottom - top))

    def rectangle(self) -> Gegl.Rectangle:
        return Gegl.Rectangle.new(*self)


@dataclass(frozen=True)
class Samples:
    """How a drawable's samples travel.

    Attributes:
        name: GEGL's name of the format that travels, with its colour space.
        dtype: uint8, uint16 or float32.
        channels: of a pixel, with alpha.
        alpha: none or straight.
        transfer: display, or linear for samples in linear light.
    """

    name: str
    dtype: str
    channels: int
    alpha: str
    transfer: str

    @property
    def pixel_size(self) -> int:
        """Bytes of a pixel."""
        return self.channels * {"uint8": 1, "uint16": 2, "float32": 4}[self.dtype]


def samples_of(drawable: Gimp.Drawable) -> Samples:
    """How the samples of a drawable travel: as they are, or as float32 in the same colour space."""
    own = drawable.get_format()
    model, component = Babl.format_get_encoding(own).split(" ")
    travels = own if component in _TRAVELS else Babl.format_with_space(f"{model} float", own)
    return Samples(
        name=Babl.get_name(travels),
        dtype=_TRAVELS.get(component, "float32"),
        channels=Babl.format_get_n_components(own),
        alpha="straight" if Babl.format_has_alpha(own) else "none",
        transfer="linear" if _is_linear(model, drawable.get_image()) else "display",
    )


def _is_linear(model: str, image: Gimp.Image) -> bool:
    """Whether samples are in linear light, by GEGL's names: R'G'B' has the profile's curve, R~G~B~ sRGB's."""
    if "'" in model:
        return image.get_effective_color_profile().is_linear()
    return "~" not in model


class Subject:
    """What is to be restored: a part of a layer, and the picture around it that the engine looks at.

    Attributes:
        drawable: the layer.
        samples: how its samples travel.
        layer: all of it, in its own pixels.
        target: the part that is restored, in the layer's pixels.
        sent: what is sent, in the layer's pixels: the target with its surroundings.
        picture: the same as the engine takes it.
        region: the target in the picture's pixels; None where it is all of it.
        sum: a checksum of all samples that were sent; None until they were.
    """

    def __init__(self, drawable: Gimp.Drawable, target: Box) -> None:
        self.drawable = drawable
        self.samples = samples_of(drawable)
        self.layer = whole(drawable)
        self.target = target
        self.sent = surroundings(target, self.layer)
        self.region = None if self.sent == target else target.moved(-self.sent.x, -self.sent.y)
        self.picture = Picture(
            height=self.sent.height,
            width=self.sent.width,
            channels=self.samples.channels,
            dtype=self.samples.dtype,
            alpha=self.samples.alpha,
            transfer=self.samples.transfer,
            pieces=self._pieces,
        )
        self.sum: int | None = None

    def is_as_sent(self) -> bool:
        """Whether nobody has painted on what was sent; where nothing was, there is nothing to differ from."""
        return self.sum is None or self.sum == functools.reduce(_summed, self._now(), 0)

    def read(self, box: Box) -> bytes:
        """The samples of a box in the picture's pixels, as the engine would get them."""
        return b"".join(read(self.drawable.get_buffer(), box.moved(self.sent.x, self.sent.y), self.samples))

    def _now(self) -> Iterator[bytes]:
        return read(self.drawable.get_buffer(), self.sent, self.samples)

    def _pieces(self) -> Iterator[bytes]:
        total = 0
        for piece in self._now():
            total = _summed(total, piece)
            yield piece
        self.sum = total

    def to_srgb8(self, samples: bytes, width: int, height: int) -> bytes:
        """Samples of this picture, the engine's too, for the screen: sRGB of 8 bit, R, G, B and alpha."""
        box = Box(0, 0, width, height)
        scratch = _scratch(self.samples.name, width, height)
        scratch.set(box.rectangle(), self.samples.name, samples)
        return scratch.get(box.rectangle(), 1.0, _SHOWN, Gegl.AbyssPolicy.NONE)


def _summed(total: int, piece: bytes) -> int:
    return zlib.crc32(piece, total)


def whole(drawable: Gimp.Drawable) -> Box:
    """All of a drawable, in its own pixels."""
    return Box(0, 0, drawable.get_width(), drawable.get_height())


def surroundings(target: Box, layer: Box) -> Box:
    """What is sent for a target: with context, and large enough to measure its noise, within the layer."""
    x, width = surrounding(target.x, target.width, layer.width)
    y, height = surrounding(target.y, target.height, layer.height)
    return Box(x, y, width, height)


def strips(box: Box, pixel_size: int) -> Iterator[Box]:
    """A box from top to bottom in parts of full width, each of at most MOST_BYTES where a row allows it."""
    rows = max(1, MOST_BYTES // (box.width * pixel_size))
    for top in range(0, box.height, rows):
        yield Box(box.x, box.y + top, box.width, min(rows, box.height - top))


def read(buffer: Gegl.Buffer, box: Box, samples: Samples) -> Iterator[bytes]:
    """The samples of a buffer's box, from top to bottom, in pieces."""
    for strip in strips(box, samples.pixel_size):
        yield buffer.get(strip.rectangle(), 1.0, samples.name, Gegl.AbyssPolicy.NONE)


def write(buffer: Gegl.Buffer, box: Box, samples: Samples, pieces: Iterable[bytes]) -> None:
    """Fills a buffer's box from pieces of any size.

    Raises:
        ValueError: they are not as many bytes as the box has; GEGL itself would only mutter.
    """
    stream = Stream(pieces)
    for strip in strips(box, samples.pixel_size):
        data = stream.take(strip.width * strip.height * samples.pixel_size)
        buffer.set(strip.rectangle(), samples.name, data)
    stream.end()
    buffer.flush()


def copied(mask: Gimp.Drawable, box: Box) -> Gegl.Buffer:
    """A box of a mask or selection in a buffer of its own that begins at 0, 0; what lies outside it is 0."""
    scratch = _scratch(_MASK, box.width, box.height)
    mask.get_buffer().copy(box.rectangle(), Gegl.AbyssPolicy.NONE, scratch, scratch.get_extent())
    return scratch


def _scratch(name: str, width: int, height: int) -> Gegl.Buffer:
    """A buffer of the plug-in's own."""
    _start_gegl()
    return Gegl.Buffer.new(name, 0, 0, width, height)


@functools.cache
def _start_gegl() -> None:
    """What libgimp leaves undone, and buffers of one's own complain about; 60 ms."""
    Gegl.init(None)
