"""Denoising beside the classical methods, in one run on the same noisy pictures.

    python benchmarks/quality/denoise.py --images FOLDER [--crop 256] [--most 12] [--groups grain jpeg]
                                         [--cache FILE] [--markdown FILE]

White noise of sigma 15, 25 and 50, clipped to 8 bits as a scan file is and not; film grain drawn
in density, clumped by 0.8 and 1.2 pixels, grey and in colour, sigma 5, 10 and 15; a sensor's
Poisson-Gaussian noise; JPEG alone, and after noise. The protocol is that of `scanmend.evaluate`.

Each network comes twice: told the truth (level by tone and correlation, of JPEG's errors too), and
as `auto`, which restores the scan's file and knows nothing. Classical methods are told the truth as
well, and of several settings the best counts, chosen for each row on these very pictures: BM3D
(the authors' package `bm3d`), non-local means (OpenCV), wavelets (scikit-image), and G'MIC's
filters where its program is installed. BM3D takes two minutes for a megapixel: `--cache` keeps
what it found, so that after training only the networks run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import Cell, add_arguments, cells, chosen, pictures
from degrade import ROWS
from kept import Kept
from methods import classical
from networks import networks
from tables import report, write

GROUPS = tuple(dict.fromkeys(row.group for row in ROWS))


def main() -> None:
    options = _arguments()
    methods = chosen((*networks(options.device, options.backend), *classical()), options.methods)
    clean = pictures(options.images, options.most, options.crop)
    kept = Kept(options.cache)
    found: list[Cell] = []
    for row in ROWS:
        if row.group in options.groups:
            cases = [row.make(picture) for picture in clean]
            found += cells(row.group, row.name, cases, methods, kept, only_kept=options.only_kept)
    write(report(found, options.images.name), found, markdown=options.markdown, values=options.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Denoising beside the classical methods.")
    parser.add_argument("--images", type=Path, required=True, help="folder with clean pictures")
    parser.add_argument(
        "--groups", nargs="+", default=GROUPS, choices=GROUPS, help="only these kinds of noise"
    )
    add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
