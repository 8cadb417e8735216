from collections.abc import Generator, Iterable, Mapping, Sequence
from subprocess import Popen
from typing import IO, Any, Final

__all__ = [
    "ENDS",
    "HEADER",
    "PROTOCOL",
    "Engine",
    "EngineFault",
    "Keeper",
    "clean_environment",
    "default_address",
]

PROTOCOL: Final[str]
HEADER: Final[str]
ENDS: Final[tuple[str, ...]]

class EngineFault(Exception):  # noqa: N818
    sentence: str
    hint: str
    kind: str
    error: dict[str, Any]
    status: int
    def __init__(
        self,
        sentence: str,
        hint: str = "",
        kind: str = "unreachable",
        error: dict[str, Any] | None = None,
        status: int = 0,
    ) -> None: ...

class Engine:
    address: str
    timeout: float
    def __init__(self, address: str | None = None, timeout: float = 30.0) -> None: ...
    @classmethod
    def connect(
        cls,
        address: str | None = None,
        command: Sequence[str] | None = None,
        timeout: float = 30.0,
        wait: float = 60.0,
        log: IO[Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Engine: ...
    def start(
        self,
        command: Sequence[str],
        wait: float = 60.0,
        log: IO[Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Popen[bytes]: ...
    def health(self) -> dict[str, Any]: ...
    def submit(self, job: Mapping[str, Any]) -> str: ...
    def events(self, job: str) -> Generator[dict[str, Any]]: ...
    def cancel(self, job: str) -> None: ...
    def profiles(self) -> dict[str, Any]: ...
    def save_profile(
        self, name: str, settings: Mapping[str, Any], replace: bool = False, purpose: str = ""
    ) -> str: ...
    def keep(self) -> Keeper: ...
    def put_pixels(self, job: str, pixels: bytes | bytearray | memoryview | Iterable[bytes]) -> None: ...
    def get_pixels(self, job: str, plane: str = "pixels") -> bytes: ...
    def read_pixels(self, job: str, plane: str = "pixels", size: int = ...) -> Generator[bytes]: ...

class Keeper:
    def fileno(self) -> int: ...
    def alive(self) -> bool: ...
    def close(self) -> None: ...

def clean_environment() -> dict[str, str]: ...
def default_address() -> str: ...
