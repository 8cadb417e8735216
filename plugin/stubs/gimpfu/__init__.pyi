"""GIMP 2.10's simple way to a plug-in: `register` it once for each procedure, then call `main`."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import gimp as gimp
import gimpcolor as gimpcolor
from gimpenums import *

pdb: Final[gimp.PDB]

class error(RuntimeError): ...
class CancelError(RuntimeError): ...

PF_INT8: Final[int]
PF_INT16: Final[int]
PF_INT32: Final[int]
PF_INT: Final[int]
PF_FLOAT: Final[int]
PF_STRING: Final[int]
PF_VALUE: Final[int]
PF_COLOR: Final[int]
PF_COLOUR: Final[int]
PF_ITEM: Final[int]
PF_DISPLAY: Final[int]
PF_IMAGE: Final[int]
PF_LAYER: Final[int]
PF_CHANNEL: Final[int]
PF_DRAWABLE: Final[int]
PF_VECTORS: Final[int]
PF_TOGGLE: Final[int]
PF_BOOL: Final[int]
PF_SLIDER: Final[int]
PF_SPINNER: Final[int]
PF_ADJUSTMENT: Final[int]
PF_FONT: Final[int]
PF_FILE: Final[int]
PF_BRUSH: Final[int]
PF_PATTERN: Final[int]
PF_GRADIENT: Final[int]
PF_RADIO: Final[int]
PF_TEXT: Final[int]
PF_PALETTE: Final[int]
PF_FILENAME: Final[int]
PF_DIRNAME: Final[int]
PF_OPTION: Final[int]

def register(
    proc_name: str,
    blurb: str,
    help: str,
    author: str,
    copyright: str,
    date: str,
    label: str | None,
    imagetypes: str | None,
    params: Sequence[tuple[Any, ...]],
    results: Sequence[tuple[Any, ...]],
    function: Callable[..., Any],
    menu: str | None = None,
    domain: str | tuple[str, str] | None = None,
    on_query: Callable[[], Any] | None = None,
    on_run: Callable[[], Any] | None = None,
    run_mode_param: bool = True,
) -> None:
    """A parameter is (PF_..., name, label, default), and for sliders, spinners, radios and options more.

    Sliders and spinners take (lowest, highest, step), radios ((label, value), ...), options (label, ...).
    """

def main() -> None: ...
def fail(msg: str) -> NoReturn: ...
def N_(message: str) -> str: ...

# Not public, and as they have been ever since: what `main` hands to gimp.main. A plug-in that makes its
# own dialog, or has to know the run mode, hands over the first with a `run` of its own.
def _query() -> None: ...
def _run(proc_name: str, params: tuple[Any, ...]) -> Any: ...
