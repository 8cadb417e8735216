"""Keeps the plug-ins' translations in step with the words in their sources.

    python plugin/catalogues.py           # template, catalogues and their compiled form, made anew
    python plugin/catalogues.py --check   # says what is out of step or untranslated; changes nothing

A new language: `mkdir -p LANGUAGE/LC_MESSAGES` in the folder `locale`, and run it.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from scanmend import profile as profiles

PAYLOAD = Path(__file__).resolve().parent / "scanmend_plugin" / "payload"
LOCALE = PAYLOAD / "locale"
DOMAIN = "scanmend-gimp"
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}
_DATE = datetime(2026, 1, 1, tzinfo=timezone.utc)  # a date that changed by itself would be no news


def template() -> Catalog:
    """Every text in the sources that people see, with where it stands."""
    catalog = _catalog(None)
    found = extract_from_dir(PAYLOAD, [("**.py", "python")], {}, _KEYWORDS, comment_tags=("TRANSLATORS:",))
    for file, _line, message, comments, context in found:
        catalog.add(message, None, [(file, 0)], auto_comments=comments, context=context)
    for profile in profiles.listing():
        if profile.path is None:  # it ships; the comment at its head is its purpose
            catalog.add(profile.purpose, None, [(f"profiles/{profile.name}.yaml", 0)])
    return catalog


def _catalog(language: str | None) -> Catalog:
    return Catalog(
        locale=language,
        header_comment="# What people see of Scanmend in GIMP.",
        project="Scanmend",
        version="1",
        msgid_bugs_address="the issues of the project",
        last_translator="Scanmend",
        language_team="Scanmend",
        creation_date=_DATE,
        revision_date=_DATE,
        fuzzy=False,
    )


def languages() -> list[str]:
    """The languages that have a folder."""
    return sorted(path.parent.name for path in LOCALE.glob("*/LC_MESSAGES"))


def updated(language: str, texts: Catalog) -> Catalog:
    """A language's catalogue with the texts of today; what is no longer said is dropped."""
    path = LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    if path.exists():
        with path.open("rb") as file:
            catalog = read_po(file, locale=language)
    else:
        catalog = _catalog(language)
    catalog.update(texts, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.creation_date = catalog.revision_date = _DATE
    return catalog


def files() -> Iterator[tuple[Path, bytes]]:
    """Every file of the folder `locale` as it should be."""
    texts = template()
    yield LOCALE / f"{DOMAIN}.pot", _po(texts)
    for language in languages():
        catalog = updated(language, texts)
        folder = LOCALE / language / "LC_MESSAGES"
        yield folder / f"{DOMAIN}.po", _po(catalog)
        yield folder / f"{DOMAIN}.mo", _mo(catalog)


def untranslated(language: str) -> list[str]:
    """Texts that a language lacks, or whose placeholders are not those of the original."""
    catalog = updated(language, template())
    wrong = [str(message.id) for message, _errors in catalog.check()]
    missing = [
        str(message.id)
        for message in catalog
        if message.id and not all(message.string if message.pluralizable else [message.string])
    ]
    return wrong + missing


def _po(catalog: Catalog) -> bytes:
    out = io.BytesIO()
    write_po(out, catalog, width=100, sort_by_file=True, include_lineno=False)
    return out.getvalue()


def _mo(catalog: Catalog) -> bytes:
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def main() -> int:
    """Writes the files, or says what is wrong with them."""
    parser = argparse.ArgumentParser(description="Keeps the plug-ins' translations in step with the sources.")
    parser.add_argument("--check", action="store_true", help="only say what is out of step or untranslated")
    if not parser.parse_args().check:
        for path, data in files():
            path.write_bytes(data)
    stale = [path for path, data in files() if not path.exists() or path.read_bytes() != data]
    lacking = [f"{language}: {text}" for language in languages() for text in untranslated(language)]
    for path in stale:
        sys.stderr.write(f"{path} is out of step: run python plugin/catalogues.py\n")
    for text in lacking:
        sys.stderr.write(f"not translated, or with other placeholders: {text}\n")
    return 1 if stale or lacking else 0


if __name__ == "__main__":
    sys.exit(main())
