"""What a plan does about blur, and what it does about noise for the blur's sake."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend import plan as plans
from scanmend.errors import ModelError
from scanmend.measure import BlurFacts, Facts, JpegFacts, Screen
from scanmend.measure.blur import Kind as MeasuredKind
from scanmend.plan import BLURRED_SPREAD, SHARP_SPREAD, Plan, Step, Told
from scanmend.plan import blur as blurs
from scanmend.plan.blur import DOUBTFUL_CHANCE, SPREAD, SURE_CHANCE
from scanmend.profile import Blur, Jpeg, Kind, Noise, Profile, Strength

from tests.core.test_plan import BEST, FAST, facts, model, saved

DEBLUR = model("deblur-fast", stage="blur")
SLOW = model("deblur-best", "best", "blur")
CARDS = (DEBLUR, FAST)
radii = st.floats(0, 30)
shares = st.floats(0, 1)


def page(
    kind: MeasuredKind = "scanner",
    radius: float = 2.0,
    *,
    chance: float = 1.0,
    error: float = 0.0,
    sigma: float = 0.0,
    jpeg: JpegFacts | None = None,
    screen: Screen | None = None,
    judged: bool = True,
) -> Facts:
    known = facts(sigma, jpeg=jpeg, screen=screen)
    blur = BlurFacts(kind, radius, 0.0, chance, error) if judged else None
    return Facts(
        height=known.height,
        width=known.width,
        bits=known.bits,
        grey=known.grey,
        noise=known.noise,
        jpeg=jpeg,
        screen=screen,
        blur=blur,
    )


def planned(
    measured: Facts,
    strength: Strength = "auto",
    *,
    kind: Kind = "auto",
    radius: float | None = None,
    noise: Strength = "auto",
    jpeg: Strength = "auto",
) -> Plan:
    blur = Blur(strength=strength, kind=kind, radius="auto" if radius is None else radius)
    profile = Profile(noise=Noise(strength=noise), jpeg=Jpeg(strength=jpeg), blur=blur, quality="fast")
    return plans.make(profile, measured, CARDS)


def blur_step(plan: Plan) -> Step:
    (step,) = (step for step in plan.steps if step.stage == "blur")
    return step


def strength_of(plan: Plan) -> float:
    return sum(step.strength for step in plan.steps if step.stage == "blur")


def reason(plan: Plan) -> str:
    (found,) = (item.reason for item in plan.skipped if item.stage == "blur")
    return found


# --- how strong --------------------------------------------------------------------------


@given(radii, radii, shares, shares)
def test_auto_never_falls_while_blur_grows_or_is_surer(a: float, b: float, c: float, d: float) -> None:
    least = strength_of(planned(page(radius=min(a, b), chance=min(c, d))))
    most = strength_of(planned(page(radius=max(a, b), chance=max(c, d))))

    assert 0 <= least <= most + 1e-12 <= 1 + 1e-12


@given(st.floats(0, 2), st.floats(0, 2))
def test_the_more_doubtful_the_radius_the_less_auto_does(one: float, other: float) -> None:
    sure, doubtful = (strength_of(planned(page(radius=1.2, error=error))) for error in sorted((one, other)))

    assert doubtful <= sure + 1e-12


@given(st.floats(0.4, 1.2))
def test_auto_has_no_jump_but_that_from_nothing(radius: float) -> None:
    one, other = (strength_of(planned(page(radius=size))) for size in (radius, radius + 1e-4))

    steepest = 1.51 / (BLURRED_SPREAD - SHARP_SPREAD) * 1e-4
    assert other - one <= (plans.LEAST + steepest if one == 0 else steepest)


@pytest.mark.parametrize("kind", SPREAD)
def test_kinds_are_weighed_by_how_far_they_really_smear(kind: MeasuredKind) -> None:
    just, fully = SHARP_SPREAD / SPREAD[kind], BLURRED_SPREAD / SPREAD[kind]

    assert strength_of(planned(page(kind, just))) == 0
    assert strength_of(planned(page(kind, fully))) == pytest.approx(1)


def test_a_blur_that_is_as_likely_as_not_is_left_alone() -> None:
    assert strength_of(planned(page(chance=DOUBTFUL_CHANCE))) == 0
    assert 0 < strength_of(planned(page(chance=(DOUBTFUL_CHANCE + SURE_CHANCE) / 2))) < 1
    assert strength_of(planned(page(chance=SURE_CHANCE))) == pytest.approx(1)


@given(st.floats(0, 1, exclude_min=True), radii, shares)
def test_a_strength_that_was_asked_for_is_kept_whatever_is_measured(
    strength: float, radius: float, chance: float
) -> None:
    assert blur_step(planned(page(radius=radius, chance=chance), strength)).strength == strength


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (planned(page(), 0.0), "the profile leaves it out"),
        (planned(page(judged=False)), "it could not be judged on this picture; a strength from 0 to 1"),
        (planned(page("none", 0.0, chance=0.1)), "sharp enough: no blur was measured"),
        (planned(page(radius=0.4)), "sharp enough: softness of scanner or lens of 0.4 pixels is that of a"),
        (planned(page("defocus", 3.0, chance=0.2)), "soft by itself: defocus of 3.0 pixels is too doubtful"),
        (
            planned(page("motion", 4.0, error=2.0)),
            "soft by itself: motion blur of 4.0 pixels is too doubtful",
        ),
        (planned(page(screen=Screen(4.2, 45.0))), "a halftone screen was found (4.2 pixels"),
    ],
)
def test_what_would_change_nothing_is_skipped_with_its_reason(plan: Plan, words: str) -> None:
    assert plan.steps == ()
    assert words in reason(plan)


def test_a_profile_that_does_not_name_blur_leaves_it_out() -> None:
    plan = plans.make(Profile(), page(radius=10), CARDS)

    assert plan.steps == ()
    assert reason(plan) == "the profile leaves it out"


def test_a_number_overrules_a_screen_and_so_does_a_radius() -> None:
    printed = page(screen=Screen(4.2, 45.0))

    assert strength_of(planned(printed, 0.5)) == 0.5
    assert strength_of(planned(printed, radius=2.0)) == 1


# --- what a person knows better ----------------------------------------------------------


@pytest.mark.parametrize("measured", [page(judged=False), page("none", 0.0, chance=0.0), page(error=3.0)])
def test_a_radius_that_the_profile_names_is_in_no_doubt(measured: Facts) -> None:
    assert strength_of(planned(measured, radius=BLURRED_SPREAD / min(SPREAD.values()))) == 1


def test_a_kind_that_the_profile_names_has_the_measured_spread() -> None:
    named = planned(page("scanner", 2.0), kind="defocus")

    assert blur_step(named).parts[0].cause == "defocus of 4.0 pixels"
    assert strength_of(named) == strength_of(planned(page("scanner", 2.0)))


def test_a_kind_alone_does_not_make_up_what_could_not_be_judged() -> None:
    plan = planned(page(judged=False), kind="motion")

    assert plan.steps == ()
    assert "could not be judged" in reason(plan)


def test_a_sentence_says_what_blurs_how_far_by_which_model_and_how_much_is_undone() -> None:
    assert plans.describe(planned(page("motion", 6.3), 0.75))[0] == (
        "blur: deblur-fast at strength 0.75 for motion blur of 6.3 pixels"
    )
    assert plans.describe(planned(page(judged=False), 0.5))[0].endswith("for blur of no known kind")
    assert plans.describe(planned(page(judged=False), 0.5, kind="motion"))[0].endswith("for motion blur")


# --- which model -------------------------------------------------------------------------


def test_the_best_of_a_fast_model_is_the_mean_over_turned_copies() -> None:
    profile = Profile(blur=Blur(strength=1.0), quality="best")

    stand_in = plans.make(profile, page(), (DEBLUR, BEST))
    best = plans.make(profile, page(), (DEBLUR, SLOW))

    assert blur_step(stand_in).passes == plans.PASSES
    (note,) = stand_in.notes
    assert note.endswith("deblur-fast (fast) runs on 4 turned copies, and the mean counts")
    assert (blur_step(best).model, blur_step(best).passes, best.notes) == ("deblur-best", 1, ())


def test_a_model_that_the_profile_names_is_taken() -> None:
    own = model("my-own", stage="blur")
    profile = Profile(blur=Blur(strength=1.0, model="my-own"), quality="fast")

    assert blur_step(plans.make(profile, page(), (DEBLUR, FAST, own))).model == "my-own"


def test_a_model_for_noise_does_not_undo_blur() -> None:
    profile = Profile(blur=Blur(strength=1.0, model="grain-fast"))

    with pytest.raises(ModelError, match="the model grain-fast is for noise, not for blur"):
        plans.make(profile, page(), CARDS)


def test_without_a_model_for_blur_there_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ModelError, match="no model for blur is installed") as caught:
        plans.make(Profile(blur=Blur(strength=1.0)), page(), (FAST,))

    assert "blur.strength=off" in caught.value.hint


def test_a_sharp_page_needs_no_model_for_blur() -> None:
    assert plans.make(Profile(blur=Blur(strength="auto")), page("none", 0.0), (FAST,)).steps == ()


# --- after noise and JPEG ----------------------------------------------------------------


def test_noise_goes_before_blur() -> None:
    plan = planned(page(sigma=0.05, jpeg=saved(60)), 0.5)

    assert [(step.stage, step.model) for step in plan.steps] == [
        ("noise", "grain-fast"),
        ("blur", "deblur-fast"),
    ]


def test_noise_that_the_profile_leaves_in_is_taken_out_for_the_blur_alone_and_a_note_says_so() -> None:
    plan = planned(page(sigma=0.05), 0.5, noise=0.0)

    noise, _blur = plan.steps
    assert (noise.stage, noise.strength, noise.color, noise.sigma) == ("noise", 0.0, 0.0, 0.05)
    assert plan.notes == (
        "noise: taken out only while the blur is undone, and all given back: the profile leaves it out",
    )
    assert "noise" not in {item.stage for item in plan.skipped}


@pytest.mark.parametrize(
    "measured", [page(sigma=0.5 / 255), page(sigma=0.05, screen=Screen(4.2, 45.0)), page(sigma=0.0)]
)
def test_what_is_not_surely_noise_is_not_taken_out_for_the_blur(measured: Facts) -> None:
    assert [step.stage for step in planned(measured, 0.5, noise=0.0).steps] == ["blur"]


def test_without_blur_nobody_takes_noise_out_that_is_to_stay() -> None:
    assert planned(page("none", 0.0, sigma=0.05), noise=0.0).steps == ()


def test_without_a_model_for_noise_blur_is_undone_all_the_same() -> None:
    profile = Profile(noise=Noise(strength=0.0), blur=Blur(strength=1.0), quality="fast")

    plan = plans.make(profile, page(sigma=0.05), (DEBLUR,))

    assert [step.stage for step in plan.steps] == ["blur"]


def test_where_noise_and_jpeg_go_in_one_pass_at_two_strengths_blur_has_both_out_in_full() -> None:
    measured = page(sigma=0.03, jpeg=saved(60))

    without = planned(measured, 0.0, noise=0.25, jpeg=1.0).steps[0]
    noise, _blur = planned(measured, 0.5, noise=0.25, jpeg=1.0).steps

    assert noise.sigma == without.sigma == pytest.approx((0.25 * 0.03**2 + 0.02**2) ** 0.5)
    assert isinstance(noise.full, Told)
    assert noise.full.sigma == pytest.approx((0.03**2 + 0.02**2) ** 0.5)
    assert without.full is None


def test_where_all_is_told_in_full_anyway_it_is_not_told_twice() -> None:
    assert planned(page(sigma=0.03, jpeg=saved(60)), 0.5, noise=0.5, jpeg=0.5).steps[0].full is None
    assert planned(page(sigma=0.03), 0.5, noise=0.5).steps[0].full is None


def test_noise_that_stays_is_out_for_the_blur_also_where_jpeg_goes_in_the_same_pass() -> None:
    step, _blur = planned(page(sigma=0.03, jpeg=saved(60)), 0.5, noise=0.0, jpeg=1.0).steps

    assert step.sigma == pytest.approx(0.02)
    assert step.full
    assert step.full.sigma == pytest.approx((0.03**2 + 0.02**2) ** 0.5)


@given(st.sampled_from(["auto", 0.0, 0.4]), st.sampled_from(["auto", 0.0, 0.7]), radii)
def test_a_plan_is_json_without_loss(strength: Strength, noise: Strength, radius: float) -> None:
    values = plans.to_dict(planned(page(radius=radius, sigma=0.03, jpeg=saved(50)), strength, noise=noise))

    assert json.loads(json.dumps(values)) == values


# --- by its known shape ------------------------------------------------------------------


@pytest.fixture
def known_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if defocus from 1 to 4 pixels were better undone by its shape."""
    monkeypatch.setattr(blurs, "DECONVOLVED", MappingProxyType({"defocus": (1.0, 4.0)}))


