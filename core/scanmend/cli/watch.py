"""`scanmend watch`: the hot folder's daemon, in the foreground."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend_daemon import config as configuration

from scanmend.cli import out
from scanmend.errors import UsageError

if TYPE_CHECKING:
    from scanmend_daemon.config import Config


def run(place: str | None, *, check: bool, once: bool) -> int:
    """Watches until told to stop, or only says whether the configuration is in order."""
    config = _config(place)
    remarks = configuration.check(config)
    for remark in remarks:
        out.remark(remark)
    if check:
        out.say(_in_order(config))
        return 0
    from scanmend_daemon.daemon import watch  # noqa: PLC0415 - checking needs none of it

    return watch(config, once=once)


def _config(place: str | None) -> Config:
    if place is None:
        default = configuration.default_path()
        if not default.exists():
            raise UsageError(
                f"there is no {default}",
                hint="name a folder, as in: scanmend watch ~/Scans, or a configuration",
            )
        return configuration.load(default)
    path = Path(os.path.abspath(Path(place).expanduser()))  # noqa: PTH100 - resolve() would follow links
    if path.is_dir():
        return configuration.for_folder(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return configuration.load(path)
    if path.exists():
        raise UsageError(
            f"{place} is neither a folder nor a configuration", hint="a configuration ends in .yaml"
        )
    raise UsageError(f"there is no folder {place}", hint="create it first")


def _in_order(config: Config) -> str:
    lines = [f"{config.path or 'the folder'}: in order"]
    lines += [
        f"  {folder.watch} -> {folder.output} with profile {folder.profile}" for folder in config.folders
    ]
    return "\n".join(lines)
