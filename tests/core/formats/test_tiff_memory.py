"""Large scans pass through in bands, in memory that does not grow with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .tiff_maker import Made, build

_WIDTH, _HEIGHT = 12_000, 8_400  # 100 megapixels, 600 MB
_JOB = """
import resource, sys
from pathlib import Path
import numpy as np
from scanmend.formats import tiff
from scanmend.formats.base import Limits, OutputOptions
from scanmend.image import PageData

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

source, target, compression = sys.argv[1:]
with tiff.open_file(Path(source), Limits()) as file:
    page = file.pages[0]
    before = peak()
    def bands():
        for top in range(0, page.layout.height, 256):
            yield page.read(top, min(top + 256, page.layout.height))
    options = OutputOptions(compression=compression)
    file.rewrite(Path(target), {0: PageData(page.layout, bands())}, xmp=None, options=options)
print(peak() - before)
"""


def sparse(path: Path, planar: int) -> None:
    """One uncompressed strip per plane, as scanners write them; the disk stores next to nothing."""
    tags = {256: (3, [_WIDTH]), 257: (3, [_HEIGHT]), 258: (3, [16] * 3), 259: (3, [1]), 262: (3, [2])}
    size = _WIDTH * _HEIGHT * 2 * 3
    strips = 3 if planar == 2 else 1
    counts = [size // strips] * strips
    start = 4096
    offsets = [start + number * counts[0] for number in range(strips)]
    page = Made({**tags, 277: (3, [3]), 284: (3, [planar]), 273: (4, offsets), 279: (4, counts)}, [])
    path.write_bytes(build([page]))
    with path.open("r+b") as file:
        file.truncate(start + size)


@pytest.mark.slow
@pytest.mark.parametrize(("compression", "planar"), [("same", 1), ("same", 2), ("zstd", 1), ("zstd", 2)])
def test_a_hundred_megapixels_take_a_hundred_mebibytes(tmp_path: Path, compression: str, planar: int) -> None:
    sparse(tmp_path / "a.tif", planar)

    run = subprocess.run(
        [sys.executable, "-c", _JOB, str(tmp_path / "a.tif"), str(tmp_path / "b.tif"), compression],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    # A band of 256 rows is 18 MiB; it exists as read, as stored and on its way to the encoders.
    assert int(run.stdout) < 110
