from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated, Literal

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from pydantic.json_schema import SkipJsonSchema
from scanmend.errors import ProfileError
from scanmend.settings import Flag, Form, merged, numbered

STRICT = ConfigDict(extra="forbid")


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("two feet are needed")
    return number


@dataclass(frozen=True, config=STRICT)
class Foot:
    """One end."""

    size: Annotated[float, Field(ge=20, le=50, allow_inf_nan=False)] = Field(
        default=40, description="In points."
    )
    sock: Literal["wool", "none"] = Field(default="wool", description="What it wears.")


@dataclass(frozen=True, config=STRICT)
class Walk:
    """A walk."""

    walk: Annotated[Literal[1], BeforeValidator(numbered)] = Field(default=1, description="The version.")
    feet: Annotated[int, Field(ge=0, le=8), AfterValidator(_even)] = Field(default=2, description="How many.")
    far: Flag = Field(default=False, description="Whether it is long.")
    left: Foot = Field(default_factory=Foot, description="The left one.")
    stops: tuple[Foot, ...] = Field(default=(), description="What is met.")
    name: SkipJsonSchema[str] = "nobody"


FORM = Form(Walk, "walk", "walk", "A walk", max_bytes=1024, max_depth=4)


def read(text: str) -> Walk:
    return FORM.parse(text, "w.yaml")


def error_of(text: str) -> str:
    with pytest.raises(ProfileError) as caught:
        read(text)
    return str(caught.value)


def test_a_text_becomes_the_dataclass_and_what_is_left_out_has_its_default() -> None:
    walk = read("walk: 1\nfeet: 4\nfar: yes\nleft: {size: 3e1}\nstops: [{sock: none}, {}]\n")

    assert walk == Walk(feet=4, far=True, left=Foot(size=30), stops=(Foot(sock="none"), Foot()))


def test_values_in_a_base_stand_where_the_text_says_nothing() -> None:
    base = {"walk": 1, "feet": 8, "left": {"size": 21.0, "sock": "none"}}

    walk = FORM.parse("left: {size: 44}", "w.yaml", base=base, hidden={"name": "me"})

    assert walk == Walk(feet=8, left=Foot(44, "none"), name="me")
    assert FORM.parse("", "w.yaml", base=base) == FORM.parse("# nothing\n", "w.yaml", base=base)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("walk: 1\nfete: 2", "w.yaml, line 2: fete is not a setting; did you mean feet?"),
        (
            "walk: 1\nstops:\n- size: 30\n- sise: 30",
            "line 4: stops[1].sise is not a setting; did you mean size?",
        ),
        ("walk: 1\nsock: wool", "line 2: sock is not a setting; did you mean left.sock?"),
        ("walk: 1\nzzz: 1", "zzz is not a setting (there are walk, feet, far, left and stops)"),
        ("walk: 1\nleft: {zzz: 1}", "left.zzz is not a setting (there are left.size and left.sock)"),
        ("walk: 1\nstops: [{zzz: 1}]", "stops[0].zzz is not a setting (there are size and sock)"),
        ("walk: 1\nname: me", "line 2: name is not a setting"),
        ("walk: 1\nleft: {size: 60}", "line 2: left.size must be a number from 20 to 50, not '60'"),
        ("walk: 1\nstops: [{}, {size: x}]", "stops[1].size must be a number from 20 to 50, not 'x'"),
        ("walk: 1\nfeet: 3", "feet must be a whole number from 0 to 8, not '3' (two feet are needed)"),
        ("walk: 1\nfar: [1]", "far must be true or false, not a list"),
        ("walk: 1\nstops: 3", "stops must be a list, not '3'"),
        ("walk: 1\nstops: {}", "stops must be a list, not an empty group"),
        ("walk: 1\nstops: [3]", "stops[0] must be a group of settings, not '3' (such as size, sock"),
        ("walk: 1\nleft: {size: 60}\nfeet: 99", "line 2: left.size"),
        ("feet: 99\nwalk: 1\nleft: {size: 60}", "line 1: feet"),
        ("feet: 2", "w.yaml: the version is missing (add a line 'walk: 1')"),
        ("walk: 2", "walk must be 1, not '2' (this walk is for another version of Scanmend)"),
        ("", "w.yaml is empty (a walk starts with 'walk: 1')"),
        ("a: &x 1", "is not a setting"),
        ("a: *x", "aliases (*name) are not used in walks"),
        ("a: !!map {}", "tags (!name) are not used in walks"),
        ("a: [[[[]]]]", "nested deeper than any walk is"),
        ("#" * 1025, "larger than 1 KiB, so it is no walk"),
        ("walk: 1\nfeet: 2\nfeet: 4", "line 3: feet is set twice; first in line 2"),
    ],
)
def test_an_error_names_line_key_and_what_would_do(text: str, sentence: str) -> None:
    assert sentence in error_of(text)


def test_every_key_is_known_with_its_default_and_meaning() -> None:
    known = FORM.keys

    assert list(known)[:5] == ["walk", "feet", "far", "left", "left.size"]
    assert known["stops[].size"].default == 40
    assert known["stops[].sock"].allowed == "wool or none"
    assert known["feet"].about == "How many."


def test_groups_are_merged_and_everything_else_is_replaced() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2]}

    assert merged(base, {"a": {"b": 3}, "d": [4]}) == {"a": {"b": 3, "c": 2}, "d": [4]}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1, 2]}


feet = st.fixed_dictionaries(
    {}, optional={"size": st.floats(10, 60), "sock": st.sampled_from(["wool", "none", "x", None])}
)
walks = st.fixed_dictionaries(
    {"walk": st.sampled_from([1, 1, 1, 2])},
    optional={
        "feet": st.one_of(st.integers(-1, 5).map(lambda n: 2 * n), st.text(max_size=3)),
        "far": st.one_of(st.booleans(), st.none(), st.integers()),
        "left": st.one_of(feet, st.none()),
        "stops": st.one_of(st.lists(feet, max_size=3), feet),
    },
)


@given(walks)
def test_what_the_schema_accepts_is_read_and_nothing_else(values: dict[str, object]) -> None:
    accepted = jsonschema.Draft202012Validator(FORM.schema).is_valid(values)

    try:
        read(json.dumps(values))
        was_read = True
    except ProfileError:
        was_read = False

    assert was_read == accepted


@given(st.text(st.sampled_from("walkfetsopiz: 1\n-{}[],&*!|>%@`'\"\\#?\t\x00\u2028é"), max_size=60))
@example("walk: 1\nstops:\n- - - -")
@example("walk: 1\nleft: '\\ud800'")
@example('walk: 1\nfar: "\\ud800"')
def test_no_text_causes_another_error_than_a_profile_error(text: str) -> None:
    with contextlib.suppress(ProfileError):
        read(text)


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"#" * 1025)
    (tmp_path / "latin").write_bytes(b"\xe9")

    for name, words in (("large", "larger than 1 KiB"), ("latin", "not UTF-8"), ("none", "cannot be read")):
        with pytest.raises(ProfileError, match=words):
            FORM.read_file(tmp_path / name)
