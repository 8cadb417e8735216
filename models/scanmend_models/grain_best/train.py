"""Trains the best grain network; `scanmend train grain --tier best` calls it."""

from __future__ import annotations

from functools import partial

from scanmend_models._train import denoise, running
from scanmend_models.grain_best import arch

train = partial(running.train, arch.build, denoise.Denoising, precise=("m_head", "m_tail"))
"""As `running.train`, network and task given; the picture itself passes through its ends."""
