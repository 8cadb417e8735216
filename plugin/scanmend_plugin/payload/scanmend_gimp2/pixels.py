"""Samples of a layer, between GIMP and the engine: exact, in strips, in the layer's own colour space."""

from __future__ import absolute_import, division, print_function, unicode_literals

import zlib
from collections import namedtuple

import gimp
from gimpenums import (
    GRAY,
    GRAY_IMAGE,
    GRAYA_IMAGE,
    LAYER_MODE_NORMAL,
    PRECISION_FLOAT_GAMMA,
    PRECISION_FLOAT_LINEAR,
    RGB,
    RGB_IMAGE,
    RGBA_IMAGE,
)
from scanmend_front.picture import Picture
from scanmend_front.stretch import Stream, surrounding

from scanmend_gimp2.native import native

MYPY = False
if MYPY:
    from typing import Callable, Iterable, Iterator, Optional, Tuple  # noqa: F401 - type comments

pdb = gimp.pdb

STRIP = 1 << 24
"""Bytes that are taken from a layer at a time."""
_TILE = 64  # GIMP hands samples over in tiles of so many rows
_CHANNELS = {GRAY_IMAGE: 1, GRAYA_IMAGE: 2, RGB_IMAGE: 3, RGBA_IMAGE: 4}
# By the hundreds of GIMP's precisions. The others (32-bit integer, half, double) travel as float.
_TRAVELS = {1: "uint8", 2: "uint16", 6: "float32"}
_LINEAR = 50  # below it within its hundred, a precision is in linear light

Box = namedtuple("Box", ["x", "y", "width", "height"])
"""A rectangle in pixels."""


