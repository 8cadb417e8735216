"""Do no harm: what `auto` does to pictures that need nothing.

    python benchmarks/quality/harm.py --images FOLDER [--profile gentle] [--quality best] [--json FILE]

Every picture is restored as a file, with the profile as it is. It should come back bit-identical; where
it does not, the PSNR of the result against it says how much was done. Bars: 95 % bit-identical, and
45 dB always.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import files
from scanmend import pipeline
from scanmend import profile as profiles
from scanmend.evaluate import psnr, read_picture
from scanmend.plan import describe
from scanmend.profile import Profile

FLOOR = 45.0  # dB


@dataclass(frozen=True)
class Outcome:
    """What became of a picture; psnr is None where it came back bit-identical."""

    file: str
    psnr: float | None
    plan: str


def main() -> None:
    options = _arguments()
    settings = ("output.format=png", "output.sidecar=false", f"quality={options.quality}")
    profile = profiles.apply_settings(profiles.load(options.profile), settings)
    how = pipeline.Options(device=options.device, backend=options.backend)
    outcomes = []
    for file in files(options.images, options.most):
        outcomes.append(_restore(file, profile, how))
        print(_line(outcomes[-1]), flush=True)
    print(_summary(outcomes))
    if options.json:
        values = [asdict(outcome) for outcome in outcomes]
        options.json.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _restore(file: Path, profile: Profile, how: pipeline.Options) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "result.png")
        report = pipeline.restore_file(file, target, profile, options=how)
        plan = "; ".join(sentence for page in report.pages for sentence in describe(page.plan))
        before, after = read_picture(file, None), read_picture(target, None)
    return Outcome(file.name, None if (before == after).all() else psnr(before, after), plan)


def _line(outcome: Outcome) -> str:
    said = "bit-identical" if outcome.psnr is None else f"{outcome.psnr:.2f} dB: {outcome.plan}"
    return f"{outcome.file:44} {said}"


def _summary(outcomes: list[Outcome]) -> str:
    """In Markdown, for pasting."""
    changed = sorted((o.psnr, o.file) for o in outcomes if o.psnr is not None)
    same = len(outcomes) - len(changed)
    low = sum(mark < FLOOR for mark, _ in changed)
    share = f"{same} of {len(outcomes)} ({same / len(outcomes):.0%})"
    worst = (f"- {name}: {mark:.2f} dB" for mark, name in changed[:8])
    return "\n".join((f"\nBit-identical under `auto`: {share}; below {FLOOR:g} dB: {low}", *worst))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What auto does to pictures that need nothing.")
    parser.add_argument("--images", type=Path, required=True, help="folder with clean pictures")
    parser.add_argument("--most", type=int, help="take this many pictures, spread over the folder")
    parser.add_argument("--profile", default="gentle")
    parser.add_argument("--quality", default="best", choices=("fast", "best"))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="torch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
