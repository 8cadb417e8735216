"""How good models are: pictures made worse in known ways, and the marks of what comes back.

`denoise` and `deblur` hold a protocol each, `measures` what both are judged by.
"""

from __future__ import annotations

from scanmend.evaluate.denoise import SIGMAS, Mark, add_noise, evaluate, told
from scanmend.evaluate.measures import CROP, eight_bit, psnr, read_picture, seed, ssim

__all__ = [
    "CROP",
    "SIGMAS",
    "Mark",
    "add_noise",
    "eight_bit",
    "evaluate",
    "psnr",
    "read_picture",
    "seed",
    "ssim",
    "told",
]
