"""The demo: ages a public-domain portrait, restores it, and says what was measured and what came back.

install/bootstrap.py runs it in the environment it has made; with Scanmend and scikit-image
installed it runs by itself: python install/demo.py [SCAN...]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import ageing
import comparison
import numpy as np
import tifffile
from scanmend import pipeline, plan, profile
from scanmend.errors import ScanmendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from scanmend.profile import Profile
    from scanmend.report import Report

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "demo"
PROFILE = "gentle"
CROPS = comparison.Places((168, 40), (215, 300))
"""The face, and the name tag with its harness: skin, and detail that must not go with the grain."""
ENCODING_TAGS = {254, 258, 259, 273, 278, 279, 317, 322, 323, 324, 325, 339}
"""TIFF tags that describe how pixels are stored; all others belong to the person."""
XMP_TAG, XMP_WORDS = 700, b"Portrait, summer of 1992"


def main(scans: Sequence[str]) -> int:
    """Restores the sample, then the scans; returns 1 where one of them failed."""
    OUT.mkdir(exist_ok=True)
    wanted = profile.load(PROFILE)
    try:
        show_sample(wanted)
        failed = [scan for scan in scans if not show_scan(Path(scan), wanted)]
    except ScanmendError as error:
        say(f"demo: {error}")
        return error.exit_code
    return 1 if failed else 0


def show_sample(wanted: Profile) -> None:
    """Makes the sample scan, restores it, compares it with the print it came from."""
    source, target = OUT / "sample_scan.tif", OUT / "sample_scan_restored.tif"
    aged = ageing.age(ageing.portrait())
    ageing.write_scan(source, aged.scan)
    say(f"Sample: {source}")
    say("  NASA portrait of Eileen Collins (public domain), aged by install/ageing.py: light fading,")
    say("  film grain, scanner noise. Synthetic: it shows the process, not what your prints will gain.")
    report = restore(source, target, wanted)
    before, after = (psnr(tifffile.imread(path), aged.print) for path in (source, target))
    say(f"  PSNR against the same print without grain and noise: {before:.2f} dB, restored {after:.2f} dB")
    say(f"  Kept: {survivors(source, target)}")
    say(f"  Speed with the model loaded: {speed(aged.scan):.2f} megapixels a second on {report.device}")
    say_picture(source, target, CROPS)


def show_scan(source: Path, wanted: Profile) -> bool:
    """Restores a person's own scan into the demo's folder; says why if that fails."""
    say(f"\nYour scan: {source}")
    try:
        target = pipeline.target_for(source, OUT, wanted)
        restore(source, target, wanted)
        say_picture(source, target)
    except ScanmendError as error:
        say(f"  not restored: {error}")
        return False
    return True


def restore(source: Path, target: Path, wanted: Profile) -> Report:
    """Restores one file and prints what was measured and done."""
    report = pipeline.restore_file(source, target, wanted, options=pipeline.Options(overwrite=True))
    for page in report.pages:
        if page.facts:
            noise = page.facts.noise
            size = f"{page.facts.width} x {page.facts.height}, {page.facts.bits} bits"
            say(
                f"  Measured ({size}): noise {noise.sigma * 255:.1f}/255, correlation {noise.correlation:.2f}"
            )
        for line in (page.refusal,) if page.refusal else plan.describe(page.plan):
            say(f"  {line}")
    for note in report.notes:
        say(f"  {note}")
    where = report.device or "copied byte for byte"
    say(f"  {report.megapixels:.2f} megapixels in {report.seconds:.1f} s, loading included; {where}")
    say(f"  Restored: {target}")
    return report


def say_picture(source: Path, target: Path, places: comparison.Places | None = None) -> None:
    """Draws the comparison and prints where it is."""
    picture = target.with_name(f"{source.stem}_before_after.png")
    comparison.draw(source, target, picture, places=places)
    say(f"  Before and after: {picture}")


def survivors(source: Path, target: Path) -> str:
    """What the restored file still says about itself, in words."""
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(target) as new:
        first, second = old.pages.first, new.pages.first
        tags = [tag for tag in first.tags.values() if tag.code not in ENCODING_TAGS | {XMP_TAG}]
        kept = [tag for tag in tags if second.tags.valueof(tag.code) == tag.value]
        caption = XMP_WORDS in (second.tags.valueof(XMP_TAG) or b"")
        bits = sum(second.tags.valueof(258, default=(0,)))
    words = "and the XMP caption" if caption else "but not the XMP caption"
    return (
        f"{bits} bits a pixel, {len(kept)} of {len(tags)} tags (ICC profile, {ageing.DPI} dpi, ...) {words}"
    )


def psnr(scan: npt.NDArray[np.uint16], reference: npt.NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio in dB: (H, W, 3) uint16 against [0, 1]."""
    return float(-10 * np.log10(np.mean((scan / 65535 - reference) ** 2)))


def speed(scan: npt.NDArray[np.uint16]) -> float:
    """Megapixels a second for four copies side by side, in memory, with everything loaded."""
    large = np.tile(scan, (2, 2, 1))
    started = time.perf_counter()
    pipeline.restore(large, PROFILE)
    return float(large.shape[0] * large.shape[1] / 1e6 / (time.perf_counter() - started))


def say(line: str) -> None:
    """Prints at once, also into a pipe."""
    print(line, flush=True)  # noqa: T201 - a demo talks


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
