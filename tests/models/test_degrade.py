"""Each effect against what was asked of it, and the JPEG model against a real encoder."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scanmend_models._train.degrade import Degrader, Sample
from scanmend_models._train.effects import Shares, reframed
from scanmend_models._train.jpeg import jpeg
from scanmend_models._train.light import blur, clump, lag_one_correlation, to_display, to_linear
from torch import Tensor

CPU = torch.device("cpu")
NOTHING = Shares.none()


def tones(count: int = 8, side: int = 64) -> Tensor:
    """A smooth colourful picture, far from black and white."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = [torch.sin(columns / period) * torch.cos(rows / (period + 4)) for period in (9.0, 13.0, 21.0)]
    return (0.5 + 0.2 * torch.stack(waves)).expand(count, 3, side, side).clone()


def flat(tone: float, count: int = 8, side: int = 128) -> Tensor:
    return torch.full((count, 3, side, side), tone)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def degraded(shares: Shares, clean: Tensor, seed: int = 3) -> Sample:
    return Degrader(seed, CPU, shares=shares, misjudged=0.0, measure=True)(clean)


def through_pillow(eight: np.ndarray, quality: int, subsampling: str) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(eight).save(file, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(file) as image:
        return np.asarray(image).astype(int)


def modelled(clean: Tensor, quality: int, *, halved: bool, offset: tuple[int, int] = (0, 0)) -> Tensor:
    count = len(clean)
    return jpeg(
        clean,
        torch.full((count,), quality),
        halved=torch.full((count,), halved),
        offset=torch.tensor([offset] * count),
    )


def test_a_seed_fixes_every_sample() -> None:
    first, again = (Degrader(7, CPU)(tones()) for _ in range(2))
    other = Degrader(8, CPU)(tones())

    torch.testing.assert_close(first.inputs(), again.inputs(), rtol=0, atol=0)
    torch.testing.assert_close(first.clean, again.clean, rtol=0, atol=0)
    assert not torch.equal(first.scan, other.scan)


def test_a_kept_state_goes_on_with_the_same_samples() -> None:
    through = Degrader(7, CPU)
    through(tones())
    state = through.state()
    other = Degrader(1, CPU)
    other.resume(state)

    torch.testing.assert_close(through(tones()).scan, other(tones()).scan, rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(6))
def test_samples_are_pictures_of_the_size_and_range_that_came_in(seed: int) -> None:
    sample = Degrader(seed, CPU, measure=True)(tones(16, 48)[..., :40])

    assert sample.scan.shape == sample.clean.shape == (16, 3, 48, 40)
    assert sample.sigma.shape == (16, 1, 48, 40)
    assert sample.correlation.shape == (16, 1, 1, 1)
    assert sample.noise is not None
    assert sample.noise.shape == sample.scan.shape
    assert sample.inputs().isfinite().all()
    assert 0 <= sample.clean.min() <= sample.clean.max() <= 1


def test_no_effect_drawn_changes_nothing_that_eight_bits_would_show() -> None:
    sample = degraded(NOTHING, tones())

    torch.testing.assert_close(sample.scan, tones(), rtol=0, atol=1e-4)
    assert sample.sigma.max() == 0


@pytest.mark.parametrize("white", [0.0, 1.0])
def test_the_network_is_told_the_noise_that_is_there(white: float) -> None:
    sample = Degrader(3, CPU, shares=Shares(white=white))(tones(48))

    there = (sample.scan - sample.clean).square().mean(dim=(1, 2, 3)).sqrt()
    told = sample.sigma.square().mean(dim=(1, 2, 3)).sqrt()
    noisy = there > 3 / 255

    assert noisy.sum() > 12
    assert ((told / there)[noisy] - 1).abs().median() < 0.1


def test_white_noise_covers_benchmarks_and_is_weak_in_most_samples() -> None:
    sigma = degraded(replace(NOTHING, white=1.0), tones(600, 16)).sigma[:, 0, 0, 0] * 255

    assert 52 < sigma.max() < 55
    assert sigma.min() < 1
    assert 0.68 < (sigma < 25).float().mean() < 0.78  # 1/2 + 1/2 * 25/55


def test_white_noise_has_the_sigma_that_is_told() -> None:
    sample = degraded(replace(NOTHING, white=1.0), flat(0.5))

    there = (sample.scan - sample.clean).std(dim=(1, 2, 3))
    told = sample.sigma[:, 0, 0, 0]

    torch.testing.assert_close(there, told, rtol=0.02, atol=1e-4)
    assert lag_one_correlation(sample.scan - sample.clean).abs().max() < 0.03


@pytest.mark.parametrize("sigma", [0.3, 0.6, 1.0, 1.6, 2.5])
def test_clumped_noise_keeps_its_variance_and_has_a_gaussian_s_correlation(sigma: float) -> None:
    noise = clump(normal(4, 3, 256, 256), torch.full((4, 1, 1, 1), sigma))

    offsets = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    expected = float((kernel[1:] * kernel[:-1]).sum() / (kernel**2).sum())

    assert noise.shape == (4, 3, 244, 244)
    assert float(noise.std()) == pytest.approx(1, rel=0.03)
    assert float(lag_one_correlation(noise).mean()) == pytest.approx(min(expected, 0.95), abs=0.02)


def test_a_blur_widens_an_edge_by_its_sigmas() -> None:
    dot = torch.zeros(1, 1, 33, 33)
    dot[..., 16, 16] = 1

    spot = blur(dot, torch.full((1, 1, 1, 1), 0.8), torch.full((1, 1, 1, 1), 1.2))[0, 0]
    offsets = torch.arange(33) - 16.0

    assert float(spot.sum()) == pytest.approx(1, rel=1e-5)
    assert float((spot.sum(1) * offsets**2).sum()) == pytest.approx(0.8**2, rel=0.03)
    assert float((spot.sum(0) * offsets**2).sum()) == pytest.approx(1.2**2, rel=0.03)


def test_light_and_display_are_each_other_s_inverse() -> None:
    ramp = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)

    torch.testing.assert_close(to_display(to_linear(ramp)), ramp, rtol=0, atol=2e-5)


