"""What a scan says about itself before anything is done to it: a few windows, a second, no torch."""

from __future__ import annotations

from scanmend.measure.blur import BlurFacts
from scanmend.measure.facts import Facts, NoiseFacts, measure, measure_array, measure_blur
from scanmend.measure.jpeg import JpegFacts
from scanmend.measure.screen import Screen

__all__ = [
    "BlurFacts",
    "Facts",
    "JpegFacts",
    "NoiseFacts",
    "Screen",
    "measure",
    "measure_array",
    "measure_blur",
]