@pytest.mark.usefixtures("known_shapes")
def test_a_blur_of_known_shape_is_undone_with_the_model_for_noise() -> None:
    plan = planned(page("defocus", 3.0, sigma=0.05), kind="defocus")

    noise, blur = plan.steps
    assert (blur.stage, blur.model, blur.psf) == ("blur", "grain-fast", ("defocus", 3.0))
    assert (noise.stage, noise.model, noise.psf) == ("noise", "grain-fast", None)
    assert plans.describe(plan)[1].startswith("blur: deconvolution with grain-fast at strength 1.00 for defo")
    assert plans.to_dict(plan)["steps"][1]["psf"] == ["defocus", 3.0]


@pytest.mark.usefixtures("known_shapes")
@pytest.mark.parametrize(
    ("measured", "kind"),
    [
        (page("defocus", 4.5), "defocus"),
        (page("scanner", 3.0), "scanner"),
        (page("motion", 3.0), "motion"),
        (page("none", 0.0), "defocus"),
        (page("defocus", 3.0), "auto"),
        (page("defocus", 3.0, error=1.1 * blurs.KNOWN_ERROR), "defocus"),
        (page(judged=False), "defocus"),
    ],
)
def test_a_blur_of_another_kind_or_size_or_in_doubt_is_left_to_the_network(
    measured: Facts, kind: Kind
) -> None:
    step = blur_step(planned(measured, 1.0, kind=kind))

    assert (step.model, step.psf) == ("deblur-fast", None)


