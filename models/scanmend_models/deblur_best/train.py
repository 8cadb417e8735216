"""Trains the best deblurring network; `scanmend train deblur --tier best` calls it."""

from __future__ import annotations

from functools import partial

from scanmend_models._train import deblur, running
from scanmend_models.deblur_best import arch

train = partial(running.train, arch.build, deblur.Deblurring, ends=deblur.ENDS)
"""As `running.train`, network and task given."""
