"""Which samples are sent for a region, and how they are taken from pieces of any size."""

from __future__ import absolute_import, division, print_function, unicode_literals

MYPY = False
if MYPY:
    from typing import Iterable, Tuple  # noqa: F401 - type comments

CONTEXT = 64
"""Pixels around a region that its restoration looks at: the networks' halo."""
LEAST_SIDE = 768
"""Pixels a side that are sent at least, where the layer has them: noise is measured on them."""


def surrounding(start, length, most):
    # type: (int, int, int) -> Tuple[int, int]
    """Start and length of what is sent for a stretch of a layer's `most` rows or columns.

    What one end of the layer denies, the other side gives.
    """
    wanted = min(most, max(length + 2 * CONTEXT, LEAST_SIDE))
    return max(0, min(start - (wanted - length) // 2, most - wanted)), wanted


class Stream(object):
    """Pieces of any size, taken in other sizes."""

    def __init__(self, pieces):
        # type: (Iterable[bytes]) -> None
        self._pieces = iter(pieces)
        self._rest = b""

    def take(self, size):
        # type: (int) -> bytes
        """So many bytes.

        Raises:
            ValueError: there are fewer.
        """
        parts, missing = [self._rest], size - len(self._rest)
        while missing > 0:
            piece = next(self._pieces, b"")
            if not piece:
                raise ValueError("%d bytes of the result are missing" % missing)
            parts.append(piece)
            missing -= len(piece)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]

    def end(self):
        # type: () -> None
        """Nothing is left.

        Raises:
            ValueError: something is.
        """
        if self._rest or next(self._pieces, b""):
            raise ValueError("the result has more bytes than the layer")
