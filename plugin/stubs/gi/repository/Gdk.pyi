from enum import Enum, Flag
from typing import Final

from gi.repository import GObject

KEY_Down: Final[int]
KEY_KP_Add: Final[int]
KEY_KP_Subtract: Final[int]
KEY_Left: Final[int]
KEY_Right: Final[int]
KEY_Up: Final[int]
KEY_equal: Final[int]
KEY_minus: Final[int]
KEY_plus: Final[int]

class EventMask(Flag):
    BUTTON1_MOTION_MASK = ...
    BUTTON_PRESS_MASK = ...
    BUTTON_RELEASE_MASK = ...
    FOCUS_CHANGE_MASK = ...
    KEY_PRESS_MASK = ...
    POINTER_MOTION_MASK = ...
    SCROLL_MASK = ...

class ModifierType(Flag):
    CONTROL_MASK = ...
    SHIFT_MASK = ...

class ScrollDirection(Enum):
    UP = ...
    DOWN = ...
    LEFT = ...
    RIGHT = ...
    SMOOTH = ...

class Event: ...

class EventButton(Event):
    button: int
    state: ModifierType
    x: float
    y: float

class EventMotion(Event):
    state: ModifierType
    x: float
    y: float

class EventScroll(Event):
    direction: ScrollDirection
    state: ModifierType
    x: float
    y: float

class EventKey(Event):
    keyval: int
    state: ModifierType

class Rectangle:
    x: int
    y: int
    width: int
    height: int

class RGBA:
    red: float
    green: float
    blue: float
    alpha: float

class Display(GObject.Object):
    @staticmethod
    def get_default() -> Display | None: ...
    def flush(self) -> None: ...

class Screen(GObject.Object):
    @staticmethod
    def get_default() -> Screen | None: ...

class Cursor(GObject.Object):
    @classmethod
    def new_from_name(cls, display: Display, name: str) -> Cursor | None: ...

class Window(GObject.Object):
    def set_cursor(self, cursor: Cursor | None) -> None: ...
