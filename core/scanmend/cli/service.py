"""`scanmend service`: has the system start the hot folder, with the rights that it needs, or the engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend_daemon import config as configuration
from scanmend_install import engine as engines
from scanmend_install import service as services
from scanmend_install.service import Service

from scanmend import places
from scanmend.cli import out
from scanmend.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanmend_daemon.config import Config

_MACHINE = Path("/etc/scanmend/watch.yaml")
_CARD = Path("/dev/nvidiactl")


def install(config: str | None, *, system: bool, user: str) -> None:
    """Checks the configuration, writes the service's file and starts it."""
    service, settings = _described(config, system=system, user=user)
    for remark in configuration.check(settings):
        out.remark(remark)
    if system:
        _make(service.folders, settings)
    for line in services.install(service):
        out.say(line)


def show(config: str | None, *, system: bool, user: str) -> None:
    """Prints the file that `install` would write, and writes nothing."""
    service, _ = _described(config, system=system, user=user)
    text = services.text(service)
    out.remark(f"# {services.place(service)}")
    out.say(text.decode("utf-16" if sys.platform == "win32" else "utf-8", "backslashreplace").rstrip())


def uninstall(config: str | None, *, system: bool) -> None:
    """Stops the service and takes its file away."""
    for line in services.uninstall(_named(config, system=system)):
        out.say(line)


def status(config: str | None, *, system: bool, json: bool) -> int:
    """Prints what the service manager says; returns 1 where the service does not run, else 0."""
    service = _named(config, system=system)
    code, words = services.status(service)
    _tell_status(service.name, code, words, json=json)
    return 0 if code == 0 else 1


def engine(action: str, config: str | None, *, system: bool, user: str = "", json: bool = False) -> int:
    """Does with the engine what the other functions do with the hot folder; returns the exit code.

    Raises:
        UsageError: an option was given that only hot folders have.
    """
    if config or system or user:
        raise UsageError("the engine takes no configuration, and is for yourself", hint="give --engine alone")
    if action == "status":
        code, words = engines.status()
        _tell_status(engines.NAME, code, words, json=json)
        return 0 if code == 0 else 1
    usual = engines.Engine.usual()
    if action == "show":
        for path, text in engines.texts(usual).items():
            out.remark(f"# {path}")
            out.say(text.decode())
        return 0
    for line in engines.uninstall() if action == "uninstall" else engines.install(usual):
        out.say(line)
    return 0


def _tell_status(name: str, code: int, words: str, *, json: bool) -> None:
    if json:
        out.json_document({"name": name, "running": code == 0, "sentence": words})
    else:
        out.say(words)


def _named(config: str | None, *, system: bool) -> Service:
    default = _MACHINE if system else configuration.default_path()
    path = Path(os.path.abspath(config)) if config else default  # noqa: PTH100 - a link stays one
    return Service(path, system=system)


def _described(config: str | None, *, system: bool, user: str) -> tuple[Service, Config]:
    named = _named(config, system=system)
    settings = configuration.load(named.config)
    service = Service(
        config=named.config,
        folders=tuple(_written(settings)),
        page=settings.status.http is not None,
        gpu=settings.engine.device != "cpu" and _CARD.exists(),
        system=system,
        user=(user or _owner(settings)) if system else "",
    )
    return service, settings


def _written(settings: Config) -> Iterable[Path]:
    """All that the daemon writes to; its state only where it does not lie in the usual place."""
    for folder in settings.folders:
        yield from (folder.watch, folder.output, folder.failed)
        if folder.originals is not None:
            yield folder.originals
    if places.state_folder() not in settings.state.parents:
        yield settings.state


def _owner(settings: Config) -> str:
    """Whose the hot folders are: theirs should the results be, too. Nobody's in particular where root's."""
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        owners = {folder.watch.stat().st_uid for folder in settings.folders}
    except OSError as cause:
        raise UsageError(f"{cause.filename}: {cause.strerror}", hint="make the hot folder first") from cause
    if len(owners) > 1:
        raise UsageError(
            "the hot folders belong to several people", hint="say with --as who runs the service"
        )
    owner = owners.pop()
    return pwd.getpwuid(owner).pw_name if owner else ""


def _make(folders: Iterable[Path], settings: Config) -> None:
    """Folders that are missing, as the hardened service could not make them itself later."""
    like = settings.folders[0].watch.stat()
    for folder in folders:
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, like.st_uid, like.st_gid)
