"""A real nats-server for tests, and the faults to put it through."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tomoni.transport import Connection, Outgoing, events_subject
from tomoni.transport.provision import StreamLimits
from tomoni_cli.embedded.nats import EmbeddedNats

SHIBUYA, SETAGAYA = "131130", "131121"
CODES = (SHIBUYA, SETAGAYA)


class Hub(EmbeddedNats):
    """A hub that can be killed, stopped, wiped and started again."""

    async def kill(self) -> None:
        """End the server as a power cut would, its files as they are."""
        process = self.server._process
        assert process is not None
        process.kill()
        await process.wait()

    async def start(self) -> None:
        await self.server.start()

    async def wipe(self) -> None:
        """Lose every stream, and come back empty."""
        await self.server.stop()
        shutil.rmtree(self.folder / "js")
        await self.server.start()
        await self.provision()

    async def reload(self) -> None:
        self.write_configuration()
        await self.server.reload()

    @contextlib.contextmanager
    def paused(self):
        """Stop the server's process where it stands."""
        pid = self.server.pid
        os.kill(pid, signal.SIGSTOP)
        while not all(b") T " in state.read_bytes() for state in Path(f"/proc/{pid}/task").glob("*/stat")):
            time.sleep(0.001)  # its threads stop one after the other
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def running_hub(folder: Path, limits: StreamLimits | None = None) -> AsyncIterator[Hub]:
    async with Hub(folder, CODES, limits) as hub:
        yield hub


@asynccontextmanager
async def crowded_hub(folder: Path) -> AsyncIterator[Hub]:
    """A hub with room for one batch in flight, which another town keeps open."""
    hub = Hub(folder, CODES)
    text = hub.write_configuration().replace("max_inflight_per_stream: 4000", "max_inflight_per_stream: 1")
    text = text.replace('timeout: "2s"', 'timeout: "600s"')
    hub.write_configuration = lambda: hub.configuration.write_text(text)
    async with hub, node(hub, SETAGAYA) as setagaya:
        opened = {"Nats-Batch-Id": "open", "Nats-Batch-Sequence": "1"}
        await setagaya.request(events_subject(SETAGAYA), b"x", headers=opened)
        yield hub


@asynccontextmanager
async def node(hub: EmbeddedNats, code: str = SHIBUYA, url: str | None = None) -> AsyncIterator[Connection]:
    async with Connection(hub.node_endpoint(code, url)) as connection:
        await connection.wait_connected(10)
        yield connection


@asynccontextmanager
async def federation(hub: EmbeddedNats) -> AsyncIterator[Connection]:
    async with Connection(hub.federation_endpoint()) as connection:
        await connection.wait_connected(10)
        yield connection


def entries(first: int, count: int) -> list[Outgoing]:
    return [
        Outgoing(b"entry %d" % n, {"Tomoni-Kind": "entry", "Tomoni-Position": str(n)})
        for n in range(first, first + count)
    ]


async def eventually(condition: Callable[[], bool], within: float = 30.0) -> None:
    """Wait for a condition; the limit only says when to give up."""
    async with asyncio.timeout(within):
        while not condition():  # the condition lies in another process
            await asyncio.sleep(0.01)


async def until(look: Callable[[], Awaitable[bool]], within: float = 60.0) -> None:
    """Wait for what has to be asked for; the limit only says when to give up."""
    async with asyncio.timeout(within):
        while not await look():  # the answer lies in another process
            await asyncio.sleep(0.05)


class Proxy:
    """A TCP proxy that can swallow what the server says, stall connections, or cut everybody off."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.swallow_answers = False
        self._stalled: set[asyncio.StreamReader] = set()
        self._readers: set[asyncio.StreamReader] = set()
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def stall(self) -> None:
        """Read nothing more from the connections there are, and leave them open; new ones work."""
        self._stalled |= self._readers

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, up_writer]
        self._run(self._pump(reader, up_writer, answers=False))
        self._run(self._pump(up_reader, writer, answers=True))

    def _run(self, pumping) -> None:
        self._tasks.add(asyncio.create_task(pumping))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            self._readers.add(reader)
            while data := await reader.read(65536):
                if reader in self._stalled:
                    await asyncio.Event().wait()
                if answers and self.swallow_answers:
                    continue
                writer.write(data)
                await writer.drain()
            writer.close()
