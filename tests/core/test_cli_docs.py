"""The pages about the command line and the errors leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from scanmend import errors
from scanmend.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
ERRORS = [value for value in vars(errors).values() if isinstance(value, type)]


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


ALL = dict(commands(typer.main.get_command(app), "scanmend"))


def options() -> list[tuple[str, str]]:
    found = [
        (path, name)
        for path, command in ALL.items()
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]
    return [(path, name) for path, name in found if name.startswith("-")]


def section(path: str) -> str:
    """The part of the page that is about a command: its heading's, or that for every command."""
    parts = re.split(r"^## ", (DOCS / "command-line.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    words = path.split()
    wanted = "For every command" if words == ["scanmend"] else f"`{' '.join(words[:2])}"
    return next(part for part in parts if part.startswith(wanted))


@pytest.mark.parametrize("path", ALL)
def test_every_command_is_on_the_page(path: str) -> None:
    assert path in section(path)


@pytest.mark.parametrize(("path", "option"), options())
def test_every_option_is_in_the_section_of_its_command(path: str, option: str) -> None:
    assert re.search(rf"`{option}[` ]", section(path))


@pytest.mark.parametrize("path", ALL)
def test_no_option_is_on_the_page_that_no_command_has(path: str) -> None:
    known = {name for _, name in options()} | {"--help", "-h", "--"}

    written = set(re.findall(r"`(-[-\w]*)[` ]", section(path)))

    assert written <= known


@pytest.mark.parametrize("path", ALL)
def test_every_command_says_what_it_does_and_what_its_parameters_mean(path: str) -> None:
    command = ALL[path]

    assert command.help
    assert all(parameter.help for parameter in command.params if parameter.name != "help")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_a_section_and_its_exit_code_a_row(error: type[errors.ScanmendError]) -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| ") and f"`{error.__name__}`" in line)

    assert f"\n## `{error.__name__}`\n" in page
    assert row.split("|")[1].strip() == str(error.exit_code)
