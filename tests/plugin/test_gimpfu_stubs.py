"""The types of GIMP 2.10's Python: a small plug-in is checked with them, and they name what GIMP has."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import scanmend_plugin

from .gimp import Gimp

ROOT = Path(__file__).resolve().parents[2]
STUBS = ROOT / "plugin" / "stubs"
MODULES = ("gimp", "gimpcolor", "gimpenums", "gimpfu", "gimpui", "gtk", "gtk.gdk")
WHOLE = ("gimp", "gimpcolor", "gimpenums", "gimpfu")
"""Modules whose types are complete; of the others there are parts."""
PLUG_IN = """
from gimpfu import PF_DRAWABLE, PF_IMAGE, PF_SLIDER, main, pdb, register
from gimpenums import RGB_IMAGE
import gimp


def soften(image, drawable, amount):
    # type: (gimp.Image, gimp.Drawable, float) -> None
    image.undo_group_start()
    gimp.progress_init("Softening")
    region = drawable.get_pixel_rgn(0, 0, drawable.width, drawable.height, True, True)
    if drawable.type == RGB_IMAGE:
        region[0:1, 0:1] = region[1:2, 0:1]
    drawable.flush()
    drawable.merge_shadow(True)
    pdb.plug_in_gauss(image, drawable, amount, amount, 0)
    image.undo_group_end()


register(
    "soften", "Softens", "Softens", "Somebody", "MIT", "2026", "Soften...", "RGB*",
    [(PF_IMAGE, "image", "", None), (PF_DRAWABLE, "drawable", "", None),
     (PF_SLIDER, "amount", "Amount", 1.0, (0, 10, 0.1))],
    [], soften, menu="<Image>/Filters",
)
main()
"""


def checked(folder: Path, text: str) -> tuple[int, str]:
    """What mypy says of a program, with nothing but the types to go by."""
    program = folder / "program.py"
    program.write_text(text, encoding="utf-8")
    words = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'cache'}"]
    done = subprocess.run(
        [*words, str(program)], cwd=folder, env={"MYPYPATH": str(STUBS), "PATH": ""}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_small_plug_in_is_checked_to_its_end(tmp_path: Path) -> None:
    code, said = checked(tmp_path, PLUG_IN)

    assert (code, said) == (0, "Success: no issues found in 1 source file\n")


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("image.undo_group_start()", "image.undo_start()", '"Image" has no attribute "undo_start"'),
        ("drawable.get_pixel_rgn(0, 0,", 'drawable.get_pixel_rgn("0", 0,', 'incompatible type "str"'),
        ("region[0:1, 0:1] = region[1:2, 0:1]", "region[0:1, 0:1] = 0", 'target has type "bytes"'),
        ("PF_SLIDER, main", "PF_SLIDE, main", 'has no attribute "PF_SLIDE"'),
        ("import RGB_IMAGE", "import RGB_PICTURE", 'has no attribute "RGB_PICTURE"'),
        ('[], soften, menu="<Image>/Filters"', "[], soften, menu=1", 'expected "str | None"'),
    ],
)
def test_a_mistake_in_a_plug_in_is_found(tmp_path: Path, right: str, wrong: str, says: str) -> None:
    assert right in PLUG_IN

    code, said = checked(tmp_path, PLUG_IN.replace(right, wrong))

    assert code == 1
    assert says in said


def stubbed(module: str) -> set[str]:
    """The names that a module's types declare."""
    parts = module.split(".")
    places = [STUBS.joinpath(*parts, "__init__.pyi"), STUBS.joinpath(*parts).with_suffix(".pyi")]
    path = next(place for place in places if place.exists())
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname for alias in node.names if alias.asname}
            if any(alias.name == "*" for alias in node.names):
                found |= stubbed("gimpenums")
    return {name for name in found if not name.startswith("_") or name in {"_query", "_run"}}


def test_every_name_that_the_plug_in_takes_from_gimp_has_a_type() -> None:
    payload = Path(scanmend_plugin.__file__).parent / "payload"
    used: set[tuple[str, str]] = set()
    for path in [payload / "gimp2.py", *(payload / "scanmend_gimp2").glob("*.py")]:
        used |= taken(ast.parse(path.read_text(encoding="utf-8")))

    assert len(used) > 60
    assert {(module, name) for module, name in used if name not in stubbed(module)} == set()


def taken(tree: ast.AST) -> set[tuple[str, str]]:
    """(module, name) of everything that a source imports from GIMP's modules or asks them for."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner in MODULES:
                found.add((owner, node.attr))
    return found


@pytest.mark.slow
def test_the_types_name_what_gimp_has_and_nothing_else(gimp2: Gimp) -> None:
    script = """
import gimp, gimpcolor, gimpenums, gimpfu
modules = (gimp, gimpcolor, gimpenums, gimpfu)
def public(owner):
    return [name for name in dir(owner) if not name.startswith('_')]
def members(thing):
    return public(thing) if isinstance(thing, type) else []
answer({module.__name__: {name: members(getattr(module, name)) for name in public(module)}
        for module in modules})
"""
    found = gimp2.run(script, plug_in=None).well

    python_s_own = {"math", "gettext", "t"}  # what gimpfu imports for itself
    for module in WHOLE:
        declared = {name for name in stubbed(module) if not name.startswith("_")}
        assert set(found[module]) - declared - python_s_own == set(), module
        # The class of pdb and of its procedures has no name in GIMP's module.
        assert declared - set(found[module]) - {"PDB", "PDBFunction", "Item", "VectorsStroke"} == set(), (
            module
        )
    for name in (
        "Image",
        "Layer",
        "GroupLayer",
        "Channel",
        "Drawable",
        "PixelRgn",
        "Tile",
        "Parasite",
        "Vectors",
    ):
        assert set(found["gimp"][name]) - members(name) == set(), name


def members(name: str) -> set[str]:
    """What a class of `gimp` has by its types, with what it has from the classes below it."""
    classes = {
        node.name: node
        for node in ast.parse((STUBS / "gimp" / "__init__.pyi").read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    own = classes[name]
    found = {node.name for node in own.body if isinstance(node, ast.FunctionDef)}
    found |= {ast.unparse(node.target) for node in own.body if isinstance(node, ast.AnnAssign)}
    for base in own.bases:
        found |= members(ast.unparse(base))
    return found


@pytest.mark.slow
def test_the_distribution_is_made_of_stub_packages(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(words, cwd=STUBS, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("gimpfu_stubs-*.whl")
    target = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(target)], check=True)

    found = {path.name for path in target.iterdir() if not path.name.endswith(".dist-info")}

    assert found == {f"{module}-stubs" for module in MODULES if "." not in module}
    for name in ("gimpui", "gtk"):
        assert (target / f"{name}-stubs" / "py.typed").read_text().strip() == "partial"
