from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from scanmend import profile as profiles
from scanmend.errors import ProfileError
from scanmend.plan import ORDER
from scanmend.profile import Blur, Jpeg, Noise, Output, Profile

SHIPPED = (
    "gentle",
    "archive",
    "documents",
    "negatives-and-slides",
    "newspaper-halftone",
    "prints",
    "strong",
)
SETTINGS = profiles.keys()
DOCS = Path(__file__).parents[2] / "docs" / "profiles.md"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of profiles, empty."""
    for variable in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    folder = profiles.user_folder()
    folder.mkdir(parents=True)
    return folder


def error_of(text: str) -> str:
    with pytest.raises(ProfileError) as caught:
        profiles.parse(text, "prints.yaml")
    return str(caught.value)


shares = st.floats(0, 1)
any_profile = st.builds(
    Profile,
    name=st.just("any"),
    noise=st.builds(
        Noise,
        strength=st.one_of(st.just("auto"), shares),
        color=st.one_of(st.none(), st.just("auto"), shares),
        keep_grain=shares,
        level=st.one_of(st.just("auto"), st.floats(0, 100)),
        model=st.one_of(st.none(), st.from_regex("[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)),
    ),
    jpeg=st.builds(Jpeg, strength=st.one_of(st.just("auto"), shares)),
    blur=st.builds(
        Blur,
        strength=st.one_of(st.just("auto"), shares),
        kind=st.sampled_from(["auto", "motion", "defocus", "scanner"]),
        radius=st.one_of(st.just("auto"), st.floats(0.3, 30)),
    ),
    quality=st.sampled_from(["best", "fast"]),
    output=st.builds(
        Output,
        format=st.sampled_from(["same", "tiff", "png", "jpeg", "webp", "avif"]),
        depth=st.sampled_from(["same", 8, 16]),
        quality=st.integers(1, 100),
        compression=st.sampled_from(["same", "none", "lzw", "deflate", "zstd"]),
        name=st.sampled_from(
            ["{stem}_restored{ext}", "no", "{index:03} # {{é}}", "{stem}: 1{ext}", "2020-01-01"]
        ),
        sidecar=st.booleans(),
    ),
)


# --- reading and writing -----------------------------------------------------------------


@given(any_profile)
def test_a_profile_written_as_yaml_reads_back_the_same(profile: Profile) -> None:
    assert profiles.parse(profiles.to_yaml(profile), "any.yaml") == profile


@given(any_profile)
def test_a_profile_written_as_json_reads_back_the_same_and_fits_the_schema(profile: Profile) -> None:
    values = json.loads(json.dumps(profiles.to_dict(profile)))

    jsonschema.validate(values, profiles.schema(), cls=jsonschema.Draft202012Validator)
    assert profiles.parse(json.dumps(values), "any.json") == profile


def test_what_is_not_said_has_its_default() -> None:
    assert profiles.parse("scanmend: 1\n", "mine.yaml") == Profile(name="mine")


@pytest.mark.parametrize("word", ["off", "Off", "no", "false", "0", "0.0", '"off"'])
def test_every_word_for_off_is_strength_zero(word: str) -> None:
    profile = profiles.parse(f"scanmend: 1\nnoise: {{strength: {word}}}\n", "x.yaml")

    assert profile.noise.strength == 0


@pytest.mark.parametrize(("text", "value"), [("1e-1", 0.1), (".5", 0.5), ("1", 1.0), ("-0.0", 0.0)])
def test_numbers_are_read_as_people_write_them(text: str, value: float) -> None:
    profile = profiles.parse(f"scanmend: 1\nnoise: {{keep_grain: {text}}}\n", "x.yaml")

    assert str(profile.noise.keep_grain) == str(value)


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfscanmend: 1\r\nquality: fast\r\n")

    assert profiles.load(path).quality == "fast"


# --- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "scanmend: 1\n\nnoise:\n  strenght: 1\n",
            "prints.yaml, line 4: noise.strenght is not a setting; did you mean noise.strength?",
        ),
        ("scanmend: 1\nstrength: 1\n", "line 2: strength is not a setting; did you mean noise.strength?"),
        ("scanmend: 1\ndepth: 8\n", "did you mean output.depth?"),
        ("scanmend: 1\nveil: {strength: 1}\n", "line 2: veil is not a setting (there are scanmend, noise"),
        ("blur: {strength: 2}", "blur.strength must be auto, off or a number from 0 to 1, not '2'"),
        ("blur: {kind: shake}", "blur.kind must be auto, motion, defocus or scanner, not 'shake'"),
        ("blur: {radius: 0.2}", "blur.radius must be auto or a number from 0.3 to 30, not '0.2'"),
        ("blur: {radius: 31}", "blur.radius must be auto or a number from 0.3 to 30, not '31'"),
        ("blur: {angle: 3}", "blur.angle is not a setting"),
        ("scanmend: 1\noutput: {1: 2}\n", "output.1 is not a setting (there are output.format, output.depth"),
        ("scanmend: 1\n? [a]\n: 1\n", "line 2: a list is not a setting"),
        ("scanmend: 1\n? \n: 1\n", "line 2: empty is not a setting"),
        ("scanmend: 1\nquality: best\nquality: fast\n", "line 3: quality is set twice; first in line 2"),
        ("noise: {strength: 1, strength: 0}\n", "line 1: noise.strength is set twice"),
        ("quality: best\n", "the version is missing (add a line 'scanmend: 1')"),
        ("scanmend: 2\n", "scanmend must be 1, not '2' (this profile is for another version of Scanmend)"),
        ("noise: {strength: 1.5}", "noise.strength must be auto, off or a number from 0 to 1, not '1.5'"),
        ("noise: {strength: on}", "auto, off or a number from 0 to 1, not 'on'"),
        ("noise: {strength: .nan}", "not '.nan'"),
        ("noise: {strength: nan}", "not 'nan'"),
        ("noise: {strength: [1]}", "noise.strength must be auto, off or a number from 0 to 1, not a list"),
        ("noise: {keep_grain: {a: 1}}", "noise.keep_grain must be a number from 0 to 1, not a group"),
        ("noise: {keep_grain: }", "not empty"),
        ("noise: {model: A B}", "noise.model must be a model's name, such as grain-fast, not 'A B'"),
        ("noise:\n", "line 1: noise must be a group of settings, not empty (such as strength, "),
        ("- scanmend: 1\n", "line 1: a profile must be a group of settings, not a list"),
        ("output: {quality: 0}", "output.quality must be a whole number from 1 to 100, not '0'"),
        ("output: {quality: 9.5}", "a whole number from 1 to 100, not '9.5'"),
        ("output: {format: tif}", "output.format must be same, tiff, png, jpeg, webp or avif, not 'tif'"),
        ("output: {depth: 12}", "output.depth must be same, 8 or 16, not '12'"),
        ("output: {sidecar: maybe}", "output.sidecar must be true or false, not 'maybe'"),
        ("output: {name: 'a/{stem}'}", "a name holds no folders"),
        ("output: {name: 'a\\{stem}'}", "a name holds no folders"),
        ("output: {name: ''}", "it needs 1 to 200 characters"),
        ("output: {name: '{stem'}", "each { needs its }"),
        ("output: {name: '{date}{ext}'}", "{date} is unknown; there are {stem}, {ext}, {profile}, {index}"),
        ("output: {name: '{stem.__class__}'}", "{stem.__class__} is unknown"),
        ("output: {name: '{}'}", "{} is unknown"),
        ("output: {name: '{stem:>9999999999}'}", "only {index} takes a format"),
        ("output: {name: '{index:999}'}", "only {index} takes a format"),
        ("output: {name: '{stem!r}'}", "only {index} takes a format"),
        ("", "prints.yaml is empty"),
        ("# nothing\n", "prints.yaml is empty"),
        ("noise: {strength: 1\n", "this is not YAML"),
        ("a: 1\n b: 2\n", "line 2, column 3: this is not YAML"),
        ("\x00", "this is not YAML: special characters are not allowed"),
        ("--- a\n--- b\n", "line 2, column 1: this is not YAML"),
        ('"\\UFFFFFFFF"', "this is not YAML"),
        (f"%YAML {'9' * 5000}.1\n---\na", "this is not YAML"),
        ("a: &x 1\nb: *x\n", "line 2: aliases (*name) are not used in profiles"),
        ("a: !!python/name:os.system x\n", "line 1: tags (!name) are not used in profiles"),
        ("[" * 60_000, "nested deeper than any profile is"),
        ("- " * 20_000, "nested deeper than any profile is"),
        ("#" * 70_000, "prints.yaml is larger than 64 KiB"),
    ],
)
def test_an_error_names_the_line_and_the_key_and_what_is_allowed(text: str, words: str) -> None:
    assert words in error_of(text)


@given(st.text(st.sampled_from("scanmend: 1noiseru{}[],&*!|>%@`'\"\\#-?\n\t \x00\u2028é"), max_size=60))
@example("? ? ? ?")
@example("\ud800")
def test_no_text_causes_another_error_than_a_profile_error(text: str) -> None:
    with contextlib.suppress(ProfileError):
        profiles.parse(text, "x.yaml")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.one_of(
                st.integers(-1, 101), st.floats(-1, 2), st.booleans(), st.sampled_from(["auto", "8", "x"])
            )
            for key in ("strength", "color", "keep_grain", "level", "model")
        },
    )
)
def test_what_the_schema_accepts_is_read(noise: dict[str, Any]) -> None:
    values = {"scanmend": 1, "noise": noise}
    accepted = jsonschema.Draft202012Validator(profiles.schema()).is_valid(values)

    try:
        profiles.parse(json.dumps(values), "x.json")
        read = True
    except ProfileError:
        read = False

    assert read or not accepted


# --- single settings ---------------------------------------------------------------------


def test_single_settings_change_what_they_name_and_nothing_else() -> None:
    before = Profile()

    after = profiles.apply_settings(
        before, ["noise.strength=0.6", "quality = fast", "output.name=a={stem}", "noise.model=grain-fast"]
    )

    assert after == dataclasses.replace(
        before,
        noise=Noise(strength=0.6, model="grain-fast"),
        quality="fast",
        output=Output(name="a={stem}"),
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "noise.strenght=1",
            "--set noise.strenght=1: noise.strenght is not a setting; did you mean noise.strength?",
        ),
        ("noise.strength=2", "noise.strength must be auto, off or a number from 0 to 1, not '2'"),
        ("noise.strength", "a setting needs a value (such as noise.strength=0.6)"),
        ("noise.strength=", "not empty"),
        (
            "noise=1",
            "noise is a group of settings (it holds noise.strength, noise.model, noise.color, ",
        ),
        (
            "veil.strength=1",
            "veil.strength is not a setting (there are scanmend, noise, jpeg, blur, quality and output)",
        ),
        ("name=x", "did you mean output.name?"),
        ("=1", "is not a setting"),
    ],
)
def test_a_wrong_single_setting_is_named(setting: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        profiles.apply_settings(Profile(), [setting])

    assert words in str(caught.value)


def test_off_leaves_a_stage_out_and_an_empty_model_goes_back_to_the_choice_by_quality() -> None:
    named = Profile(noise=Noise(model="grain-fast"))

    after = profiles.apply_settings(named, ["noise.strength=off", "noise.model="])

    assert after.noise == Noise(strength=0.0, model=None)


# --- overlays ----------------------------------------------------------------------------


def test_an_overlay_changes_what_it_names_and_keeps_the_name() -> None:
    base = Profile(name="prints", noise=Noise(strength=0.2, keep_grain=0.5), quality="fast")

    after = profiles.overlay(base, "noise: {strength: 0.9}\noutput: {format: png}\n", "sub/scanmend.yaml")

    assert after == dataclasses.replace(
        base, noise=Noise(strength=0.9, keep_grain=0.5), output=Output(format="png")
    )


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "{}", "scanmend: 1\n", "scanmend: 1\nnoise: {}\n"])
@given(any_profile)
def test_an_overlay_that_says_nothing_changes_nothing(text: str, profile: Profile) -> None:
    assert profiles.overlay(profile, text, "x.yaml") == profile


@given(any_profile, any_profile)
def test_an_overlay_that_says_everything_is_that_profile(base: Profile, other: Profile) -> None:
    unset = {"noise": {"model": "", "color": ""}}  # what to_dict leaves out
    said = {**profiles.to_dict(other), "noise": unset["noise"] | profiles.to_dict(other)["noise"]}

    assert profiles.overlay(base, json.dumps(said), "x.yaml") == other


def test_an_overlay_unsets_with_an_empty_value() -> None:
    base = Profile(noise=Noise(model="grain-fast", color=0.5))

    assert profiles.overlay(base, "noise: {model: , color: }", "x.yaml").noise == Noise()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("noise:\n  strenght: 1\n", "a/scanmend.yaml, line 2: noise.strenght is not a setting; did you mean"),
        ("noise: {strength: 7}", "line 1: noise.strength must be auto, off or a number from 0 to 1, not '7'"),
        ("scanmend: 2", "this profile is for another version of Scanmend"),
        ("name: x", "name is not a setting"),
        ("[]", "a profile must be a group of settings"),
    ],
)
def test_a_wrong_overlay_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        profiles.overlay(Profile(), text, "a/scanmend.yaml")

    assert words in str(caught.value)


def test_a_profile_is_a_key_and_cannot_be_changed() -> None:
    profile = Profile(noise=Noise(strength=0.5))

    with pytest.raises(dataclasses.FrozenInstanceError):
        profile.quality = "fast"  # type: ignore[misc]
    assert {profile: 1}[Profile(noise=Noise(strength=0.5))] == 1


# --- finding -----------------------------------------------------------------------------


def test_the_profiles_that_ship_are_known_by_name_the_default_first() -> None:
    assert profiles.shipped() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_is_valid_by_the_schema_and_says_what_it_is_for(name: str, config: Path) -> None:
    assert config.is_dir()
    text = (resources.files("scanmend") / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")

    jsonschema.validate(yaml.safe_load(text), profiles.schema(), cls=jsonschema.Draft202012Validator)
    assert profiles.load(name).name == name
    assert next(item.purpose for item in profiles.listing() if item.name == name)


def test_the_default_profile_says_what_an_empty_one_means() -> None:
    assert profiles.load("gentle") == Profile()


def test_the_archive_profile_writes_sixteen_bit_tiff_with_a_sidecar() -> None:
    output = profiles.load("archive").output

    assert (output.format, output.depth, output.compression, output.sidecar) == ("tiff", 16, "deflate", True)


def test_a_users_profile_is_found_by_name_and_listed(config: Path) -> None:
    (config / "mine.yaml").write_text(
        "# yaml-language-server: $schema=s.json\n# For me.\nscanmend: 1\nquality: fast\n", encoding="utf-8"
    )

    assert profiles.load("mine") == Profile(name="mine", quality="fast")
    assert profiles.Listed("mine", "For me.", config / "mine.yaml") in profiles.listing()


def test_a_users_profile_never_hides_one_that_ships(config: Path) -> None:
    (config / "gentle.yaml").write_text("scanmend: 1\nquality: fast\n", encoding="utf-8")

    assert profiles.load("gentle").quality == "best"
    assert [item.path for item in profiles.listing() if item.name == "gentle"] == [None]


def test_a_damaged_users_profile_does_not_hide_the_others(config: Path) -> None:
    (config / "bad.yaml").write_bytes(b"\xff\xfe")

    assert [item.name for item in profiles.listing()] == [*SHIPPED, "bad"]


def test_a_file_is_loaded_from_its_path_and_named_in_its_errors(config: Path, tmp_path: Path) -> None:
    assert config.is_dir()
    path = tmp_path / "album.yaml"
    path.write_text("scanmend: 1\nnoise: {strength: 7}\n", encoding="utf-8")

    with pytest.raises(ProfileError, match=r"line 2: noise.strength") as caught:
        profiles.load(path)

    assert str(caught.value).startswith(f"{path}, line 2")


@pytest.mark.parametrize("wanted", ["", ".", "..", "no/such.yaml", "x" * 5000, "a\0b"])
def test_a_profile_that_is_not_there_is_a_plain_error(wanted: str, config: Path) -> None:
    assert config.is_dir()
    with pytest.raises(ProfileError, match="there is no profile") as caught:
        profiles.load(wanted)

    assert "gentle" in caught.value.hint


def test_a_misspelt_name_is_answered_with_the_nearest(config: Path) -> None:
    assert config.is_dir()
    with pytest.raises(ProfileError, match="there is no profile 'print'; did you mean prints"):
        profiles.load("print")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"#" * 70_000, "larger than 64 KiB"), ("scanmend: 1 # ü".encode("utf-16"), "is not UTF-8 text")],
)
def test_a_file_that_is_no_profile_is_refused_before_it_is_read(
    data: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(data)

    with pytest.raises(ProfileError, match=words):
        profiles.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")

    with pytest.raises(ProfileError, match="there is no profile"):
        profiles.load(tmp_path / "pipe.yaml")


# --- names, schema, documentation --------------------------------------------------------


def test_the_name_of_a_result_is_made_from_the_scans() -> None:
    output = Output(name="{profile}-{index:03}-{stem}{ext}")

    assert output.file_name(stem="a{b}", ext=".tif", profile="prints", index=7) == "prints-007-a{b}.tif"


def test_the_schema_beside_the_profiles_is_current() -> None:
    """Run `scanmend profile schema` into that file where this fails."""
    shipped = (resources.files("scanmend") / "profiles" / "schema.json").read_text(encoding="utf-8")

    assert shipped == profiles.schema_text()


def test_the_schema_is_valid_itself_and_refuses_what_is_unknown() -> None:
    jsonschema.Draft202012Validator.check_schema(profiles.schema())
    validator = jsonschema.Draft202012Validator(profiles.schema())

    assert not validator.is_valid({"scanmend": 1, "noise": {"strenght": 1}})
    assert not validator.is_valid({"noise": {}})
    assert validator.is_valid({"scanmend": 1, "noise": {"strength": False}})


def test_every_stage_of_a_profile_has_its_place_in_the_order() -> None:
    assert set(Profile().stages()) <= set(ORDER)


@pytest.mark.parametrize("key", [key for key in SETTINGS if "." in key])
def test_every_setting_is_documented_with_what_it_may_be_and_its_default(key: str) -> None:
    setting = SETTINGS[key]
    row = next((line for line in DOCS.read_text(encoding="utf-8").splitlines() if f"| `{key}`" in line), "")

    assert row, f"docs/profiles.md has no row for {key}"
    default = "none" if setting.default is None else str(setting.default).replace("True", "true")
    assert f"`{default}`" in row


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCS.read_text(encoding="utf-8")


def test_the_examples_in_the_documentation_are_valid() -> None:
    blocks = DOCS.read_text(encoding="utf-8").split("```yaml\n")[1:]
    texts = [block.partition("```")[0] for block in blocks]
    whole = [profiles.parse(text, "gentle.yaml") for text in texts if "scanmend: 1" in text]
    over = [profiles.overlay(Profile(), text, "x.yaml") for text in texts if "scanmend: 1" not in text]

    assert whole[-1] == Profile(), "the last example spells out the defaults"
    assert [profile.noise.keep_grain for profile in over] == [0.3]


def test_the_strength_in_colour_is_set_alone_and_unset_again() -> None:
    profile = profiles.apply_settings(Profile(), ["noise.strength=0.2", "noise.color=1"])

    assert (profile.noise.strength, profile.noise.color_strength()) == (0.2, 1.0)
    assert profiles.apply_settings(profile, ["noise.color="]).noise.color_strength() == 0.2


def test_a_profile_for_halftone_leaves_jpeg_and_blur_alone_as_well() -> None:
    profile = profiles.load("newspaper-halftone")

    assert profile.noise.strength == profile.jpeg.strength == profile.blur.strength == 0


def test_blur_is_left_alone_unless_a_profile_names_it() -> None:
    assert profiles.parse("scanmend: 1\n", "old.yaml").blur == Blur(strength=0.0, kind="auto", radius="auto")


def test_what_ships_undoes_blur_on_prints_and_film_and_where_all_is_wished() -> None:
    wished = {name: profiles.load(name).blur.strength for name in SHIPPED}

    assert {name for name, strength in wished.items() if strength == "auto"} == {
        "prints",
        "negatives-and-slides",
        "strong",
    }
    assert all(strength in ("auto", 0) for strength in wished.values())
