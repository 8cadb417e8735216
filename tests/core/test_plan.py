from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend import plan as plans
from scanmend.cards import Card, Tier
from scanmend.errors import ModelError
from scanmend.measure import Facts, JpegFacts, NoiseFacts, Screen
from scanmend.plan import (
    CLEAN_SIGMA,
    FULL_SIGMA,
    KEPT_QUALITY,
    POOR_QUALITY,
    UNSEEN_CORRELATION,
    Plan,
    Skipped,
    Step,
)
from scanmend.profile import Jpeg, Noise, Profile, Strength

CURVE = ((0.2, 0.01), (0.8, 0.02))


def facts(
    sigma: float,
    windows: int = 50,
    *,
    jpeg: JpegFacts | None = None,
    screen: Screen | None = None,
    grey: bool = False,
    error: float = 0.0,
) -> Facts:
    noise = NoiseFacts(sigma=sigma, curve=CURVE, correlation=0.3, chroma=1.0, windows=windows, error=error)
    return Facts(height=100, width=100, bits=8, grey=grey, noise=noise, jpeg=jpeg, screen=screen)


def saved(quality: int, sigma: float = 0.02) -> JpegFacts:
    return JpegFacts(quality, (0, 0), "file", sigma=sigma, correlation=0.1)


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
shares = st.floats(0, 1)


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
    assert plan == Plan(
        skipped=(
            Skipped("noise", reason),
            Skipped("jpeg", "no trace of it was found"),
            Skipped("blur", "the profile leaves it out"),
        )
    )


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


# --- colour ------------------------------------------------------------------------------


def test_colour_noise_has_its_own_strength() -> None:
    profile = Profile(noise=Noise(strength=0.2, color=0.9))

    (step,) = plans.make(profile, facts(0.02), (FAST,)).steps

    assert (step.strength, step.color) == (0.2, 0.9)
    assert "strength 0.20, 0.90 in colour," in plans.describe(plans.make(profile, facts(0.02), (FAST,)))[0]


def test_left_out_the_strength_in_colour_is_that_of_the_rest() -> None:
    (step,) = planned(0.4).steps

    assert step.color == step.strength == 0.4


def test_colour_noise_alone_may_go() -> None:
    profile = Profile(noise=Noise(strength=0.0, color="auto"))

    (step,) = plans.make(profile, facts(FULL_SIGMA), (FAST,)).steps

    assert (step.strength, step.color) == (0.0, 1.0)


def test_on_a_grey_page_there_is_no_colour_noise() -> None:
    profile = Profile(noise=Noise(strength=0.0, color=1.0))

    plan = plans.make(profile, facts(FULL_SIGMA, grey=True), (FAST,))

    assert plan.steps == ()
    assert "the page is grey" in plan.skipped[0].reason


# --- JPEG --------------------------------------------------------------------------------


def jpeg_strength(quality: int, strength: Strength = "auto") -> float:
    plan = plans.make(Profile(jpeg=Jpeg(strength=strength)), facts(0.0, jpeg=saved(quality)), (FAST,))
    return sum(step.strength for step in plan.steps)


def test_with_noise_off_a_clean_jpeg_is_deblocked() -> None:
    profile = Profile(noise=Noise(strength=0.0))

    (step,) = plans.make(profile, facts(0.001, jpeg=saved(60)), (FAST,)).steps

    assert (step.stage, step.strength, step.sigma, step.correlation) == ("jpeg", 1.0, 0.02, 0.1)
    assert (step.keep_grain, step.curve) == (0.0, ())


@pytest.mark.parametrize("quality", [KEPT_QUALITY, 100])
def test_a_scan_saved_at_quality_95_or_better_is_not_touched(quality: int) -> None:
    plan = plans.make(Profile(), facts(0.0, jpeg=saved(quality)), (FAST,))

    assert plan.steps == ()
    assert plan.skipped[1] == Skipped("jpeg", f"quality {quality} leaves nothing that shows")


@given(st.integers(1, 99))
def test_the_worse_the_quality_the_more_is_done_about_jpeg(quality: int) -> None:
    assert jpeg_strength(quality + 1) <= jpeg_strength(quality) <= 1


