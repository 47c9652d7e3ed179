"""Waking up early: LISTEN shortens the wait between two polls, and may fail without harm."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import structlog

from tomoni.database import Pool, PoolConnection
from tomoni.eventlog.connections import AWAY, is_closed, part_with

POLL_SECONDS = 1.0
"""How long a follower waits at most before it looks again by itself."""

ENTRIES = "tomoni_log"
"""The channel that tells of appended entries."""

CHECKPOINTS = "tomoni_checkpoint"
"""The channel that tells of stored checkpoints."""

log = structlog.get_logger()


class Wakeup:
    """Listens on a channel over a connection of its own; an asynchronous context manager."""

    def __init__(self, pool: Pool, channel: str) -> None:
        self._pool = pool
        self._channel = channel
        self._told = asyncio.Event()
        self._connection: PoolConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await part_with(self._pool, connection)

    async def listen(self) -> None:
        """Begin to listen, or again after the connection broke; call it before looking: nothing then falls between."""
        if self._connection is not None and not is_closed(self._connection):
            return
        await self.__aexit__(None, None, None)
        try:
            self._connection = await self._pool.acquire(timeout=POLL_SECONDS)
            await self._connection.add_listener(self._channel, self._tell)
        except AWAY as error:  # a standby refuses LISTEN
            log.info("listen_failed", error=type(error).__name__)
            await self.__aexit__(None, None, None)

    async def wait(self) -> None:
        """Return when the channel spoke since the last call, or when it is time to poll."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):  # `wait_for` swallows a cancellation that meets the event
                await self._told.wait()
        self._told.clear()

    def _tell(self, *_: object) -> None:
        self._told.set()
