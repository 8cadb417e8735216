"""Importing the package and asking for help must cost next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path if p)}  # noqa: PTH100
HELP = "import sys; from scanmend.cli.failures import run; run(['--help'])"
TIMES = 7
posix = pytest.mark.skipif(os.name == "nt", reason="Windows does not tell the time that children took")


def processor_seconds(code: str) -> float:
    """The least of several runs. Processor time, because a busy machine stretches the clock's many times."""
    best = float("inf")
    for _ in range(TIMES):
        before = os.times()
        subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        after = os.times()
        took = after.children_user - before.children_user + after.children_system - before.children_system
        best = min(best, took)
    return best


def loaded(code: str) -> set[str]:
    report = "; import sys; print('\\nLOADED', *sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code + report], check=True, env=ENVIRONMENT, capture_output=True, text=True
    )
    return set(run.stdout.rpartition("LOADED")[2].split())


@posix
def test_importing_the_package_takes_less_than_0_4_seconds() -> None:
    took = processor_seconds("import scanmend")

    assert took < 0.4


@posix
def test_help_answers_in_less_than_0_2_seconds() -> None:
    took = processor_seconds(HELP)

    assert took < 0.2


@pytest.mark.parametrize("code", ["import scanmend", HELP, "import scanmend.cli.app"])
def test_nothing_heavy_is_loaded_without_work(code: str) -> None:
    modules = loaded(code)

    assert not modules & {"torch", "numpy", "PIL", "tifffile", "imagecodecs", "rich", "yaml"}


def test_planning_and_measuring_do_without_torch() -> None:
    modules = loaded("import scanmend; scanmend.Profile; scanmend.inspect; import scanmend.cli.restore")

    assert "numpy" in modules
    assert "torch" not in modules