def test_jpeg_is_removed_fully_from_poor_quality_down_and_partly_above() -> None:
    assert jpeg_strength(POOR_QUALITY) == 1
    assert jpeg_strength(KEPT_QUALITY - 1) == 0  # next to nothing is nothing
    assert 0 < jpeg_strength(KEPT_QUALITY - 2) < 0.1


def test_a_strength_for_jpeg_that_was_asked_for_is_kept_whatever_the_quality() -> None:
    assert jpeg_strength(98, 0.3) == 0.3


def test_without_a_trace_of_jpeg_there_is_nothing_to_do_about_it() -> None:
    plan = plans.make(Profile(jpeg=Jpeg(strength=1.0)), facts(0.0), (FAST,))

    assert plan.steps == ()


# --- both in one pass --------------------------------------------------------------------


def both(noise: float, jpeg: float, sigma: float = 0.03, keep_grain: float = 0.0) -> Step | None:
    profile = Profile(noise=Noise(strength=noise, keep_grain=keep_grain), jpeg=Jpeg(strength=jpeg))
    steps = plans.make(profile, facts(sigma, jpeg=saved(60)), (FAST,)).steps
    assert len(steps) <= 1
    return steps[0] if steps else None


def removed(step: Step | None) -> float:
    """The share of variance that a step takes away."""
    return step.strength * step.sigma**2 if step else 0.0


def test_noise_and_jpeg_go_in_one_pass_that_is_told_of_both() -> None:
    step = both(0.5, 0.5)

    assert step
    assert step.stage == "noise"
    assert step.strength == pytest.approx(0.5)
    assert step.sigma == pytest.approx((0.03**2 + 0.02**2) ** 0.5)
    assert step.correlation == pytest.approx((0.3 * 0.03**2 + 0.1 * 0.02**2) / (0.03**2 + 0.02**2))
    assert [tone for tone, _ in step.curve] == [0.2, 0.8]
    assert [sigma for _, sigma in step.curve] == pytest.approx(
        [(s**2 + 0.02**2) ** 0.5 for s in (0.01, 0.02)]
    )


def test_of_what_goes_in_one_pass_only_the_share_of_noise_is_given_back_as_grain() -> None:
    step = both(1.0, 1.0, sigma=0.02, keep_grain=0.4)

    assert step
    assert step.keep_grain == pytest.approx(0.2)


@given(shares, shares)
def test_what_is_removed_in_one_pass_is_the_sum_of_what_each_stage_asks_for(
    noise: float, jpeg: float
) -> None:
    assert removed(both(noise, jpeg)) == pytest.approx(noise * 0.03**2 + jpeg * 0.02**2, abs=1e-12)


@given(shares, shares)
def test_a_strength_that_fades_out_leaves_what_the_other_stage_does(noise: float, jpeg: float) -> None:
    alone, nearly = both(0.0, jpeg), both(1e-9, jpeg)

    if alone and nearly and jpeg > 0.01:
        assert (nearly.strength, nearly.sigma) == pytest.approx((alone.strength, alone.sigma), rel=1e-4)
    assert removed(both(noise, 0.0)) == pytest.approx(removed(both(noise, 1e-9)), abs=1e-8)


def test_with_a_model_each_there_are_two_passes_noise_first() -> None:
    profile = Profile(noise=Noise(strength=1.0, model="grain-fast"), jpeg=Jpeg(model="grain-best"))

    plan = plans.make(profile, facts(0.03, jpeg=saved(60)), (BEST, FAST))

    assert [(step.stage, step.model) for step in plan.steps] == [
        ("noise", "grain-fast"),
        ("jpeg", "grain-best"),
    ]


def test_each_stage_has_its_sentence_and_its_place_in_the_sidecar() -> None:
    plan = plans.make(Profile(quality="fast"), facts(0.03, jpeg=saved(60)), (FAST,))

    noise, jpeg, _blur = plans.describe(plan)
    assert noise.startswith("noise: grain-fast at strength 1.00 for noise of 7.6/255")
    assert jpeg.startswith(
        "jpeg: grain-fast at strength 1.00 for what quality 60, as the file says, has left"
    )
    assert jpeg.endswith("in one pass with noise")
    assert [part["stage"] for part in plans.to_dict(plan)["steps"][0]["parts"]] == ["noise", "jpeg"]


