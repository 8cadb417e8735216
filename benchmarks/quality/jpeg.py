"""How well the quality and the grid of JPEG are read from samples alone, and what its error typically is.

    python benchmarks/quality/jpeg.py --images FOLDER [--every N] [--calibrate]

Every picture goes through Pillow's JPEG at each quality, with colours at full or at half resolution
by turns, is decoded, cropped by 0 to 7 rows and columns and measured; measured as it is, which none
of the pictures may be taken for, it counts as a false alarm. Seeds are fixed by the picture's place in the
sorted folder. `--calibrate` prints the table of typical errors that `scanmend.measure.jpeg` holds.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scanmend.measure import jpeg, tiles

Pixels = npt.NDArray[np.float32]
QUALITIES = (20, 40, 60, 75, 85, 90, 92, 95)
CALIBRATED = (10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 92, 95, 97, 100)
SUBSAMPLINGS = (0, 2)  # Pillow's names for 4:4:4 and 4:2:0
LUMA = np.array([0.299, 0.587, 0.114])


def pictures(folder: Path, every: int) -> Iterator[tuple[int, Image.Image]]:
    """Number and picture of every so-manieth file, at most 768 pixels a side."""
    for index, path in enumerate(sorted(folder.iterdir())[::every]):
        with Image.open(path) as file:
            picture = file.convert("RGB")
        yield index, picture.crop((0, 0, min(768, picture.width), min(768, picture.height)))


def through_jpeg(picture: Image.Image, quality: int, subsampling: int) -> Image.Image:
    """The picture after one saving."""
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(data).convert("RGB")


def found(picture: Image.Image) -> tuple[int, tuple[int, int]] | None:
    """Quality and grid as the samples show them."""
    pixels = np.asarray(picture, np.float32) / 255
    return jpeg.find(tiles.cut([tiles.Site(0, 0, pixels)]))


def judge(folder: Path, every: int) -> None:
    """Prints how many qualities and grids were found, and how far off they were."""
    rows: dict[int, list[tuple[bool, bool, int]]] = {quality: [] for quality in QUALITIES}
    alarms = total = 0
    for index, picture in pictures(folder, every):
        rng = np.random.default_rng(index)
        alarms += found(picture) is not None
        total += 1
        for quality in QUALITIES:
            saved = through_jpeg(picture, quality, SUBSAMPLINGS[index % 2])
            top, left = (int(offset) for offset in rng.integers(0, 8, 2))
            seen = found(saved.crop((left, top, *saved.size)))
            grid = seen is not None and seen[1] == (-top % 8, -left % 8)
            rows[quality].append((seen is not None, grid, abs(seen[0] - quality) if seen else 0))
    print(f"{'quality':>8}{'found':>8}{'grid right':>12}{'mean error':>12}{'off by > 2':>12}")
    for quality, cases in rows.items():
        seen_cases = [case for case in cases if case[0]]
        grids, errors = sum(case[1] for case in cases), [case[2] for case in seen_cases] or [0]
        wide = sum(error > 2 for error in errors)
        print(f"{quality:>8}{len(seen_cases):>8}{grids:>12}{np.mean(errors):>12.2f}{wide:>12}")
    print(f"{total} pictures, of which {alarms} were taken for JPEG as they are")


def calibrate(folder: Path, every: int) -> None:
    """Prints quality, sigma in colour and in grey (of 255), lag-1 correlation; and the spread of sigma."""
    rows: dict[int, list[tuple[float, float, float]]] = {quality: [] for quality in CALIBRATED}
    for _, picture in pictures(folder, every):
        clean = np.asarray(picture, np.float64)
        for quality, subsampling in ((q, s) for q in CALIBRATED for s in SUBSAMPLINGS):
            off = np.asarray(through_jpeg(picture, quality, subsampling), np.float64) - clean
            square = (off**2).mean()
            beside = ((off[1:] * off[:-1]).mean() + (off[:, 1:] * off[:, :-1]).mean()) / 2
            rows[quality].append((square**0.5, ((off @ LUMA) ** 2).mean() ** 0.5, beside / square))
    for quality, cases in rows.items():
        colour, grey, correlation = np.median(cases, axis=0)
        low, high = np.quantile([case[0] for case in cases], (0.1, 0.9)) / colour
        print(
            f"    ({quality}, {colour:.1f}, {grey:.1f}, {correlation:.2f}),  # {low:.2f} to {high:.2f} times"
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures that never were JPEGs")
    parser.add_argument("--every", type=int, default=1, help="take every so-manieth picture")
    parser.add_argument("--calibrate", action="store_true", help="print the table of typical errors")
    options = parser.parse_args()
    (calibrate if options.calibrate else judge)(options.images, options.every)


if __name__ == "__main__":
    main()
