"""GIMP 3 started from a terminal in which a virtual environment is active: its python3 knows no GIMP."""

from __future__ import annotations

from pathlib import Path

import pytest

from .gimp import RootedGimp

pytestmark = pytest.mark.slow

# GIMP asks every plug-in at its start, and writes down what they answer.
START = """
cp -r {plug_in} ~/.config/GIMP/3.0/plug-ins/scanmend
timeout 100 gimp-console-3.0 --no-interface --no-data --no-fonts --quit >/dev/null 2>&1
python3 -c 'import gi' 2>/dev/null && echo 'python3 knows GIMP'
grep -o 'plug-in-scanmend-restore"' ~/.config/GIMP/3.0/pluginrc
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment of the Python that GIMP brings, as it is seen in there."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to("/usr/bin/python3")
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    return tmp_path


def test_the_plug_in_finds_a_python_that_knows_gimp(window3: RootedGimp, environment: Path) -> None:
    path = f"{environment}/bin:/usr/local/bin:/usr/bin:/bin"
    plug_in = window3.plug_in

    ran = window3.inside(
        "bash", "-c", START.format(plug_in=plug_in), show=[environment, plug_in], env={"PATH": path}
    )

    assert ran.out.split() == ['plug-in-scanmend-restore"'], ran.err