# --- screens -----------------------------------------------------------------------------


def test_where_a_screen_was_found_auto_leaves_noise_and_jpeg_out_and_says_what_to_use() -> None:
    plan = plans.make(Profile(), facts(0.03, jpeg=saved(60), screen=Screen(4.2, 45.0)), (FAST,))

    assert plan.steps == ()
    for item in plan.skipped[:2]:
        assert "a halftone screen was found (4.2 pixels from dot to dot at 45 degrees)" in item.reason
        assert "newspaper-halftone" in item.reason


def test_a_number_overrules_a_screen() -> None:
    profile = Profile(noise=Noise(strength=0.5), jpeg=Jpeg(strength=0.7))

    (step,) = plans.make(profile, facts(0.03, jpeg=saved(60), screen=Screen(4.2, 45.0)), (FAST,)).steps

    assert [part.strength for part in step.parts] == [0.5, 0.7]


def test_a_clean_print_with_a_screen_is_left_alone_for_being_clean() -> None:
    plan = plans.make(Profile(), facts(0.001, screen=Screen(4.2, 45.0)), (FAST,))

    assert "below what a scan shows" in plan.skipped[0].reason


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
    assert len(plan.notes) == 1
    assert plan.notes[0].endswith("grain-fast (fast) runs on 4 turned copies, and the mean counts")


def test_the_best_of_a_fast_model_is_the_mean_over_turned_copies() -> None:
    wished = {
        quality: plans.make(Profile(quality=quality), facts(0.02), cards).steps[0].passes
        for quality, cards in (("fast", (FAST, BEST)), ("best", (FAST,)))
    }

    assert wished == {"fast": 1, "best": 4}
    assert plans.make(Profile(quality="best"), facts(0.02), (FAST, BEST)).steps[0].passes == 1


@given(error=st.floats(0, 3))
def test_the_more_doubtful_the_noise_the_less_auto_does(error: float) -> None:
    def strength(doubt: float) -> float:
        plan = plans.make(Profile(), facts(2.5 / 255, error=doubt), (FAST, BEST))
        return sum(step.strength for step in plan.steps)

    assert strength(error + 0.1) <= strength(error)
    assert strength(3) == 0


def test_a_model_is_told_less_the_more_doubtful_the_level_is() -> None:
    sure, doubtful = (plans.make(Profile(), facts(0.04, error=error), (FAST, BEST)) for error in (0, 0.4))

    share = doubtful.steps[0].sigma / sure.steps[0].sigma
    assert share == pytest.approx(0.819, abs=0.001)  # exp(-0.2)
    assert [sigma for _, sigma in doubtful.steps[0].curve] == pytest.approx(
        [share * sigma for _, sigma in sure.steps[0].curve]
    )
    assert "noise of 10.2/255, told as 8.4/255" in plans.describe(doubtful)[0]


def test_texture_that_reads_as_noise_is_left_alone_and_the_reason_says_what_to_do() -> None:
    doubtful = facts(6 / 255, error=1.5)

    plan = plans.make(Profile(), doubtful, (FAST, BEST))
    named = plans.make(Profile(noise=Noise(level=6.0)), doubtful, (FAST, BEST))

    assert plan.steps == ()
    assert "6.0/255 may be texture; noise.level or a strength" in plan.skipped[0].reason
    assert named.steps[0].strength == 1


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

    first, left_out, _blur, note = plans.describe(plan)
    assert first.startswith("noise: grain-fast at strength 0.50 for noise of 2.1/255 with correlation 0.30;")
    assert first.endswith("; 15% of the grain is given back")
    assert left_out == "jpeg: left out: no trace of it was found"
    assert note.startswith("noise: no model of quality best is installed; grain-fast (fast) runs")


def test_an_empty_plan_says_that_the_pixels_stay() -> None:
    assert plans.describe(planned(strength=0.0)) == (
        "noise: left out: the profile leaves it out",
        "jpeg: left out: no trace of it was found",
        "blur: left out: the profile leaves it out",
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
