from collections.abc import Sequence
from enum import Enum

from gi.repository import GObject

class AbyssPolicy(Enum):
    NONE = ...
    CLAMP = ...

class Rectangle:
    x: int
    y: int
    width: int
    height: int
    @classmethod
    def new(cls, x: int, y: int, width: int, height: int) -> Rectangle: ...

class Buffer(GObject.Object):
    @classmethod
    def new(cls, format_name: str, x: int, y: int, width: int, height: int) -> Buffer: ...
    def get(
        self, rect: Rectangle, scale: float, format_name: str | None, repeat_mode: AbyssPolicy
    ) -> bytes: ...  # introspection says list; PyGObject makes bytes of it
    def set(self, rect: Rectangle, format_name: str, src: bytes) -> None: ...
    def copy(
        self, src_rect: Rectangle, repeat_mode: AbyssPolicy, dst: Buffer, dst_rect: Rectangle
    ) -> None: ...
    def get_extent(self) -> Rectangle: ...
    def flush(self) -> None: ...

def init(argv: Sequence[str] | None) -> Sequence[str] | None: ...
