"""Where GIMPs are looked for on each system, worked out here for all of them."""

from __future__ import annotations

import re
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import pytest
from scanmend_plugin import paths
from scanmend_plugin.paths import Gimp, System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

HOME = PurePosixPath("/home/ann")
VAR = f"{HOME}/.var/app/org.gimp.GIMP/config/GIMP"


def listing_of(things: Iterable[PurePath]) -> Callable[[PurePath], Sequence[str]]:
    held: dict[PurePath, list[str]] = {}
    for thing in things:
        for path in (thing, *thing.parents):
            if path.name and path.name not in held.setdefault(path.parent, []):
                held[path.parent].append(path.name)
    return lambda folder: held.get(folder, ())


def linux(*things: str, links: Mapping[str, str] | None = None, **environ: str) -> System:
    environ.setdefault("PATH", "/usr/local/bin:/usr/bin:/snap/bin")
    shown = [PurePosixPath(thing.replace("~", str(HOME))) for thing in things]
    real = {PurePosixPath(link): PurePosixPath(target) for link, target in (links or {}).items()}
    return System("linux", HOME, environ, listing_of(shown), lambda path: real.get(path, path))


def mac(*things: str) -> System:
    home = PurePosixPath("/Users/ann")
    shown = [PurePosixPath(thing.replace("~", str(home))) for thing in things]
    return System("darwin", home, {"PATH": "/usr/bin:/opt/homebrew/bin"}, listing_of(shown))


def windows(*things: str, installed: Sequence[str] = ()) -> System:
    environ = {
        "APPDATA": r"C:\Users\ann\AppData\Roaming",
        "LOCALAPPDATA": r"C:\Users\ann\AppData\Local",
        "ProgramFiles": r"C:\Program Files",
    }
    shown = [PureWindowsPath(thing) for thing in things]
    home = PureWindowsPath(r"C:\Users\ann")
    return System("win32", home, environ, listing_of(shown), installed=installed)


def saying(**versions: str) -> Callable[[Sequence[str]], str]:
    """Programs that say a version: by the end of their name, or the first words that start them."""

    def said_by(words: Sequence[str]) -> str:
        assert words[-1] == "--version"
        name = re.sub(r"\.(exe|AppImage)$", "", PureWindowsPath(words[0]).name)
        number = versions.get(re.sub(r"[-.]", "_", name), "")
        return f"GNU Image Manipulation Program version {number}\n" if number else ""

    return said_by


def found(system: System, **versions: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.title, str(one.plug_ins), one.program) for one in paths.find(system, saying(**versions))]


# --- Linux -------------------------------------------------------------------------------


def test_a_packaged_gimp_is_found_once_by_all_its_names_and_started_without_a_window() -> None:
    names = (
        "gimp",
        "gimp-3",
        "gimp-3.0",
        "gimp-console",
        "gimp-console-3.0",
        "gimp-script-fu-interpreter-3.0",
    )
    system = linux(*(f"/usr/bin/{name}" for name in names), "~/.config/GIMP/3.0/gimprc")

    gimps = found(system, gimp="3.0.4", gimp_console="3.0.4", gimp_console_3_0="3.0.4")

    assert gimps == [("GIMP 3.0", f"{HOME}/.config/GIMP/3.0/plug-ins", ("/usr/bin/gimp-console",))]


def test_names_that_are_links_to_one_program_are_asked_once() -> None:
    links = {"/usr/bin/gimp-console": "/usr/bin/gimp-console-3.0"}
    system = linux("/usr/bin/gimp-console", "/usr/bin/gimp-console-3.0", links=links)

    programs = paths.programs(system)

    assert [program.words for program in programs] == [("/usr/bin/gimp-console",)]


def test_a_gimp_that_was_never_started_has_its_folder_named_after_its_version() -> None:
    system = linux("/usr/bin/gimp")

    gimps = found(system, gimp="3.2.0")

    assert gimps == [("GIMP 3.2", f"{HOME}/.config/GIMP/3.2/plug-ins", ("/usr/bin/gimp",))]


def test_settings_of_a_gimp_that_is_not_found_count_too_the_newest_first() -> None:
    system = linux("~/.config/GIMP/2.10/gimprc", "~/.config/GIMP/3.0/gimprc", "~/.config/GIMP/3.2/gimprc")

    gimps = found(system)

    assert [(title, program) for title, _, program in gimps] == [
        ("GIMP 3.2", ()),
        ("GIMP 3.0", ()),
        ("GIMP 2.10", ()),
    ]


