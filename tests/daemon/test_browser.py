"""The status page in a real browser: what a person sees there, and what the buttons do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scanmend_daemon import web

from tests.daemon import show
from tests.daemon.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture
def view(tmp_path: Path) -> show.Show:
    return show.Show(show.busy_snapshot(), tmp_path)


@pytest.fixture
def page(browser: Browser, view: show.Show, tmp_path: Path) -> Iterator[Browser]:
    """The page as whoever may act sees it."""
    server = web.Server(view, ("127.0.0.1", 0), tmp_path / "control.sock")
    server.start()
    browser.look(1280)
    browser.said.clear()
    browser.open(f"{server.address}/?token={view.token}")
    yield browser
    browser.open("about:blank#away")
    server.stop()


def complaints(browser: Browser) -> list[Any]:
    """What the browser's console holds against the page, such as a breach of its policy."""
    browser.evaluate("1")
    logged = [said["params"] for said in browser.said if said["method"] == "Log.entryAdded"]
    thrown = [said["params"] for said in browser.said if said["method"] == "Runtime.exceptionThrown"]
    return logged + thrown


def test_the_address_with_the_token_opens_a_page_with_buttons_and_hides_the_token(page: Browser) -> None:
    assert page.evaluate("document.querySelectorAll('button').length") >= 4
    assert "token" not in page.evaluate("location.href")
    assert page.evaluate("document.cookie") == ""  # no script can read it
    assert complaints(page) == []


def test_retry_asks_the_daemon_and_the_failure_goes_without_loading_the_page_anew(
    page: Browser, view: show.Show
) -> None:
    page.evaluate("window.mark = 'still here'")

    page.click("#retry-1520")
    page.until("!document.querySelector('#failure-1520')")

    assert view.asked == [("retry", {"job": 1520})]
    assert page.evaluate("window.mark") == "still here"
    assert page.evaluate("document.querySelector('#said').textContent") == "retry: done"
    assert page.evaluate("!!document.querySelector('#failure-1399')")
    assert complaints(page) == []


def test_pause_becomes_resume_and_back(page: Browser, view: show.Show) -> None:
    page.click("#pause-0")
    page.until("!!document.querySelector('#resume-0')")
    page.click("#resume-0")
    page.until("!!document.querySelector('#pause-0')")

    assert view.asked == [("pause", {"folder": show.INBOX}), ("resume", {"folder": show.INBOX})]


def test_what_the_daemon_refuses_is_said_on_the_page(page: Browser, view: show.Show) -> None:
    view.view["failures"][0]["job"] = 1520
    page.evaluate("document.querySelector('#retry-1520').form.querySelector('input').value = '7'")

    page.click("#retry-1520")
    page.until("document.querySelector('#said').textContent")

    said = page.evaluate("document.querySelector('#said').textContent")
    assert said == "there is no failed job 7: scanmend status lists them"


def test_without_scripts_the_buttons_work_too(page: Browser, view: show.Show) -> None:
    page.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.tell("Page.reload")
        page.until("document.readyState === 'complete' && !!document.querySelector('#retry-1399')")
        page.click("#retry-1399")
        page.until("document.readyState === 'complete' && !document.querySelector('#failure-1399')")

        assert view.asked == [("retry", {"job": 1399})]
        assert page.evaluate("location.pathname") == "/"
    finally:
        page.tell("Emulation.setScriptExecutionDisabled", value=False)


def test_the_page_follows_the_daemon_and_keeps_its_place(page: Browser, view: show.Show) -> None:
    page.evaluate("scrollTo(0, 500); document.querySelector('#recent a').focus({preventScroll: true})")
    at = page.evaluate("scrollY")
    page.evaluate("window.kept = document.querySelector('#result-1522 img')")
    view.view["current"][0]["done"] = 30
    view.view["recent"].insert(0, show.recent(1523, "scan0099.tif", "done", "fresh", pictures=True))

    page.until("document.querySelector('#current-1523 progress').value === 30")

    assert page.evaluate("scrollY") == at
    assert page.evaluate("document.querySelector('.results').firstElementChild.id") == "result-1523"
    assert page.evaluate(
        "document.querySelector('#result-1522 img') === window.kept"
    )  # pictures do not blink
    assert page.evaluate("document.activeElement.closest('article').id") == "result-1522"


def test_a_daemon_that_is_gone_is_said_and_its_return_noticed(
    page: Browser, view: show.Show, tmp_path: Path
) -> None:
    page.tell("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1,
              uploadThroughput=-1)  # fmt: skip
    page.until("document.body.classList.contains('lost')")
    said = page.evaluate("document.querySelector('#said').textContent")
    page.tell("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1,
              uploadThroughput=-1)  # fmt: skip
    page.until("!document.body.classList.contains('lost')")

    assert "does not answer" in said


def test_a_file_name_that_is_a_script_is_only_a_name(page: Browser) -> None:
    assert page.evaluate("document.querySelectorAll('main script').length") == 0
    assert show.NASTY in page.evaluate("document.querySelector('#failure-1399 .file').textContent")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_every_width_by_day_and_night(
    page: Browser, tmp_path: Path, width: int, *, dark: bool
) -> None:
    page.look(width, dark=dark)
    page.until("[...document.images].every((image) => image.complete || image.loading === 'lazy')")

    picture = page.picture()

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert picture.startswith(b"\x89PNG")
    if kept := os.environ.get("SCANMEND_TEST_PICTURES"):  # for a person who wants to look at them
        Path(kept, f"page-{width}-{'dark' if dark else 'light'}.png").write_bytes(picture)


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_its_ground(page: Browser, *, dark: bool) -> None:
    """4.5 to 1, as WCAG 2.1 (1.4.3) asks."""
    page.look(1280, dark=dark)

    faint = page.evaluate(_FAINT_TEXT)

    assert faint == []


_FAINT_TEXT = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((numbers(colour)[3] ?? 1) > 0.5) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    if (!words.length || element.closest("script, noscript")) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${words[0].data} ${ratio.toFixed(2)}`);
  }
  return faint;
})()
"""
