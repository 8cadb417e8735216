#!/usr/bin/env python3
"""Filters > Restore in GIMP 3: what GIMP starts; everything else lies in the folders beside it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def use_the_python_of_gimp() -> None:
    """Goes on in a Python that knows GIMP, where the first one on PATH does not.

    That is so when GIMP was started from a terminal in which a virtual environment is active.
    """
    for folder in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin"]:
        python = str(Path(folder, "python3"))
        if python == sys.executable or not os.access(python, os.X_OK):
            continue
        if not subprocess.run([python, "-c", "import gi"], capture_output=True, check=False).returncode:
            os.execv(python, [python, *sys.argv])


if importlib.util.find_spec("gi") is None:
    use_the_python_of_gimp()

from scanmend_gimp3.procedures import main  # noqa: E402 - the Python comes first

main()
