"""A sheet of enlarged crops to look at: before, after and truth, a row for each picture.

    python benchmarks/quality/deblur_pages.py SHEET.png motion=FILE scanner=FILE@120,40 pair=FOLDER/input/FILE
                                              scan=FILE [--side 96] [--enlarge 2] [--model NAME]

motion, defocus, scanner and sharp make the picture what `scanmend.evaluate.deblur` says; `pair` takes a
photograph as it is, with its sharp counterpart from the folder `target` beside its own; `scan` takes a file
as it is, and nobody knows the truth. The central 512 pixels count, and the crop lies where there is most to
see, or at the x,y that follows an @. Columns: before, the network at full strength, the product with
`blur.strength=auto`, the truth. PSNR is that of the 512 pixels.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from blurring import SHIFT, drawn
from deblurrers import auto, run_model
from degrade import Case, Truth, pair, png
from PIL import Image, ImageDraw
from register import marks
from scanmend import cards, pipeline
from scanmend.cards import Card
from scanmend.evaluate import eight_bit, psnr, read_picture
from scanmend.evaluate.deblur import EQUAL, FAMILIES
from scanmend.image import FloatArray

KINDS = (*FAMILIES, "pair", "scan")
_GAP, _LINE = 6, 14  # pixels: between crops, and of a caption


@dataclass(frozen=True)
class Row:
    """A picture in its states.

    Attributes:
        name: its kind.
        case: before and truth.
        known: whether there is a truth.
        at: left and top of the crop.
    """

    name: str
    case: Case
    known: bool
    at: tuple[int, int]


def main() -> None:
    options = _arguments()
    how = pipeline.Options(device=options.device, backend=options.backend)
    card = _card(options.model)
    rows = [_row(words, options.side) for words in options.rows]
    strips = [_strip(row, card, how, options.side, options.enlarge) for row in rows]
    _stacked(strips).save(options.sheet, optimize=True)
    print(f"{options.sheet}: {options.sheet.stat().st_size / 1024:.0f} KiB")


def _card(name: str | None) -> Card:
    if name:
        return cards.find(name)
    found = [card for card in cards.installed() if (card.stage, card.tier) == ("blur", "fast")]
    if not found:
        raise SystemExit("no fast model for blur is installed")
    return found[0]


def _row(words: str, side: int) -> Row:
    parts = re.fullmatch(r"(\w+)=(.+?)(?:@(\d+),(\d+))?", words)
    if not parts or parts[1] not in KINDS:
        raise SystemExit(f"{words} is no row: KIND=FILE, with a KIND of {', '.join(KINDS)}")
    kind, file = parts[1], Path(parts[2])
    case = _case(kind, file)
    seen = case.scan if kind == "scan" else case.clean
    at = (int(parts[3]), int(parts[4])) if parts[3] else most_detail(seen, side)
    return Row(kind, case, kind != "scan", at)


def _case(kind: str, file: Path) -> Case:
    picture = read_picture(file)
    if kind == "scan":
        return Case(picture, picture, Truth(0.0), png(picture))
    if kind == "pair":
        truth = read_picture(file.parent.parent / "target" / file.name)
        return replace(pair(truth, picture), shift=SHIFT)
    return drawn([picture], kind).cases[0]


def most_detail(picture: FloatArray, side: int) -> tuple[int, int]:
    """Left and top of the square of that side whose tones differ most from pixel to pixel."""
    tone = picture.mean(axis=2)
    steps = np.abs(np.diff(tone, axis=0))[:, :-1] + np.abs(np.diff(tone, axis=1))[:-1]
    sums = np.pad(steps.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = min(side, *steps.shape)
    boxes = sums[side:, side:] - sums[side:, :-side] - sums[:-side, side:] + sums[:-side, :-side]
    top, left = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return int(left), int(top)


def _strip(row: Row, card: Card, how: pipeline.Options, side: int, enlarge: int) -> Image.Image:
    case = row.case
    shown = {
        row.name: case.scan,
        card.name: eight_bit(run_model(case, card=card, options=how)),
        "auto": auto(case, how),
    }
    crops = [
        (f"{name}{_said(row, pixels)}", _crop(pixels, row.at, side, enlarge))
        for name, pixels in shown.items()
    ]
    if row.known:
        crops.append(("truth", _crop(case.clean, row.at, side, enlarge)))
    width = side * enlarge
    strip = Image.new("RGB", (4 * (width + _GAP), width + _LINE + _GAP), "white")
    for place, (words, crop) in enumerate(crops):
        left = place * (width + _GAP)
        ImageDraw.Draw(strip).text((left, 1), words, fill="black")
        strip.paste(crop, (left, _LINE))
    return strip


def _said(row: Row, pixels: FloatArray) -> str:
    """PSNR where there is a truth."""
    if not row.known:
        return ""
    shift = row.case.shift
    found = marks(row.case.clean, pixels, shift)[0] if shift else psnr(row.case.clean, pixels)
    return f" {found:.1f} dB" if found < EQUAL else " = truth"


def _crop(pixels: FloatArray, at: tuple[int, int], side: int, enlarge: int) -> Image.Image:
    left, top = at
    part = pixels[top : top + side, left : left + side]
    image = Image.fromarray(np.rint(np.clip(part, 0, 1) * 255).astype(np.uint8))
    return image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST)


def _stacked(strips: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A sheet of enlarged crops: before, after and truth.")
    parser.add_argument("sheet", type=Path, help="the PNG to write")
    parser.add_argument("rows", nargs="+", metavar="KIND=FILE[@x,y]", help=f"kinds: {', '.join(KINDS)}")
    parser.add_argument("--side", type=int, default=96, help="of a crop, in pixels")
    parser.add_argument("--enlarge", type=int, default=2, help="how many times a crop is enlarged")
    parser.add_argument("--model", metavar="NAME", help="instead of the fast model for blur")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
