"""A 16-bit TIFF from file to published result: share of the time that inference takes, peak memory.

    python benchmarks/speed/end_to_end.py [--megapixels 35] [--compression lzw] [--folder DIR] [--runs 3]

The scan is made here: shading, edges and white noise, 48 bit, in strips.
Each run is a fresh process; its peak resident memory is what the operating system reports for it alone.
`--backend` and `--device` are passed on.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from scanmend import pipeline, profile
from scanmend.engine import Runner
from scanmend.image import Array

_ROWS = 64


def main() -> None:
    options = _arguments()
    if options.child:
        print(json.dumps(_one_run(options)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        scan = Path(folder) / "scan.tif"
        _make_scan(scan, options.megapixels, options.compression)
        print(
            f"{options.megapixels} MP, 48 bit, {options.compression}: {scan.stat().st_size / 2**20:.0f} MiB"
        )
        runs = [_fresh_process(options, scan) for _ in range(options.runs)]
    for key, unit in (("seconds", "s"), ("inference", "s in inference"), ("peak", "MiB peak")):
        print(f"{statistics.median(run[key] for run in runs):9.1f} {unit}")
    shares = [run["inference"] / run["seconds"] for run in runs]
    print(f"{statistics.median(shares):9.1%} of the wall time is inference")
    print(f"{statistics.median(run['megapixels'] / run['seconds'] for run in runs):9.2f} MP/s end to end")


def _fresh_process(options: argparse.Namespace, scan: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", str(scan), "--device", options.device]
    command += ["--backend", options.backend, "--quality", options.quality]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    run: dict[str, float] = json.loads(done.stdout)
    print(
        f"  {run['seconds']:.1f} s, {run['inference']:.1f} s in inference, peak {run['peak']:.0f} MiB",
        flush=True,
    )
    return run


def _one_run(options: argparse.Namespace) -> dict[str, float]:
    """Restores `--child` with a clock around the networks' bands."""
    spent = 0.0
    band = Runner.band

    def timed(*args: object, **named: object) -> Array:
        nonlocal spent
        started = time.perf_counter()
        result: Array = band(*args, **named)  # type: ignore[arg-type]
        spent += time.perf_counter() - started
        return result

    Runner.band = timed  # type: ignore[method-assign,assignment]
    target = options.child.with_name("result.tif")
    how = pipeline.Options(device=options.device, backend=options.backend, overwrite=True)
    wanted = replace(profile.load("strong"), quality=options.quality)
    report = pipeline.restore_file(options.child, target, wanted, options=how)
    return {"seconds": report.seconds, "inference": spent, "peak": _peak(), "megapixels": report.megapixels}


def _peak() -> float:
    """Peak resident memory in MiB; Linux's ru_maxrss would hold that of the process that started us."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _make_scan(path: Path, megapixels: float, compression: str) -> None:
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = int(megapixels * 1e6 / width)
    tifffile.imwrite(
        path, np.concatenate(list(_strips(height, width))), photometric="rgb",
        rowsperstrip=_ROWS, compression={"none": None, "lzw": "lzw", "deflate": "zlib"}[compression],
        predictor=compression != "none", resolution=(1200, 1200), resolutionunit=2,
        bigtiff=megapixels > 600,
    )  # fmt: skip


def _strips(height: int, width: int) -> Iterator[Array]:
    rng = np.random.default_rng(0)
    columns = np.arange(width)[None, :, None]
    for top in range(0, height, _ROWS):
        rows = np.arange(top, min(top + _ROWS, height))[:, None, None]
        tone = (
            0.45
            + 0.2 * np.sin(columns / 301) * np.cos(rows / 407)
            + 0.1 * ((rows // 350 + columns // 470) % 2)
        )
        noise = rng.normal(0, 0.035, (len(rows), width, 3))
        yield np.clip((tone + noise) * 65535, 0, 65535).astype(np.uint16)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A large 16-bit TIFF from file to published result.")
    parser.add_argument("--megapixels", type=float, default=35.0)
    parser.add_argument("--compression", choices=["none", "lzw", "deflate"], default="lzw")
    parser.add_argument("--folder", type=Path, help="where to put the files; they are removed")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--quality", choices=["fast", "best"], default="fast")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
