"""The page as text: whatever is in the snapshot, it stays text, and there is always a page."""

from __future__ import annotations

import copy
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend_daemon.pages import page, say
from scanmend_daemon.pages.html import element

from tests.daemon import show

NASTY = st.text(st.sampled_from("<>&\"'/= \n\udce9aé=`;:()")).map(
    lambda text: f"{text}</p><script>alert(1)</script>"
)
MACHINE_WORDS = {
    "now",
    "started",
    "last_scan",
    "since",
    "finished",
    "when",
    "state",
    "by",
    "loaded",
    "before",
    "after",
}


class Outline(HTMLParser):
    """Which elements with which attributes a page has, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.shape: Counter[tuple[str, ...]] = Counter()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.shape[(tag, *(name for name, _ in attributes))] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(view: dict[str, Any], *, acting: bool = True) -> Outline:
    return Outline(page.render(view, acting=acting).decode())


def spoiled(value: Any, words: str) -> Any:
    """The same with every word that people or file names may bring replaced."""
    if isinstance(value, dict):
        return {key: item if key in MACHINE_WORDS else spoiled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [spoiled(item, words) for item in value]
    return words if isinstance(value, str) and value else value


@given(words=NASTY, acting=st.booleans())
def test_no_word_of_the_snapshot_becomes_an_element(words: str, *, acting: bool) -> None:
    view = show.busy_snapshot()
    expected = outline(spoiled(copy.deepcopy(view), "plain"), acting=acting).shape

    assert outline(spoiled(view, words), acting=acting).shape == expected


@given(words=st.text())
def test_what_goes_into_an_element_comes_out_as_text_and_attribute(words: str) -> None:
    class Reader(HTMLParser):
        def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.title = dict(attributes)["title"]

    made = Reader()
    made.feed(element("p", "x", title=words))

    assert made.title == words


def test_a_quiet_daemon_says_that_all_is_done() -> None:
    told = outline(show.quiet_snapshot()).text

    assert "All done" in told
    assert "asleep until a scan comes" in told
    assert "Needs attention" not in told


def test_a_daemon_that_has_looked_nowhere_yet_has_a_page() -> None:
    view = show.quiet_snapshot()
    view["folders"][0] |= {"last_scan": None, "free_bytes": None}
    view["engine"] = {"state": "starting", "device": "", "sentence": ""}
    view["current"] = [
        {"job": 1, "folder": show.INBOX, "file": "a.tif", "stage": "", "done": 0, "total": 0, "eta_s": None}
    ]

    told = outline(view)

    assert "Engine starting" in told.text
    assert told.shape["progress", "aria-label"] == 1  # on its way, how far is not known


def test_what_is_wrong_stands_at_the_top() -> None:
    view = show.quiet_snapshot()
    view["engine"] = {"state": "down", "device": "", "sentence": "torch cannot be loaded"}
    view["config"]["error"] = "watch.yaml, line 7: folders[0].orignals is not a setting"

    told = outline(view).text

    assert "torch cannot be loaded" in told
    assert "orignals is not a setting" in told
    assert "last good one stays in force" in told


def test_only_whoever_may_act_has_buttons() -> None:
    acting, looking = (outline(show.busy_snapshot(), acting=acting) for acting in (True, False))

    assert acting.shape["button", "id"] > 5
    assert looking.shape["button", "id"] == 0
    assert "scanmend status prints" in looking.text


def test_no_two_parts_of_the_page_have_the_same_id() -> None:
    """By their ids the page's script knows them."""
    ids: Counter[str] = Counter()

    class Reader(HTMLParser):
        def handle_starttag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
            ids.update(value or "" for name, value in attributes if name == "id")

    Reader().feed(page.render(show.busy_snapshot(), acting=True).decode())

    assert max(ids.values()) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (59.4, "59 s"), (61, "1 min"), (5400, "90 min"), (7200, "2 h"), (86_400 * 3, "3 days")],
)
def test_durations_have_the_unit_that_says_enough(seconds: float, words: str) -> None:
    assert say.roughly(seconds) == words
