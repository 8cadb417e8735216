"""Trains the best grain network; `scanmend train grain --tier best` calls it."""

from __future__ import annotations

from functools import partial

from scanmend_models._train import denoise
from scanmend_models.grain_best import arch

train = partial(denoise.train, arch.build, precise=("m_head", "m_tail"))
"""As `denoise.train`, the network given; the picture itself passes through its ends."""
