from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend import plan as plans
from scanmend.cards import Card, Tier
from scanmend.errors import ModelError
from scanmend.measure import Facts, NoiseFacts
from scanmend.plan import CLEAN_SIGMA, FULL_SIGMA, UNSEEN_CORRELATION, Plan, Skipped
from scanmend.profile import Noise, Profile, Strength

CURVE = ((0.2, 0.01), (0.8, 0.02))


def facts(sigma: float, windows: int = 50) -> Facts:
    noise = NoiseFacts(sigma=sigma, curve=CURVE, correlation=0.3, chroma=1.0, windows=windows)
    return Facts(height=100, width=100, bits=8, grey=False, noise=noise)


def model(name: str, tier: Tier = "fast", stage: str = "noise") -> Card:
    return Card(
        name=name,
        stage=stage,
        tier=tier,
        title=name,
        inputs=5,
        multiple=8,
        halo=64,
        dtypes=("float32",),
        parameters=1,
        macs_per_pixel=1,
        licence="MIT",
        training_data="none",
        training_compute="none",
        scores=(),
        weights=Path("weights.safetensors"),
        sha256="0" * 64,
        known_failures=(),
        path=Path("card.toml"),
    )


FAST, BEST, OTHER = model("grain-fast"), model("grain-best", "best"), model("sharp", "best", "blur")
sigmas = st.floats(0, 0.2)


def planned(
    strength: Strength = "auto", sigma: float = 0.02, keep_grain: float = 0.15, windows: int = 50
) -> Plan:
    profile = Profile(noise=Noise(strength=strength, keep_grain=keep_grain))
    return plans.make(profile, facts(sigma, windows), (FAST, BEST))


def auto_strength(sigma: float) -> float:
    return sum(step.strength for step in planned(sigma=sigma).steps)


# --- how strong --------------------------------------------------------------------------


def test_a_clean_scan_is_left_alone_and_the_reason_is_in_words() -> None:
    plan = planned(sigma=0.6 / 255)

    reason = "noise 0.6/255 is below what a scan shows; nothing to do"
    assert plan == Plan(skipped=(Skipped("noise", reason),))


def test_at_full_noise_auto_is_full_strength() -> None:
    assert auto_strength(FULL_SIGMA) == 1


@given(sigmas, sigmas)
def test_auto_never_falls_while_noise_rises(one: float, other: float) -> None:
    low, high = auto_strength(min(one, other)), auto_strength(max(one, other))

    assert 0 <= low <= high + 1e-12 <= 1 + 1e-12  # the polynomial may round down by a last bit


@given(st.floats(0, FULL_SIGMA * 1.5))
def test_auto_has_no_jump_not_even_where_it_begins(sigma: float) -> None:
    step = 0.001 / 255

    # The steepest slope of a smoothstep is 1.5 over its width.
    assert auto_strength(sigma + step) - auto_strength(sigma) <= 1.51 * step / (FULL_SIGMA - CLEAN_SIGMA)


@given(st.floats(0, 1, exclude_min=True), sigmas.filter(bool))
def test_a_strength_that_was_asked_for_is_kept_whatever_is_measured(strength: float, sigma: float) -> None:
    (step,) = planned(strength, sigma).steps

    assert (step.strength, step.sigma) == (strength, sigma)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (planned(strength=0.0), "the profile leaves it out"),
        (planned(windows=0), "could not be measured"),
        (planned(strength=1.0, sigma=0.0), "no noise was measured at all"),
    ],
)
def test_what_would_change_nothing_is_skipped_with_its_reason(plan: Plan, words: str) -> None:
    assert plan.steps == ()
    assert words in plan.skipped[0].reason


def test_where_nothing_could_be_measured_a_strength_works_on_an_assumed_noise_and_says_so() -> None:
    plan = planned(strength=0.5, sigma=0.0, windows=0)

    (step,) = plan.steps
    assert (step.strength, step.sigma, step.correlation, step.curve) == (0.5, FULL_SIGMA, 0.0, ())
    assert plan.notes == ("noise: it could not be measured; 3.0/255 is assumed",)


