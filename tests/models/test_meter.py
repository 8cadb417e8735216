"""The noise meter: its twin in the core, its examples, and its training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scanmend import cards
from scanmend.engine import load_network
from scanmend.measure import meter, traits
from scanmend_models._train import metering
from scanmend_models._train.loop import Settings
from scanmend_models.noise_meter import arch, samples
from scanmend_models.noise_meter import train as training


def picture(side: int = 128, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 220, (8, 8, 3), np.uint8))
    return torch.from_numpy(np.array(coarse.resize((side, side), Image.Resampling.BICUBIC))).permute(2, 0, 1)


def test_the_core_reads_what_the_trained_network_reads() -> None:
    network = load_network(cards.find(meter.NAME))
    drawn = np.random.default_rng(3).normal(0, 3, (20, traits.COUNT)).astype(np.float32)

    for one in drawn:
        read = meter.read(one)
        with torch.inference_mode():
            expected = network(torch.from_numpy(one)[None])[0].double()

        sigmas = (torch.exp(expected[:2].clamp(max=np.log(255))) - traits.FLOOR).clamp_min(0) / 255
        assert (read.luminance, read.colour) == pytest.approx(sigmas.tolist(), rel=1e-3, abs=1e-6)
        assert read.correlation == pytest.approx(float(expected[2].clamp(0, 0.99)), abs=1e-3)
        assert (read.luminance_error, read.colour_error) == pytest.approx(
            torch.exp(expected[3:]).tolist(), rel=1e-3
        )


def test_the_card_states_the_meter_s_own_size() -> None:
    card = cards.find(meter.NAME)

    assert sum(weight.numel() for weight in arch.build().parameters()) == card.parameters
    assert card.inputs == traits.COUNT


def test_a_fresh_meter_says_what_the_classical_estimate_says() -> None:
    drawn = torch.randn(5, traits.COUNT)

    read = arch.build()(drawn)

    places = [traits.LIGHT, traits.COLOUR, traits.CORRELATION]
    torch.testing.assert_close(read[:, :3], drawn[:, places])


def test_examples_tell_the_noise_that_was_drawn() -> None:
    rng = np.random.default_rng(1)
    clean = picture(256).permute(1, 2, 0).numpy() / np.float32(510) + np.float32(0.2)
    own = rng.normal(0, 6 / 255, clean.shape).astype(np.float32)

    coloured = samples.measured(clean + own, own)
    grey = samples.measured(clean + own[..., :1], np.broadcast_to(own[..., :1], own.shape))

    assert coloured is not None
    assert grey is not None
    assert coloured.truth[:2] * 255 == pytest.approx([6, 6], rel=0.03)
    assert coloured.truth[2] == pytest.approx(0, abs=0.02)
    assert grey.truth[:2] * 255 == pytest.approx([6 * 3**0.5, 0], rel=0.03, abs=1e-6)


def test_drawn_scans_are_their_clean_picture_and_their_noise() -> None:
    degrader = samples.MeterDegrader(5)
    clean = picture(96).float()[None] / 255

    pairs = [degrader.scan(clean) for _ in range(12)]

    assert all(scan.shape == own.shape == clean.shape for scan, own in pairs)
    assert all(bool(((scan - own) > -1e-4).all() & ((scan - own) < 1.0001).all()) for scan, own in pairs)
    strengths = [float(own.std()) for _, own in pairs]
    assert max(strengths) > 10 * min(strengths)


def test_equal_seeds_draw_equal_examples() -> None:
    drawn = [samples.draw((picture(),), samples.MeterDegrader(2), np.random.default_rng(2)) for _ in range(2)]

    assert drawn[0] is not None
    assert drawn[1] is not None
    np.testing.assert_array_equal(drawn[0].traits, drawn[1].traits)


def test_training_learns_and_goes_on_from_the_examples_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    for index in range(12):
        Image.fromarray(picture(128, index).permute(1, 2, 0).numpy()).save(
            tmp_path / "pictures" / f"{index}.png"
        )
    monkeypatch.setattr(metering, "BLOCK", 20)
    pictures = tmp_path / "pictures"
    settings = Settings(minutes=5, steps=300, batch=32, rate=2e-3, small=1.0, seed=3)
    said: list[str] = []

    for count in (20, 40):
        weights = training.train(
            [pictures],
            tmp_path / "run",
            settings,
            device=torch.device("cpu"),
            report=said.append,
            count=count,
        )

    assert [line for line in said if "drew" in line] == ["drew 20 of 20 examples", "drew 40 of 40 examples"]
    assert load_file(weights).keys() == arch.build().state_dict().keys()
    assert load_file(weights)["tail.weight"].abs().max() > 0.01  # zero before anything is learnt
