"""Reading: by position, by stream, following, and by an index at any size."""

import asyncio

import asyncpg
import pytest

from tests.eventlog.making import command, grow
from tests.plans import plan_nodes, read_whole
from tomoni.database import Pool
from tomoni.eventlog import EventReader, Sequencer, checkpoints, reader, tree
from tomoni.eventlog.batch import APPEND, BatchArguments, Prepared
from tomoni.eventlog.errors import CorruptLog
from tomoni_cli.embedded.postgres import EmbeddedDatabase


async def test_reading_pages_through_the_log(sequencer: Sequencer, reader: EventReader) -> None:
    await grow(sequencer, 25)
    assert [entry.position for entry in await reader.read(0, 10)] == list(range(10))
    assert [entry.data for entry in await reader.read(20, 10)] == [b"entry %d" % n for n in range(20, 25)]
    assert await reader.read(25) == []
    assert await reader.read(1000) == []


async def test_a_stream_has_its_own_entries_in_order(sequencer: Sequencer, reader: EventReader) -> None:
    for version in (1, 2, 3):
        await sequencer.append(command("arrangement/a", version, b"a%d" % version))
        await sequencer.append(command("arrangement/b", version, b"b%d" % version))
    await sequencer.append(command("arrangements", 1, b"other"))
    await sequencer.append(command("scheme", 1, b"scheme"))
    assert [entry.data for entry in await reader.stream("arrangement/b")] == [b"b1", b"b2", b"b3"]
    assert [entry.position for entry in await reader.stream("arrangement/b")] == [1, 3, 5]
    assert await reader.stream("arrangement/c") == []
    assert await reader.version("arrangement/a") == 3
    assert await reader.version("arrangement/c") == 0
    assert await reader.streams("arrangement/") == ["arrangement/a", "arrangement/b"]
    assert await reader.streams("network/") == []


async def test_a_gap_is_not_read_over(
    sequencer: Sequencer, reader: EventReader, log_database: EmbeddedDatabase
) -> None:
    await grow(sequencer, 5)
    connection = await asyncpg.connect(log_database.owner_dsn)
    await connection.execute("ALTER TABLE log.entry DISABLE TRIGGER USER; DELETE FROM log.entry WHERE position = 3")
    await connection.close()
    assert len(await reader.read(0, 3)) == 3
    with pytest.raises(CorruptLog, match="position 3"):
        await reader.read(0)
    with pytest.raises(CorruptLog, match="position 3"):
        await reader.read(3)


async def test_a_follower_sees_every_entry_once_in_order_while_many_write(
    sequencer: Sequencer, reader: EventReader, pool: Pool
) -> None:
    seen: list[int] = []

    async def follow() -> None:
        async for entries in reader.follow(0, 50):
            seen.extend(entry.position for entry in entries)
            if len(seen) >= 1_000:
                return

    async with Sequencer(pool) as second:
        following = asyncio.create_task(follow())
        writers = [
            append_many(one, f"{name}/{n}", 50) for n in range(10) for name, one in (("a", sequencer), ("b", second))
        ]
        await asyncio.gather(*writers)
        await following
    assert seen == list(range(1_000))


async def append_many(sequencer: Sequencer, subject: str, count: int) -> None:
    for version in range(1, count + 1):
        await sequencer.append(command(subject, version))


HOT_READS = {
    reader.READ: (900, 10),
    reader.STREAM: ("s/500",),
    reader.VERSION: ("s/500",),
    reader.STREAMS: ("s/50", "s/51"),
    tree.LEAVES: (900, 950),
    tree.TILES: ([0, 1], [3, 0]),
    checkpoints.LATEST: (),
    checkpoints.FROM: (2, 10),
}


@pytest.mark.parametrize("query", HOT_READS)
async def test_a_hot_read_uses_an_index(
    sequencer: Sequencer, pool: Pool, log_database: EmbeddedDatabase, query: str
) -> None:
    await grow(sequencer, 5_000)
    await tree.integrate(pool)
    connection = await asyncpg.connect(log_database.owner_dsn)
    await connection.execute(
        "INSERT INTO log.checkpoint (size, note, nodes) SELECT n, repeat('x', 300)::bytea, "
        "decode(repeat('00', 32 * bit_count(n::bigint::bit(64))::int), 'hex') FROM generate_series(1, 5000) n"
    )
    await connection.execute(
        "INSERT INTO log.tile SELECT 9, n, decode(repeat('00', 8192), 'hex') FROM generate_series(0, 2000) n"
    )
    await connection.execute("ANALYZE log.entry, log.tile, log.checkpoint")
    await connection.close()
    async with pool.acquire() as reading:
        nodes = await plan_nodes(reading, query, *HOT_READS[query])
    assert {node["Node Type"] for node in nodes} & {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}
    assert not read_whole(nodes)


async def test_the_append_looks_up_by_index_though_its_plans_were_made_when_the_table_was_small(
    sequencer: Sequencer, log_database: EmbeddedDatabase, pool: Pool
) -> None:
    await grow(sequencer, 10)
    owner = await asyncpg.connect(log_database.owner_dsn)
    await owner.execute("ANALYZE log.entry")
    await owner.close()
    async with pool.acquire() as connection:
        for n in range(10):  # plans are made for a table of one page, and cached in this session
            await connection.fetch(APPEND, *one_command(f"early/{n}"))
        await grow(sequencer, 3_000, 10)
        async with connection.transaction():
            [row] = await connection.fetch(APPEND, *one_command("late"))
            read = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE schemaname = 'log' AND relname = 'entry'"
            assert (row["size"], await connection.fetchval(read)) == (1, 0)


def one_command(subject: str) -> tuple[object, ...]:
    return BatchArguments.of([Prepared.of(command(subject))]).as_tuple()
