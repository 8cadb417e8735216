"""What all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no bug: Hypothesis judges what the code does, not how long it takes.
settings.register_profile("scanmend", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("scanmend")
