"""Undoes a blur of known shape: half-quadratic splitting, with a denoiser for what pictures look like.

After Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior", TPAMI 2021, arXiv
2008.13751 (DPIR). Two steps take turns: least squares finds the picture that explains the scan and stays
close to the last answer; the denoiser takes out of it what blur has let through as noise. The level that
the denoiser is told falls from step to step, and the scan counts the more. What differs from the paper:

- light is blurred, but noise and the denoiser live in the display range. So what the scan and the blurred
  answer differ by is taken in the display range after blurring in linear light, and the least squares
  correct for that difference as if blur were linear there, which it is but at strong edges;
- a picture ends: what lies outside is unknown rather than a repetition, and is solved for as well. That
  takes conjugate gradients, for which the closed form of the paper is the preconditioner;
- a scan clips at white, which an answer that is brighter explains as well; see `_Scene._told`;
- blur leaves the tones of large areas as they are, and denoisers shift them: in the end they are those of
  the scan again;
- levels begin at 15/255 rather than 49: blurs of a few pixels need no more, and borders stay calm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scanmend.image import FloatArray

Denoise = Callable[[Tensor, float], Tensor]
"""A picture (1, 3, h, w) in the display range, and the noise it has in the same units: free of it."""

ITERATIONS = 4
"""Passes of the denoiser. More gain a little where the radius is right, and ring sooner where it is not."""
FIRST_LEVEL = 15 / 255
"""What the denoiser is told in the first pass."""
LEAST_LEVEL = 3 / 255
"""What it is told in the last pass at least.

More than the noise that is left, because of what else is wrong: the radius that was measured, and JPEG. With
less, a radius that is a fifth too large rings; with more, a right one loses more than that gains.
"""
FIDELITY = 0.23
"""Weight of the denoised answer against the scan: the paper's lambda."""
ROUNDS = 4
"""Of least squares in each iteration; only what is near borders and clipped white needs so many."""
SLOWEST = 0.03
"""Share of an error that a plain step takes out, from which on the rounds are arranged to take it out."""
TONE_REACH = 18
"""Pixels to either side over which the scan's tones are held: three standard deviations."""
_WHITE = 253.5 / 255
_BRIGHTEST = 3.0
"""An answer may be brighter than white where the scan is clipped, before it is clipped itself."""
_SPARE = 8
"""Pixels beyond what the kernel reaches from the borders, to either side."""


