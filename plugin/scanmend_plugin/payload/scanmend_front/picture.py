"""A picture on its way to the engine."""

from __future__ import absolute_import, division, print_function, unicode_literals

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, Iterable  # noqa: F401 - type comments

_BYTES = {"uint8": 1, "uint16": 2, "float32": 4}


class Picture(object):
    """Samples of a picture, row by row, channels together, little-endian.

    Args:
        height, width, channels: its shape; a last channel may be alpha.
        dtype: uint8, uint16 or float32.
        alpha: none or straight.
        transfer: display, or linear for samples in linear light.
        pieces: gives the samples' bytes, in pieces of any size, each time it is called.
    """

    def __init__(self, height, width, channels, dtype, alpha, transfer, pieces):
        # type: (int, int, int, str, str, str, Callable[[], Iterable[bytes]]) -> None
        self.height = height
        self.width = width
        self.channels = channels
        self.dtype = dtype
        self.alpha = alpha
        self.transfer = transfer
        self.pieces = pieces

    @property
    def size(self):
        # type: () -> int
        """Bytes of all samples."""
        return self.height * self.width * self.pixel_size

    @property
    def pixel_size(self):
        # type: () -> int
        """Bytes of a pixel."""
        return self.channels * _BYTES[self.dtype]

    def announced(self):
        # type: () -> Dict[str, Any]
        """The picture as a job's source names it."""
        return {
            "shape": [self.height, self.width, self.channels],
            "dtype": self.dtype,
            "alpha": self.alpha,
            "transfer": self.transfer,
        }
