"""Where a log is read from: a folder of files, or HTTP with some requests ahead of the reader.

A source tells apart what a log does not publish (`NotPublishedError`, a fault of the log) and what could not be read
(`SourceError`, which says nothing about the log).
"""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

import httpx
import stamina

from tomoni.addresses import is_private_url, is_this_machine
from tomoni.tlog.merkle import HASH_SIZE
from tomoni.tlog.note import MAX_NOTE_SIZE
from tomoni.tlog.tiles import MAX_BUNDLE_SIZE, TILE_WIDTH, EntryBundle, Tile
from tomoni.tlog.verify import CHECKPOINT_PATH, NotPublishedError

REQUESTS_AHEAD = 16
"""Files asked for before they are needed; with bundles of the largest size, the memory they can take is bounded."""

MAX_PAGE_SIZE = 16_000_000
"""Bytes of the largest page of notes read."""

_CONNECTIONS = 4
_ATTEMPTS = 6
_PATIENCE = 30.0
_SECONDS = httpx.Timeout(20.0)


class SourceError(Exception):
    """A file of a log could not be read, so that nothing can be said about the log. The text says what to do."""


class Source(Protocol):
    """Gives the files of a log by their paths below its prefix."""

    def fetch(self, path: str) -> bytes:
        """Return a file; raise NotPublishedError where there is none, SourceError where it cannot be read."""
        ...

    def expect(self, names: Iterable[Tile | EntryBundle]) -> None:
        """Hear in which order files will be fetched."""
        ...


@contextmanager
def open_source(location: str, token: str | None = None) -> Generator[Source]:
    """Open the log at a URL prefix, `http://` or `https://`, or else in a folder; a bearer token is for URLs."""
    if location.startswith(("http://", "https://")):
        source = HttpSource(location, token)
        try:
            yield source
        finally:
            source.close()
    else:
        yield FolderSource(Path(location))


class FolderSource:
    """A log in a folder: the file names are the paths of C2SP tlog-tiles."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SourceError(f"there is no folder {folder}; a log is a folder or a URL that begins with https://")
        self._folder = folder

    def fetch(self, path: str) -> bytes:
        """Return the bytes of a file."""
        limit = size_limit(path)
        try:
            with (self._folder / path).open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size <= limit:
                    return file.read()
                return file.read(limit + 1)  # too long for its parser, which names the fault
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotPublishedError(path) from error
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error

    def expect(self, names: Iterable[Tile | EntryBundle]) -> None:
        """Files are near: nothing is read ahead."""


class HttpSource:
    """A log below a URL prefix. Temporary failures are tried again; a few files are always on their way."""

    def __init__(self, prefix: str, token: str | None = None) -> None:
        try:
            url = httpx.URL(prefix)
        except httpx.InvalidURL as error:
            raise SourceError(f"the URL of the log cannot be one: {error}") from error
        if token is not None:
            require_private(prefix)
        self._prefix = prefix.rstrip("/")
        headers = {"Accept-Encoding": "gzip, identity"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        near = is_this_machine(url.host)  # a proxy of the environment is no part of this machine
        self._client = httpx.Client(headers=headers, timeout=_SECONDS, follow_redirects=True, trust_env=not near)
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="fetch")
        self._names: Iterator[Tile | EntryBundle] = iter(())
        self._ahead: deque[tuple[str, Future[bytes]]] = deque()

    def expect(self, names: Iterable[Tile | EntryBundle]) -> None:
        """Begin to request files ahead, in this order."""
        self._names = iter(names)
        self._request(REQUESTS_AHEAD)

    def fetch(self, path: str) -> bytes:
        """Return the body of a file: the next one expected, or any other at once."""
        if not self._ahead or self._ahead[0][0] != path:
            return self._get(path)
        _, future = self._ahead.popleft()
        self._request(1)
        return future.result()

    def close(self) -> None:
        """Drop what is still ahead, and all connections."""
        self._client.close()  # first, so that requests on their way end now and are not tried again
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _request(self, count: int) -> None:
        for name in islice(self._names, count):
            self._ahead.append((name.path, self._threads.submit(self._get, name.path)))

    def _get(self, path: str) -> bytes:
        try:
            for attempt in stamina.retry_context(on=_is_temporary, attempts=_ATTEMPTS, timeout=_PATIENCE):
                with attempt:
                    return self._get_once(path)
        except httpx.HTTPError as error:
            raise SourceError(f"{self._prefix}/{path} cannot be read: {_reason(error)}") from error
        raise AssertionError  # pragma: no cover  # the last attempt returns or raises

    def _get_once(self, path: str) -> bytes:
        limit = size_limit(path)
        with self._client.stream("GET", f"{self._prefix}/{path}") as response:
            if response.status_code in {404, 410}:
                raise NotPublishedError(path)
            response.raise_for_status()
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > limit:
                    break  # too long for its parser, which names the fault; the rest is not read
            return bytes(body)


def size_limit(path: str) -> int:
    """Return how many bytes a right file at a path can have at most."""
    if path in {CHECKPOINT_PATH, "heartbeat"}:
        return MAX_NOTE_SIZE
    if "?after=" in path:
        return MAX_PAGE_SIZE
    return MAX_BUNDLE_SIZE if path.startswith("tile/entries/") else TILE_WIDTH * HASH_SIZE


def _is_temporary(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in {408, 425, 429, 500, 502, 503, 504}
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        advice = "; give a token with the auditor's scope by --token-file" if status in {401, 403} else ""
        return f"the server answers {status}{advice}"
    return str(error) or type(error).__name__


def require_private(url: str) -> None:
    """Raise SourceError where a token must not be sent: others could read it on the way."""
    if not is_private_url(url):
        raise SourceError("a token is only sent over https://, or to this machine: others could read it")
