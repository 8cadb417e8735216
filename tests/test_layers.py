"""Who may import whom. The table is the house's plan; the tests read the sources against it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    ".".join(path.relative_to(ROOT / folder).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("core", "daemon", "models", "install", "plugin", "plugin/scanmend_plugin/payload")
    for path in sorted((ROOT / folder).glob("scanmend*/**/*.py"))
    if folder != "plugin" or "payload" not in path.parts  # that is installed into GIMP as it stands
}
HOUSE = {
    "scanmend", "scanmend_daemon", "scanmend_models", "scanmend_install", "scanmend_plugin",
    "scanmend_front", "scanmend_gimp2", "scanmend_gimp3",
}  # fmt: skip

# A row covers a module and all below it; the longest name that fits decides. Besides the standard
# library and itself, a module imports what its row lists: libraries, and rows above its own.
_LEAVES = {"scanmend.errors", "scanmend.image"}
_DECIDING = {"scanmend.measure", "scanmend.profile", "scanmend.cards", "scanmend.plan"}
MAY_IMPORT: dict[str, set[str]] = {
    "scanmend.errors": set(),
    "scanmend.endings": set(),
    "scanmend.image": {"numpy", "scanmend.errors"},
    "scanmend.icc": {"scanmend.image"},
    "scanmend.psf": {"numpy", "scanmend.image"},
    "scanmend.xmp": {"scanmend.errors"},
    "scanmend.formats": {
        "numpy", "PIL", "imagecodecs", "simplejpeg", "scanmend.endings", "scanmend.icc", *_LEAVES,
    },
    "scanmend.places": {"platformdirs"},
    "scanmend.cards": {"tomli", "scanmend.places", "scanmend.errors"},
    "scanmend.measure": {"numpy", "safetensors", "scanmend.cards", "scanmend.formats", *_LEAVES},
    "scanmend.settings": {"yaml", "pydantic", "scanmend.errors"},
    "scanmend.profile": {"yaml", "pydantic", "scanmend.places", "scanmend.settings", "scanmend.errors"},
    "scanmend.plan": {"scanmend.profile", "scanmend.cards", "scanmend.errors"},
    "scanmend.tiling": {"numpy", "scanmend.image"},
    "scanmend.engine_openvino": {"openvino", "torch", "numpy", "scanmend.cards", *_LEAVES},
    "scanmend.deconvolve": {"torch", "scanmend.image"},
    "scanmend.engine": {
        "torch", "safetensors", "numpy",
        "scanmend.deconvolve", "scanmend.engine_openvino", "scanmend.psf", "scanmend.tiling",
        "scanmend.plan", "scanmend.cards", *_LEAVES,
    },
    "scanmend.evaluate": {
        "numpy", "scanmend.engine", "scanmend.formats", "scanmend.plan", "scanmend.cards", "scanmend.psf",
        *_LEAVES,
    },
    "scanmend.publish": {"scanmend.errors"},
    "scanmend.own": {"scanmend.publish", "scanmend.cards", "scanmend.errors"},
    "scanmend.checkpoints": {"torch", "safetensors", "scanmend.errors"},
    "scanmend.sidecar": set(),
    "scanmend.report": {"scanmend.measure", "scanmend.plan", "scanmend.sidecar"},
    "scanmend.pipeline": {
        "numpy", "scanmend.engine", "scanmend.formats", "scanmend.publish", "scanmend.report",
        "scanmend.tiling", "scanmend.xmp", *_DECIDING, *_LEAVES,
    },
    # The client is one file on the standard library alone: front ends copy it.
    "scanmend.serve.client": set(),
    "scanmend.serve": {
        "starlette", "uvicorn", "numpy", "scanmend.formats", "scanmend.pipeline", "scanmend.places",
        "scanmend.publish", "scanmend.report", "scanmend.sidecar", "scanmend.serve.client",
        "scanmend.xmp", *_DECIDING, *_LEAVES,
    },
    "scanmend": {
        "scanmend.formats", "scanmend.pipeline", "scanmend.profile", "scanmend.report", *_LEAVES,
    },
    "scanmend_models._train": {"torch", "numpy", "PIL", "safetensors", "scanmend.psf"},
    "scanmend_models": {
        "torch", "numpy", "safetensors", "scanmend_models._train", "scanmend", "scanmend.measure",
        "scanmend.psf",
    },
    "scanmend.importing": {
        "torch", "safetensors", "scanmend.own", "scanmend.checkpoints", "scanmend.cards", "scanmend.errors",
        "scanmend_models",
    },
    "scanmend_install": {"scanmend.places", "scanmend.errors"},
    # Inside GIMP there is the standard library, GIMP itself, and what both plug-ins share.
    "scanmend_front": {"scanmend_client"},
    "scanmend_gimp3": {"gi", "scanmend_client", "scanmend_front"},
    "scanmend_gimp2": {
        "gimp", "gimpenums", "gimpfu", "gimpui", "gtk", "gobject", "scanmend_client", "scanmend_front",
    },
    "scanmend_plugin": {
        "scanmend", "scanmend.errors", "scanmend.places", "scanmend.profile", "scanmend.publish",
        "scanmend.serve.client",
    },
    # The daemon stays small: neither torch nor NumPy, which the engine process holds.
    "scanmend_daemon": {
        "pathspec", "prometheus_client", "pydantic", "starlette", "uvicorn", "watchdog", "yaml",
        "scanmend", "scanmend.cards", "scanmend.endings", "scanmend.errors", "scanmend.places",
        "scanmend.profile", "scanmend.publish", "scanmend.serve.client", "scanmend.settings",
        "scanmend.sidecar",
    },
    # Training is torch's work; the command hands it a device.
    "scanmend.cli.train": {
        "torch", "scanmend.cli", "scanmend.engine", "scanmend.errors",
        "scanmend_models", "scanmend_models._train",
    },
    "scanmend.cli": {
        "typer", "rich", "scanmend", "scanmend.cli.train", "scanmend.engine", "scanmend.evaluate",
        "scanmend.formats", "scanmend.pipeline", "scanmend.places", "scanmend.publish", "scanmend.report",
        "scanmend.own", "scanmend.importing",
        "scanmend.serve", "scanmend.serve.client", "scanmend_daemon", "scanmend_install", "scanmend_plugin",
        *_DECIDING, *_LEAVES,
    },
    "scanmend.__main__": {"scanmend.cli"},
}  # fmt: skip
MAY_KNOW_TORCH = {
    "scanmend.deconvolve", "scanmend.engine", "scanmend.engine_openvino", "scanmend.cli.train",
    "scanmend.checkpoints", "scanmend.importing", "scanmend_models", "scanmend_models._train",
}  # fmt: skip
BETWEEN_NEIGHBOURS = {("scanmend.cli.train", "scanmend.cli")}  # a command and its package


def row_of(module: str) -> str | None:
    """The row of the table that decides about a module."""
    names = [name for name in MAY_IMPORT if module == name or module.startswith(name + ".")]
    # Only the bare package falls under "scanmend": a new module needs a row of its own.
    return max((name for name in names if name != "scanmend" or module == name), key=len, default=None)


def imported(source: str, module: str, *, package: bool) -> set[str]:
    """Every module that a source imports, also inside functions and for type checkers only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            base = parts[: len(parts) - node.level + package] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            below = {f"{origin}.{alias.name}" for alias in node.names} & SOURCES.keys()
            found |= below
            if len(below) < len(node.names):
                found.add(origin)
    return found


