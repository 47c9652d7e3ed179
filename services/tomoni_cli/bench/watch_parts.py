"""What the row `watch` follows: a process of its own, with the federation's application and a bare feed beside it.

Run as `python -m tomoni_cli.bench.watch_parts <file>`; the parent writes what to change and how often ("ours 100"), and
is told when each change was committed.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from tomoni import logging, loop
from tomoni.database import Pool
from tomoni.documents import document_hash
from tomoni.key_names import receipt_key_name
from tomoni.server import serve
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.transport.subjects import MAX_BATCH_ENTRIES
from tomoni_cli.bench.documents import WATCHED_TOWN, admit
from tomoni_cli.bench.pace import paced
from tomoni_cli.bench.samples import FEDERATION, SampleLog, issued_entry, revoked_entry
from tomoni_cli.bench.server import open_answers
from tomoni_cli.bench.visible_parts import Step, write_step
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.projections.project import Projector

PER_SECOND: Final = 50

Change = Callable[[], Awaitable[float]]
"""Makes one change and returns when it was committed, by the machine's monotonic clock."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the process needs: databases, ports, and the handles of the documents to issue."""

    owner: str
    database: str
    token_key: str
    port: int
    bare_port: int
    handles: tuple[str, ...]


class _Town:
    """A town whose certificates end one after the other, received, proven and projected as the service does it."""

    def __init__(self, pool: Pool) -> None:
        self._log = SampleLog(WATCHED_TOWN)
        self._pool = pool
        self._receiver = Receiver(pool, FEDERATION, generate_cosigner(receipt_key_name(FEDERATION)))
        self._projector = Projector(pool, FEDERATION)
        self._numbers = itertools.count()

    async def issue(self, handles: tuple[str, ...]) -> None:
        """Issue a certificate for each handle."""
        await admit(self._pool, self._log)
        code = self._log.code
        entries = [issued_entry(code, number, document_hash(code, one)) for number, one in enumerate(handles)]
        for start in range(0, len(entries), MAX_BATCH_ENTRIES):
            await self._receiver.events(self._log.portion(entries[start : start + MAX_BATCH_ENTRIES]))
        if await self._projector.catch_up() != len(entries):
            raise RuntimeError("the certificates were not projected")

    async def change(self) -> float:
        """End the next certificate."""
        await self._receiver.events(self._log.portion([revoked_entry(self._log.code, next(self._numbers))]))
        if await self._projector.step() != 1:
            raise RuntimeError("the change was not projected")
        return time.perf_counter()


class _Bare:
    """The least that any feed does for a change: NOTIFY in its transaction, LISTEN, one SELECT, and one write."""

    def __init__(self, writing: asyncpg.Connection, reading: asyncpg.Connection) -> None:
        self._writing = writing
        self._reading = reading
        self._told = asyncio.Event()
        self._numbers = itertools.count()
        self._followers: list[asyncio.StreamWriter] = []

    async def change(self) -> float:
        """Commit the next change."""
        await self._writing.execute(
            "WITH kept AS (INSERT INTO bare_change (number) VALUES ($1)) SELECT pg_notify('bare', '')",
            next(self._numbers),
        )
        return time.perf_counter()

    async def run(self) -> None:
        """Tell followers of changes, each of its own, until cancelled."""
        await self._reading.add_listener("bare", self._tell)
        last = -1
        while True:
            await self._told.wait()
            self._told.clear()
            rows = await self._reading.fetch("SELECT number FROM bare_change WHERE number > $1 ORDER BY number", last)
            for row in rows:
                number: int = row["number"]
                last = number
                event = b'id: %d\nevent: status\ndata: {"reference":"%d"}\n\n' % (number, number)
                follower = self._followers[number % len(self._followers)]
                follower.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _tell(self, *_: object) -> None:
        self._told.set()

    async def follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a follower's request and keep its connection until it goes."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._followers.append(writer)
        await reader.read()
        writer.close()


@asynccontextmanager
async def _open_bare(owner: str, port: int) -> AsyncGenerator[_Bare]:
    writing, reading = await asyncpg.connect(owner), await asyncpg.connect(owner)
    try:
        await writing.execute("CREATE TABLE bare_change (number bigint PRIMARY KEY)")
        bare = _Bare(writing, reading)
        telling = asyncio.create_task(bare.run())
        server = await asyncio.start_server(bare.follow, "127.0.0.1", port)
        try:
            yield bare
        finally:
            server.close()
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
    finally:
        await writing.close()
        await reading.close()


async def _obey(changes: Mapping[str, Change]) -> None:
    """Make the changes that the parent asks for, at the pace."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        kind, count = line.split()
        async for _ in paced(int(count), PER_SECOND):
            write_step(Step(1, await changes[kind.decode()]()))


async def _run(parts: Parts) -> None:
    async with (
        open_answers(parts.database, Path(parts.token_key)) as answers,
        _open_bare(parts.owner, parts.bare_port) as bare,
        asyncio.TaskGroup() as group,
    ):
        town = _Town(answers.pool)
        await town.issue(parts.handles)
        obeying = group.create_task(_obey({"ours": town.change, "bare": bare.change}))
        await serve(answers.app, "127.0.0.1", parts.port)
        obeying.cancel()


def main(file: Path) -> None:
    """Serve until SIGTERM."""
    logging.configure("bench", "WARNING")
    loop.run(_run(msgspec.json.decode(file.read_bytes(), type=Parts)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
