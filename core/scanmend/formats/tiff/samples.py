"""Bytes of a segment to samples and back: packing, byte order, predictors.

TIFF 6.0, sections 14 (predictor 2) and Technical Note 3 (predictor 3).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from scanmend.formats.tiff.coding import Coding
    from scanmend.image import Array

_NATIVE = "<" if sys.byteorder == "little" else ">"


def unpack(data: Array, rows: int, coding: Coding) -> Array:
    """Turns the decompressed bytes of a segment into samples.

    Args:
        data: (n,) uint8, at least rows * row_bytes of them; overwritten where it is writable.
        rows: of the segment.
        coding: how the samples are stored.

    Returns:
        (rows, segment_width, depth) of `coding.dtype`.
    """
    shape = (rows, coding.segment_width, coding.depth)
    data = data[: rows * coding.row_bytes]
    if coding.packed:
        return _unpack_bits(data, coding).reshape(shape)
    if coding.predictor == 3:
        array: Array = imagecodecs.floatpred_decode(data.view(coding.dtype).reshape(shape), axis=-2)
        return array
    samples = data.view(coding.dtype).reshape(shape)
    if coding.dtype.itemsize > 1 and coding.order != _NATIVE:
        samples = samples.byteswap(inplace=samples.flags.writeable)
    if coding.predictor == 2:
        integers = samples.view(f"u{coding.dtype.itemsize}")
        out = integers if integers.flags.writeable else None
        return np.asarray(imagecodecs.delta_decode(integers, axis=-2, out=out)).view(coding.dtype)
    return samples


def pack(samples: Array, coding: Coding) -> Array:
    """Turns samples (rows, segment_width, depth) into the bytes (n,) uint8 that a codec compresses."""
    if coding.packed:
        return _pack_bits(samples, coding)
    samples = np.ascontiguousarray(samples)
    if coding.predictor == 3:
        return _bytes(imagecodecs.floatpred_encode(samples, axis=-2))
    if coding.predictor == 2:
        samples = imagecodecs.delta_encode(samples.view(f"u{coding.dtype.itemsize}"), axis=-2)
    if coding.dtype.itemsize > 1 and coding.order != _NATIVE:
        samples = samples.byteswap()
    return _bytes(samples)


def _bytes(samples: Array) -> Array:
    return np.ascontiguousarray(samples).reshape(-1).view(np.uint8)


def _unpack_bits(data: Array, coding: Coding) -> Array:
    """Samples of odd sizes are a stream of bits, highest first, whatever the byte order."""
    run = coding.segment_width * coding.depth
    if coding.bits == 1:
        return np.unpackbits(data.reshape(-1, coding.row_bytes), axis=1, count=run)
    unpacked: Array = imagecodecs.packints_decode(data.tobytes(), coding.dtype, coding.bits, runlen=run)
    return unpacked


def _pack_bits(samples: Array, coding: Coding) -> Array:
    rows = samples.reshape(len(samples), -1).astype(np.uint32)
    shifts = np.arange(coding.bits - 1, -1, -1, dtype=np.uint32)
    bits = (rows[..., None] >> shifts & 1).astype(np.uint8)
    return np.packbits(bits.reshape(len(rows), -1), axis=1).reshape(-1)


def pad(samples: Array, height: int, width: int) -> Array:
    """Repeats the last row and column until a tile is full: smooth, so it compresses well."""
    missing = (height - samples.shape[0], width - samples.shape[1])
    if not any(missing):
        return samples
    return np.pad(samples, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
