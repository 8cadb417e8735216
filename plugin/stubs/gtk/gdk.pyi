"""Those parts of PyGTK's gtk.gdk that a plug-in's dialog is made of."""

from typing import Final

BUTTON_PRESS_MASK: Final[int]
BUTTON_RELEASE_MASK: Final[int]
BUTTON1_MOTION_MASK: Final[int]
POINTER_MOTION_MASK: Final[int]
SCROLL_MASK: Final[int]
KEY_PRESS_MASK: Final[int]
SHIFT_MASK: Final[int]
CONTROL_MASK: Final[int]
COLORSPACE_RGB: Final[int]
INTERP_NEAREST: Final[int]
INTERP_TILES: Final[int]
INTERP_BILINEAR: Final[int]
INTERP_HYPER: Final[int]

def keyval_name(keyval: int) -> str: ...

class Rectangle:
    x: int
    y: int
    width: int
    height: int

class Window: ...

class Pixbuf:
    def __init__(
        self, colorspace: int, has_alpha: bool, bits_per_sample: int, width: int, height: int
    ) -> None: ...
    def get_width(self) -> int: ...
    def get_height(self) -> int: ...
    def get_has_alpha(self) -> bool: ...
    def copy(self) -> Pixbuf: ...
    def fill(self, pixel: int) -> None: ...
    def subpixbuf(self, src_x: int, src_y: int, width: int, height: int) -> Pixbuf: ...
    def copy_area(
        self,
        src_x: int,
        src_y: int,
        width: int,
        height: int,
        dest_pixbuf: Pixbuf,
        dest_x: int,
        dest_y: int,
    ) -> None: ...
    def scale_simple(self, dest_width: int, dest_height: int, interp_type: int) -> Pixbuf: ...
    def composite_color_simple(
        self,
        dest_width: int,
        dest_height: int,
        interp_type: int,
        overall_alpha: int,
        check_size: int,
        color1: int,
        color2: int,
    ) -> Pixbuf: ...

def pixbuf_new_from_data(
    data: bytes,
    colorspace: int,
    has_alpha: bool,
    bits_per_sample: int,
    width: int,
    height: int,
    rowstride: int,
) -> Pixbuf: ...
