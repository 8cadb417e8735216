"""What the daemon's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.serving import Server, serving
from tests.daemon.keeping import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The parts that keep scans; originals stay where they are."""
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Bench]:
    """The same; originals are moved."""
    made = Bench(tmp_path, moved=True)
    yield made
    made.ledger.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Server]:
    """A real engine process, which all daemons of the tests find in XDG_RUNTIME_DIR."""
    with serving() as server:
        yield server
