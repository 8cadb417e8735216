"""The fast deblurring network: MIMO-UNet with few blocks, on half-resolution pixels.

What differs from the published network: 4 residual blocks a stage instead of 8, and pixels folded 2 x 2
into channels, which is several times faster on a CPU and sees twice as far.
"""

from __future__ import annotations

from torch import nn

from scanmend_models.mimo_unet.arch import MimoUNet, from_identity

BLOCKS, FOLD = 4, 2


def build() -> nn.Module:
    """The network with fresh weights, in eval mode; training starts from the identity."""
    return from_identity(MimoUNet(BLOCKS, fold=FOLD)).eval()
