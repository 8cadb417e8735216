"""Denoising of real noise: scans or photographs beside clean pictures of the same scenes.

    python benchmarks/quality/pairs.py --pairs FOLDER [--crop 256] [--cache FILE] [--markdown FILE]

The folder holds `input` and `target`, with files of the same names. Nobody knows such noise, so the
networks run as `auto`, and at the best of a few values of `noise.level` (a person who tries); the row
without a word is told the level and correlation of the true difference. Classical methods run at
the best of their settings around that level, chosen on these very pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import add_arguments, cells, chosen, files
from degrade import Case, pair
from kept import Kept
from methods import classical
from networks import networks
from scanmend.evaluate import read_picture
from tables import best_settings, methods_table, write


def main() -> None:
    options = _arguments()
    found_methods = (*networks(options.device, options.backend, levels=True), *classical())
    methods = chosen(found_methods, options.methods)
    cases = _cases(options.pairs, options.most, options.crop)
    name = options.pairs.resolve().name
    kept = Kept(options.cache)
    found = list(cells("pairs", name, cases, methods, kept, only_kept=options.only_kept))
    text = "\n\n".join((methods_table(found, f"Real noise, {name}"), best_settings(found)))
    write(text, found, markdown=options.markdown, values=options.json)


def _cases(folder: Path, most: int | None, crop: int | None) -> list[Case]:
    inputs, targets = folder / "input", folder / "target"
    names = [file.relative_to(inputs) for file in files(inputs, most)]
    if missing := [name for name in names if not (targets / name).is_file()]:
        raise SystemExit(f"{inputs / missing[0]} has no counterpart in {targets}")
    read = ((read_picture(targets / name, crop), read_picture(inputs / name, crop)) for name in names)
    return [pair(clean, scan) for clean, scan in read]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Denoising of real noise.")
    parser.add_argument("--pairs", type=Path, required=True, help="folder with the folders input and target")
    add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
