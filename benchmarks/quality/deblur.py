"""Deblurring beside the classical methods, in one run on the same blurred pictures.

    python benchmarks/quality/deblur.py --images FOLDER [--kernels Levin09.mat] [--photographs FOLDER ...]
                                        [--cache FILE] [--into PAGE.md ...]

- motion, defocus, scanner: the product's own protocol, that of `scanmend.evaluate.deblur`: one drawn
  kernel for each picture and family, blurred in linear light, edges reflected, noise of 1/255, 8 bits.
- sharp: the pictures as they are; every change is harm.
- levin: the eight camera shakes that Levin et al. measured (CVPR 2009), from a file that you bring, on
  --per-kernel pictures each; noise of one percent; blurred in the display range, not clipped, as papers do,
  and again as 8 bits.
- photographs: folders `input` and `target` with blurred and sharp photographs of the same scenes. Luminance
  alone is judged, at the best shift of up to 8 pixels, by quarters.

The networks run at full strength, blind. `auto` restores the scan's file and knows nothing. Of the
classical methods, unsharp masking and blind Richardson-Lucy know nothing either; the others are told the
true kernel. Of several settings the best counts, chosen for each row on these very pictures, which
flatters them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import Cell, add_arguments, cells, chosen, pictures
from blurring import Row, drawn, levin, photographs, read_kernels, spread
from deblur_tables import BEFORE, insert, tables
from deblurrers import deblurrers
from kept import Kept
from scanmend.evaluate.deblur import FAMILIES
from scanmend.image import FloatArray
from sharpening import sharpeners
from tables import write

GROUPS = (*FAMILIES, "levin", "photographs")


def main() -> None:
    options = _arguments()
    methods = chosen((*deblurrers(options.device, options.backend), *sharpeners()), options.methods)
    clean = pictures(options.images, options.most, options.crop)
    kept = Kept(options.cache)
    found: list[Cell] = []
    spreads = {}
    for row in _rows(options, clean):
        spreads[row.name] = [spread(case) for case in row.cases]
        found += cells(
            row.group, row.name, row.cases, methods, kept, only_kept=options.only_kept, before=BEFORE
        )
    made = tables(found, spreads)
    text = "\n\n".join(f"{name}\n\n{lines}" for name, lines in made.items())
    write(text, found, markdown=options.markdown, values=options.json)
    for page in options.into:
        insert(made, page)


def _rows(options: argparse.Namespace, clean: Sequence[FloatArray]) -> Iterator[Row]:
    yield from (drawn(clean, family) for family in FAMILIES if family in options.groups)
    if options.kernels and "levin" in options.groups:
        kernels = read_kernels(options.kernels)
        some = pictures(options.images, options.per_kernel, options.crop)
        yield from (levin(some, kernels, clipped=clipped) for clipped in (False, True))
    if "photographs" in options.groups:
        yield from (photographs(folder) for folder in options.photographs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Deblurring beside the classical methods.")
    parser.add_argument("--images", type=Path, required=True, help="folder with sharp pictures")
    parser.add_argument("--groups", nargs="+", default=GROUPS, choices=GROUPS, help="only these")
    parser.add_argument(
        "--kernels", type=Path, metavar="FILE", help="Levin09.mat; without it levin is left out"
    )
    parser.add_argument(
        "--per-kernel", type=int, default=4, metavar="N", help="pictures for each of those kernels"
    )
    parser.add_argument(
        "--photographs", type=Path, nargs="+", default=[], metavar="FOLDER", help="with input and target"
    )
    parser.add_argument(
        "--into", type=Path, nargs="+", default=[], metavar="PAGE", help="put the tables into these pages"
    )
    add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