def strangers(module: str) -> set[str]:
    """What a module imports although its row does not say so."""
    path, row = SOURCES[module], row_of(module)
    allowed = MAY_IMPORT[row] if row else set()
    targets = imported(path.read_text(encoding="utf-8"), module, package=path.name == "__init__.py")
    outside = set()
    for target in targets:
        top = target.split(".")[0]
        name = row_of(target) or top if top in HOUSE else top
        if top not in sys.stdlib_module_names and name != row and name not in allowed:
            outside.add(target)
    return outside


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_its_row_says(module: str) -> None:
    assert row_of(module), f"{module} has no row in the table"
    assert not strangers(module)


def test_rows_import_only_rows_above_their_own() -> None:
    order = list(MAY_IMPORT)
    upward = {
        (row, target)
        for row, targets in MAY_IMPORT.items()
        for target in targets & MAY_IMPORT.keys()
        if order.index(target) > order.index(row)
    }

    assert upward == BETWEEN_NEIGHBOURS


def test_torch_is_known_to_the_engine_and_the_models_alone() -> None:
    knowing = {row for row, targets in MAY_IMPORT.items() if "torch" in targets}

    assert knowing == MAY_KNOW_TORCH


def test_the_reader_of_sources_sees_every_kind_of_import() -> None:
    source = (
        "import torch.nn as nn\n"
        "from scanmend import formats, __version__\n"
        "def late():\n    from scanmend.plan import Plan\n"
        "if TYPE_CHECKING:\n    import yaml\n"
        "from . import errors\n"
        "from .image import Array\n"
    )

    found = imported(source, "scanmend.cards", package=False)

    house = {"scanmend", "scanmend.formats", "scanmend.plan", "scanmend.errors", "scanmend.image"}
    assert found == {"torch.nn", "yaml", *house}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import scanmend", ("torch", "numpy", "PIL", "yaml", "rich")),
        ("import scanmend.pipeline", ("torch", "openvino", "PIL", "imagecodecs", "typer", "rich")),
        ("import scanmend.cli.app", ("torch", "numpy", "PIL", "rich")),
        ("import scanmend_daemon", ("torch", "numpy", "PIL", "rich")),
        ("import scanmend.cards; scanmend.cards.installed()", ("torch", "numpy", "scanmend_models")),
    ],
)
def test_importing_stays_light(statement: str, heavy: tuple[str, ...]) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted(set({heavy!r}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
