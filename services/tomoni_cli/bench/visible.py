"""Row `commit to visible`: from a town's command to the federation's read model, against the bare steps on the way.

Node, relay and federation are the real ones, a process each (`visible_parts`); they share one PostgreSQL server.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
from nats.aio.client import Client

from tomoni import eventlog
from tomoni.database import Pool, create_pool, migrate
from tomoni.eventlog import Append, CheckpointPublisher, FixedKeys, LastWord, NewEntry, Sequencer
from tomoni.key_names import heartbeat_key_name, receipt_key_name
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni.transport import events_subject
from tomoni_cli.bench import visible_parts
from tomoni_cli.bench.pace import p99, paced
from tomoni_cli.bench.rows import Row, median_row
from tomoni_cli.bench.samples import FEDERATION, certificate_subject, issued_entry
from tomoni_cli.bench.visible_parts import CODE
from tomoni_cli.embedded.nats import EmbeddedNats
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_federation.schema import prepare
from tomoni_registry import relay

ORIGIN: Final = f"{FEDERATION}/{CODE}"
PER_SECOND: Final = 100
MOST: Final = 500
"""Events of a round: five seconds."""
ROUNDS: Final = 3
LOST_SECONDS: Final = 60

BareSteps = Callable[[int], Awaitable[float]]


async def run(folder: Path, entries: int) -> list[Row]:
    """Commit events at a steady pace and see when each is in the read model; then take the bare steps at that pace."""
    count = min(entries, MOST)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        hub = await stack.enter_async_context(EmbeddedNats(folder / "nats", [CODE]))
        bare_hub = await stack.enter_async_context(EmbeddedNats(folder / "bare", [CODE]))
        system = await stack.enter_async_context(_running_system(folder, server, hub))
        bare = await stack.enter_async_context(_bare_steps(server, bare_hub))
        pairs = [(await system.waits(count), await bare(count)) for _ in range(ROUNDS)]
    name = f"commit to visible, p99 at {PER_SECOND}/s"
    return [median_row(name, pairs, reach=0.33, unit="ms", less_is_better=True)]


class _System:
    """A town and the federation, as far as commands go in and rows become visible."""

    def __init__(self, sequencer: Sequencer, visible: asyncio.StreamReader) -> None:
        self._sequencer = sequencer
        self._visible = visible
        self._visible_at: list[float] = []
        self._numbers = itertools.count()

    async def waits(self, count: int) -> float:
        """Commit events at the pace; return the 99th percentile of what it took until each was visible, in ms."""
        called_at: dict[int, float] = {}

        async def commit(command: Append) -> None:
            called = time.perf_counter()
            called_at[(await self._sequencer.append(command)).first] = called

        commands = [_command(next(self._numbers)) for _ in range(count)]
        async with asyncio.TaskGroup() as group:
            async for number in paced(count, PER_SECOND):
                group.create_task(commit(commands[number]))
        async with asyncio.timeout(LOST_SECONDS):
            while len(self._visible_at) <= max(called_at):
                step = visible_parts.read_step(await self._visible.readuntil())
                self._visible_at.extend([step.at] * step.count)
        return p99([self._visible_at[position] - called for position, called in called_at.items()])


@asynccontextmanager
async def _running_system(folder: Path, server: EmbeddedPostgres, hub: EmbeddedNats) -> AsyncGenerator[_System]:
    log_key, heartbeat_key = generate_signer(ORIGIN), generate_cosigner(heartbeat_key_name(ORIGIN))
    receipts_key = generate_cosigner(receipt_key_name(FEDERATION))
    async with AsyncExitStack() as stack:
        town_dsn, town = await _town_database(stack, server)
        sequencer = await stack.enter_async_context(Sequencer(town))
        last_word = LastWord(folder / "last-checkpoint")
        publisher = CheckpointPublisher(town, ORIGIN, FixedKeys(log_key), heartbeat_key, last_word)
        await publisher.check()
        federation_dsn = await _federation_database(server, log_key.vkey, heartbeat_key.verifier.vkey)
        parts = visible_parts.Parts(
            town=town_dsn,
            federation=federation_dsn,
            hub=hub.url,
            node_seed=hub.seeds[CODE],
            federation_seed=hub.federation_endpoint().seed,
            receipts_key=receipts_key.to_text(),
        )
        await stack.enter_async_context(visible_parts.running("relay", folder, parts))
        visible = await stack.enter_async_context(visible_parts.running("federation", folder, parts))
        publishing = asyncio.create_task(publisher.run())
        try:
            yield _System(sequencer, visible)
        finally:
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing


async def _town_database(stack: AsyncExitStack, server: EmbeddedPostgres) -> tuple[str, Pool]:
    dsn = server.create_database("town").owner_dsn
    for service, migrations in (("log", eventlog.MIGRATIONS), ("relay", relay.MIGRATIONS)):
        await migrate(dsn, service, [migrations])
    pool = await create_pool(dsn)
    stack.push_async_callback(pool.close)
    return dsn, pool


async def _federation_database(server: EmbeddedPostgres, log_key: str, heartbeat_key: str) -> str:
    dsn = server.create_database("federation").owner_dsn
    await prepare(dsn, None)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO mirror.log (log, state, heartbeat_key) VALUES ($1, 'open', $2)", CODE, heartbeat_key
        )
        await connection.execute("INSERT INTO mirror.key (log, from_size, log_key) VALUES ($1, 0, $2)", CODE, log_key)
    finally:
        await connection.close()
    return dsn


@asynccontextmanager
async def _bare_steps(server: EmbeddedPostgres, hub: EmbeddedNats) -> AsyncGenerator[BareSteps]:
    """Yield what takes a commit, a publish and a commit at the pace and adds up their 99th percentiles, in ms."""
    database = server.create_database("bare")
    connection = await asyncpg.connect(database.owner_dsn)
    await connection.execute("CREATE TABLE one_by_one (position bigint GENERATED ALWAYS AS IDENTITY, data bytea)")
    endpoint = hub.node_endpoint(CODE)
    client = Client()
    await client.connect(hub.url, nkeys_seed_str=endpoint.seed, inbox_prefix=endpoint.inbox)
    data = issued_entry(CODE, 0)

    async def commit() -> None:
        await connection.execute("INSERT INTO one_by_one (data) VALUES ($1)", data)

    async def publish() -> None:
        await client.request(events_subject(CODE), data, timeout=10)

    async def bare(count: int) -> float:
        times: list[list[float]] = []
        async for _ in paced(count, PER_SECOND):
            marks = [time.perf_counter()]
            for step in (commit, publish, commit):
                await step()
                marks.append(time.perf_counter())
            times.append([after - before for before, after in itertools.pairwise(marks)])
        return sum(p99(list(step)) for step in zip(*times, strict=True))

    try:
        yield bare
    finally:
        await client.close()
        await connection.close()


def _command(number: int) -> Append:
    subject = certificate_subject(CODE, number)
    return Append(uuid.uuid4(), (NewEntry(issued_entry(CODE, number), subject, 1),), {subject: 0})
