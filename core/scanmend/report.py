"""What a result says about itself: the sidecar beside it and the XMP inside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scanmend import plan as planning
from scanmend import sidecar
from scanmend.measure import Facts
from scanmend.plan import Plan
from scanmend.sidecar import SIDECAR_SUFFIX, sidecar_path

__all__ = ["SIDECAR_SUFFIX", "PageReport", "Report", "scanmend_version", "sha256_of", "sidecar_path"]


@dataclass(frozen=True)
class PageReport:
    """What was found and done on one page.

    Attributes:
        index: of the page in its file, from 0.
        facts: what was measured; None where the page cannot be restored.
        plan: what was done; without steps the pixels are the scan's own.
        refusal: why the page cannot be restored, or None.
    """

    index: int
    facts: Facts | None
    plan: Plan
    refusal: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "page": self.index + 1,
            "facts": self.facts.to_dict() if self.facts else None,
            "plan": planning.to_dict(self.plan),
            "refusal": self.refusal,
        }


@dataclass(frozen=True)
class Report:
    """What happened to one file.

    Attributes:
        source, target: where the scan is and where the result went.
        source_sha256: of the scan's bytes.
        unchanged: the result's pixels are those of the scan, bit for bit.
        pages: one entry for each full-size page.
        megapixels: restored, over all pages; 0 where nothing ran.
        seconds: wall time from opening the scan to the published result.
        device: where inference ran, and in what arithmetic; empty where nothing ran.
        models: SHA-256 of the weights by model name.
        profile: the whole profile, as JSON-ready values.
        notes: sentences about what could not be kept, and other oddities.
    """

    source: Path
    target: Path
    source_sha256: str
    unchanged: bool
    pages: tuple[PageReport, ...]
    megapixels: float
    seconds: float
    device: str
    models: dict[str, str]
    profile: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; the sidecar holds them with names in place of whole paths."""
        return {
            "scanmend": scanmend_version(),
            "source": str(self.source),
            "target": str(self.target),
            "source_sha256": self.source_sha256,
            "unchanged": self.unchanged,
            "pages": [page.to_dict() for page in self.pages],
            "megapixels": round(self.megapixels, 3),
            "seconds": round(self.seconds, 3),
            "device": self.device,
            "models": self.models,
            "profile": self.profile,
            "notes": list(self.notes),
        }

    def sidecar(self) -> bytes:
        """The sidecar's content."""
        return sidecar.encode(self.to_dict(), source=self.source.name, target=self.target.name)

    def xmp_properties(self) -> dict[str, str]:
        """What goes into the result's own XMP packet."""
        steps = [step for page in self.pages for step in page.plan.steps if step.stage != "blur"]
        return {
            "Version": scanmend_version(),
            "SourceSHA256": self.source_sha256,
            "Profile": str(self.profile.get("name", "")),
            "Steps": "; ".join(
                f"page {page.index + 1}: {part.stage} by {step.model} at strength {part.strength:.3f}"
                for page in self.pages
                for step in page.plan.steps
                for part in step.parts
            ),
            "Models": "; ".join(f"{name} sha256:{digest}" for name, digest in self.models.items()),
            "MeasuredNoise": "; ".join(f"{step.sigma:.5f}" for step in steps),
            "MeasuredBlur": "; ".join(
                f"page {page.index + 1}: {page.facts.blur.kind} {page.facts.blur.radius:.2f}"
                for page in self.pages
                if page.facts and page.facts.blur
            ),
            "Device": self.device,
        }


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def scanmend_version() -> str:
    """The installed version; "unknown" in a tree that is not installed."""
    try:
        return version("scanmend")
    except PackageNotFoundError:
        return "unknown"
