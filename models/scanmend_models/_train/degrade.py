"""What age and the scanner do to a picture, drawn at random on the training device.

Each function takes and returns (N, 3, H, W) float32 in the display range [0, 1] and draws
from the generator that it is given, so that a seed fixes every sample. Nothing here needs
worker processes: a batch costs a few milliseconds on the device that trains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MAX_SIGMA = 55 / 255
"""The strongest white noise shown in training; benchmarks end at 50 / 255."""


@dataclass(frozen=True)
class Sample:
    """A batch as the trainer wants it.

    Attributes:
        scan: (N, 3, H, W), the degraded picture.
        clean: (N, 3, H, W), what the network should return.
        sigma: (N, 1, H, W), standard deviation of the noise, display range.
        correlation: (N, 1, 1, 1), its lag-1 spatial autocorrelation, 0 to 0.95.
    """

    scan: Tensor
    clean: Tensor
    sigma: Tensor
    correlation: Tensor

    def inputs(self) -> Tensor:
        """(N, 5, H, W): picture, sigma, sigma times correlation."""
        sigma = self.sigma.expand(-1, 1, *self.scan.shape[-2:])
        return torch.cat((self.scan, sigma, sigma * self.correlation), dim=1)


class Degrader:
    """Draws degraded batches: white noise, Poisson-Gaussian noise, clumped film grain, JPEG.

    Args:
        seed: of the generator that every draw comes from.
        device: where batches live.
        white_share: share of samples with plain white Gaussian noise; the others go
            through the whole scan chain.
    """

    def __init__(self, seed: int, device: torch.device, *, white_share: float = 0.6) -> None:
        self.generator = torch.Generator(device=device).manual_seed(seed)
        self.device = device
        self.white_share = white_share

    def __call__(self, clean: Tensor) -> Sample:
        """Degrades (N, 3, H, W) display-range pictures; a share of them becomes grey first."""
        count = len(clean)
        grey = self._chance(count, 0.15)
        clean = torch.where(grey, _luma(clean).expand_as(clean), clean)
        white = self._chance(count, self.white_share)
        white_scan, white_sigma = self._white(clean, grey)
        chain_scan, chain_clean = self._scan_chain(clean, grey)
        residual = chain_scan - chain_clean
        chain_sigma = _local_rms(residual) * self._log_normal(count, 0.1)
        return Sample(
            scan=torch.where(white, white_scan, chain_scan),
            clean=torch.where(white, clean, chain_clean),
            sigma=torch.where(white, white_sigma.expand_as(chain_sigma), chain_sigma),
            correlation=torch.where(white, torch.zeros_like(white_sigma), lag_one_correlation(residual)),
        )

    def _white(self, clean: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
        count = len(clean)
        sigma = self._uniform(count, 0.0, MAX_SIGMA)
        sigma = torch.where(self._chance(count, 0.04), torch.zeros_like(sigma), sigma)
        noise = self._normal(clean)
        noise = torch.where(grey, noise[:, :1].expand_as(noise), noise)
        scan = clean + sigma * noise
        return torch.where(self._chance(count, 0.75), _to_eight_bit(scan), scan), sigma

    def _scan_chain(self, clean: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
        """Film grain in density, then the scanner's noise, sharpening, 8 bits and JPEG.

        Returns:
            The scan, and what it would be without noise and JPEG: sharpened alike.
        """
        count = len(clean)
        scan = torch.where(self._chance(count, 0.6), self.film_grain(clean), clean)
        scan = torch.where(self._chance(count, 0.7), self.scanner_noise(scan), scan)
        scan, clean = self.sharpen(scan, clean)
        scan = torch.where(grey, scan[:, :1].expand_as(scan), scan)
        scan = _to_eight_bit(scan)
        compressed = jpeg(scan, self._uniform(count, 40.0, 98.0))
        return torch.where(self._chance(count, 0.4), compressed, scan), clean

    def film_grain(self, clean: Tensor) -> Tensor:
        """Granularity in optical density, clumped by a Gaussian of 0.3 to 1.6 pixels.

        Density D = -log10(linear light). The root of D (Dmax - D) is the granularity of a
        random-dot emulsion (Selwyn; Bayer 1964), here scaled so that its peak is drawn
        from [0, 0.12] D. Layers share a drawn part of their grain: 1 is black and white.
        """
        count = len(clean)
        density = -torch.log10(_to_linear(clean).clamp_min(1e-3))
        peak, shared = self._uniform(count, 0.0, 0.12), self._uniform(count, 0.0, 1.0)
        noise = self._normal(clean)
        noise = shared.sqrt() * noise[:, :1] + (1 - shared).sqrt() * noise
        noise = self._clump(noise, self._uniform(count, 0.3, 1.6))
        most = 3.0
        granularity = peak * (density * (most - density) * 4 / most**2).clamp_min(0.02).sqrt()
        return _to_display(10 ** -(density + granularity * noise))

    def scanner_noise(self, scan: Tensor) -> Tensor:
        """Poisson-Gaussian noise in linear light, variance a x + b, with faint column banding.

        Model: Foi et al., "Practical Poissonian-Gaussian noise modeling", TIP 2008.
        """
        count = len(scan)
        light = _to_linear(scan)
        shot = 10 ** self._uniform(count, -5.0, -2.3)
        read = 10 ** self._uniform(count, -4.0, -2.0)
        noisy = light + (shot * light + read**2).sqrt() * self._normal(scan)
        bands = self._normal(scan[:, :, :1]) * read * self._chance(count, 0.1)
        return _to_display(noisy + bands)

    def sharpen(self, scan: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The unsharp mask that scanner software applies, which gives noise negative lobes.

        Scan and clean picture get the same one: taking sharpness back is not denoising.
        """
        count = len(scan)
        radius = self._uniform(count, 0.6, 1.6)
        amount = self._uniform(count, 0.0, 0.9) * self._chance(count, 0.3)
        sharper = [x + amount * (x - _gaussian(x, radius)) for x in (scan, clean)]
        return sharper[0].clamp(0, 1), sharper[1].clamp(0, 1)

    def _clump(self, noise: Tensor, radius: Tensor) -> Tensor:
        """Blurs noise and brings it back to unit variance."""
        blurred = _gaussian(noise, radius)
        return blurred / blurred.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)

    def _chance(self, count: int, share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=self.generator, device=self.device) < share

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=self.generator, device=self.device)

    def _log_normal(self, count: int, spread: float) -> Tensor:
        return torch.exp(spread * torch.randn(count, 1, 1, 1, generator=self.generator, device=self.device))

    def _normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, device=self.device)


