"""Windows over a picture and the weights that blend them; geometry only.

A length is cut into spans. Each span keeps a stretch of its own and reads a halo beyond
it, so that what it keeps does not depend on where the picture was cut. Across each cut
two spans overlap and fade into each other linearly, which hides what the halo leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scanmend.image import FloatArray


@dataclass(frozen=True)
class Span:
    """A window along one axis.

    Attributes:
        start, stop: what it reads; start is a multiple of the network's size rule, so
            that strided layers fall on the same pixels in every window.
        keep_from, keep_to: what it answers for; the spans' kept parts tile the length.
    """

    start: int
    stop: int
    keep_from: int
    keep_to: int

    @property
    def size(self) -> int:
        return self.stop - self.start


def spans(length: int, tile: int, halo: int, multiple: int) -> tuple[Span, ...]:
    """Cuts a length into the fewest spans of at most `tile` pixels, halo included.

    Args:
        length: pixels, at least 1.
        tile: most pixels that a span reads; at least 2 * halo + multiple.
        halo: pixels read beyond the kept part on each side, where the picture has them.
        multiple: starts are multiples of it.

    Raises:
        ValueError: the tile is too small for its halo.
    """
    margin = -(-halo // multiple) * multiple
    step = (tile - 2 * margin) // multiple * multiple
    if step < multiple:
        raise ValueError(f"a tile of {tile} pixels is too small for a halo of {halo}")
    if length <= tile:
        return (Span(0, length, 0, length),)
    cuts = [0, *range(step + margin, length - margin, step), length]
    return tuple(
        Span(max(low - margin, 0), min(high + margin, length), low, high) for low, high in pairwise(cuts)
    )


def weights(span: Span, length: int, overlap: int) -> FloatArray:
    """The share of each pixel of a span in the blend: (span.size,) float32 in [0, 1].

    Over all spans of a length the shares add up to 1 at every pixel.

    Args:
        span: one of `spans(length, ...)`.
        length: of the axis.
        overlap: pixels over which neighbours fade into each other; even, at most the halo.
    """
    share = np.zeros(span.size, np.float32)
    share[span.keep_from - span.start : span.keep_to - span.start] = 1.0
    half = overlap // 2
    rise = (np.arange(2 * half, dtype=np.float32) + 0.5) / (2 * half) if half else np.zeros(0, np.float32)
    if span.keep_from > 0 and half:
        cut = span.keep_from - span.start
        share[cut - half : cut + half] = rise
    if span.keep_to < length and half:
        cut = span.keep_to - span.start
        share[cut - half : cut + half] = rise[::-1]
    return share


def around(low: int, high: int, whole: tuple[Span, ...], context: int, multiple: int) -> tuple[int, int]:
    """The window that a stretch of a length is to be seen in, to come out as it does among all spans.

    Both its ends fall on the same pixels of strided layers as those of the span that the stretch lies in,
    for a network may see it turned round as well.

    Args:
        low: where the stretch begins.
        high: where it ends.
        whole: the spans of the length.
        context: pixels to read beyond the stretch on each side, where there are any.
        multiple: as for `spans`.
    """
    length = whole[-1].stop
    uneven = length % multiple if low + high >= 2 * whole[-1].keep_from else 0
    start = max(low - context, 0) // multiple * multiple
    stop = -(-(high + context - uneven) // multiple) * multiple + uneven
    return start, min(stop, length)
