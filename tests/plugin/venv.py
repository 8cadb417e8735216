"""Scanmend as a person has it: installed in a virtual environment, without this process's PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = tuple(ROOT / name for name in ("core", "daemon", "models", "install", "plugin"))
LIBRARIES = Path(sysconfig.get_paths()["purelib"])


def installed(folder: Path) -> Path:
    """The interpreter of a new virtual environment in which this source tree is installed as editable."""
    venv.create(folder, symlinks=os.name != "nt")
    inside = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=inside))
    (packages / "scanmend.pth").write_text(f"{finders()}\n", encoding="utf-8")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def finders() -> str:
    """What a .pth file holds, for a Python to find Scanmend and what it needs."""
    return "\n".join(map(str, (*SOURCES, LIBRARIES)))


def shown(python: Path) -> list[Path]:
    """The folders that must be seen where the interpreter is to run."""
    return [python.parents[1], Path(sys.base_prefix), Path(sys.prefix), ROOT]


def ran(*words: object, home: Path, path: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """A command run for the person whose home that is."""
    inherited = {name: os.environ[name] for name in ("SYSTEMROOT", "LANG") if name in os.environ}
    env = {**inherited, "HOME": str(home), "PATH": path, **environ}
    return subprocess.run(
        [str(word) for word in words], env=env, cwd=home, capture_output=True, text=True, check=False
    )
