"""Power cuts without a switch: the disk is an image, copied in the instant in which the daemon is frozen.

What the kernel has not yet sent to the image is what a power cut would lose; the copy is what the machine
would find afterwards. Mounting it replays its journal. The images lie on an XFS of their own, where
copying one takes no time and is atomic. This models lost caches, not torn sectors or lying drives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.daemon.rigs.scene import Plot, Scene, Traced, wait_for_engine

KINDS = {
    "ext4": ("200M", ["mkfs.ext4", "-q", "-F"], "commit=300"),
    "xfs": ("320M", ["mkfs.xfs", "-q", "-f"], "nouuid"),
    "btrfs": ("256M", ["mkfs.btrfs", "-q", "-f"], "commit=300"),
}
"""File system -> size of the image, how it is made, how it is mounted: so that little is written unasked."""
_TRIES = 100


def usable(kind: str) -> str:
    """Why this machine cannot do it; empty where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "power cuts need root on Linux, for loop mounts"
    missing = [tool for tool in ("mkfs.xfs", KINDS[kind][1][0], "losetup") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    return "" if Path("/dev/loop-control").exists() else "there are no loop devices"


@contextmanager
def store() -> Iterator[Path]:
    """A folder on an XFS of its own, where `cp --reflink` works."""
    with tempfile.TemporaryDirectory(prefix="sm-cut-") as name:
        image, place = Path(name, "store.img"), Path(name, "store")
        _empty(image, "8G")
        _run("mkfs.xfs", "-q", "-m", "reflink=1", image)
        place.mkdir()
        _run("mount", "-o", "loop", image, place)
        try:
            yield place
        finally:
            _unmount(place)


@dataclass
class Machine:
    """A scene on a disk whose power can be cut.

    Attributes:
        kind: of its file system.
        at: the folder with the images.
        scene: on the disk while that is mounted.
    """

    kind: str
    at: Path
    scene: Scene

    def prepare(self, *, synced: bool = True) -> None:
        """Mounts a fresh disk with the scans on it; not `synced`: as a scanner has just left them."""
        size, make, _ = KINDS[self.kind]
        template = self.at / f"{self.kind}.img"
        if not template.exists():
            _empty(template, size)
            _run(*make, template)
        _copy(template, self._image)
        self._mount(self._image)
        self.scene.set_up()
        for folder in (self.scene.output, self.scene.archive, self.scene.failed):
            folder.mkdir(exist_ok=True)
        if synced:
            _run("sync", "-f", self.scene.home)

    def cut(self, number: int, *, mutant: str = "") -> Traced:
        """Cuts the power before the `number`-th change, and mounts what is left."""
        after = self.at / "cut.img"
        traced = self.scene.traced(
            number, "freeze", mutant=mutant, frozen=lambda: _copy(self._image, after)
        )  # fmt: skip
        if traced.fired:
            self.off()
            after.replace(self._image)
            self._mount(self._image)
        return traced

    def cut_now(self) -> None:
        """Cuts the power while nothing runs."""
        after = self.at / "cut.img"
        _copy(self._image, after)
        self.off()
        after.replace(self._image)
        self._mount(self._image)

    def off(self) -> None:
        """Takes the disk away."""
        wait_for_engine(self.scene.runtime, busy=False)
        _unmount(self.scene.home)

    @property
    def _image(self) -> Path:
        return self.at / "disk.img"

    def _mount(self, image: Path) -> None:
        if self.kind == "btrfs":
            # Two images with one identity: it has to forget the other first.
            subprocess.run(["btrfs", "device", "scan", "--forget"], check=False, capture_output=True)
        _run("mount", "-o", f"loop,{KINDS[self.kind][2]}", image, self.scene.home)


@contextmanager
def machine(kind: str, at: Path, plot: Plot, runtime: Path, right: dict[str, bytes]) -> Iterator[Machine]:
    """A machine with a disk of some kind; its mount is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sm-") as home:
        made = Machine(kind, at, Scene(Path(home), plot, runtime, right))
        try:
            yield made
        finally:
            if os.path.ismount(home):
                made.off()


def _empty(path: Path, size: str) -> None:
    _run("truncate", "-s", size, path)


def _copy(image: Path, to: Path) -> None:
    _run("cp", "--reflink=always", image, to)


def _unmount(place: Path) -> None:
    for _ in range(_TRIES):
        done = subprocess.run(["umount", place], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return
        time.sleep(0.05)  # whoever was just killed may still hold a file
    raise AssertionError(done.stderr)


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"
