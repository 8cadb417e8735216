"""The plug-ins in a real GIMP speak the person's language: the menu, and the sentences that refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import Gimp, RootedGimp, reaching

pytestmark = pytest.mark.slow

REFUSED = """
image = load(ARGS[0])
answer({'said': call(image, layer(image), profile='nobody')})
"""
MENU = """
found = Gimp.get_pdb().lookup_procedure('plug-in-scanmend-restore-as-prints')
answer({'label': found.get_menu_label(), 'paths': found.get_menu_paths(), 'blurb': found.get_blurb()})
"""
NOBODY = {"de": "Es gibt kein Profil „nobody“.", "fr": "Il n'y a pas de profil « nobody »."}


def test_the_menu_is_in_german(gimp3: Gimp) -> None:
    found = gimp3.run(MENU, env={"LANGUAGE": "de"}).well

    assert found["label"] == "Papierbilder"
    assert found["paths"] == ["<Image>/Filters/Restaurieren/Mit einem Profil"]
    assert found["blurb"].startswith("Für Papierbilder auf dem Flachbettscanner")


@pytest.mark.parametrize("language", NOBODY)
def test_gimp_3_refuses_in_the_person_s_language(
    language: str, gimp3: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    scan = made_scans["rgb8"]
    around = reaching(engine, show=[scan.parent], env={"LANGUAGE": language})

    status, message = gimp3.run(DRIVE[3] + REFUSED, scan, **around).well["said"]

    assert status == "execution-error"
    assert NOBODY[language] in message


@pytest.mark.parametrize("language", NOBODY)
def test_gimp_2_refuses_in_the_person_s_language(
    language: str, gimp2: RootedGimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    scan = made_scans["rgb8"]
    around = reaching(engine, show=[scan.parent], env={"LANGUAGE": language})

    ran = gimp2.run(DRIVE[2] + REFUSED, scan, **around)

    assert ran.well["said"][0] != "success"
    assert NOBODY[language] in ran.err
