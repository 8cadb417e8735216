"""What is to be done about what JPEG has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanmend.plan.values import Part, Skipped, in_255, screened, smooth

if TYPE_CHECKING:
    from scanmend.plan.values import FactsLike
    from scanmend.profile import Jpeg

KEPT_QUALITY = 90
"""`auto` leaves alone what was saved as JPEG at this quality or better: nobody sees what it has lost."""

POOR_QUALITY = 75
"""From here on down `auto` removes what JPEG has left at full strength.

On 24 held-out pictures the network gains 0.16 dB at quality 95 and 0.40 dB at 90, where one picture in ten
gains nothing; at 75 it gains 0.73 dB, and at least 0.19.
"""


def part(wish: Jpeg, facts: FactsLike) -> Part | Skipped:
    """What the profile asks for."""
    jpeg = facts.jpeg
    if wish.strength == 0:
        return Skipped("jpeg", "the profile leaves it out")
    if jpeg is None:
        return Skipped("jpeg", "no trace of it was found")
    if wish.strength == "auto" and facts.screen:
        return Skipped("jpeg", screened(facts.screen))
    poor = (KEPT_QUALITY - jpeg.quality) / (KEPT_QUALITY - POOR_QUALITY)
    strength = smooth(poor) if wish.strength == "auto" else float(wish.strength)
    if strength == 0:
        return Skipped("jpeg", f"quality {jpeg.quality} leaves nothing that shows")
    told = "as the file says" if jpeg.source == "file" else "as the pixels show"
    cause = f"what quality {jpeg.quality}, {told}, has left, about {in_255(jpeg.sigma)}"
    return Part("jpeg", strength, strength, 0.0, jpeg.sigma, jpeg.correlation, cause)
