"""How well blur is told from sharpness, and measured: known blur on clean pictures, and real pairs.

    python benchmarks/quality/measure_blur.py --images FOLDER [--every N] [--pairs FOLDER ...]

Every picture is measured as it is, and blurred in linear light by shakes, disks and Gaussians of a few
sizes; each as it is (rounded to 8 bits), with a little noise (2 of 255) and JPEG at quality 90, and with
noise of 10 of 255. Shakes are drawn anew for each picture; its place in the sorted folder fixes the seeds.
A blur counts as found where `chance` is so high that `auto` acts. A picture's own softness counts as a false
alarm. The radius's error is that of the found blurs whose kind is told right;
the width's (standard deviation) is that of all that are found.
A folder of pairs holds `input` and `target`.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scanmend import psf
from scanmend.measure import BlurFacts, measure_blur
from scanmend.plan.blur import DOUBTFUL_CHANCE

Pixels = npt.NDArray[np.float32]
FOUND = DOUBTFUL_CHANCE
CONDITIONS = ("as it is", "noise 2, JPEG 90", "noise 10")
SHAKES = (6.0, 10.0, 20.0)  # extents
DISKS = (1.0, 2.0, 3.5, 6.0)
SOFTNESS = (0.8, 1.2, 1.8)
WIDTHS = {"motion": 3**-0.5, "defocus": 0.5, "scanner": 1.0}  # standard deviation for a radius of 1
_SUFFIXES = {".png", ".avif", ".tif", ".jpg", ".jpeg", ".webp"}


class Case(NamedTuple):
    """A row of the table; kernel is None for sharp pictures."""

    row: str
    kind: str
    radius: float
    angle: float
    kernel: Pixels | None


class Judged(NamedTuple):
    """What was true, and what was measured; None where it could not be."""

    case: Case
    facts: BlurFacts | None


def cases(rng: np.random.Generator) -> Iterator[Case]:
    """All rows for one picture."""
    yield Case("sharp", "none", 0.0, 0.0, None)
    for extent in SHAKES:
        kernel = psf.trajectory(rng, extent)
        yield Case(f"motion, {extent:g} px long", "motion", extent / 2, direction(kernel), kernel)
    soft = psf.gaussian(0.4)
    for radius in DISKS:
        shape = psf.convolved(psf.disk(radius), soft)
        yield Case(f"defocus, radius {radius:g}", "defocus", radius, 0.0, shape)
    for sigma in SOFTNESS:
        yield Case(f"scanner, sigma {sigma:g}", "scanner", sigma, 0.0, psf.gaussian(sigma))


def direction(kernel: Pixels) -> float:
    """Degrees: in which a kernel is widest."""
    reach = len(kernel) // 2
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    cross, along, over = ((kernel * term).sum() for term in (-down * across, across**2, down**2))
    return float(np.degrees(np.arctan2(2 * cross, along - over) / 2)) % 180


def lit(clean: Pixels) -> Pixels:
    """The display range to linear light."""
    return np.where(clean <= 0.04045, clean / 12.92, ((clean + 0.055) / 1.055) ** 2.4).astype(np.float32)


def blurred(light: Pixels, kernel: Pixels) -> Pixels:
    """Linear light (H, W, 3) to the blurred picture in the display range; edges are reflected."""
    reach = len(kernel) // 2
    framed = np.pad(light, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    size = framed.shape[:2]
    spectrum = np.fft.rfft2(framed, axes=(0, 1)) * np.fft.rfft2(kernel, size)[..., None]
    light = np.fft.irfft2(spectrum, size, axes=(0, 1))[2 * reach :, 2 * reach :]
    light = np.clip(light, 0, 1)
    return np.asarray(
        np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055), np.float32
    )


def scanned(picture: Pixels, condition: str, rng: np.random.Generator) -> Pixels:
    """As a file holds it: 8 bits, after noise and JPEG if the condition says so."""
    sigma = {"as it is": 0, "noise 2, JPEG 90": 2, "noise 10": 10}[condition]
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(sigma / 255) if sigma else 0
    noisy = picture + noise
    samples = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    if "JPEG" in condition:
        buffer = io.BytesIO()
        Image.fromarray(samples).save(buffer, "JPEG", quality=90)
        samples = np.array(Image.open(buffer))
    return np.asarray(samples / np.float32(255), np.float32)


def judged(paths: list[Path]) -> dict[str, list[Judged]]:
    """Everything that was measured, by condition."""
    found: dict[str, list[Judged]] = defaultdict(list)
    for place, path in enumerate(paths):
        clean = _opened(path)
        light = lit(clean)
        for case in cases(np.random.default_rng((2026, place))):
            picture = clean if case.kernel is None else blurred(light, case.kernel)
            for index, condition in enumerate(CONDITIONS):
                rng = np.random.default_rng((2026, place, index))
                facts = measure_blur(scanned(picture, condition, rng))
                found[condition].append(Judged(case, facts))
                if case.kernel is None and facts and facts.chance > FOUND:
                    print(f"false alarm, {condition}: {path.name}: {facts}", file=sys.stderr)
    return found


def table(found: list[Judged]) -> list[str]:
    """A line for each row."""
    by_row: dict[str, list[Judged]] = defaultdict(list)
    for one in found:
        by_row[one.case.row].append(one)
    heads = ("", "not judged", "found", "kind right", "radius off", "width off", "angle off")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return lines + [f"| {row} | {' | '.join(_cells(rows))} |" for row, rows in by_row.items()]


def _cells(rows: list[Judged]) -> Iterator[str]:
    sure = [(case, facts) for case, facts in rows if facts and facts.chance > FOUND]
    right = [(case, facts) for case, facts in sure if facts.kind == case.kind]
    yield f"{sum(facts is None for _, facts in rows)}"
    yield f"{len(sure)} of {len(rows)}"
    if rows[0].case.kind == "none":
        yield from ("", "", "", "")
        return
    yield f"{100 * len(right) / len(sure):.0f} %" if sure else "-"
    radii = [abs(facts.radius / case.radius - 1) for case, facts in right]
    yield f"{100 * np.median(radii):.0f} %" if radii else "-"
    widths = [facts.radius * WIDTHS[facts.kind] / (case.radius * WIDTHS[case.kind]) for case, facts in sure]
    yield f"{100 * np.median(np.abs(np.array(widths) - 1)):.0f} %" if widths else "-"
    turns = [abs((facts.angle - case.angle + 90) % 180 - 90) for case, facts in right]
    yield f"{np.median(turns):.0f} degrees" if turns and rows[0].case.kind == "motion" else ""


def confusion(found: list[Judged]) -> list[str]:
    """What each kind is taken for where a blur is found, all sizes together."""
    lines = ["| true kind | taken for motion | for defocus | for scanner |", "|---|---|---|---|"]
    for kind in psf.KINDS:
        told = [f.kind for case, f in found if case.kind == kind and f and f.chance > FOUND]
        cells = " | ".join(f"{100 * told.count(other) / max(len(told), 1):.0f} %" for other in psf.KINDS)
        lines.append(f"| {kind} | {cells} |")
    return lines


def pairs(folder: Path) -> Iterator[str]:
    """A line for each picture of a folder of real pairs, or of a folder of pictures."""
    for side in ("input", "target") if (folder / "input").is_dir() else ("",):
        for path in _pictures(folder / side):
            facts = measure_blur(_opened(path))
            said = (
                "not judged"
                if facts is None
                else f"{facts.kind}, radius {facts.radius:.1f}, chance {facts.chance:.2f}"
            )
            yield f"{path.relative_to(folder.parent)}: {said}"


def _opened(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"), np.float32) / np.float32(255)


def seconds(path: Path) -> float:
    """Of the processor, for one picture: the least of three."""
    picture, spent = _opened(path), []
    for _ in range(3):
        started = time.process_time()
        measure_blur(picture)
        spent.append(time.process_time() - started)
    return min(spent)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, required=True, help="a folder of clean pictures")
    parser.add_argument("--every", type=int, default=1, help="take every N-th picture (default: all)")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], help="folders of pairs, or of pictures")
    options = parser.parse_args()
    paths = _pictures(options.images)[:: options.every]
    print(f"{len(paths)} pictures, {seconds(paths[0]):.3f} s of the processor to judge one as it is")
    for condition, found in judged(paths).items():
        print(f"\n{condition}\n")
        print("\n".join((*table(found), "", *confusion(found))))
    for folder in options.pairs:
        print()
        print("\n".join(pairs(folder)))


if __name__ == "__main__":
    main()
