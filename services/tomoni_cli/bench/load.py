"""A load generator: raw HTTP/1.1 over kept connections, bounded by a count. It does nothing it need not."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

MOST_SECONDS: Final = 300
"""A request that is never answered ends the benchmark, and not its reader's patience."""
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


def request(path: str, body: bytes, token: str | None) -> bytes:
    """Return the bytes of a POST of JSON."""
    authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send_all(port: int, requests: Sequence[bytes], connections: int, expected: bytes) -> float:
    """Send each request once over so many connections, one at a time on each; return the seconds it took.

    Raises RuntimeError where an answer is not 200 or lacks the expected bytes, ConnectionError where one is cut,
    TimeoutError where one does not come.
    """
    work = _Work(iter(requests), expected)
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    for _ in range(min(connections, len(requests))):
        _, client = await loop.create_connection(lambda: _Client(work), "127.0.0.1", port)
        clients.append(client)
    started = time.perf_counter()
    for client in clients:
        client.send_next()
    try:
        async with asyncio.timeout(MOST_SECONDS):
            await asyncio.gather(*(client.done for client in clients))
        return time.perf_counter() - started
    finally:
        for client in clients:
            client.close()


@dataclass(slots=True)
class _Work:
    """What all connections share: the requests that wait, and the last answer that was found to be as expected."""

    waiting: Iterator[bytes]
    expected: bytes
    good: bytes = b""


class _Client(asyncio.Protocol):
    """One connection: sends the next request when the last one is answered.

    Most answers are the same to the byte as one that was looked into already, and need no second look.
    """

    def __init__(self, work: _Work) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._work = work
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no class of asyncio's

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def send_next(self) -> None:
        following = next(self._work.waiting, None)
        if following is None:
            self._finish(None)
        elif self._transport is None:
            self._finish(ConnectionError("a request cannot be sent before there is a connection"))
        else:
            self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        if data == self._work.good and not self._received:
            self.send_next()
            return
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end:
            return
        start = head.lower().find(_LENGTH) + len(_LENGTH)
        if len(body) < int(head[start : start + 10].partition(b"\r")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200 ") or self._work.expected not in body:
            self._finish(RuntimeError(f"an answer is not as expected: {head[:15].decode(errors='replace')}"))
            return
        self._work.good, self._received = self._received, b""
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc or ConnectionError("the server closed the connection"))

    def _finish(self, error: Exception | None) -> None:
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
