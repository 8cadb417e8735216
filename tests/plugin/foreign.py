"""What may listen where an engine is expected, and is none of ours."""

from __future__ import annotations

import json
import shutil
import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from scanmend.serve.client import HEADER

LATER = "This engine speaks version 7 of the protocol."


@contextmanager
def later_engine() -> Iterator[Path]:
    """An engine of a later version, as every version answers another one: 426, and a sentence. Its socket."""
    with _answering(426, {HEADER: "7"}, {"class": "Protocol", "message": LATER}) as address:
        yield address


@contextmanager
def web_server() -> Iterator[Path]:
    """Something else that speaks HTTP. Its socket."""
    with _answering(200, {}, {"hello": "world"}) as address:
        yield address


@contextmanager
def _answering(status: int, headers: Mapping[str, str], body: object) -> Iterator[Path]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the base class's names

        def log_message(self, *_said: object) -> None:
            pass

    folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    address = folder / "scanmend" / "engine.sock"
    address.parent.mkdir(mode=0o700)
    with socketserver.ThreadingUnixStreamServer(str(address), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()
            shutil.rmtree(folder, ignore_errors=True)
