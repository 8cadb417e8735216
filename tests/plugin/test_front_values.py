"""Controls, settings and what a layer remembers: for any values at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend import profile
from scanmend_front import controls, memory, sentences, words

KEYS = list(profile.keys())
PROFILES = {name: profile.to_dict(profile.load(name)) for name in profile.shipped()}

settings = st.sampled_from(sorted(PROFILES)).map(PROFILES.__getitem__)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    """What a dialog or a script may set, within the ranges that are declared."""
    values = {}
    for control in controls.declared(KEYS):
        values[control.name] = draw(st.sampled_from([value for value, _ in control.choices]))
        if control.kind != controls.CHOICE:
            values[control.value_name] = draw(st.floats(0, control.high))
    return values


# --- controls ------------------------------------------------------------------------------


@given(settings=settings, values=arguments())
def test_whatever_is_set_makes_a_profile_that_scanmend_accepts(
    settings: dict[str, Any], values: dict[str, Any]
) -> None:
    laid_over = controls.settings(settings, values)

    assert profile.parse(json.dumps(laid_over), "mine.yaml")


@given(settings=settings, values=arguments())
def test_setting_changes_what_is_set_and_nothing_else(
    settings: dict[str, Any], values: dict[str, Any]
) -> None:
    before = json.dumps(settings)
    untouched = {
        control.key for control in controls.CONTROLS if values.get(control.name, "profile") == "profile"
    }

    laid_over = controls.settings(settings, values)

    assert json.dumps(settings) == before
    for key, value in leaves(settings).items():
        if key in untouched or key not in {control.key for control in controls.CONTROLS}:
            assert leaves(laid_over)[key] == value
    for control in controls.declared(KEYS):
        if values[control.name] == "manual":
            assert abs(leaves(laid_over)[control.key] - values[control.value_name]) < 1e-4


@given(settings=settings)
def test_defaults_leave_every_profile_as_it_is(settings: dict[str, Any]) -> None:
    assert controls.settings(settings, controls.defaults(KEYS)) == settings


@given(known=st.lists(st.sampled_from([control.key for control in controls.CONTROLS])))
def test_a_control_is_there_exactly_where_scanmend_knows_its_setting(known: list[str]) -> None:
    declared = controls.declared(known)

    assert {control.key for control in declared} == set(known)


def test_nothing_dead_is_shown_and_nothing_that_works_is_left_out() -> None:
    names = [control.name for control in controls.declared(KEYS)]

    assert names[:6] == ["noise", "color-noise", "keep-grain", "noise-level", "jpeg", "quality"]
    assert names[6:8] == ["blur", "blur-kind"]
    assert not set(names) & {"veil", "fading", "dust", "max-invented"}
    assert len({*names, *(control.value_name for control in controls.CONTROLS)}) == len(names) + len(
        controls.CONTROLS
    )


@given(settings=settings, control=st.sampled_from(controls.declared(KEYS)))
def test_what_a_profile_says_is_told_in_words(settings: dict[str, Any], control: Any) -> None:
    shown = controls.shown(settings, control)

    assert isinstance(shown, str)
    assert "{" not in shown


def test_every_profile_that_ships_has_a_title() -> None:
    titles = {name: words.title(name) for name in profile.shipped()}

    assert titles["negatives-and-slides"] == "Negatives and slides"
    assert all(title[0].isupper() for title in titles.values())
    assert words.title("grandma's") == "grandma's"


def leaves(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= leaves(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def test_a_kind_of_blur_is_chosen_from_a_list_and_has_no_number() -> None:
    before = PROFILES["prints"]

    laid_over = controls.settings(before, {"blur": "manual", "blur-value": 0.4, "blur-kind": "defocus"})

    assert laid_over["blur"] == {"strength": 0.4, "kind": "defocus", "radius": "auto"}
    assert "blur-kind-value" not in controls.defaults(KEYS)
    said = {control.name: controls.shown(before, control) for control in controls.declared(KEYS)}
    assert (said["blur"], said["blur-kind"]) == ("automatic", "Automatic")


# --- memory --------------------------------------------------------------------------------


@given(values=st.dictionaries(st.text().filter(lambda name: name != "scanmend"), json_values, max_size=8))
def test_a_layer_remembers_what_it_was_given(values: dict[str, Any]) -> None:
    assert memory.load(memory.dump(values)) == {**values, "scanmend": memory.VERSION}


@given(data=st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_whatever_another_program_has_left_there_is_read_without_harm(data: bytes) -> None:
    found = memory.load(data)

    assert found is None or found["scanmend"] == memory.VERSION


def test_what_is_of_a_later_version_too_long_or_too_deep_is_left_alone() -> None:
    assert memory.load(b'{"scanmend": 2}') is None
    assert memory.load(memory.dump({"a": "x" * (1 << 17)})) is None
    assert memory.load(b"[" * 60_000) is None
    assert memory.load(b'{"scanmend": 1, "a": 2}\0') == {"scanmend": 1, "a": 2}


# --- sentences -----------------------------------------------------------------------------


@given(
    done=st.floats(0, 1e4), total=st.floats(0, 1e4), eta=st.none() | st.floats(0, 1e6),
    stage=st.sampled_from(["start", "measure", "restore", "something new"]),
)  # fmt: skip
def test_progress_is_a_share_and_a_sentence(done: float, total: float, eta: float | None, stage: str) -> None:
    event = {"state": "running", "stage": stage, "done": done, "total": total, "eta_s": eta}

    share, text = sentences.progress(event)

    assert share is None or 0 <= share <= 1
    assert text


def test_a_place_in_the_queue_is_told() -> None:
    assert sentences.progress({"state": "queued", "position": 3}) == (None, "Waiting for 2 other pictures")
    assert sentences.progress({"state": "queued", "position": 1})[1] == "Waiting for Scanmend's engine"


@pytest.mark.parametrize(
    ("blur", "words"),
    [
        ({"kind": "none", "radius": 0.0, "chance": 0.1}, "measured: sharp"),
        ({"kind": "motion", "radius": 4.26, "chance": 0.95}, "measured: camera shake, 4.3 pixels"),
        ({"kind": "defocus", "radius": 2.0, "chance": 0.6}, "measured: out of focus, 2.0 pixels, uncertain"),
        ({"kind": "scanner", "radius": 1.0, "chance": 1.0}, "measured: soft, 1.0 pixels"),
        ({"kind": "of a later Scanmend", "radius": 1.0, "chance": 1.0}, None),
        (None, None),
    ],
)
def test_what_blurs_a_picture_is_told_beside_its_control(
    blur: dict[str, Any] | None, words: str | None
) -> None:
    assert sentences.hints({"noise": None, "jpeg": None, "blur": blur}).get("blur") == words