def lag_one_correlation(noise: Tensor) -> Tensor:
    """Mean of the horizontal and the vertical lag-1 autocorrelation: (N, 1, 1, 1) in [0, 0.95]."""
    centred = noise - noise.mean(dim=(2, 3), keepdim=True)
    power = centred.square().mean(dim=(1, 2, 3)).clamp_min(1e-12)
    along = (centred[..., 1:] * centred[..., :-1]).mean(dim=(1, 2, 3))
    down = (centred[..., 1:, :] * centred[..., :-1, :]).mean(dim=(1, 2, 3))
    return ((along + down) / (2 * power)).clamp(0.0, 0.95).reshape(-1, 1, 1, 1)


def _local_rms(noise: Tensor, reach: int = 33) -> Tensor:
    """Root mean square over channels and a square of `reach` pixels: (N, 1, H, W)."""
    power = noise.square().mean(dim=1, keepdim=True)
    half = reach // 2
    padded = functional.pad(power, (half, half, half, half), mode="reflect")
    across = functional.avg_pool2d(padded, (1, reach), stride=1)  # two passes: many times cheaper than one
    return functional.avg_pool2d(across, (reach, 1), stride=1).sqrt()


def _luma(x: Tensor) -> Tensor:
    weights = x.new_tensor((0.299, 0.587, 0.114)).reshape(1, 3, 1, 1)
    return (x * weights).sum(dim=1, keepdim=True)


def _to_eight_bit(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round() / 255


def _to_linear(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def _to_display(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp_min(1e-6) ** (1 / 2.4) - 0.055)


def _gaussian(x: Tensor, sigma: Tensor, half: int = 5) -> Tensor:
    """Blurs each sample with its own sigma (N, 1, 1, 1), in pixels, edges reflected."""
    offsets = torch.arange(-half, half + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma.reshape(-1, 1)) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(x.shape[1], dim=0)
    flat = x.reshape(1, -1, *x.shape[-2:])
    padded = functional.pad(flat, (half, half, half, half), mode="reflect")
    groups = flat.shape[1]
    across = functional.conv2d(padded, kernel[:, None, None, :], groups=groups)
    return functional.conv2d(across, kernel[:, None, :, None], groups=groups).reshape(x.shape)


def _dct_matrix(device: torch.device) -> Tensor:
    row = torch.arange(8, device=device, dtype=torch.float32)
    basis = torch.cos((2 * row[None, :] + 1) * row[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


# ITU-T T.81, Annex K, tables K.1 and K.2.
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, *[99] * 32,
)  # fmt: skip


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """What baseline JPEG at a libjpeg quality (N, 1, 1, 1), 1 to 99, leaves of a picture.

    Chroma is halved in both directions, as most encoders do. Sides must be multiples of 16.
    """
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    tables = torch.tensor((_LUMINANCE, _CHROMINANCE), device=x.device, dtype=x.dtype).reshape(2, 1, 8, 8)
    luma_table, chroma_table = (
        ((table * scale.reshape(-1, 1, 1) + 50) / 100).floor().clamp(1, 255) for table in tables
    )
    luma = _luma(x)
    blue, red = (x[:, 2:] - luma) * 0.564, (x[:, :1] - luma) * 0.713
    chroma = functional.avg_pool2d(torch.cat((blue, red), dim=1), 2)
    luma = _quantise(luma * 255 - 128, luma_table) / 255 + 128 / 255
    chroma = functional.interpolate(_quantise(chroma * 255, chroma_table) / 255, scale_factor=2.0)
    blue, red = chroma[:, :1], chroma[:, 1:]
    decoded = torch.cat((luma + 1.402 * red, luma - 0.344 * blue - 0.714 * red, luma + 1.772 * blue), dim=1)
    return _to_eight_bit(decoded)


def _quantise(plane: Tensor, table: Tensor) -> Tensor:
    """8 x 8 DCT, rounding to multiples of a table (N, 8, 8), and back."""
    count, channels, height, width = plane.shape
    basis = _dct_matrix(plane.device)
    blocks = plane.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = table.reshape(count, 1, 1, 1, 8, 8)
    rounded = torch.round(basis @ blocks @ basis.T / steps) * steps
    return (basis.T @ rounded @ basis).transpose(3, 4).reshape(plane.shape)
