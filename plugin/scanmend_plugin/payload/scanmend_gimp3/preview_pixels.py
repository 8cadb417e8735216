"""Pictures for the preview, made of pixel buffers alone: GIMP's Python need not know cairo."""

from __future__ import annotations

from gi.repository import GdkPixbuf, GLib

from scanmend_gimp3.pixels import Box

_LIGHT, _DARK = 0xFFFFFFFF, 0x000000FF
_CHECKS = (0x999999, 0x666666)  # GIMP's own checks behind what is transparent
_CHECK = 8
_DASH = 4


def pixbuf(pixels: bytes, channels: int, width: int, height: int) -> GdkPixbuf.Pixbuf:
    """A picture of sRGB samples, 8 bits each; with four channels the last is alpha."""
    return GdkPixbuf.Pixbuf.new_from_bytes(
        GLib.Bytes.new(pixels),
        GdkPixbuf.Colorspace.RGB,
        channels == 4,
        8,
        width,
        height,
        width * channels,
    )


def shown(picture: GdkPixbuf.Pixbuf, zoom: float) -> GdkPixbuf.Pixbuf:
    """A picture as the screen shows it: at its zoom, opaque, above checks where it is transparent."""
    width = max(1, round(picture.get_width() * zoom))
    height = max(1, round(picture.get_height() * zoom))
    kind = GdkPixbuf.InterpType.NEAREST if zoom >= 1 else GdkPixbuf.InterpType.BILINEAR
    if picture.get_has_alpha():
        return picture.composite_color_simple(width, height, kind, 255, _CHECK, *_CHECKS)
    if zoom == 1:
        return picture
    return picture.scale_simple(width, height, kind)


def pasted(below: GdkPixbuf.Pixbuf, above: GdkPixbuf.Pixbuf, x: int, y: int) -> None:
    """Puts one picture onto another where they meet; the rest of it is left away."""
    common = Box(x, y, above.get_width(), above.get_height()).within(_all(below))
    if common.width and common.height:
        above.copy_area(common.x - x, common.y - y, common.width, common.height, below, common.x, common.y)


def filled(picture: GdkPixbuf.Pixbuf, box: Box, colour: int) -> None:
    """Fills what of a box lies in the picture with a colour, 0xRRGGBBAA."""
    common = box.within(_all(picture))
    if common.width and common.height:
        picture.new_subpixbuf(*common).fill(colour)


def framed(picture: GdkPixbuf.Pixbuf, box: Box) -> None:
    """Draws a box of one pixel in dashes of black and white, seen on any picture."""
    for line in (box.y, box.y + box.height - 1):
        for x in range(box.x, box.x + box.width, _DASH):
            filled(picture, Box(x, line, _DASH, 1).within(box), _dash(x - box.x))
    for line in (box.x, box.x + box.width - 1):
        for y in range(box.y, box.y + box.height, _DASH):
            filled(picture, Box(line, y, 1, _DASH).within(box), _dash(y - box.y))


def _dash(at: int) -> int:
    return _LIGHT if at // _DASH % 2 else _DARK


def _all(picture: GdkPixbuf.Pixbuf) -> Box:
    return Box(0, 0, picture.get_width(), picture.get_height())


def divided(before: GdkPixbuf.Pixbuf, after: GdkPixbuf.Pixbuf | None, at: int) -> GdkPixbuf.Pixbuf:
    """One picture, `before` up to a column and `after` from there on, with a line and a grip between."""
    result = before.copy()
    if after is None:
        return result
    width, height = result.get_width(), result.get_height()
    at = min(max(0, at), width)
    if at < width:
        after.copy_area(at, 0, width - at, height, result, at, 0)
    filled(result, Box(at - 2, 0, 4, height), _DARK)
    filled(result, Box(at - 1, 0, 2, height), _LIGHT)
    middle = height // 2
    filled(result, Box(at - 5, middle - 16, 10, 32), _DARK)
    filled(result, Box(at - 4, middle - 15, 8, 30), _LIGHT)
    for line in (-2, 1):
        filled(result, Box(at + line, middle - 9, 1, 18), _DARK)
    return result


def outlined(picture: GdkPixbuf.Pixbuf, thick: int, colour: int, box: Box | None = None) -> None:
    """Draws a solid line along the inside of a box, or of the whole picture."""
    x, y, width, height = box or _all(picture)
    for line in (
        Box(x, y, width, thick),
        Box(x, y + height - thick, width, thick),
        Box(x, y, thick, height),
        Box(x + width - thick, y, thick, height),
    ):
        filled(picture, line, colour)
