"""Runs methods on rows of noise, chooses each method's best setting, and keeps count."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import register
from degrade import Case
from kept import Kept, Result, key
from methods import Method, Run
from scanmend.evaluate import eight_bit, psnr, read_picture, ssim
from scanmend.evaluate.deblur import EQUAL
from scanmend.formats import SUFFIXES
from scanmend.image import FloatArray


@dataclass(frozen=True)
class Cell:
    """One method on one row: means over the pictures, in its best setting.

    Attributes:
        row, group: the noise.
        method, setting: and how it ran.
        seconds_per_megapixel: of the processor, all threads added; of the clock on a GPU.
        pictures: over which the means were taken; always all of them.
        each: the PSNR of every picture, in their order; 99 stands for equal pictures.
    """

    group: str
    row: str
    method: str
    setting: str
    psnr: float
    ssim: float
    seconds_per_megapixel: float
    pictures: int
    each: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def cells(
    group: str,
    row: str,
    cases: Sequence[Case],
    methods: Sequence[Method],
    kept: Kept,
    *,
    only_kept: bool,
    before: str = "noisy",
) -> Iterator[Cell]:
    """Every method on every case of a row.

    Args:
        group: of the row.
        row: its name.
        cases: its pictures.
        methods: what to run.
        kept: results of earlier runs, and where new ones go.
        only_kept: a method whose results are kept is not run; its cell appears when all are there.
        before: what the pictures are called that the methods get.
    """
    given = [_judged(case, case.scan, 0.0) for case in cases]
    yield _cell(group, row, cases, given, method=before, setting="")
    for method in methods:
        found = {}
        for setting in method.settings(group, cases[0]):
            results = _results(
                group, row, cases, method=method, setting=setting, kept=kept, only_kept=only_kept
            )
            if results:
                found[setting] = _cell(group, row, cases, results, method=method.name, setting=setting)
        if found:
            best = max(found.values(), key=lambda cell: cell.psnr)
            _progress(best)
            yield best


def _results(
    group: str,
    row: str,
    cases: Sequence[Case],
    *,
    method: Method,
    setting: str,
    kept: Kept,
    only_kept: bool,
) -> list[Result] | None:
    """One for each case, or None where some are wanting and may not be computed."""
    results = []
    for case in cases:
        name = key(method.name, method.version, setting, case)
        result = kept.get(name) if method.kept else None
        if result is None:
            if method.kept and only_kept:
                return None
            result = _run(method.settings(group, case)[setting], case, wall=method.wall)
            if method.kept:
                kept.put(name, result, row)
        results.append(result)
    return results


def _run(run: Run, case: Case, *, wall: bool) -> Result:
    started = _seconds(wall=wall)
    pixels = run(case)
    seconds = _seconds(wall=wall) - started
    if pixels.shape != case.clean.shape or not np.isfinite(pixels).all():
        raise ValueError(f"a method gave back {pixels.shape} for {case.clean.shape}, or no numbers")
    return _judged(case, eight_bit(pixels), seconds)


def _judged(case: Case, pixels: FloatArray, seconds: float) -> Result:
    if case.shift:
        return Result(*register.marks(case.clean, pixels, case.shift), seconds)
    return Result(min(psnr(case.clean, pixels), EQUAL), ssim(case.clean, pixels), seconds)


def _seconds(*, wall: bool) -> float:
    """Of the processor, programs that were started included: other load does not count."""
    return time.perf_counter() if wall else sum(os.times()[:4])


def _cell(
    group: str, row: str, cases: Sequence[Case], results: list[Result], *, method: str, setting: str
) -> Cell:
    if len(results) != len(cases):
        raise ValueError(f"{method} on {row}: {len(results)} results for {len(cases)} pictures")
    megapixels = sum(case.clean.shape[0] * case.clean.shape[1] for case in cases) / 1e6
    return Cell(
        group=group,
        row=row,
        method=method,
        setting=setting,
        psnr=float(np.mean([result.psnr for result in results])),
        ssim=float(np.mean([result.ssim for result in results])),
        seconds_per_megapixel=sum(result.seconds for result in results) / megapixels,
        pictures=len(results),
        each=tuple(result.psnr for result in results),
    )


def _progress(cell: Cell) -> None:
    words = f"{cell.row:36} {cell.method:20} {cell.psnr:6.2f} dB  {cell.setting}"
    print(words.rstrip(), file=sys.stderr, flush=True)


def pictures(folder: Path, most: int | None, crop: int | None) -> list[FloatArray]:
    """The pictures of a folder or their central squares, by name, at most so many, spread over the folder."""
    return [read_picture(file, crop) for file in files(folder, most)]


def files(folder: Path, most: int | None = None) -> list[Path]:
    """The pictures' files in a folder and below, by name."""
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"there are no pictures in {folder}")
    if not most or most >= len(found):
        return found
    return [found[n * len(found) // most] for n in range(most)]


def chosen(methods: Sequence[Method], names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of these names, or all."""
    known = {method.name: method for method in methods}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"there is no method {unknown[0]}; there are: {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(methods)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the commands have in common."""
    parser.add_argument("--most", type=int, help="take this many pictures, spread over the folder")
    parser.add_argument("--crop", type=int, help="take the central square of this side: BM3D is slow")
    parser.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument(
        "--cache", type=Path, metavar="FILE", help="where results of classical methods are kept"
    )
    parser.add_argument(
        "--only-kept",
        action="store_true",
        help="run networks only: classical cells come from --cache or stay out",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all cells to a file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to a file as well")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
