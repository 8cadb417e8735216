"""The shapes of blur."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scanmend import psf


def spread(kernel: np.ndarray) -> tuple[float, float]:
    """Standard deviations down and across."""
    reach = len(kernel) // 2
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return math.sqrt((kernel * down**2).sum()), math.sqrt((kernel * across**2).sum())


@pytest.mark.parametrize("kind", psf.KINDS)
def test_kernels_are_odd_squares_of_light_that_sum_to_one(kind: psf.Kind) -> None:
    rng = np.random.default_rng(4)

    for _ in range(20):
        drawn = psf.draw(kind, rng)
        side, other = drawn.kernel.shape
        assert side == other
        assert side % 2 == 1
        assert drawn.kernel.dtype == np.float32
        assert drawn.kernel.min() >= 0
        assert drawn.kernel.sum() == pytest.approx(1, abs=1e-5)
        assert 0 < drawn.radius <= psf.MOST_RADIUS
        assert 0 <= drawn.angle < 180


@pytest.mark.parametrize("radius", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("blades", [0, 6])
def test_a_disk_spreads_by_half_its_radius(radius: float, blades: int) -> None:
    down, across = spread(psf.disk(radius, blades=blades))

    pixel = 1 / 12  # a pixel's own spread adds to that of the shape
    assert down == pytest.approx(math.sqrt(radius**2 / 4 + pixel), rel=0.09)
    assert across == pytest.approx(down, rel=0.04)


def test_a_gaussian_spreads_by_its_deviations_and_by_the_way_of_the_sensor() -> None:
    down, across = spread(psf.gaussian(1.5, 0.8, box=2.0))

    assert down == pytest.approx(math.sqrt(1.5**2 + 2**2 / 12 + 1 / 12), rel=0.03)
    assert across == pytest.approx(math.sqrt(0.8**2 + 1 / 12), rel=0.03)


def test_motion_tells_its_extent_and_its_direction() -> None:
    """The kernel is widest along the direction that is told, and not wider than twice the radius."""
    rng = np.random.default_rng(8)

    for _ in range(20):
        drawn = psf.draw("motion", rng)
        reach = len(drawn.kernel) // 2
        down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        turn = math.radians(drawn.angle)
        along = across * math.cos(turn) - down * math.sin(turn)
        lit = along[drawn.kernel > 1e-6]
        assert lit.max() - lit.min() == pytest.approx(2 * drawn.radius, abs=3)


def test_the_same_seed_draws_the_same_path() -> None:
    first, again = (psf.trajectory(np.random.default_rng(3), 20.0) for _ in range(2))

    assert np.array_equal(first, again)


def test_two_blurs_one_after_the_other_spread_as_their_variances_add() -> None:
    both = psf.convolved(psf.gaussian(1.0), psf.gaussian(2.0))

    one, other = spread(psf.gaussian(1.0))[0], spread(psf.gaussian(2.0))[0]
    assert spread(both)[0] == pytest.approx(math.hypot(one, other), rel=0.01)


def test_cropping_keeps_the_middle_and_the_sum() -> None:
    kernel = psf.gaussian(2.0)

    for side in (5, 65):
        result = psf.cropped(kernel, side)
        assert result.shape == (side, side)
        assert result.sum() == pytest.approx(1, abs=1e-6)
        assert np.unravel_index(result.argmax(), result.shape) == (side // 2, side // 2)


def test_camera_shake_is_no_matter_of_a_radius() -> None:
    with pytest.raises(ValueError, match="motion"):
        psf.parametric("motion", 3.0)
