"""A plain HTTP server over the files of a log, with the moods of real ones."""

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class LogServer(ThreadingHTTPServer):
    """Serves `<folder>` below `/log/`, on a free port of this machine.

    `failures` counts down, by path, how often a request is answered 503 first; `token` is asked for where it is set;
    `status` is answered to everything where it is set; `elsewhere` is the URL prefix everybody is sent to.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.failures: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.token: str | None = None
        self.status: int | None = None
        self.compressed = False
        self.endless = False
        self.elsewhere: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/log"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LogServer

    def do_GET(self) -> None:
        path = self.path.removeprefix("/log/")
        self.server.asked[path] += 1
        if self.path.startswith("/moved/"):
            self.answer(302, headers={"Location": self.path.replace("/moved/", "/log/", 1)})
        elif self.server.elsewhere is not None:
            self.answer(302, headers={"Location": f"{self.server.elsewhere}/{path}"})
        elif self.server.status is not None:
            self.answer(self.server.status)
        elif self.server.token is not None and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.answer(401)
        elif self.server.failures[path] > 0:
            self.server.failures[path] -= 1
            self.answer(503)
        elif not (self.server.folder / path).is_file():
            self.answer(404)
        else:
            self.answer_file((self.server.folder / path).read_bytes())

    def answer_file(self, data: bytes) -> None:
        if self.server.endless:
            data += bytes(50_000_000)
        if self.server.compressed and "gzip" in self.headers["Accept-Encoding"]:
            self.answer(200, gzip.compress(data), {"Content-Encoding": "gzip"})
        else:
            self.answer(200, data)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:  # the reader had enough
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[LogServer]:
    with LogServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