@pytest.mark.parametrize("version", ["2.8", "2.9", "2.99", "4.0", "3", "3.0.4", "backup", "3.x"])
def test_folders_of_other_gimps_are_passed_by(version: str) -> None:
    system = linux(f"~/.config/GIMP/{version}/gimprc")

    assert found(system) == []


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("GNU Image Manipulation Program version 3.0.4", "3.0"),
        ("GNU Image Manipulation Program version 2.10.34\ngit-describe: GIMP_2_10_32", "2.10"),
        ("GNU-Bildbearbeitungsprogramm version 3.2.0-RC1", "3.2"),
        ("GNU Image Manipulation Program version 2.8.22", ""),
        ("GNU Image Manipulation Program version 2.99.18", ""),
        ("bash: gimp: command not found", ""),
        ("", ""),
    ],
)
def test_the_version_is_read_from_what_gimp_says(said: str, version: str) -> None:
    assert paths.version_in(said) == version


def test_the_settings_may_have_been_moved_by_the_environment() -> None:
    moved = linux("/usr/bin/gimp", XDG_CONFIG_HOME="/data/config")
    named = linux("/usr/bin/gimp", GIMP3_DIRECTORY="/data/gimp")
    below_home = linux("/usr/bin/gimp", GIMP3_DIRECTORY=".gimp")
    of_the_other = linux("/usr/bin/gimp", GIMP2_DIRECTORY="/data/gimp")
    relative = linux("/usr/bin/gimp", XDG_CONFIG_HOME="config")

    folders = [
        found(system, gimp="3.0.4")[0][1] for system in (moved, named, below_home, of_the_other, relative)
    ]

    assert folders == [
        "/data/config/GIMP/3.0/plug-ins",
        "/data/gimp/plug-ins",
        f"{HOME}/.gimp/plug-ins",
        f"{HOME}/.config/GIMP/3.0/plug-ins",
        f"{HOME}/.config/GIMP/3.0/plug-ins",
    ]


def test_a_path_with_holes_and_relative_folders_is_searched_where_it_is_whole() -> None:
    system = linux("/usr/bin/gimp", "/home/ann/bin/gimp", PATH=":bin::/usr/bin:.")

    assert [program.words for program in paths.programs(system)] == [("/usr/bin/gimp",)]


# --- Flatpak, Snap, AppImage -------------------------------------------------------------


FLATPAK = "/var/lib/flatpak/app/org.gimp.GIMP/current"


def test_flatpaks_gimp_has_settings_of_its_own() -> None:
    system = linux(FLATPAK)

    gimps = found(system, flatpak="3.0.4")

    assert gimps == [("GIMP 3.0 (Flatpak)", f"{VAR}/3.0/plug-ins", ("flatpak", "run", "org.gimp.GIMP"))]


def test_flatpaks_gimp_uses_the_usual_settings_where_they_were_there_first() -> None:
    system = linux(FLATPAK, "~/.config/GIMP/2.10/gimprc")

    gimps = found(system, flatpak="3.0.4")

    assert ("GIMP 3.0 (Flatpak)", f"{HOME}/.config/GIMP/3.0/plug-ins") in [one[:2] for one in gimps]


def test_both_places_of_flatpak_count_where_both_hold_settings() -> None:
    system = linux(FLATPAK, "~/.config/GIMP/3.0/gimprc", f"{VAR}/3.0/gimprc")

    folders = {plug_ins for _, plug_ins, _ in found(system, flatpak="3.0.4")}

    assert folders == {f"{HOME}/.config/GIMP/3.0/plug-ins", f"{VAR}/3.0/plug-ins"}


def test_a_flatpak_of_this_person_alone_is_found() -> None:
    system = linux("~/.local/share/flatpak/app/org.gimp.GIMP/current")

    assert [title for title, _, _ in found(system, flatpak="2.10.38")] == ["GIMP 2.10 (Flatpak)"]


def test_a_package_and_a_flatpak_that_share_settings_are_two_gimps_with_one_folder() -> None:
    system = linux(FLATPAK, "/usr/bin/gimp", "~/.config/GIMP/3.0/gimprc")

    gimps = found(system, flatpak="3.0.4", gimp="3.0.2")

    assert {title for title, _, _ in gimps} == {"GIMP 3.0", "GIMP 3.0 (Flatpak)"}
    assert len({plug_ins for _, plug_ins, _ in gimps}) == 1


def test_snaps_gimp_2_10_is_served_in_the_revision_in_use() -> None:
    system = linux("/snap/bin/gimp", "~/snap/gimp/393/.config/GIMP/2.10/gimprc", "~/snap/gimp/current")

    gimps = paths.find(system, saying(gimp="2.10.38"))

    assert [str(gimp.plug_ins) for gimp in gimps] == [f"{HOME}/snap/gimp/current/.config/GIMP/2.10/plug-ins"]
    assert paths.obstacle(system, gimps[0]) is None


def test_without_a_link_the_highest_revision_of_a_snap_is_the_one_in_use() -> None:
    system = linux("~/snap/gimp/99/.config/GIMP/2.10/gimprc", "~/snap/gimp/393/.config/GIMP/2.10/gimprc")

    assert [one[1] for one in found(system)] == [f"{HOME}/snap/gimp/393/.config/GIMP/2.10/plug-ins"]


