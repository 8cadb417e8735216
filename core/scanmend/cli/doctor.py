"""`scanmend doctor`: looks at everything a restoration needs, and says what to do where it lacks."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import scanmend
from scanmend.cli import out
from scanmend.cli.models import problem
from scanmend.errors import ScanmendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PACKAGES = (
    "numpy",
    "torch",
    "pillow",
    "tifffile",
    "imagecodecs",
    "simplejpeg",
    "safetensors",
    "pyyaml",
    "rich",
    "pydantic",
    "watchdog",
    "starlette",
    "uvicorn",
)
_CODECS = {
    "LZW": "lzw",
    "PackBits": "packbits",
    "Deflate": "zlib",
    "JPEG": "jpeg8",
    "JPEG 2000": "jpeg2k",
    "LERC": "lerc",
    "LZMA": "lzma",
    "WebP": "webp",
    "ZSTD": "zstd",
    "AVIF": "avif",
}
_LEAST_FREE = 2 * 2**30  # a 100-megapixel TIFF of 16 bits, twice, and its scratch space
_OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, whether it is well, what was found, and what to do if not."""

    name: str
    ok: bool
    found: str
    to_do: str = ""


def run(*, json: bool) -> int:
    """Prints the checks; returns 1 where something needs attention, else 0."""
    checks = [result for check in _CHECKS for result in check()]
    if json:
        out.json_document({"ok": all(check.ok for check in checks), "checks": [asdict(c) for c in checks]})
    else:
        for check in checks:
            out.say(f"{'ok  ' if check.ok else 'DO  '}{check.name}: {check.found}")
            if check.to_do:
                out.say(f"    -> {check.to_do}")
    return 0 if all(check.ok for check in checks) else 1


def _python() -> Iterator[Check]:
    ok = sys.version_info >= _OLDEST_PYTHON
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("Python", ok, found, "" if ok else "install Python 3.10 or newer, and Scanmend with it")
    yield Check("Scanmend", True, scanmend.__version__)


def _packages() -> Iterator[Check]:
    versions = {name: _installed(name) for name in _PACKAGES}
    missing = [name for name, number in versions.items() if not number]
    found = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
    yield Check("packages", not missing, found, f"pip install {' '.join(missing)}" if missing else "")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _device() -> Iterator[Check]:
    try:
        from scanmend.engine import describe_device  # noqa: PLC0415 - torch may be missing or broken

        yield Check("device", True, describe_device())
    except ScanmendError as error:
        yield Check("device", False, error.message, error.hint)
    except (ImportError, OSError, RuntimeError) as error:
        what = "install PyTorch: https://pytorch.org/get-started/locally"
        yield Check("device", False, f"torch cannot be loaded: {error}", what)


def _models() -> Iterator[Check]:
    from scanmend import cards  # noqa: PLC0415 - with the other checks' imports

    try:
        shipped = cards.shipped()
    except ScanmendError as error:
        yield Check("models", False, error.message, error.hint)
        return
    if not shipped:
        yield Check("models", False, "none is installed", "install Scanmend again")
    own, faults = cards.own(shipped)
    for fault in faults:
        yield Check(f"model {fault.name}", False, fault.error.message, fault.error.hint)
    for card in (*shipped, *own):
        wrong = problem(card)
        found = wrong.message if wrong else f"{card.tier}, for {card.stage}, weights as on its card"
        yield Check(f"model {card.name}", wrong is None, found, wrong.hint if wrong else "")


def _openvino() -> Iterator[Check]:
    if importlib.util.find_spec("openvino") is None:
        how = "not installed; optional: pip install 'scanmend[openvino]' may run faster on a processor"
        yield Check("OpenVINO", True, how)
        return
    try:
        yield Check("OpenVINO", True, f"{version('openvino')}; {_backends()}")
    except (ScanmendError, ImportError, OSError, RuntimeError) as error:
        yield Check("OpenVINO", False, f"it does not run the networks: {error}", "choose --backend torch")


