"""A bad day, a minute long; `make soak MINUTES=600` makes it a night."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon.rigs.scene import fresh
from tests.daemon.rigs.soak import Soak, nothing_yet

MINUTES = float(os.environ.get("SCANMEND_SOAK_MINUTES", "1"))
SEED = os.environ.get("SCANMEND_SOAK_SEED", "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="it kills processes the Unix way")
def test_after_a_bad_day_every_scan_is_kept_once_and_delivered_once() -> None:
    seed = int(SEED) if SEED else 1 if MINUTES <= 1 else secrets.randbelow(10_000)
    with (
        tempfile.TemporaryDirectory(prefix="sm-run-") as runtime,
        fresh(nothing_yet(), Path(runtime)) as scene,
        _small_disk(scene.output),
    ):
        for folder in (scene.inbox, scene.archive, scene.failed):
            folder.mkdir()
        soak = Soak(scene, seed)
        soak.run(60 * MINUTES)
        log = (scene.home / "daemon.log").read_text()
    print(f"seed {seed}: {len(soak.left)} scans to deliver; {dict(soak.did)}")

    assert not soak.wrong, "\n".join([f"seed {seed}", *soak.wrong, log[-20_000:]])
    assert len(soak.left) > 5 * MINUTES


@contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    """A disk that can be filled to the brim, where we may mount one."""
    place.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    size = int(max(4, 2 * MINUTES)) * 2**20
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)
