"""What runs inside GIMP 2.10, and what both GIMPs share, is read by Python 2.7 and by Python 3.9."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import scanmend.serve.client
import scanmend_plugin

from .gimp import RootedGimp

PAYLOAD = Path(scanmend_plugin.__file__).parent / "payload"
SHARED = [PAYLOAD / "gimp2.py", *sorted((PAYLOAD / "scanmend_front").glob("*.py"))]
OLD = [*SHARED, *sorted((PAYLOAD / "scanmend_gimp2").glob("*.py")), Path(scanmend.serve.client.__file__)]
ALL = [*OLD, PAYLOAD / "gimp3.py", *sorted((PAYLOAD / "scanmend_gimp3").glob("*.py"))]

COMPILE = """
import io, sys, traceback
for path in sys.argv[1:]:
    with io.open(path, 'rb') as file:
        try:
            compile(file.read(), path, 'exec', 0, True)
        except SyntaxError:
            traceback.print_exc(0)
            sys.exit(1)
"""
IMPORT = """
import sys
sys.dont_write_bytecode = True
sys.path[:0] = sys.argv[1:]
from scanmend_front import controls, faults, memory, picture, sentences, session, setup, stretch, words
from scanmend_gimp2 import lane, native
kept = memory.load(memory.dump({'name': u'Gr\\xfc\\xdfe'}))
assert kept['name'] == u'Gr\\xfc\\xdfe', kept
assert native.native(u'\\xfc') == '\\xc3\\xbc' and native.text('\\xc3\\xbc') == u'\\xfc'
assert native.said(ValueError(u'\\xfc')) and native.said(ValueError('\\xff'))
stream = stretch.Stream([b'ab', b'cde'])
assert stream.take(3) == b'abc' and stream.take(2) == b'de'
print('imported')
"""


@pytest.mark.parametrize("path", OLD, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_for_python_2_promises_the_same_meaning_in_both(path: Path) -> None:
    wanted = {"absolute_import", "division", "print_function", "unicode_literals"}
    tree = ast.parse(path.read_text(encoding="utf-8"))

    promised = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }

    assert not any(isinstance(node, ast.JoinedStr | ast.AnnAssign) for node in ast.walk(tree))
    assert len(tree.body) == 1 or wanted <= promised  # a docstring alone needs none


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_for_gimp_is_read_by_python_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))

    assert tree.body


@pytest.mark.slow
def test_python_2_7_compiles_every_file_of_gimp_2(gimp2: RootedGimp) -> None:
    given = ["python2.7", "-c", COMPILE, *OLD]

    ran = gimp2.inside(*given, show=[PAYLOAD, Path(scanmend.serve.client.__file__).parent])

    assert ran.code == 0, ran.err


@pytest.mark.slow
def test_python_2_7_runs_what_needs_no_gimp(gimp2: RootedGimp) -> None:
    ran = gimp2.inside("python2.7", "-c", IMPORT, gimp2.plug_in, show=[gimp2.plug_in])

    assert (ran.code, ran.out, ran.err) == (0, "imported\n", "")