@pytest.mark.usefixtures("known_shapes")
@pytest.mark.parametrize(
    ("measured", "radius", "known"),
    [
        (page("none", 0.0, chance=0.02), 3.0, False),
        (page("none", 0.0, chance=0.02), 1.5, True),
        (page("none", 0.0, chance=0.3), 3.0, True),
        (page("defocus", 2.0), 3.0, False),
        (page("scanner", 1.5), 3.0, True),
        (page("defocus", 6.0), 2.0, True),
    ],
)
def test_a_named_radius_that_the_page_is_far_too_sharp_for_is_left_to_the_network(
    measured: Facts,
    radius: float,
    known: bool,  # noqa: FBT001
) -> None:
    step = blur_step(planned(measured, 1.0, kind="defocus", radius=radius))

    assert (step.psf is not None) is known


@pytest.mark.usefixtures("known_shapes")
def test_a_measured_radius_is_taken_as_smaller_the_more_doubtful_it_is() -> None:
    shapes = [
        blur_step(planned(page("defocus", 3.0, error=error), 1.0, kind="defocus")).psf
        for error in (0.0, 0.05, 0.1)
    ]

    used = [radius for _, radius in (shape for shape in shapes if shape)]
    assert used == sorted(used, reverse=True)
    assert used[0] == 3.0
    assert 2.7 < used[-1] < used[0]


