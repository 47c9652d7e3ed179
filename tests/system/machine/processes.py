"""Services as tasks of this process: killed by being cancelled wherever they are, and noticed where they die alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tomoni.database import create_pool
from tomoni.transport import Connection
from tomoni_registry.relay.process import Relay
from tomoni_registry.relay.settings import RelaySettings, hub_endpoint


class Process:
    """One service. `it` is what its context gives while it is up, None while it is not."""

    def __init__(self, open_it: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self._open = open_it
        self._task: asyncio.Task[None] | None = None
        self.it: Any = None

    async def start(self) -> None:
        """Start it, and return when it is up; raise what keeps it from coming up."""
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(up))
        await asyncio.wait({self._task, up}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            task, self._task = self._task, None
            task.result()

    async def kill(self) -> None:
        """Cancel it in the middle of whatever it does."""
        task, self._task, self.it = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def require_alive(self) -> None:
        """Raise what it died of, where nobody killed it."""
        if self._task is not None and self._task.done():
            self._task.result()
            raise AssertionError("a service ended by itself")

    async def _live(self, up: asyncio.Future[None]) -> None:
        async with self._open() as self.it:
            up.set_result(None)
            await asyncio.Event().wait()


@asynccontextmanager
async def relaying(settings: RelaySettings) -> AsyncIterator[Relay]:
    """Run a relay; end the context with it where it ends."""
    pool = await create_pool(settings.database, max_size=4)
    try:
        async with Connection(hub_endpoint(settings)) as connection, asyncio.TaskGroup() as group:
            relay = Relay(settings, pool, connection)
            running = group.create_task(relay.run())
            try:
                yield relay
            finally:
                running.cancel()
    finally:
        with contextlib.suppress(Exception):
            pool.terminate()
