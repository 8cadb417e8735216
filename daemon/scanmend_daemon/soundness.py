"""Whether a configuration can work on this computer: what the text alone does not tell.

Refused is what would loop, lose or leak: results that would be taken for scans again, two watchers on one
folder, a configuration that others may write, a ledger on a network disk. What may come right by
itself (a share that is not mounted yet) is a remark.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend import profile as profiles
from scanmend.errors import ProfileError

from scanmend_daemon import mounts
from scanmend_daemon.words import shown

if TYPE_CHECKING:
    import grp
    import pwd

    from scanmend_daemon.config import Config, Folder

_WRITTEN = ("output", "failed", "originals")


@dataclass(frozen=True)
class _Place:
    key: str
    path: Path

    def __str__(self) -> str:
        return f"{self.key} ({shown(self.path)})"


def check(config: Config) -> tuple[str, ...]:
    """Asks the disk whether the configuration makes sense.

    Returns:
        Remarks: sentences about what works, but perhaps not as meant.

    Raises:
        ProfileError: it cannot work, or would do harm; names the keys and what to change.
    """
    where = f"{shown(config.path)}: " if config.path else ""
    if config.path:
        _refuse_writable_by_others(config.path)
    watched = [_Place(_key(config, i, "watch"), folder.watch) for i, folder in enumerate(config.folders)]
    _refuse_twice(watched, where)
    written = [place for i, folder in enumerate(config.folders) for place in _written_by(config, i, folder)]
    written.append(_Place("state", config.state))
    for source in watched:
        for target in written:
            _refuse_loop(source, target, where)
    _refuse_network_state(config.state, where)
    for i, folder in enumerate(config.folders):
        _refuse_bad_profile(folder, _key(config, i, "profile"), where)
    remarks: list[str] = []
    for i, folder in enumerate(config.folders):
        remarks += _about_watch(watched[i], where)
        for place in _written_by(config, i, folder):
            remarks += _about_written(place, where)
    return tuple(remarks)


def _key(config: Config, index: int, name: str) -> str:
    return f"folders[{index}].{name}" if config.path else name


def _written_by(config: Config, index: int, folder: Folder) -> Iterator[_Place]:
    for name in _WRITTEN:
        path = getattr(folder, name)
        if path is not None:
            yield _Place(_key(config, index, name), path)


def _refuse_writable_by_others(path: Path) -> None:
    """Whoever writes the configuration decides which files a service reads and writes."""
    if os.name == "nt":
        return
    try:
        info = path.stat()
    except OSError as error:
        raise ProfileError(f"{shown(path)} cannot be read: {error.strerror}") from error
    loose = info.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
    if not loose or (loose == stat.S_IWGRP and _is_one_persons(info.st_uid, info.st_gid)):
        return
    who = "everybody" if loose & stat.S_IWOTH else "its group"
    raise ProfileError(
        f"{shown(path)} can be written by {who}, who could have any folder watched and written to",
        hint=f"chmod go-w {shown(path)}",
    )


def _is_one_persons(uid: int, gid: int) -> bool:
    """Whether the group is the owner's alone, as Debian and Ubuntu make it, with a umask of 002."""
    import grp  # noqa: PLC0415 - Unix only
    import pwd  # noqa: PLC0415

    try:
        owner, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return uid != 0 and _is_alone(owner, group)


def _is_alone(owner: pwd.struct_passwd, group: grp.struct_group) -> bool:
    others = set(group.gr_mem) - {owner.pw_name}
    return group.gr_name == owner.pw_name and group.gr_gid == owner.pw_gid and not others


def _refuse_twice(watched: list[_Place], where: str) -> None:
    for one, other in combinations(watched, 2):
        if mounts.same_place(one.path, other.path):
            raise ProfileError(f"{where}{one} and {other} are one folder", hint="name it once")
        for inner, outer in ((one, other), (other, one)):
            if mounts.is_inside(inner.path, outer.path):
                raise ProfileError(
                    f"{where}{inner} lies inside {outer}, so its scans would be restored twice",
                    hint="watch only one of them; a scanmend.yaml in a sub-folder changes settings there",
                )


def _refuse_loop(source: _Place, target: _Place, where: str) -> None:
    if mounts.same_place(target.path, source.path):
        problem = f"{target} is the same folder as {source}"
    elif mounts.is_inside(target.path, source.path):
        problem = f"{target} lies inside {source}"
    elif mounts.is_inside(source.path, target.path):
        problem = f"{source} lies inside {target}"
    else:
        return
    raise ProfileError(
        f"{where}{problem}, so what is written there would be taken for scans again",
        hint="choose folders that lie side by side",
    )


def _refuse_network_state(state: Path, where: str) -> None:
    disk = mounts.filesystem_of(state)
    if disk.network:
        raise ProfileError(
            f"{where}state ({shown(state)}) lies on a network disk ({disk.kind}), where no ledger is safe",
            hint="set state to a folder on a local disk; watch and output may stay where they are",
        )


def _refuse_bad_profile(folder: Folder, key: str, where: str) -> None:
    try:
        profiles.load(folder.profile)
    except ProfileError as error:
        raise ProfileError(f"{where}{key}: {error.message}", hint=error.hint) from error


def _about_watch(watch: _Place, where: str) -> Iterator[str]:
    # os.path answers False where a folder above may not be entered; Path's methods would raise.
    if not os.path.exists(watch.path):
        yield f"{where}{watch} is not there yet; it counts as offline until it is"
    elif not os.path.isdir(watch.path):
        raise ProfileError(
            f"{where}{watch} is not a folder", hint="name the folder that the scanner writes to"
        )
    elif not os.access(watch.path, os.R_OK | os.X_OK):
        yield f"{where}{watch} may not be read by this user; it counts as offline until it may"


def _about_written(place: _Place, where: str) -> Iterator[str]:
    above = (place.path, *place.path.parents)
    nearest = next((path for path in above if os.path.lexists(path)), place.path)
    if not os.path.isdir(nearest):
        raise ProfileError(
            f"{where}{place} cannot be a folder: {shown(nearest)} is none", hint="choose another path"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield f"{where}{place} may not be written by this user; the folder waits until it may"
