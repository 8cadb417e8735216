"""The facts a plan is made from, and the two ways to get them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scanmend.image import to_float
from scanmend.measure import blur, jpeg, noise, sampling, screen, tiles
from scanmend.measure.patches import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanmend.formats.base import Page
    from scanmend.image import Array, FloatArray, Layout
    from scanmend.measure.blur import BlurFacts
    from scanmend.measure.jpeg import JpegFacts
    from scanmend.measure.screen import Screen


@dataclass(frozen=True)
class NoiseFacts:
    """The noise of one picture, in units of the display range [0, 1].

    Attributes:
        sigma: robust overall standard deviation, per colour sample.
        curve: (tone, sigma) with tone in [0, 1], rising in tone: the noise level
            function at eight tones or fewer; empty where nothing could be judged.
        correlation: lag-1 spatial autocorrelation of the noise, in [0, 1); 0 is white.
        chroma: standard deviation of the colour (opponent) part relative to that of the
            luminance part, in an orthonormal basis: 1 for noise that is independent in
            the three channels, 0 for grey.
        windows: how many windows of 16 x 16 pixels could be judged; 0: the picture is too
            small, saturated or bilevel, and nothing is known.
        error: how far off sigma may be: the expected absolute error of its logarithm, so
            0.1 is about a tenth. Texture that may be noise makes it large.
    """

    sigma: float
    curve: tuple[tuple[float, float], ...]
    correlation: float
    chroma: float
    windows: int
    error: float = 0.0


UNKNOWN = NoiseFacts(sigma=0.0, curve=(), correlation=0.0, chroma=0.0, windows=0)


@dataclass(frozen=True)
class Facts:
    """What was measured on one page.

    Attributes:
        height, width: pixels of the stored grid.
        bits: significant bits of a sample.
        grey: whether the page has one colour channel, or equal ones wherever it was looked at.
        noise: the noise of the page.
        jpeg: what JPEG has left in the samples, whatever file they are in now; None where nothing was found.
        screen: the dots of a print; None where there are none.
        blur: how sharp the page is; None where that could not be judged.
    """

    height: int
    width: int
    bits: int
    grey: bool
    noise: NoiseFacts
    jpeg: JpegFacts | None = None
    screen: Screen | None = None
    blur: BlurFacts | None = None

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON-ready values: nested dicts, lists, numbers, None."""
        facts = asdict(self)
        facts["noise"]["curve"] = [[tone, sigma] for tone, sigma in self.noise.curve]
        if self.jpeg:
            facts["jpeg"]["grid"] = list(self.jpeg.grid)
        return facts


def measure(page: Page, *, windows: int = sampling.WINDOWS) -> Facts:
    """Measures a page from a bounded number of its bands.

    Args:
        page: an open page; a few bands are read, top to bottom, one in memory at a time.
        windows: how many windows of 16 x 16 pixels to look into, spread over the page.

    Raises:
        DamagedFile: the page cannot be decoded where it was read.
    """
    layout = page.layout
    sites = list(_page_sites(page, windows))
    pieces = tiles.cut(sites)
    grey = all(_is_neutral(site.pixels) for site in sites)
    return Facts(
        height=layout.height,
        width=layout.width,
        bits=layout.bits,
        grey=grey,
        noise=_judge(site.pixels for site in sites),
        jpeg=jpeg.judge(pieces, page.jpeg_quality, grey=grey),
        screen=screen.find(pieces),
        blur=blur.judge(pieces),
    )


def measure_array(pixels: FloatArray, *, windows: int = sampling.WINDOWS) -> NoiseFacts:
    """Measures the noise of a picture in memory.

    Args:
        pixels: (H, W, C) float32 in [0, 1], the display curve; colour channels only. Values
            outside are clipped; NaN marks pixels that must not count.
        windows: as in `measure`.
    """
    height, width = pixels.shape[:2]
    return _judge(
        np.clip(pixels[top:bottom, left:right], 0, 1)
        for top, bottom, spans in sampling.sites(height, width, windows)
        for left, right in spans
    )


def measure_blur(pixels: FloatArray, *, windows: int = sampling.WINDOWS) -> BlurFacts | None:
    """Judges how sharp a picture in memory is; arguments as `measure_array`, None as in `Facts`."""
    height, width = pixels.shape[:2]
    sites = [
        tiles.Site(top, left, np.clip(pixels[top:bottom, left:right], 0, 1))
        for top, bottom, spans in sampling.sites(height, width, windows)
        for left, right in spans
    ]
    return blur.judge(tiles.cut(sites))


def _page_sites(page: Page, windows: int) -> Iterator[tiles.Site]:
    layout = page.layout
    for top, bottom, spans in sampling.sites(layout.height, layout.width, windows):
        band = page.read(top, bottom)
        for left, right in spans:
            yield tiles.Site(top, left, _to_display(band[:, left:right], layout))


def _is_neutral(site: FloatArray) -> bool:
    return bool(np.array_equal(site[..., 1:], site[..., :-1], equal_nan=True))


def _judge(sites: Iterable[FloatArray]) -> NoiseFacts:
    held = [np.where(np.isfinite(site), site, np.float32(np.nan)) for site in sites if site.size]
    if not held:
        return UNKNOWN
    step = min(sampling.rounding_step(site) for site in held)
    patches = join([sampling.cut(site, step) for site in held], held[0].shape[2])
    level = noise.estimate(patches, step)
    return (
        NoiseFacts(
            *level[:4], windows=patches.count + patches.constant + patches.bordering, error=level.error
        )
        if level
        else UNKNOWN
    )


def _to_display(band: Array, layout: Layout) -> FloatArray:
    """As `image.to_float`, but what is fully transparent does not count: its colour is made up."""
    colour = to_float(band, layout)
    if layout.alpha != "none":
        colour = np.where(band[..., layout.color_channels, None] > 0, colour, np.float32(np.nan))
    return colour