class Subject(object):
    """What is to be restored: a part of a layer, and the picture around it that the engine looks at.

    Attributes:
        layer: where it lies.
        size: all of the layer, as it was.
        target: the part that is restored, in the layer's pixels.
        sent: what is sent, in the layer's pixels: the target with its surroundings.
        region: the target in the pixels of what is sent; None where it is all of it.
        picture: what is sent, as the engine takes it.
        sum: a checksum of all samples that were sent; None until they were.
    """

    def __init__(self, layer, target):
        # type: (gimp.Layer, Box) -> None
        self.layer = layer
        self.size = whole(layer)
        self.target = target
        self.sent = surroundings(target, layer.width, layer.height)
        self.region = None  # type: Optional[Tuple[int, int, int, int]]
        if self.sent != target:
            self.region = (target.x - self.sent.x, target.y - self.sent.y, target.width, target.height)
        precision = layer.image.precision
        self.is_direct = precision // 100 in _TRAVELS
        self.picture = Picture(
            height=self.sent.height,
            width=self.sent.width,
            channels=_CHANNELS[layer.type],
            dtype=_TRAVELS.get(precision // 100, "float32"),
            alpha="straight" if layer.has_alpha else "none",
            transfer="linear" if precision % 100 < _LINEAR else "display",
            pieces=lambda: self.counted(self._pieces(self.sent)),
        )
        self.sum = None  # type: Optional[int]

    def counted(self, pieces):
        # type: (Iterable[bytes]) -> Iterator[bytes]
        """The pieces that are sent, whose checksum is kept."""
        total = 0
        for piece in pieces:
            total = zlib.crc32(piece, total)
            yield piece
        self.sum = total

    def is_as_sent(self):
        # type: () -> bool
        """Whether nobody has painted on what was sent; where nothing was, there is nothing to differ from."""
        if self.sum is None:
            return True
        total = 0
        for piece in self._pieces(self.sent):
            total = zlib.crc32(piece, total)
        return self.sum == total

    def read(self, box):
        # type: (Box) -> bytes
        """The samples of a box, in the pixels of what is sent, as the engine gets them."""
        moved = Box(box.x + self.sent.x, box.y + self.sent.y, box.width, box.height)
        return b"".join(self._pieces(moved))

    def new_layer(self, name, pieces):
        # type: (str, Iterable[bytes]) -> gimp.Layer
        """A layer of the target's size with these samples, as GIMP made it: in no image's list yet."""
        image = self.layer.image
        if self.is_direct:
            return self._filled(image, name, pieces)
        return self._through_float(lambda other: self._converted(other, name, pieces))

    def fill_shadow(self, pieces):
        # type: (Iterable[bytes]) -> None
        """Lays samples over the target in the layer's shadow, which is to be merged."""
        if self.is_direct:
            write(self.layer, self.target, pieces, shadow=True)
            return
        carrier = self.new_layer("carrier", pieces)
        try:
            write(self.layer, self.target, read(carrier, whole(carrier)), shadow=True)
        finally:
            pdb.gimp_item_delete(carrier)

    def _pieces(self, box):
        # type: (Box) -> Iterator[bytes]
        if self.is_direct:
            for piece in read(self.layer, box):
                yield piece
            return
        other = self.scratch(self.layer.image.width, self.layer.image.height)
        try:
            copy = pdb.gimp_layer_new_from_drawable(self.layer, other)
            pdb.gimp_image_insert_layer(other, copy, None, 0)
            for piece in read(copy, box):
                yield piece
        finally:
            pdb.gimp_image_delete(other)

    def _through_float(self, work):
        # type: (Callable[[gimp.Image], gimp.Layer]) -> gimp.Layer
        other = self.scratch(self.layer.image.width, self.layer.image.height)
        try:
            return work(other)
        finally:
            pdb.gimp_image_delete(other)

    def _converted(self, other, name, pieces):
        # type: (gimp.Image, str, Iterable[bytes]) -> gimp.Layer
        carrier = self._filled(other, name, pieces)
        pdb.gimp_image_insert_layer(other, carrier, None, 0)
        converted = pdb.gimp_layer_new_from_drawable(carrier, self.layer.image)
        converted.name = native(name)
        return converted

    def _filled(self, image, name, pieces):
        # type: (gimp.Image, str, Iterable[bytes]) -> gimp.Layer
        width, height = self.target.width, self.target.height
        made = pdb.gimp_layer_new(
            image, width, height, self.layer.type, native(name), 100.0, LAYER_MODE_NORMAL
        )
        try:
            write(made, whole(made), pieces)
        except BaseException:
            pdb.gimp_item_delete(made)
            raise
        return made

    def scratch(self, width, height):
        # type: (int, int) -> gimp.Image
        """An image, which nobody sees, whose layers hold samples as they travel, in this one's colours."""
        image = self.layer.image
        precision = image.precision
        if not self.is_direct:
            linear = precision % 100 < _LINEAR
            precision = PRECISION_FLOAT_LINEAR if linear else PRECISION_FLOAT_GAMMA
        base = GRAY if self.layer.is_gray else RGB
        other = pdb.gimp_image_new_with_precision(width, height, base, precision)
        pdb.gimp_image_undo_disable(other)
        size, profile = pdb.gimp_image_get_color_profile(image)
        if size:
            pdb.gimp_image_set_color_profile(other, size, profile)
        return other


def whole(drawable):
    # type: (gimp.Drawable) -> Box
    """All of a drawable, in its own pixels."""
    return Box(0, 0, drawable.width, drawable.height)


def surroundings(target, width, height):
    # type: (Box, int, int) -> Box
    """What is sent for a target: with context, and large enough to measure its noise, within the layer."""
    x, wide = surrounding(target.x, target.width, width)
    y, high = surrounding(target.y, target.height, height)
    return Box(x, y, wide, high)


def read(layer, box):
    # type: (gimp.Drawable, Box) -> Iterator[bytes]
    """The samples of a box of a layer, from top to bottom, in pieces."""
    source = layer.get_pixel_rgn(box.x, box.y, box.width, box.height, False, False)
    for top, bottom in strips(box, layer.bpp):
        yield source[box.x : box.x + box.width, top:bottom]


def write(layer, box, pieces, shadow=False):
    # type: (gimp.Drawable, Box, Iterable[bytes], bool) -> None
    """Fills a box of a layer, or of its shadow, from pieces of any size.

    Raises:
        ValueError: they are not as many bytes as the box has.
    """
    target = layer.get_pixel_rgn(box.x, box.y, box.width, box.height, True, shadow)
    stream = Stream(pieces)
    for top, bottom in strips(box, layer.bpp):
        target[box.x : box.x + box.width, top:bottom] = stream.take(box.width * (bottom - top) * layer.bpp)
    stream.end()
    layer.flush()


def strips(box, pixel_size):
    # type: (Box, int) -> Iterator[Tuple[int, int]]
    """First and last row (not included) of strips that end where GIMP's tiles do."""
    rows = max(_TILE, STRIP // (box.width * pixel_size) // _TILE * _TILE)
    top, end = box.y, box.y + box.height
    while top < end:
        bottom = min(end, (top // _TILE * _TILE) + rows)
        yield top, bottom
        top = bottom


def shown(subject, samples, width, height):
    # type: (Subject, bytes, int, int) -> Tuple[bytes, int]
    """Samples of a subject, the engine's too, for the screen: sRGB of 8 bit, and how many channels it has."""
    carrier = subject.scratch(width, height)
    screen = pdb.gimp_image_new(width, height, RGB)
    try:
        layer = pdb.gimp_layer_new(
            carrier, width, height, subject.layer.type, native("part"), 100.0, LAYER_MODE_NORMAL
        )
        pdb.gimp_image_insert_layer(carrier, layer, None, 0)
        write(layer, whole(layer), [samples])
        copy = pdb.gimp_layer_new_from_drawable(layer, screen)
        pdb.gimp_image_insert_layer(screen, copy, None, 0)
        return b"".join(read(copy, whole(copy))), copy.bpp
    finally:
        pdb.gimp_image_delete(screen)
        pdb.gimp_image_delete(carrier)
