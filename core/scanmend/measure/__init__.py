"""What a scan says about itself before anything is done to it: NumPy only, a few windows, a second."""

from __future__ import annotations

from scanmend.measure.facts import Facts, NoiseFacts, measure, measure_array

__all__ = ["Facts", "NoiseFacts", "measure", "measure_array"]
