"""Trains the fast grain network; `scanmend train grain` calls it."""

from __future__ import annotations

from functools import partial

from scanmend_models._train import denoise
from scanmend_models.grain_fast import arch

train = partial(denoise.train, arch.build)
"""As `denoise.train`, the network given."""
