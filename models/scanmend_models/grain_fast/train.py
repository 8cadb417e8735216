"""Trains the fast grain network; `scanmend train grain` calls it."""

from __future__ import annotations

from functools import partial

from scanmend_models._train import denoise, running
from scanmend_models.grain_fast import arch

train = partial(running.train, arch.build, denoise.Denoising)
"""As `running.train`, network and task given."""
