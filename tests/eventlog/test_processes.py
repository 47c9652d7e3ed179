"""Several processes on one log, some of them killed: nothing acknowledged is lost, repeated or out of order."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.eventlog.conftest import make_log
from tests.eventlog.making import command
from tests.eventlog.test_publisher import make_publisher
from tomoni.database import Pool, create_pool
from tomoni.eventlog import CheckpointStore, EventReader, Sequencer
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import read_note
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres

ROOT = Path(__file__).parents[2]


class Writer:
    """A writer process, and what it said was acknowledged: command id to position."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.acknowledged: dict[str, int] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, dsn: str, name: str, callers: int, *count: str) -> "Writer":
        arguments = ["-m", "tests.eventlog.writer", dsn, name, str(callers), *count]
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
        )

    async def _read(self) -> None:
        while line := await self.process.stdout.readline():
            if line.endswith(b"\n"):  # a killed writer may leave half a line
                command_id, position = line.split()
                self.acknowledged[command_id.decode()] = int(position)

    async def has(self, count: int) -> None:
        while len(self.acknowledged) < count:  # the test's time limit ends a wait in vain
            await asyncio.sleep(0.01)

    async def end(self) -> int:
        status = await self.process.wait()
        await self._reading
        return status

    async def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        await self.end()


class Follower:
    """A reader that follows from the start and keeps all it sees."""

    def __init__(self, pool: Pool) -> None:
        self.seen: list[int] = []
        self._reader = EventReader(pool)
        self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for entries in self._reader.follow(0):
            self.seen.extend(entry.position for entry in entries)

    async def catch_up(self) -> None:
        head = await self._reader.head()
        while len(self.seen) < head:
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)


async def verify(pool: Pool, writers: list[Writer], follower: Follower) -> None:
    """Verify the whole log against what the writers were told and what the follower saw."""
    await follower.catch_up()
    rows = await pool.fetch("SELECT position, command_id, subject, version FROM log.entry ORDER BY position")
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert follower.seen == list(range(len(rows)))
    where = {str(row["command_id"]): row["position"] for row in rows}
    assert len(where) == len(rows)
    for writer in writers:
        assert writer.acknowledged
        assert {one: where.get(one) for one in writer.acknowledged} == writer.acknowledged
    versions: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        versions[row["subject"]].append(row["version"])
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    beside = {str(row["id"]) for row in await pool.fetch("SELECT id FROM beside")}
    first_of_three = {
        str(row["command_id"])
        for row in rows
        if row["subject"] != "contended" and int(row["subject"].rpartition("/")[2]) % 3 == 0
    }
    assert beside == first_of_three


@pytest.fixture
async def follower(pool: Pool) -> AsyncIterator[Follower]:
    made = Follower(pool)
    yield made
    await made.end()


async def test_writers_in_several_processes_share_a_log(
    log_database: EmbeddedDatabase, pool: Pool, follower: Follower
) -> None:
    writers = [await Writer.start(log_database.runner_dsn, f"w{n}", 8, "40") for n in range(3)]
    assert [await writer.end() for writer in writers] == [0, 0, 0]
    await verify(pool, writers, follower)
    assert all(len(writer.acknowledged) == 8 * 40 for writer in writers)
    assert await EventReader(pool).version("contended") > 0


async def test_a_writer_killed_in_the_middle_loses_nothing_acknowledged_and_stops_nobody(
    log_database: EmbeddedDatabase, pool: Pool, follower: Follower
) -> None:
    survivor = await Writer.start(log_database.runner_dsn, "survivor", 4)
    killed: list[Writer] = []
    for n in range(3):
        writer = await Writer.start(log_database.runner_dsn, f"killed{n}", 8)
        await writer.has(40 + 30 * n)
        await writer.kill()
        killed.append(writer)
    await survivor.has(len(survivor.acknowledged) + 50)
    await survivor.kill()
    async with Sequencer(pool) as sequencer:
        await sequencer.append(command("after/0/1"))
    await verify(pool, [survivor, *killed], follower)


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="tomoni-pg-"))
    server = EmbeddedPostgres(folder)
    server.start()
    yield server
    server.stop(immediate=True)
    shutil.rmtree(folder)


async def test_a_database_killed_under_load_loses_nothing_acknowledged(
    own_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    database = own_server.create_database("town")
    await make_log(database)
    pool = await create_pool(database.runner_dsn)
    follower = Follower(pool)
    publisher = make_publisher(pool, tmp_path)
    await publisher.check()
    publishing = asyncio.create_task(publisher.run())
    writers = [await Writer.start(database.runner_dsn, f"w{n}", 8) for n in range(2)]
    for _ in range(3):
        for writer in writers:
            await writer.has(len(writer.acknowledged) + 60)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
    for writer in writers:
        await writer.has(len(writer.acknowledged) + 60)
        await writer.kill()
    await settle(pool)
    await verify(pool, writers, follower)
    await published(pool)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    await verify_checkpoints(pool)
    await follower.end()
    await asyncio.wait_for(pool.close(), 10)


async def settle(pool: Pool) -> None:
    """Wait until the server processes of killed clients are gone, and with them what they still commit."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid() AND query ~ 'append'"
    )
    while await pool.fetchval(query):
        await asyncio.sleep(0.05)


async def published(pool: Pool) -> None:
    head = await EventReader(pool).head()
    async for checkpoints in CheckpointStore(pool).follow(0):
        if checkpoints[-1].size >= head:
            return


async def verify_checkpoints(pool: Pool) -> None:
    """Verify that every checkpoint ever stored has the root of the entries it covers."""
    tree = CompactRange()
    for signed in await CheckpointStore(pool).read_from(0, 100_000):
        while tree.size < signed.size:
            for entry in await EventReader(pool).read(tree.size, min(1000, signed.size - tree.size)):
                tree.append(leaf_hash(entry.data))
        checkpoint = parse_checkpoint(read_note(signed.note).text)
        assert (checkpoint.size, checkpoint.root) == (signed.size, tree.root())
