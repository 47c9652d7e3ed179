"""Followers of streams of events over raw HTTP/1.1, which note when each event arrived and nothing else."""

import asyncio
import re
import time
from typing import Final, cast

_HEAD: Final = b"HTTP/1.1 200 "
_EVENT: Final = re.compile(rb'event: status\ndata: \{"reference":"([0-9]+)"[^\n]*\n\n')
"""A page of events is one chunk of the transfer, so no chunk's head stands within an event."""


class Arrivals:
    """When each event arrived, by its reference, on the machine's monotonic clock."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self._more = asyncio.Event()

    def note(self, reference: int, at: float) -> None:
        """Keep an arrival."""
        self.at[reference] = at
        self._more.set()

    async def wait(self, count: int) -> None:
        """Return once so many have arrived."""
        while len(self.at) < count:
            self._more.clear()
            await self._more.wait()


class Follower(asyncio.Protocol):
    """One connection: sends its request, and puts the time of arrival of each event under its reference."""

    def __init__(self, path: str, token: str, arrivals: Arrivals) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        self._request = f"{head}Accept: text/event-stream\r\n\r\n".encode()
        self._arrivals = arrivals
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no class of asyncio's
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Note the events that are whole."""
        now = time.perf_counter()
        self._received += data
        if not self.begun.done():
            if not self._received.startswith(_HEAD):
                self.begun.set_exception(RuntimeError("a stream was refused"))
                return
            self.begun.set_result(None)
        end = 0
        for event in _EVENT.finditer(self._received):
            self._arrivals.note(int(event[1]), now)
            end = event.end()
        self._received = self._received[end:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the stream to begin."""
        if not self.begun.done():
            self.begun.set_exception(exc or ConnectionError("the server closed the connection"))

    def close(self) -> None:
        """Follow no more."""
        if self._transport is not None:
            self._transport.close()


async def follow(port: int, paths: list[tuple[str, str]], arrivals: Arrivals) -> list[Follower]:
    """Open a stream for each path and token, and return once all of them have begun."""
    loop = asyncio.get_running_loop()
    followers: list[Follower] = []
    for path, token in paths:
        _, follower = await loop.create_connection(
            lambda path=path, token=token: Follower(path, token, arrivals), "127.0.0.1", port
        )
        followers.append(follower)
    await asyncio.gather(*(follower.begun for follower in followers))
    return followers
