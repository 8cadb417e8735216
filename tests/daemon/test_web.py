"""The web server as others meet it: over real sockets, with and without the right to act."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scanmend.errors import UsageError
from scanmend_daemon import asking, guard, sockets, web

from tests.daemon import show

FORM = "application/x-www-form-urlencoded"


class Answer:
    """What a server said."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.code, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def text(self) -> str:
        return self.body.decode()


@pytest.fixture
def view(tmp_path: Path) -> show.Show:
    return show.Show(show.busy_snapshot(), tmp_path)


@pytest.fixture
def server(view: show.Show, tmp_path: Path) -> Iterator[web.Server]:
    made = web.Server(view, ("127.0.0.1", 0), tmp_path / "control.sock")
    made.start()
    yield made
    made.stop()


def port_of(server: web.Server) -> int:
    assert server.address
    return int(server.address.rpartition(":")[2])


@pytest.fixture
def ask(server: web.Server) -> Callable[..., Answer]:
    """Asks through the TCP port."""

    def asked(method: str, path: str, body: str | bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    return asked


@pytest.fixture
def cookie(ask: Callable[..., Answer], view: show.Show) -> str:
    return str(ask("GET", f"/?token={view.token}").headers["set-cookie"]).partition(";")[0]


def test_the_page_shows_folders_queue_results_and_failures_with_what_to_do(
    ask: Callable[..., Answer],
) -> None:
    answer = ask("GET", "/")

    assert answer.code == 200
    shown = ["/mnt/nas/negatives", "37 scans in the queue", "scan0042.tif", "35 %", "scan or copy it again"]
    for words in (*shown, "/previews/1522-after.jpg", "its lower part is all black"):
        assert words in answer.text


def test_every_answer_keeps_other_hosts_out_of_the_page(ask: Callable[..., Answer]) -> None:
    for path in (
        "/",
        "/status.json",
        "/page.css",
        "/page.js",
        "/icon.svg",
        "/metrics",
        "/healthz",
        "/nothing",
    ):
        headers = ask("GET", path).headers

        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_nothing_on_the_page_comes_from_elsewhere(ask: Callable[..., Answer]) -> None:
    for path in ("/", "/page.css", "/page.js", "/icon.svg"):
        foreign = ask("GET", path).text.replace("http://www.w3.org/2000/svg", "")

        assert "http:" not in foreign
        assert "https:" not in foreign
        assert "url(" not in foreign


def test_whoever_has_no_token_sees_no_buttons_and_changes_nothing(
    ask: Callable[..., Answer], view: show.Show
) -> None:
    page = ask("GET", "/")
    answer = ask("POST", "/actions/pause", "folder=x", content_type=FORM)

    assert "<button" not in page.text
    assert answer.code == 403
    assert "scanmend status" in json.loads(answer.body)["hint"]
    assert view.asked == []


def test_the_address_with_the_token_gives_a_cookie_and_forgets_the_token(
    ask: Callable[..., Answer], view: show.Show
) -> None:
    answer = ask("GET", f"/?token={view.token}")
    attributes = answer.headers["set-cookie"].lower()

    assert (answer.code, answer.headers["location"]) == (303, "/")
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert view.token not in attributes


@pytest.mark.parametrize("token", ["", "wrong", "t0ken-of-the-tes", "t0ken-of-the-test%00", "%FF"])
def test_a_wrong_token_opens_nothing(ask: Callable[..., Answer], token: str) -> None:
    answer = ask("GET", f"/?token={token}")

    assert answer.code == 403
    assert "set-cookie" not in answer.headers


def test_with_the_cookie_a_form_retries_and_leads_back_to_the_page(
    ask: Callable[..., Answer], view: show.Show, cookie: str, server: web.Server
) -> None:
    assert "<button" in ask("GET", "/", cookie=cookie).text

    answer = ask("POST", "/actions/retry", "job=1520", content_type=FORM, cookie=cookie, accept="text/html",
                 origin=str(server.address))  # fmt: skip

    assert (answer.code, answer.headers["location"]) == (303, "/")
    assert view.asked == [("retry", {"job": 1520})]


@pytest.mark.parametrize("how", ["header", "field"])
def test_a_program_acts_with_the_token_in_a_header_or_a_field(
    ask: Callable[..., Answer], view: show.Show, how: str
) -> None:
    headers = {guard.TOKEN_HEADER.replace("-", "_"): view.token} if how == "header" else {}
    body = "all=1" if how == "header" else f"all=1&token={view.token}"

    answer = ask("POST", "/actions/retry", body, content_type=FORM, **headers)

    assert (answer.code, json.loads(answer.body)) == (200, {"sentence": "retry: done"})
    assert view.asked == [("retry", {"all": True})]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_act_even_with_the_cookie(
    ask: Callable[..., Answer], view: show.Show, cookie: str, headers: dict[str, str]
) -> None:
    answer = ask("POST", "/actions/pause", "", content_type=FORM, cookie=cookie, **headers)

    assert answer.code == 403
    assert view.asked == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_under_another_name_not_even_looking_is_allowed(
    ask: Callable[..., Answer], server: web.Server, host: str
) -> None:
    answer = ask("GET", "/status.json", host=host.format(port=port_of(server)))

    assert answer.code in {400, 403}
    assert b"folders" not in answer.body


def test_localhost_is_the_pages_own_name_too(ask: Callable[..., Answer], server: web.Server) -> None:
    assert ask("GET", "/", host=f"localhost:{port_of(server)}").code == 200


@pytest.mark.parametrize(
    ("name", "kind", "body", "words"),
    [
        ("explode", FORM, "", "nothing that can be asked for"),
        ("pause", FORM, "job=1", "pause takes no job"),
        ("retry", FORM, "job=first", "job must be a number"),
        ("retry", FORM, "job=-1", "job must be a number"),
        ("retry", FORM, "job=99999999999999999999", "job must be a number"),
        ("retry", "application/json", '{"job": [1]}', "job must be a number"),
        ("explain", "application/json", '{"file": {"a": 1}}', "file must be a name"),
        ("explain", "application/json", '{"file": "a\\u0000b"}', "file must be a name"),
        ("pause", "application/json", "[]", "must be a JSON object"),
        ("pause", "application/json", "{", "cannot be read"),
        ("pause", "application/json", "[" * 5000, "cannot be read"),
        ("pause", "text/plain", "folder=x", "send a form or application/json"),
        ("pause", FORM, "folder=" + "x" * 70_000, "bytes at most"),
        ("pause", FORM, "&".join(f"a{n}=1" for n in range(40)), "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(  # noqa: PLR0917
    ask: Callable[..., Answer], view: show.Show, name: str, kind: str, body: str, words: str
) -> None:
    answer = ask("POST", f"/actions/{name}", body, content_type=kind, scanmend_token=view.token)

    assert answer.code == 400
    assert words in json.loads(answer.body)["message"]
    assert view.asked == []


def test_what_the_daemon_refuses_comes_as_its_own_error(ask: Callable[..., Answer], view: show.Show) -> None:
    as_json = ask("POST", "/actions/retry", "job=7", content_type=FORM, scanmend_token=view.token)
    as_page = ask("POST", "/actions/retry", "job=7", content_type=FORM, scanmend_token=view.token,
                  accept="text/html")  # fmt: skip

    assert json.loads(as_json.body) == {
        "class": "UsageError", "message": "there is no failed job 7", "hint": "scanmend status lists them",
        "exit_code": 2,
    }  # fmt: skip
    assert (as_page.code, "there is no failed job 7" in as_page.text) == (400, True)


def test_a_fault_of_the_daemon_is_a_sentence_too_and_goes_into_its_log(
    ask: Callable[..., Answer],
    view: show.Show,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_name: str, _arguments: object) -> dict[str, Any]:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr(view, "act", broken)
    answer = ask("POST", "/actions/pause", "", content_type=FORM, scanmend_token=view.token)

    assert answer.code == 500
    assert "a slip" in json.loads(answer.body)["message"]
    assert "/actions/pause" in caplog.text


def test_health_is_200_or_503_with_a_sentence(ask: Callable[..., Answer], view: show.Show) -> None:
    well = ask("GET", "/healthz")
    view.well = (False, "the ledger cannot be written: disk full")
    ill = ask("GET", "/healthz")

    assert (well.code, well.text) == (200, "ok\n")
    assert (ill.code, ill.text) == (503, "the ledger cannot be written: disk full\n")


def test_previews_are_pictures_and_nothing_else_is(ask: Callable[..., Answer]) -> None:
    there, gone = ask("GET", "/previews/1522-before.jpg"), ask("GET", "/previews/9-before.jpg")
    climbing = ask("GET", "/previews/..%2F..%2Fetc%2Fpasswd")

    assert (there.code, there.body[:2]) == (200, b"\xff\xd8")
    assert (gone.code, climbing.code) == (404, 404)


def test_status_json_is_the_snapshot(ask: Callable[..., Answer], view: show.Show) -> None:
    assert json.loads(ask("GET", "/status.json").body) == view.snapshot()


def test_metrics_can_be_turned_off(view: show.Show, tmp_path: Path) -> None:
    server = web.Server(view, ("127.0.0.1", 0), tmp_path / "other.sock", metrics=False)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=10)
    connection.request("GET", "/metrics")
    code = connection.getresponse().status
    connection.close()
    server.stop()

    assert code == 404


def test_the_control_socket_is_the_owners_alone_and_needs_no_token(
    server: web.Server, view: show.Show, tmp_path: Path
) -> None:
    (daemon,) = asking.found(tmp_path)

    told = daemon.act("retry", {"job": 1399})

    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o600
    assert daemon.page == f"{server.address}/?token={view.token}"
    assert told == {"sentence": "retry: done"}


def test_only_the_control_socket_tells_the_token(ask: Callable[..., Answer], view: show.Show) -> None:
    answer = ask("GET", "/address")

    assert answer.code == 403
    assert view.token not in answer.text


def test_without_unix_sockets_the_owner_has_a_key(
    view: show.Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "UNIX", False)
    server = web.Server(view, None, tmp_path / "control.sock")
    server.start()
    key = tmp_path / "control.json"
    mode = stat.S_IMODE(key.stat().st_mode)
    (daemon,) = asking.found(tmp_path)
    told = daemon.act("pause", {})
    server.stop()

    assert mode == 0o600
    assert told == {"sentence": "pause: done"}
    assert not key.exists()


def test_a_name_that_is_no_text_reaches_the_daemon_as_it_is(
    server: web.Server, view: show.Show, tmp_path: Path
) -> None:
    (daemon,) = asking.found(tmp_path)

    daemon.act("release", {"file": "/scans/caf\udce9.tif"})

    assert view.asked == [("release", {"file": "/scans/caf\udce9.tif"})]


def test_a_refusal_arrives_as_the_exception_that_it_was(server: web.Server, tmp_path: Path) -> None:
    (daemon,) = asking.found(tmp_path)

    with pytest.raises(UsageError, match="there is no failed job 7"):
        daemon.act("retry", {"job": 7})


def test_a_second_daemon_gets_the_next_port_and_says_so(
    server: web.Server, view: show.Show, tmp_path: Path
) -> None:
    second = web.Server(view, ("127.0.0.1", port_of(server)), tmp_path / "second.sock")
    second.start()
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(tmp_path / "second.sock"))
    connection.request("GET", "/address")
    told = json.loads(connection.getresponse().read())
    connection.close()
    second.stop()

    assert second.address != server.address
    assert told == {"page": f"{second.address}/?token={view.token}"}
    assert f"port {port_of(server)} is taken" in second.remark


def test_an_address_that_is_not_this_machines_costs_the_page_and_nothing_else(
    view: show.Show, tmp_path: Path
) -> None:
    server = web.Server(view, ("192.0.2.1", 8765), tmp_path / "s.sock")
    server.start()
    (daemon,) = asking.found(tmp_path) if (tmp_path / "s.sock").rename(tmp_path / "control.sock") else ()
    server.stop()

    assert (server.address, daemon.page) == (None, None)
    assert "192.0.2.1:8765" in server.remark
    assert "http: off" in server.remark


def test_stopping_ends_the_thread_and_takes_the_socket_away(view: show.Show, tmp_path: Path) -> None:
    server = web.Server(view, None, tmp_path / "s.sock")
    server.start()
    assert server.alive()

    server.stop()

    assert not server.alive()
    assert not (tmp_path / "s.sock").exists()
    assert "web" not in {thread.name for thread in threading.enumerate()}


def test_many_at_once_are_all_answered(ask: Callable[..., Answer]) -> None:
    answers: list[Any] = []
    askers = [threading.Thread(target=lambda: answers.append(ask("GET", "/").code)) for _ in range(20)]

    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()

    assert answers == [200] * 20