def test_a_step_carries_what_was_measured_and_what_was_wished() -> None:
    (step,) = planned(sigma=0.02, keep_grain=0.25).steps

    assert (step.stage, step.sigma, step.correlation, step.curve) == ("noise", 0.02, 0.3, CURVE)
    assert step.keep_grain == 0.25


# --- which model -------------------------------------------------------------------------


@pytest.mark.parametrize(("quality", "name"), [("best", "grain-best"), ("fast", "grain-fast")])
def test_quality_picks_the_tier(quality: str, name: str) -> None:
    plan = plans.make(
        Profile(quality="best" if quality == "best" else "fast"), facts(0.02), (OTHER, FAST, BEST)
    )

    assert [step.model for step in plan.steps] == [name]
    assert plan.notes == ()


def test_where_a_tier_is_missing_the_other_runs_and_a_note_says_so() -> None:
    plan = plans.make(Profile(quality="best"), facts(0.02), (FAST,))

    assert plan.steps[0].model == "grain-fast"
    assert plan.notes == ("noise: no model of quality best is installed; grain-fast (fast) runs",)


def test_a_model_that_the_profile_names_is_taken_whatever_the_quality() -> None:
    profile = Profile(quality="best", noise=Noise(model="grain-fast"))

    assert plans.make(profile, facts(0.02), (BEST, FAST)).steps[0].model == "grain-fast"


@pytest.mark.parametrize(
    ("name", "words"),
    [("grain-fest", "did you mean grain-fast"), ("sharp", "the model sharp is for blur, not for noise")],
)
def test_a_model_that_does_not_serve_is_refused(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        plans.make(Profile(noise=Noise(model=name)), facts(0.02), (FAST, OTHER))


def test_work_without_a_model_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelError, match="no model for noise is installed") as caught:
        plans.make(Profile(), facts(0.02), (OTHER,))

    assert "noise.strength=off" in caught.value.hint


def test_a_clean_scan_needs_no_model() -> None:
    assert plans.make(Profile(), facts(0.0), ()).steps == ()


# --- showing it --------------------------------------------------------------------------


def test_a_plan_reads_as_sentences() -> None:
    plan = plans.make(Profile(quality="best"), facts(2.1 / 255), (FAST,))

    first, second = plans.describe(plan)
    assert first.startswith("noise: grain-fast at strength 0.50 for noise of 2.1/255 with correlation 0.30;")
    assert first.endswith("; 15% of the grain is given back")
    assert second == "noise: no model of quality best is installed; grain-fast (fast) runs"


def test_an_empty_plan_says_that_the_pixels_stay() -> None:
    assert plans.describe(planned(strength=0.0)) == (
        "noise: left out: the profile leaves it out",
        "nothing to do: the pixels stay as they are",
    )


@given(st.sampled_from(["auto", 0.0, 0.7]), sigmas)
def test_a_plan_is_json_without_loss(strength: Strength, sigma: float) -> None:
    values = plans.to_dict(planned(strength, sigma))

    assert json.loads(json.dumps(values)) == values
    assert set(values) == {"steps", "skipped", "notes"}


def test_a_level_that_the_profile_names_takes_the_place_of_what_was_measured() -> None:
    profile = Profile(noise=Noise(strength="auto", level=10.0))

    plan = plans.make(profile, facts(sigma=0.001), (FAST,))

    (step,) = plan.steps
    assert step.sigma == pytest.approx(10 / 255)
    assert (step.strength, step.correlation, step.curve) == (1.0, UNSEEN_CORRELATION, ())
    assert "the profile says 10/255; measured was 0.3/255" in plan.notes[0]


def test_a_level_of_zero_leaves_the_stage_out() -> None:
    profile = Profile(noise=Noise(strength=1.0, level=0.0))

    assert not plans.make(profile, facts(sigma=0.05), (FAST,)).steps
