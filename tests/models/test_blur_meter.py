"""The blur meter: its twin in the core, its examples, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scanmend import cards, psf
from scanmend.engine import load_network
from scanmend.measure import blur, network, sharpness
from scanmend_models._train import metering
from scanmend_models._train.loop import Settings
from scanmend_models.blur_meter import arch, samples
from scanmend_models.blur_meter import train as training


def picture(side: int = 256, seed: int = 0) -> torch.Tensor:
    """(3, side, side) uint8: rectangles of any tone, one over the other."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((side, side, 3), np.uint8)
    for _ in range(120):
        top, left = rng.integers(0, side, 2)
        tall, wide = rng.integers(4, side // 2, 2)
        drawn[top : top + tall, left : left + wide] = rng.integers(20, 236, 3)
    return torch.from_numpy(drawn).permute(2, 0, 1)


def test_the_core_reads_what_the_trained_network_reads() -> None:
    trained = load_network(cards.find(blur.NAME))
    drawn = np.random.default_rng(3).normal(0, 2, (20, sharpness.COUNT)).astype(np.float32)

    for one in drawn:
        read = network.read(blur.NAME, one)
        with torch.inference_mode():
            expected = trained(torch.from_numpy(one)[None])[0].double()

        kinds, radii, scales, turn = arch.parts(torch.from_numpy(read)[None].double())
        bounded = torch.cat((kinds, radii, scales.clamp(*arch.SCALES), turn), dim=1)[0]
        torch.testing.assert_close(bounded, expected, rtol=1e-3, atol=1e-3)


def test_what_is_read_becomes_a_kind_a_radius_and_an_angle(monkeypatch: pytest.MonkeyPatch) -> None:
    shaken = np.array([0, 8, 2, 1, np.log(5), 0, 0, np.log(0.2), 0, 0, 0, 1], np.float32)
    sharp = np.array([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], np.float32)
    said = {1.0: shaken, 2.0: sharp}
    monkeypatch.setattr(network, "read", lambda _name, traits: said[float(traits[0])])

    first = blur.read(np.full(3, 1, np.float32), 150)
    second = blur.read(np.full(3, 2, np.float32), 150)

    assert first.kind == "motion"
    assert (first.radius, first.error) == (pytest.approx(5, rel=1e-3), pytest.approx(0.2, rel=1e-3))
    assert first.angle == pytest.approx(150 + 45 - 180)
    assert first.chance > 0.9
    assert (second.kind, second.radius, second.angle) == ("none", 0, 0)
    assert second.chance < 0.1


def test_the_card_states_the_meter_s_own_size() -> None:
    card = cards.find(blur.NAME)

    assert sum(weight.numel() for weight in arch.build().parameters()) == card.parameters
    assert card.inputs == sharpness.COUNT


def test_kinds_are_numbered_alike_here_and_there() -> None:
    assert samples.KINDS == blur.KINDS
    assert len(samples.KINDS) == arch.KINDS


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (psf.disk(4), 2),
        (psf.gaussian(1.5), (1.5**2 + 1 / 12) ** 0.5),
        (np.full((1, 1), 1, np.float32), 0),
    ],
)
def test_the_width_of_a_shape_is_its_standard_deviation(kernel: samples.Array, expected: float) -> None:
    shape = psf.Psf("scanner", 1, 0, kernel)

    assert samples.width(shape) == pytest.approx(expected, rel=0.03)


def test_examples_tell_direction_and_size_of_a_shake() -> None:
    line = np.zeros((21, 21), np.float32)
    line[np.arange(4, 17), np.arange(16, 3, -1)] = 1 / 13  # from lower left to upper right
    clean = picture().float()[None] / 255

    example = samples.measured(samples._blurred(clean, line), 1, 8.5, 45.0, 5.3)

    assert example is not None
    assert example.truth[[0, 1, 4]] == pytest.approx([1, 8.5, 5.3])
    off = np.degrees(np.arctan2(example.truth[3], example.truth[2])) / 2
    assert abs(off) < 20  # the traits were turned to the shake


def test_a_turned_picture_has_the_same_traits_and_a_turned_direction() -> None:
    clean = samples._blurred(picture().float()[None] / 255, psf.gaussian(0.8, 2.5))

    upright, turned = (samples.measured(x, 1, 1.0, 0.0, 1.0) for x in (clean, torch.rot90(clean, 1, (2, 3))))

    assert upright is not None
    assert turned is not None
    np.testing.assert_allclose(upright.traits[:100], turned.traits[:100], atol=0.1)
    assert upright.truth[2:4] == pytest.approx(-turned.truth[2:4], abs=0.1)


def test_a_flat_picture_is_no_example() -> None:
    assert samples.measured(torch.full((1, 3, 256, 256), 0.5), 0, 0, 0, 0) is None


def test_equal_seeds_draw_equal_examples() -> None:
    drawn = [samples.Scanner(2).draw((picture(320),)) for _ in range(2)]

    assert drawn[0] is not None
    assert drawn[1] is not None
    np.testing.assert_array_equal(drawn[0].traits, drawn[1].traits)


def test_all_kinds_are_drawn() -> None:
    scanner = samples.Scanner(3)

    drawn = [example for _ in range(40) if (example := scanner.draw((picture(320),)))]

    assert {int(example.truth[0]) for example in drawn} == {0, 1, 2, 3}
    assert all((example.truth[1] > 0) == (example.truth[0] > 0) for example in drawn)


def test_being_right_costs_less_than_being_wrong() -> None:
    truth = torch.tensor([[1.0, 5.0, 1.0, 0.0, 2.5], [0.0, 0.0, 1.0, 0.0, 0.0]])
    right = torch.zeros(2, arch.OUTPUTS)
    right[0, 1], right[1, 0] = 5, 5
    right[0, 4], right[0, 10] = np.log(5), 1
    wrong = right.clone()
    wrong[:, :4] = right[:, :4].flip(0)

    costs = [float(training.likelihood(read, truth)) for read in (right, wrong)]
    misjudged = right.clone()
    misjudged[0, 4] += 1

    assert costs[0] < costs[1]
    assert costs[0] < float(training.likelihood(misjudged, truth))


def test_what_nobody_can_tell_from_sharp_may_be_called_sharp() -> None:
    truth = torch.tensor([[3.0, 0.7, 1.0, 0.0, 0.7]])
    sharp, soft = torch.zeros(1, arch.OUTPUTS), torch.zeros(1, arch.OUTPUTS)
    sharp[0, 0] = 5

    assert float(training.likelihood(sharp, truth)) == pytest.approx(float(training.likelihood(soft, truth)))


@pytest.mark.slow
def test_training_learns_and_goes_on_from_the_examples_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    for index in range(12):
        drawn = picture(256, index).permute(1, 2, 0).numpy()
        Image.fromarray(drawn).save(tmp_path / "pictures" / f"{index}.png")
    monkeypatch.setattr(metering, "BLOCK", 20)
    settings = Settings(minutes=5, steps=200, batch=32, rate=2e-3, small=1.0, seed=3)
    said: list[str] = []

    for count in (20, 40):
        weights = training.train(
            [tmp_path / "pictures"],
            tmp_path / "run",
            settings,
            device=torch.device("cpu"),
            report=said.append,
            count=count,
        )

    assert [line for line in said if "drew" in line] == ["drew 20 of 20 examples", "drew 40 of 40 examples"]
    assert load_file(weights).keys() == arch.build().state_dict().keys()