@pytest.mark.parametrize("folder", ["/snap/bin", "/var/lib/snapd/snap/bin"])
def test_snaps_gimp_3_gets_a_sentence_instead_of_a_plug_in(folder: str) -> None:
    system = linux(f"{folder}/gimp", PATH=f"/usr/bin:{folder}")
    (gimp,) = paths.find(system, saying(gimp="3.0.4"))

    against = paths.obstacle(system, gimp)

    assert gimp.kind == "Snap"
    assert against is not None
    assert "Snap" in against.sentence


def test_an_appimage_reads_the_usual_settings() -> None:
    system = linux("~/Applications/GIMP-3.0.4-x86_64.AppImage")

    gimps = found(system, GIMP_3_0_4_x86_64="3.0.4")

    image = (f"{HOME}/Applications/GIMP-3.0.4-x86_64.AppImage",)
    assert gimps == [("GIMP 3.0 (AppImage)", f"{HOME}/.config/GIMP/3.0/plug-ins", image)]


# --- GIMP 2.10 without Python ------------------------------------------------------------


OLD = Gimp("system", "2.10", HOME / ".config/GIMP/2.10/plug-ins", ("/usr/bin/gimp-console-2.10",))


def test_a_package_of_gimp_2_10_without_python_is_known_by_what_it_lacks() -> None:
    system = linux("/usr/lib/gimp/2.0/plug-ins/script-fu")

    against = paths.obstacle(system, OLD)

    assert against is not None
    assert "no Python" in against.sentence


@pytest.mark.parametrize("library", ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu"])
def test_a_package_of_gimp_2_10_with_python_is_served(library: str) -> None:
    system = linux(f"{library}/gimp/2.0/interpreters/pygimp.interp")

    assert paths.obstacle(system, OLD) is None


def test_where_nothing_is_known_of_a_gimp_2_10_nothing_is_held_against_it() -> None:
    without_program = Gimp("system", "2.10", OLD.plug_ins)

    assert paths.obstacle(linux(), OLD) is None
    assert paths.obstacle(linux("/usr/lib/gimp/2.0/plug-ins/script-fu"), without_program) is None


# --- Windows and macOS -------------------------------------------------------------------


def test_windows_has_plug_ins_in_the_roaming_folder_and_gimp_in_program_files() -> None:
    program = r"C:\Program Files\GIMP 3\bin\gimp-console-3.0.exe"
    system = windows(program, r"C:\Program Files\GIMP 3\bin\gimp-3.0.exe", r"C:\Program Files\Other\gimp.exe")

    gimps = found(system, gimp_console_3_0="3.0.4")

    assert gimps == [("GIMP 3.0", r"C:\Users\ann\AppData\Roaming\GIMP\3.0\plug-ins", (program,))]


def test_windows_registry_tells_of_a_gimp_elsewhere() -> None:
    program = r"D:\Art\GIMP 2\bin\gimp-console-2.10.exe"
    system = windows(program, installed=[r"D:\Art\GIMP 2"])

    gimps = paths.find(system, saying(gimp_console_2_10="2.10.38"))

    assert [gimp.program for gimp in gimps] == [(program,)]
    assert paths.obstacle(system, gimps[0]) is None


def test_a_gimp_that_one_person_has_installed_on_windows_is_found() -> None:
    program = r"C:\Users\ann\AppData\Local\Programs\GIMP 3\bin\gimp-console-3.0.exe"

    assert [one[2] for one in found(windows(program), gimp_console_3_0="3.0.4")] == [(program,)]


def test_windows_without_its_variables_has_the_folders_below_home() -> None:
    home = PureWindowsPath(r"C:\Users\ann")
    system = System("win32", home, {}, listing_of([home / r"AppData\Roaming\GIMP\3.0\gimprc"]))

    assert [one[1] for one in found(system)] == [r"C:\Users\ann\AppData\Roaming\GIMP\3.0\plug-ins"]


def test_macos_has_plug_ins_in_its_library_and_gimp_among_its_applications() -> None:
    program = "/Applications/GIMP.app/Contents/MacOS/gimp"
    system = mac(program, "/Applications/Preview.app/Contents/MacOS/gimp")

    gimps = found(system, gimp="3.0.4")

    folder = "/Users/ann/Library/Application Support/GIMP/3.0/plug-ins"
    assert gimps == [("GIMP 3.0", folder, (program,))]


def test_two_gimps_side_by_side_on_macos_are_two() -> None:
    system = mac(
        "/Applications/GIMP-2.10.app/Contents/MacOS/gimp-console-2.10",
        "~/Applications/GIMP.app/Contents/MacOS/gimp-console-3.0",
    )

    gimps = found(system, gimp_console_2_10="2.10.38", gimp_console_3_0="3.0.4")

    assert [title for title, _, _ in gimps] == ["GIMP 3.0", "GIMP 2.10"]