@pytest.mark.usefixtures("known_shapes")
def test_a_model_that_the_profile_names_undoes_a_known_shape_too() -> None:
    profile = Profile(blur=Blur(strength=1.0, kind="defocus", model="deblur-fast"))

    assert blur_step(plans.make(profile, page("defocus", 3.0), CARDS)).psf is None


@pytest.mark.usefixtures("known_shapes")
@pytest.mark.parametrize(
    ("measured", "wish", "why"),
    [
        (page(judged=False), {"radius": 2.0}, "too few edges"),
        (page(judged=False), {}, "nothing is known of its radius"),
        (page("defocus", 3.0, error=0.5), {}, "give or take 65%"),
        (page("defocus", 3.0), {"radius": 30.0}, "shapes from"),
        (page("none", 0.0, chance=0.02), {"radius": 3.0}, "far sharper"),
    ],
)
def test_why_a_named_shape_is_not_used_is_said(measured: Facts, wish: dict[str, float], why: str) -> None:
    plan = planned(measured, 1.0, kind="defocus", **wish)

    assert blur_step(plan).psf is None
    assert any("not undone by the shape of defocus" in note and why in note for note in plan.notes)


@pytest.mark.usefixtures("known_shapes")
def test_a_shape_that_is_used_needs_no_excuse() -> None:
    plan = planned(page("defocus", 2.0), 1.0, kind="defocus", radius=2.0)

    assert blur_step(plan).psf == ("defocus", 2.0)
    assert not any("not undone" in note for note in plan.notes)