def _backends() -> str:
    """What auto takes for each model; timed on this processor the first time."""
    from scanmend import cards  # noqa: PLC0415 - with the other checks' imports
    from scanmend.engine import choose_device, faster_backend  # noqa: PLC0415

    device = choose_device()
    if device.name != "cpu":
        return f"not used, as {device.name} runs the networks"
    sound = [card for card in cards.shipped() if card.repairs and problem(card) is None]
    return ", ".join(f"{faster_backend(card, device)} is the faster for {card.name}" for card in sound)


def _temporary_folder() -> Iterator[Check]:
    name = "temporary folder"
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"scanmend")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Check(name, False, f"cannot be written to: {error}", "set TMPDIR to a folder that can be")
        return
    ok = free >= _LEAST_FREE
    found = f"{folder}, {free / 2**30:.1f} GiB free"
    yield Check(name, ok, found, "" if ok else "free some space, or set TMPDIR to another folder")


def _codecs() -> Iterator[Check]:
    try:
        imagecodecs = importlib.import_module("imagecodecs")
    except ImportError as error:
        yield Check("formats", False, f"imagecodecs cannot be loaded: {error}", "pip install imagecodecs")
        return
    there = {title: bool(_codec(imagecodecs, name)) for title, name in _CODECS.items()}
    missing = [title for title, present in there.items() if not present]
    found = f"reads {', '.join(title for title, present in there.items() if present)}"
    to_do = f"pip install --upgrade imagecodecs: it lacks {', '.join(missing)}" if missing else ""
    yield Check("formats", not missing, found, to_do)


def _codec(imagecodecs: object, name: str) -> bool:
    try:
        return bool(getattr(imagecodecs, name.upper()).available)
    except (AttributeError, ImportError):
        return False


def _engine() -> Iterator[Check]:
    from scanmend.serve.client import Engine, EngineFault  # noqa: PLC0415 - with the other checks' imports

    try:
        health = Engine().health()
    except EngineFault as fault:
        idle = fault.kind == "unreachable"
        found = "not running; started when it is needed" if idle else fault.sentence
        yield Check("engine", idle, found, "" if idle else fault.hint)
        return
    yield Check("engine", True, f"running as process {health['pid']}, {health['device'] or 'not used yet'}")


def _hot_folder() -> Iterator[Check]:
    from scanmend_daemon import config  # noqa: PLC0415 - with the other checks' imports

    path = config.default_path()
    if not path.exists():
        yield Check("hot folder", True, f"none is set up; {path} would be read")
        return
    try:
        remarks = config.check(config.load(path))
    except ScanmendError as error:
        yield Check("hot folder", False, error.message, error.hint)
        return
    yield Check("hot folder", not remarks, f"{path} is in order", "; ".join(remarks))


def _gimp() -> Iterator[Check]:
    from scanmend_plugin import checking, installing, machine, paths  # noqa: PLC0415 - as above
    from scanmend_plugin.layout import NAME  # noqa: PLC0415

    system = machine.this()
    gimps = paths.find(system, machine.said_by)
    if not gimps:
        yield Check("GIMP", True, "none was found")
    for gimp in gimps:
        against = paths.obstacle(system, gimp)
        if against:
            yield Check(gimp.title, True, against.sentence)
        elif not (Path(gimp.plug_ins) / NAME).exists():
            yield Check(gimp.title, True, f"has no plug-in; {checking.INSTALL} puts it there")
        else:
            try:
                line = checking.installed(gimp, installing.working_command())
                yield Check(gimp.title, line.ok, line.found, line.to_do)
            except ScanmendError as error:
                yield Check(gimp.title, False, error.message, error.hint)


_CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _python,
    _packages,
    _device,
    _models,
    _openvino,
    _temporary_folder,
    _codecs,
    _engine,
    _hot_folder,
    _gimp,
)
