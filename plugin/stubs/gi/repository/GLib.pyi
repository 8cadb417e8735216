from collections.abc import Callable
from typing import Any, Final

PRIORITY_DEFAULT: Final[int]
PRIORITY_DEFAULT_IDLE: Final[int]
PRIORITY_HIGH_IDLE: Final[int]
SOURCE_CONTINUE: Final[bool]
SOURCE_REMOVE: Final[bool]

class Error(Exception):
    message: str
    domain: str
    code: int
    @staticmethod
    def new_literal(domain: int, message: str, code: int) -> Error: ...

class Bytes:
    @classmethod
    def new(cls, data: bytes | None) -> Bytes: ...
    def get_data(self) -> bytes | None: ...
    def get_size(self) -> int: ...

def idle_add(function: Callable[..., object], *args: Any, priority: int = ...) -> int: ...
def timeout_add(interval: int, function: Callable[..., object], *args: Any, priority: int = ...) -> int: ...
def source_remove(tag: int) -> bool: ...
