"""The best deblurring network: MIMO-UNet+ as it was published, with weights of our own."""

from __future__ import annotations

from torch import nn

from scanmend_models.mimo_unet.arch import MIMO_UNET_PLUS_BLOCKS, MimoUNet, from_identity


def build() -> nn.Module:
    """The network with fresh weights, in eval mode; training starts from the identity.

    The published 10 % of dropout is left out: it pays in runs of weeks alone.
    """
    return from_identity(MimoUNet(MIMO_UNET_PLUS_BLOCKS)).eval()