def test_grain_is_strongest_in_the_middle_tones_of_a_print() -> None:
    shares = replace(NOTHING, grain=1.0)
    strength = [
        float((s.scan - s.clean).std())
        for s in (degraded(shares, flat(tone)) for tone in (0.02, 0.25, 0.5, 0.99))
    ]

    assert strength[1] > strength[0]
    assert strength[2] > 1.5 * strength[3]


def test_grain_on_a_negative_is_stronger_in_the_highlights_than_on_a_print() -> None:
    of_print = degraded(replace(NOTHING, grain=1.0), flat(0.95))
    of_negative = degraded(replace(NOTHING, grain=1.0, negative=1.0), flat(0.95))

    assert (of_negative.scan - 0.95).std() > 1.5 * (of_print.scan - 0.95).std()


def test_grain_is_clumped_to_different_degrees() -> None:
    correlation = degraded(replace(NOTHING, grain=1.0), flat(0.4, 24)).correlation

    assert correlation.min() < 0.2
    assert correlation.max() > 0.7


@pytest.mark.parametrize(("shot", "read"), [(1e-4, 1e-3), (3e-3, 3e-3)])
def test_sensor_noise_follows_a_line_in_linear_light(
    shot: float, read: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    exponents = (np.log10(shot) + 5) / 3, (np.log10(read) + 4) / 2.1  # as they are drawn
    drawn = iter([torch.tensor(exponent) ** (1 / 1.4) for exponent in exponents] * 3)
    degrader = Degrader(3, CPU, shares=NOTHING)
    monkeypatch.setattr(degrader, "_number", lambda *_: next(drawn))

    for light in (0.05, 0.2, 0.8):
        noise = degrader.scanner_noise(flat(light)) - light
        assert float(noise.var()) == pytest.approx(shot * light + read**2, rel=0.03)


def test_correlated_scanner_noise_is_shared_between_pixels_and_colours() -> None:
    white = degraded(replace(NOTHING, scanner=1.0), flat(0.4, 16))
    correlated = degraded(replace(NOTHING, scanner=1.0, clumped=1.0), flat(0.4, 16))

    def colours(sample: Sample) -> float:
        residual = (sample.scan - sample.clean).movedim(1, 0).flatten(1)
        return float(torch.corrcoef(residual)[0, 1])

    assert white.correlation.mean() < 0.05
    assert correlated.correlation.mean() > 0.3
    assert abs(colours(white)) < 0.05
    assert colours(correlated) > 0.15


def test_bands_run_along_rows_or_columns() -> None:
    sample = degraded(replace(NOTHING, banding=1.0), flat(0.5, 32))
    residual = (sample.scan - sample.clean)[:, 1]
    of_rows = residual.mean(dim=2).std(dim=1) > residual.mean(dim=1).std(dim=1)

    assert 5 < of_rows.sum() < 27
    torch.testing.assert_close(residual[of_rows][..., :1].expand(-1, -1, 128), residual[of_rows])


def test_sharpening_gives_noise_negative_lobes_and_is_part_of_the_target() -> None:
    noisy = replace(NOTHING, scanner=1.0)
    plain, sharp = degraded(noisy, flat(0.5)), degraded(replace(noisy, sharpen=1.0), flat(0.5))
    target = degraded(replace(NOTHING, sharpen=1.0), tones()).clean

    def along(sample: Sample) -> Tensor:
        residual = sample.scan - sample.clean
        return (residual[..., 1:] * residual[..., :-1]).mean(dim=(1, 2, 3)) / residual.square().mean(
            (1, 2, 3)
        )

    assert (along(sharp) < along(plain) - 0.02).float().mean() > 0.8
    assert target.std() > tones().std()


def test_resizing_correlates_noise_by_its_factor_and_keeps_tones() -> None:
    degrader = Degrader(3, CPU, shares=replace(NOTHING, scanner=1.0, resize=1.0))
    samples = [degrader(flat(0.5, 2)) for _ in range(16)]
    correlation = torch.stack([sample.correlation.mean() for sample in samples])

    assert correlation.max() > 0.3  # enlarged by 1.2 or more
    assert correlation.min() < 0.2  # shrunk
    assert all(abs(float(sample.clean.mean()) - 0.5) < 1e-3 for sample in samples)


@pytest.mark.parametrize(("height", "width"), [(40, 64), (100, 127), (50, 90)])
def test_a_frame_is_the_middle_of_a_picture_or_the_picture_with_its_mirror_image(
    height: int, width: int
) -> None:
    picture = tones(1, 64)
    framed = reframed(picture, height, width)
    top, left = ((side - 64) // 2 for side in (height, width))
    rows = slice(max(top, 0), max(top, 0) + min(height, 64))
    columns = slice(max(left, 0), max(left, 0) + min(width, 64))

    assert framed.shape == (1, 3, height, width)
    torch.testing.assert_close(
        framed[:, :, rows, columns],
        picture[:, :, max(-top, 0) :, max(-left, 0) :][:, :, : min(height, 64), : min(width, 64)],
    )


@pytest.mark.parametrize("quality", [30, 55, 75, 90, 95])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_the_jpeg_model_gives_the_pixels_of_a_real_decoder(quality: int, subsampling: str) -> None:
    clean = (tones(1, 128) + 0.05 * normal(1, 3, 128, 128)).clamp(0, 1)
    eight = (clean[0].permute(1, 2, 0) * 255).round().byte().numpy()

    real = through_pillow(eight, quality, subsampling)
    model = modelled(clean, quality, halved=subsampling == "4:2:0")[0].permute(1, 2, 0).numpy() * 255

    difference = np.abs(model - real)
    assert difference.mean() < 0.5  # what is left are ties that integer arithmetic rounds otherwise
    assert np.quantile(difference, 0.99) <= 6
    assert (model - eight).std() == pytest.approx((real - eight).std(), rel=0.02)


@pytest.mark.parametrize("halved", [True, False])
def test_a_moved_jpeg_grid_is_that_of_a_crop(halved: bool) -> None:  # noqa: FBT001 - parametrised
    whole = (tones(1, 96) + 0.1 * normal(1, 3, 96, 96)).clamp(0, 1)

    coded = modelled(whole, 50, halved=halved)[..., 5:85, 11:91]
    cropped = modelled(whole[..., 5:85, 11:91], 50, halved=halved, offset=(5, 11))

    torch.testing.assert_close(cropped[..., 16:-16, 16:-16], coded[..., 16:-16, 16:-16], rtol=0, atol=1e-6)


def test_each_picture_of_a_batch_is_coded_on_its_own() -> None:
    clean = (tones(4) + 0.1 * normal(4, 3, 64, 64)).clamp(0, 1)
    quality = torch.tensor([30, 50, 80, 95])
    halved = torch.tensor([True, False, True, False])
    offset = torch.tensor([[0, 0], [3, 7], [15, 1], [0, 0]])

    together = jpeg(clean, quality, halved=halved, offset=offset)

    for i in range(4):
        one = slice(i, i + 1)
        alone = jpeg(clean[one], quality[one], halved=halved[one], offset=offset[one])
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-6)


def test_the_codec_s_own_errors_are_no_noise() -> None:
    coded = degraded(replace(NOTHING, jpeg=1.0), tones())

    assert coded.noise is not None
    assert coded.noise.abs().max() == 0
    assert (coded.scan - coded.clean).std() > 0.5 / 255
    assert coded.sigma.mean() > 0.5 / 255


def test_noise_under_a_codec_leaves_the_codec_s_own_errors_out() -> None:
    sample = degraded(replace(NOTHING, scanner=1.0, jpeg=1.0), tones(32))
    assert sample.noise is not None
    share = sample.noise.std(dim=(1, 2, 3)) / (sample.scan - sample.clean).std(dim=(1, 2, 3))

    assert share.min() < 0.6  # weak noise under a strong codec
    assert ((share > 0.9) & (share < 1.15)).float().mean() > 0.3  # strong noise under a weak one


def test_a_toned_picture_is_of_one_colour_and_its_grain_is_not_coloured() -> None:
    shares = replace(NOTHING, grey=1.0, toned=1.0)
    clean = degraded(shares, tones()).clean
    grained = degraded(replace(shares, grain=1.0), flat(0.4))
    residual = (grained.scan - grained.clean).movedim(1, 0).flatten(2)

    assert (clean[:, 0] >= clean[:, 2] - 1e-5).all()  # towards red, away from blue
    assert (clean[:, 0] - clean[:, 2]).mean() > 0.03
    assert min(float(torch.corrcoef(pair)[0, 1]) for pair in residual[[0, 2]].movedim(1, 0)) > 0.95


@pytest.mark.parametrize("white", [0.0, 1.0])
def test_a_grey_file_stays_grey(white: float) -> None:
    sample = Degrader(2, CPU, shares=replace(Shares(), grey=1.0, grey_file=1.0, white=white))(tones(24))

    assert (sample.scan.amax(dim=1) - sample.scan.amin(dim=1)).max() < 1e-6
    assert (sample.clean.amax(dim=1) - sample.clean.amin(dim=1)).max() < 1e-4
