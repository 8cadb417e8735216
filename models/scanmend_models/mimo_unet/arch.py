"""MIMO-UNet: one U-Net that takes the blurred picture at three scales and returns it sharp at three.

Paper: Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", ICCV 2021,
arXiv 2108.05054. The names of all weights are those that its published checkpoints use, so that
such a file loads unchanged: `Encoder.0.layers.0.main.0.main.0.weight` and so on.

`fold` is ours: pixels are folded fold x fold into channels before the network and unfolded after it, at
each of the three scales. With a fold of 2 no convolution runs at the picture's own resolution, where a
CPU waits for memory rather than computing, and the network sees twice as far. A fold of 1 is the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MIMO_UNET_BLOCKS, MIMO_UNET_PLUS_BLOCKS = 8, 20
"""Residual blocks of each stage, as published: 6,807,171 and 16,107,651 parameters at 32 channels."""
MULTIPLE = 4
"""Sides are multiples of it, times the fold: two scales are left by taking every other pixel."""


class BasicConv(nn.Module):
    """Convolution with offsets and, if wished, ReLU; 4 x 4 transposed, twice as large, for a scale up."""

    def __init__(
        self, channels: int, results: int, size: int, stride: int = 1, *, relu: bool, transpose: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(channels, results, 4, stride=stride, padding=1)
            if transpose
            else nn.Conv2d(channels, results, size, stride=stride, padding=size // 2)
        ]
        if relu:
            layers.append(nn.ReLU(inplace=True))
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.main(x)
        return result


class ResBlock(nn.Module):
    """x + conv(relu(conv(x))), nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            BasicConv(channels, channels, 3, relu=True), BasicConv(channels, channels, 3, relu=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.main(x)
        return y + x


class Stage(nn.Module):
    """Residual blocks at one scale: an encoder's or a decoder's."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


class SCM(nn.Module):
    """Shallow convolutional module (eq. 2): features of a smaller picture, the picture among them."""

    def __init__(self, picture: int, planes: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            BasicConv(picture, planes // 4, 3, relu=True),
            BasicConv(planes // 4, planes // 2, 1, relu=True),
            BasicConv(planes // 2, planes // 2, 3, relu=True),
            BasicConv(planes // 2, planes - picture, 1, relu=True),
        )
        self.conv = BasicConv(planes, planes, 1, relu=False)

    def forward(self, picture: Tensor) -> Tensor:
        result: Tensor = self.conv(torch.cat((picture, self.main(picture)), dim=1))
        return result


class FAM(nn.Module):
    """Feature attention module (eq. 3): what a smaller picture's features add to the encoder's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.merge = BasicConv(channels, channels, 3, relu=False)

    def forward(self, encoded: Tensor, shallow: Tensor) -> Tensor:
        result: Tensor = encoded + self.merge(encoded * shallow)
        return result


class AFF(nn.Module):
    """Asymmetric feature fusion (eq. 4): all three scales, brought to one size, as skip connection.

    The paper enlarges the coarser scales, stacks all three and convolves them 1 x 1. Here each scale is
    convolved at its own size with its share of those weights, then enlarged and added: the same sums,
    without 224 stacked planes at the finest size, which cost as much time as a convolution and most memory.
    """

    def __init__(self, channels: int, results: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            BasicConv(channels, results, 1, relu=True), BasicConv(results, results, 3, relu=False)
        )

    def forward(self, *scales: Tensor, level: int) -> Tensor:
        """As large as `scales[level]`; each of the scales is half as large as the one before it."""
        weight, bias = self.conv[0].parameters()
        shares = torch.split(weight, [x.shape[1] for x in scales], dim=1)
        total = functional.conv2d(scales[level], shares[level], bias)
        for place, (x, share) in enumerate(zip(scales, shares, strict=True)):
            if place < level:
                total = total + functional.conv2d(x, share, stride=2 ** (level - place))
            if place > level:
                y = functional.conv2d(x, share)
                total = total + functional.interpolate(y, scale_factor=2.0 ** (place - level))
        result: Tensor = self.conv[1](functional.relu(total, inplace=True))
        return result


class MimoUNet(nn.Module):
    """Takes blur out of a picture.

    Args:
        blocks: residual blocks of each of the six stages; 8 is MIMO-UNet, 20 is MIMO-UNet+.
        channels: at the finest scale; 32 as published.
        fold: pixels folded into channels first, along each side; 1 as published.
        dropout: share of feature planes of the skip connections that training leaves out; 0.1 in the
            published MIMO-UNet+. It has no weights.

    Input (N, 3, H, W) with H and W multiples of 4 times the fold: RGB in the display range [0, 1].
    """

    def __init__(self, blocks: int, *, channels: int = 32, fold: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.fold = fold
        picture, fine, middle, coarse = 3 * fold**2, channels, 2 * channels, 4 * channels
        self.Encoder = nn.ModuleList(Stage(planes, blocks) for planes in (fine, middle, coarse))
        self.feat_extract = nn.ModuleList(
            [
                BasicConv(picture, fine, 3, relu=True),
                BasicConv(fine, middle, 3, 2, relu=True),
                BasicConv(middle, coarse, 3, 2, relu=True),
                BasicConv(coarse, middle, 4, 2, relu=True, transpose=True),
                BasicConv(middle, fine, 4, 2, relu=True, transpose=True),
                BasicConv(fine, picture, 3, relu=False),
            ]
        )
        self.Decoder = nn.ModuleList(Stage(planes, blocks) for planes in (coarse, middle, fine))
        self.Convs = nn.ModuleList(
            [BasicConv(coarse, middle, 1, relu=True), BasicConv(middle, fine, 1, relu=True)]
        )
        self.ConvsOut = nn.ModuleList(
            [BasicConv(coarse, picture, 3, relu=False), BasicConv(middle, picture, 3, relu=False)]
        )
        scales = fine + middle + coarse
        self.AFFs = nn.ModuleList([AFF(scales, fine), AFF(scales, middle)])
        self.FAM1, self.SCM1 = FAM(coarse), SCM(picture, coarse)
        self.FAM2, self.SCM2 = FAM(middle), SCM(picture, middle)
        self.drop1, self.drop2 = nn.Dropout2d(dropout), nn.Dropout2d(dropout)

    def forward(self, picture: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """The sharp picture (N, 3, H, W); in training mode at a quarter, half and full size. Not clamped."""
        full, half, quarter = (functional.pixel_unshuffle(x, self.fold) for x in pyramid(picture))
        tones, rest = _in_two(full)
        fine = self.Encoder[0](self._features(tones, rest))
        middle = self.Encoder[1](self.FAM2(self.feat_extract[1](fine), self.SCM2(half)))
        coarse = self.Encoder[2](self.FAM1(self.feat_extract[2](middle), self.SCM1(quarter)))

        skip_middle = self.drop2(self.AFFs[1](fine, middle, coarse, level=1))
        skip_fine = self.drop1(self.AFFs[0](fine, middle, coarse, level=0))

        coarse = self.Decoder[0](coarse)
        middle = self.Convs[0](torch.cat((self.feat_extract[3](coarse), skip_middle), dim=1))
        middle = self.Decoder[1](middle)
        fine = self.Convs[1](torch.cat((self.feat_extract[4](middle), skip_fine), dim=1))
        sharp = self._unfolded(self.feat_extract[5](self.Decoder[2](fine)), tones + rest)
        if not self.training:
            return sharp
        sharp_quarter = self._unfolded(self.ConvsOut[0](coarse), quarter)
        return sharp_quarter, self._unfolded(self.ConvsOut[1](middle), half), sharp

    def _features(self, tones: Tensor, rest: Tensor) -> Tensor:
        """What the first layer makes of the picture in two parts, with its weights once for each."""
        weight, bias = self.feat_extract[0].parameters()
        both, weights = torch.cat((tones, rest), dim=1), torch.cat((weight, weight), dim=1)
        return functional.relu(functional.conv2d(both, weights, bias, padding=1), inplace=True)

    def _unfolded(self, change: Tensor, blurred: Tensor) -> Tensor:
        return functional.pixel_shuffle(change + blurred, self.fold)


def pyramid(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The picture, every other pixel of it, and every fourth: what nearest-neighbour resizing keeps."""
    half = _evens(picture)
    return picture, half, _evens(half)


def _in_two(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The picture as multiples of 1/128, and what is left of it; their sum is the picture to the last bit.

    In reduced precision, layers round what they read to bfloat16. It holds each part to 1/65536, but a light
    tone as one number only to half a grey level of 8 bits. The sum is taken anew where the picture is
    added to the result, because OpenVINO keeps in float32 what its output is made of.
    """
    tones = torch.floor(picture * 128) / 128
    return tones, picture - tones


def _evens(x: Tensor) -> Tensor:
    return x[..., ::2, ::2]


def mimo_unet() -> nn.Module:
    """MIMO-UNet as published, with fresh weights, in eval mode."""
    return MimoUNet(MIMO_UNET_BLOCKS).eval()


def mimo_unet_plus() -> nn.Module:
    """MIMO-UNet+ as published, with fresh weights, in eval mode."""
    return MimoUNet(MIMO_UNET_PLUS_BLOCKS, dropout=0.1).eval()


def from_identity(network: MimoUNet) -> MimoUNet:
    """The network with its last layers at zero, in place: it returns what it is given."""
    for layer in (network.feat_extract[5], *network.ConvsOut):
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    return network
