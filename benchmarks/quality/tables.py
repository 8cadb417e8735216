"""Cells as tables in Markdown, and what others have published beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bench import Cell
from methods import INFORMED

PUBLISHED: dict[str, dict[str, tuple[float, float, float]]] = {
    "CBSD68": {
        "CBM3D": (33.52, 30.71, 27.38),
        "FFDNet": (33.87, 31.21, 27.96),
        "DRUNet": (34.30, 31.69, 28.51),
        "SCUNet": (34.40, 31.79, 28.61),
    },
    "Kodak24": {
        "CBM3D": (34.28, 31.68, 28.46),
        "FFDNet": (34.63, 32.13, 28.98),
        "DRUNet": (35.31, 32.89, 29.86),
        "SCUNet": (35.34, 32.92, 29.87),
    },
    "McMaster": {
        "CBM3D": (34.06, 31.66, 28.51),
        "FFDNet": (34.66, 32.35, 29.18),
        "DRUNet": (35.40, 33.14, 30.08),
        "SCUNet": (35.60, 33.34, 30.29),
    },
}
"""PSNR at sigma 15, 25, 50, not clipped, told the truth.

CBM3D and FFDNet: Zhang et al., doi:10.1109/TIP.2018.2839891. DRUNet: Zhang et al.,
doi:10.1109/TPAMI.2021.3088914. SCUNet: Zhang et al., doi:10.1007/s11633-023-1466-0.
"""

_TITLES = {
    "white": "White noise, clipped and rounded to 8 bits: PSNR in dB / SSIM",
    "unclipped": "White noise, not clipped, as in the literature: PSNR in dB / SSIM",
    "rest": "Grain, sensor noise and JPEG: PSNR in dB",
}


def report(found: Sequence[Cell], folder: str) -> str:
    """All tables for which there are cells; `folder` is the name of the set."""
    parts = [_white(found, group, folder) for group in ("white", "unclipped")]
    rest = [cell for cell in found if cell.group not in ("white", "unclipped")]
    parts += [wide(rest, _TITLES["rest"]), best_settings(rest)]
    return "\n\n".join(part for part in parts if part)


def write(text: str, found: Sequence[Cell], *, markdown: Path | None, values: Path | None) -> None:
    """Prints the tables, and writes what was asked for."""
    print(text)
    if markdown:
        markdown.write_text(text + "\n", encoding="utf-8")
    if values:
        rows = [cell.to_dict() for cell in found]
        values.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _white(found: Sequence[Cell], group: str, folder: str) -> str:
    """Methods down, levels across."""
    here = [cell for cell in found if cell.group == group]
    if not here:
        return ""
    rows, methods = _names(here)
    by_place = {(cell.method, cell.row): cell for cell in here}
    lines = []
    for method in methods:
        known = [by_place.get((method, row)) for row in rows]
        marks = [f"{cell.psnr:.2f} / {cell.ssim:.3f}" if cell else "" for cell in known]
        lines.append((method, *marks, _speed([cell for cell in known if cell])))
    lines += [
        _published(name, psnrs, rows)
        for name, psnrs in PUBLISHED.get(folder, {}).items()
        if group == "unclipped"
    ]
    levels = [row.removesuffix(", unclipped").replace("white", "sigma") for row in rows]
    return "\n\n".join((f"{_TITLES[group]}; {_count(here)}", table(("method", *levels, "s/MP"), lines)))


def _published(name: str, psnrs: tuple[float, float, float], rows: Sequence[str]) -> tuple[str, ...]:
    known = dict(zip((15, 25, 50), psnrs, strict=True))
    marks = (known.get(int(row.split()[1].strip(","))) for row in rows)
    return (f"{name}, published", *(f"{mark:.2f}" if mark else "" for mark in marks), "")


def _speed(known: Sequence[Cell]) -> str:
    seconds = sum(cell.seconds_per_megapixel for cell in known) / len(known)
    return f"{seconds:.2f}" if seconds else ""


def wide(found: Sequence[Cell], title: str) -> str:
    """Rows down, methods across, then what each network has over the best classical method.

    The margin stays empty where one of the classical methods has no cell yet. What only the true
    spectrum of grain makes possible is shown, but is not among them.
    """
    if not found:
        return ""
    rows, methods = _names(found)
    ours = [method for method in methods if is_network(method, methods)]
    others = [method for method in methods if method not in (*ours, "noisy", INFORMED)]
    by_place = {(cell.row, cell.method): cell.psnr for cell in found}
    lines = []
    for row in rows:
        marks = {method: by_place[row, method] for method in methods if (row, method) in by_place}
        best = (
            max((marks[method] for method in others), default=None) if marks.keys() >= set(others) else None
        )
        margins = [f"{marks[m] - best:+.2f}" if best is not None and m in marks else "" for m in ours]
        lines.append((row, *(f"{marks[m]:.2f}" if m in marks else "" for m in methods), *margins))
    head = ("noise", *methods, *(f"{method}: over the best" for method in ours))
    return "\n\n".join((f"{title}; {_count(found)}", table(head, lines)))


def methods_table(found: Sequence[Cell], title: str) -> str:
    """One row of noise: methods down."""
    lines = [(c.method, f"{c.psnr:.2f}", f"{c.ssim:.4f}", _speed([c])) for c in found]
    return "\n\n".join((f"{title}; {_count(found)}", table(("method", "PSNR dB", "SSIM", "s/MP"), lines)))


def best_settings(found: Sequence[Cell]) -> str:
    """The settings that were chosen, under a title."""
    lines = settings(found, "noise")
    return f"Settings chosen, on these very pictures\n\n{lines}" if lines else ""


def settings(found: Sequence[Cell], head: str) -> str:
    """The settings that were chosen: rows down, under a head, methods across."""
    tried = [cell for cell in found if cell.setting]
    if not tried:
        return ""
    rows, methods = _names(tried)
    by_place = {(cell.row, cell.method): cell.setting for cell in tried}
    lines = [(row, *(by_place.get((row, method), "") for method in methods)) for row in rows]
    return table((head, *methods), lines)


def is_network(method: str, methods: Sequence[str]) -> bool:
    """Whether a method is one of ours: only those come in pairs, told and `auto`."""
    return f"{method.split(maxsplit=1)[0]} auto" in methods


def _names(found: Sequence[Cell]) -> tuple[list[str], list[str]]:
    return list(dict.fromkeys(cell.row for cell in found)), list(dict.fromkeys(cell.method for cell in found))


def _count(found: Sequence[Cell]) -> str:
    """How many pictures stand behind each cell.

    Raises:
        ValueError: not all cells rest on as many.
    """
    counts = {cell.pictures for cell in found}
    if len(counts) != 1:
        raise ValueError(f"cells rest on {sorted(counts)} pictures")
    return f"{counts.pop()} pictures in every cell"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lines under a head."""
    rule = "|" + "---|" * len(head)
    return "\n".join(
        ("| " + " | ".join(head) + " |", rule, *("| " + " | ".join(line) + " |" for line in lines))
    )