def deconvolve(
    picture: Tensor,
    kernel: FloatArray,
    *,
    sigma: float,
    denoise: Denoise,
    iterations: int = ITERATIONS,
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """The picture before it was blurred by a kernel.

    Args:
        picture: (1, 3, h, w) in the display range [0, 1].
        kernel: (side, side) with odd side and a sum of one, as `scanmend.psf` makes them.
        sigma: of the noise in the picture, in the same units as the picture; at least LEAST_LEVEL counts.
        denoise: takes out white noise of a level.
        iterations: passes of the denoiser, 1 or more.
        check: called often; may raise to stop.

    Returns:
        (1, 3, h, w) in [0, 1].
    """
    scene = _Scene.around(picture, kernel)
    sigma = max(sigma, LEAST_LEVEL)
    answer = scene.scan
    for level in _levels(sigma, iterations):
        check()
        answer = answer + scene.correction(answer, FIDELITY * (sigma / level) ** 2, check)
        answer = denoise(answer, level).clamp(0, _BRIGHTEST)
    return scene.cut(scene.toned(answer)).clamp(0, 1)


def _levels(last: float, iterations: int) -> list[float]:
    """Falling evenly in their logarithm."""
    first = max(FIRST_LEVEL, last)
    steps = max(iterations - 1, 1)
    return [first * (last / first) ** (step / steps) for step in range(iterations)]


@dataclass(frozen=True)
class _Scene:
    """A scan with what surrounds it, and the blur between it and the truth.

    Attributes:
        scan: (1, 3, H, W), mirrored beyond the picture.
        seen: (1, 1, H, W): 1 where the picture is, 0 beyond.
        transfer: (H, W / 2 + 1) complex: the kernel's Fourier transform.
        reach: of the kernel to either side, in pixels.
        before, height, width: the picture begins at (before, before), and is so large.
    """

    scan: Tensor
    seen: Tensor
    transfer: Tensor
    reach: int
    before: int
    height: int
    width: int

    @staticmethod
    def around(picture: Tensor, kernel: FloatArray) -> _Scene:
        height, width = picture.shape[2:]
        reach = len(kernel) // 2
        before = _length(2 * reach + _SPARE)  # a multiple of what the denoiser folds: tiles see the same
        down, across = (_length(size + 2 * before) for size in (height, width))
        rows, columns = _mirrored(height, before, down), _mirrored(width, before, across)
        seen = torch.zeros(1, 1, down, across)
        seen[..., before : before + height, before : before + width] = 1
        spread = torch.zeros(down, across)
        spread[: len(kernel), : len(kernel)] = torch.from_numpy(kernel)
        transfer = torch.fft.rfft2(spread.roll((-reach, -reach), (0, 1)))
        scan = picture[..., rows[:, None], columns]
        return _Scene(scan, seen, transfer, reach, before, height, width)

    def cut(self, answer: Tensor) -> Tensor:
        return answer[..., self.before : self.before + self.height, self.before : self.before + self.width]

    def correction(self, answer: Tensor, weight: float, check: Callable[[], None]) -> Tensor:
        """What makes the answer explain the scan, by least squares: min |seen (H d - r)|^2 + weight |d|^2.

        Pictures stay Fourier transformed meanwhile: that takes a third of the transforms.
        """
        missing = self.scan - to_display(self._picture(self.transfer * torch.fft.rfft2(to_linear(answer))))
        seen = self.seen * self._told(missing)
        power = self.transfer.abs() ** 2 + weight

        def normal(x: Tensor) -> Tensor:
            blurred = seen * self._picture(self.transfer * x)
            return self.transfer.conj() * torch.fft.rfft2(blurred) + weight * x

        wanted = self.transfer.conj() * torch.fft.rfft2(seen * missing)
        return self._picture(_chebyshev(normal, wanted, 1 / power, check))

    def toned(self, answer: Tensor) -> Tensor:
        """The answer with the scan's own tones in the large: no area becomes lighter or of another colour."""
        sigma = TONE_REACH / 3
        missing = self.scan - to_display(self._picture(self.transfer * torch.fft.rfft2(to_linear(answer))))
        seen = self.seen * self._told(missing)
        share = _smeared(seen, sigma).clamp_min(1e-3)  # only what was seen counts, also near borders
        return answer + _smeared(seen * missing, sigma) / share

    def _told(self, missing: Tensor) -> Tensor:
        """Where the scan can be taken at its word: 1, else 0.

        White says no more than that there is enough light. Beside it there may be light, spread from what is
        brighter than white, that no answer explains: rings would be the attempt.
        """
        white = self.scan >= _WHITE
        beside = functional.max_pool2d(white.float(), 2 * self.reach + 1, 1, self.reach) > 0
        return (~((white & (missing < 0)) | (beside & (missing > 0)))).float()

    def _picture(self, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, self.scan.shape[2:])


def _smeared(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian's means; what lies beyond the edges counts as nothing."""
    offsets = torch.arange(-TONE_REACH, TONE_REACH + 1)
    bell = torch.exp(-0.5 * (offsets / sigma) ** 2)
    bell = (bell / bell.sum()).expand(x.shape[1], 1, 1, -1)
    across = functional.conv2d(x, bell, padding=(0, TONE_REACH), groups=x.shape[1])
    return functional.conv2d(across, bell.mT, padding=(TONE_REACH, 0), groups=x.shape[1])


def _chebyshev(
    normal: Callable[[Tensor], Tensor], wanted: Tensor, inverse: Tensor, check: Callable[[], None]
) -> Tensor:
    """Solves normal(x) = wanted, from zero and in ROUNDS rounds; `inverse` is that of `normal` or less.

    Chebyshev's iteration for eigenvalues of inverse times normal in [SLOWEST, 1], and one plain step, which
    is exact wherever all is seen. Its weights are fixed: with conjugate gradients, whose weights
    depend on all of a picture, tiles would differ from the whole at any distance from their edges.
    """
    middle, half = (1 + SLOWEST) / 2, (1 - SLOWEST) / 2
    x, rest = torch.zeros_like(wanted), wanted
    ratio = half / middle
    step = inverse * rest / middle
    for _ in range(ROUNDS):
        check()
        x = x + step
        rest = rest - normal(step)
        following = 1 / (2 * middle / half - ratio)
        step = following * ratio * step + 2 * following / half * inverse * rest
        ratio = following
    return x + inverse * rest


def _length(least: int) -> int:
    """The next multiple of 8 that has no other prime factors than 2, 3 and 5: Fourier transforms are fast."""
    length = -(-least // 8) * 8
    while not _smooth(length):
        length += 8
    return length


def _smooth(length: int) -> bool:
    for factor in (2, 3, 5):
        while length % factor == 0:
            length //= factor
    return length == 1


def _mirrored(size: int, before: int, total: int) -> Tensor:
    """Indices of `total` samples of which `before` lie before the first one, mirrored as often as needed."""
    period = max(2 * size - 2, 1)
    places = (torch.arange(total) - before) % period
    return torch.where(places < size, places, period - places)


def to_linear(x: Tensor) -> Tensor:
    """Display range to linear light (IEC 61966-2-1, sRGB); the straight part goes on below black."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def to_display(x: Tensor) -> Tensor:
    """Linear light to the display range (IEC 61966-2-1, sRGB); the straight part goes on below black."""
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
