"""The steps of a service towards its servers, counted on the wire between them, and a fault at one of them."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Self

from tests.faults.proxy import cut
from tests.faults.wires import Said, Wire


class Fault(Enum):
    """What becomes of a step."""

    LOST = "lost"
    """The connection is reset before the server has it."""
    UNREPORTED = "persisted but reported failed"
    """The server does it; its answer is swallowed and the connection reset."""
    CRASH = "crash"
    """The server does it, and the process that wanted it is killed (SIGKILL) before it hears so."""


class Step(NamedTuple):
    """A step by its name, and which of those of that name it is, counted from 1."""

    name: str
    number: int

    def __str__(self) -> str:
        """Return both as a person reads them."""
        return f"{self.name}, time {self.number}"


class Steps:
    """Counts steps over all connections through the proxies that share it, and lets a fault strike one of them.

    They are known by name and not by their place in the whole: what a service does at once comes in any order.
    """

    def __init__(self) -> None:
        self.taken: dict[Step, Said] = {}
        """The steps of this run."""
        self._counts: Counter[str] = Counter()
        self._wanted: tuple[Step, Fault] | None = None
        self._kill: Callable[[], None] = lambda: None
        self.struck = False
        """Whether the step that was wanted has come."""

    def begin(self, wanted: tuple[Step, Fault] | None = None) -> None:
        """Count anew, and let a fault strike a step."""
        self.taken, self._counts, self._wanted, self.struck = {}, Counter(), wanted, False

    def on_crash(self, kill: Callable[[], None]) -> None:
        """Say how the process is killed that takes the steps."""
        self._kill = kill

    def take(self, said: Said) -> Fault | None:
        """Count a step, and return what strikes it."""
        if said.step is None:
            return None
        self._counts[said.step] += 1
        step = Step(said.step, self._counts[said.step])
        self.taken[step] = said
        if self._wanted is None or self._wanted[0] != step:
            return None
        fault, self._wanted, self.struck = self._wanted[1], None, True
        return fault

    def crash(self) -> None:
        """Kill the process."""
        self._kill()


class _Pair:
    """A client's connection and the server's behind it."""

    def __init__(self, wire: Wire, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.wire, self.client, self.server = wire, client, server
        self.struck: Said | None = None
        self.answer = b""
        self.answered = asyncio.Event()


class StepProxy:
    """Forwards connections from a port of its own to a server's; an asynchronous context manager."""

    def __init__(self, port: int, wire: Callable[[], Wire], steps: Steps) -> None:
        self._target, self._wire, self._steps = port, wire, steps
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        """Where clients connect."""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        pair = _Pair(self._wire(), writer, to_server)
        answers = asyncio.create_task(self._answers(pair, from_server))
        try:
            with contextlib.suppress(OSError):
                await self._requests(pair, reader)
        finally:
            answers.cancel()
            to_server.close()
            cut(writer)

    async def _requests(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(65_536):
            for said in pair.wire.read(chunk):
                fault = self._steps.take(said)
                if fault is not None:
                    await self._strike(fault, said, pair)
                    return
                pair.server.write(said.data)
            await pair.server.drain()

    async def _strike(self, fault: Fault, said: Said, pair: _Pair) -> None:
        if fault is not Fault.LOST:
            pair.struck = said
            pair.server.write(said.data + said.probe)
            await pair.answered.wait()
        if fault is Fault.CRASH:
            self._steps.crash()

    async def _answers(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                if pair.struck is None:
                    pair.client.write(chunk)
                    await pair.client.drain()
                    continue
                pair.answer += chunk
                if pair.struck.answered(pair.answer):
                    pair.answered.set()
        pair.answered.set()  # it has closed the connection: there is nothing to wait for
        cut(pair.client)
