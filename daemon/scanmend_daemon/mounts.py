"""What kind of disk a folder lies on, and whether two paths lead to the same place."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

# File systems whose files other machines can change without this kernel noticing.
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "beegfs",
     "gpfs", "ocfs2", "gfs2", "9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "davfs", "coda", "orangefs",
     "webdav", "afpfs", "drvfs"}
)  # fmt: skip
_NETWORK_FUSE = frozenset(
    {"sshfs", "rclone", "s3fs", "davfs", "davfs2", "glusterfs", "ceph", "ceph-fuse", "gvfsd-fuse", "smbnetfs",
     "curlftpfs", "juicefs", "goofys", "gcsfuse", "vmhgfs-fuse", "mount.davfs", "kio-fuse", "moosefs",
     "seaweedfs", "nfs", "smb", "s3ql", "blobfuse", "blobfuse2", "mountpoint-s3", "google-drive-ocamlfuse",
     "onedriver"}
)  # fmt: skip


@dataclass(frozen=True)
class Filesystem:
    """The disk that a folder lies on.

    Attributes:
        kind: the kernel's name for it, such as "ext4", "nfs4", "fuse.sshfs"; "unknown" where this
            system does not tell.
        network: another machine keeps it; neither SQLite's WAL nor locks can be relied on.
        unseen: files may change without an event here: a network disk, or any FUSE file system but a
            block device's, whose backing files somebody may write directly.
        mount_point: where it is attached.
    """

    kind: str
    network: bool
    unseen: bool
    mount_point: str


@dataclass(frozen=True)
class _Mount:
    device: str  # "major:minor"
    root: str  # the folder of that file system which is attached here
    point: str
    kind: str


def filesystem_of(path: str | os.PathLike[str]) -> Filesystem:
    """The file system of a path, or of the nearest folder above it that exists."""
    real = os.path.realpath(path)
    mount = _mount_of(real, _mounts())
    if mount is None:
        network = real.startswith("\\\\")  # a UNC path
        return Filesystem("unknown", network, network, _climb_to_mount(real))
    family, _, program = mount.kind.partition(".")
    fuse = family == "fuse"
    network = mount.kind in _NETWORK or (fuse and program in _NETWORK_FUSE)
    return Filesystem(mount.kind, network, network or fuse, mount.point)


def same_place(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether two paths are one folder or file, also through links and bind mounts."""
    try:
        return os.path.samefile(a, b)
    except OSError:  # one of them is not there yet
        return _spot(os.path.realpath(a), _mounts()) == _spot(os.path.realpath(b), _mounts())


def is_inside(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether `a` is `b` or lies somewhere below it, also through links and bind mounts.

    Neither needs to exist: what exists above them is compared by identity, the rest by name.
    """
    inner, outer = os.path.realpath(a), os.path.realpath(b)
    identity = _identity(outer)
    if identity is not None and any(_identity(above) == identity for above in _and_above(inner)):
        return True
    mounts = _mounts()
    device, place = _spot(inner, mounts)
    return any(device == other and _below(place, spot) for other, spot in _spots(outer, mounts))


def _spots(outer: str, mounts: list[_Mount]) -> Iterator[tuple[str, str]]:
    """Where a folder's content is kept: its own place, and whatever is mounted below it."""
    yield _spot(outer, mounts)
    for mount in mounts:
        if _below(mount.point, outer):
            yield mount.device, mount.root


def _spot(real: str, mounts: list[_Mount]) -> tuple[str, str]:
    """A path as (device, path on that device), the same for all mounts of it."""
    mount = _mount_of(real, mounts)
    if mount is None:
        return "", os.path.normcase(real)
    rest = os.path.relpath(real, mount.point)
    return mount.device, os.path.normpath(os.path.join(mount.root, rest))


def _mount_of(real: str, mounts: list[_Mount]) -> _Mount | None:
    """The mount that a path lies on: the deepest one; of several on one point, the last covers the rest."""
    found = None
    for mount in mounts:
        if _below(real, mount.point) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _mounts() -> list[_Mount]:
    if not sys.platform.startswith("linux"):
        return []
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            return [mount for line in file if (mount := _parsed(os.fsdecode(line)))]
    except OSError:  # no /proc in this container
        return []


def _parsed(line: str) -> _Mount | None:
    before, separator, after = line.partition(" - ")
    fields = before.split(" ")
    if not separator or len(fields) < 5:
        return None
    return _Mount(fields[2], _plain(fields[3]), _plain(fields[4]), after.split(" ")[0])


def _plain(text: str) -> str:
    """Undoes the kernel's escapes for space, tab, newline and backslash."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _and_above(path: str) -> Iterator[str]:
    while True:
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above


def _identity(path: str) -> tuple[int, int] | None:
    try:
        info = os.stat(path)
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _climb_to_mount(real: str) -> str:
    return next((above for above in _and_above(real) if os.path.ismount(above)), real)
