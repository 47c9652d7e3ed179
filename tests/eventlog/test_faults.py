"""Faults at the connection: whatever is lost or goes unreported, every command lands once and every answer is true.

In Sunlight's manner: a table of the points where a fault strikes × what is lost, and the whole log is verified after.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.eventlog.making import beside, command, until
from tests.faults.proxy import Fault, FaultProxy
from tests.faults.unwritable import read_only
from tomoni.database import Pool, create_pool
from tomoni.eventlog import Append, Appended, EventReader, Sequencer
from tomoni.eventlog.errors import LogUnavailable, OutcomeUnknown, WritesRefused
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres


@pytest.fixture
async def proxy(postgres: EmbeddedPostgres) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(postgres.port) as running:
        yield running


@pytest.fixture
async def weak_pool(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, proxy: FaultProxy
) -> AsyncIterator[Pool]:
    dsn = postgres.tcp_dsn(log_database.name, log_database.runner, port=proxy.port)
    made = await create_pool(dsn, min_size=1, max_size=4)
    yield made
    made.terminate()


async def verify_log(pool: Pool, commands: list[Append], results: list[object]) -> None:
    """Verify the whole log against what the callers were told."""
    rows = await pool.fetch("SELECT position, command_id, data FROM log.entry ORDER BY position")
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert await EventReader(pool).head() == len(rows)
    where = {row["command_id"]: row["position"] for row in rows}
    assert len(where) == len(rows)
    for sent, result in zip(commands, results, strict=True):
        assert isinstance(result, Appended)
        assert where[sent.command_id] == result.first
    with_companions = {sent.command_id for sent in commands if sent.companions}
    assert {row["id"] for row in await pool.fetch("SELECT id FROM beside")} == with_companions


def commands_of(count: int, *, companions: bool) -> list[Append]:
    ids = [uuid.uuid4() for _ in range(count)]
    return [
        command(f"s/{n}", data=b"%d" % n, command_id=one, companions=[beside(one)] if companions else [])
        for n, one in enumerate(ids)
    ]


@pytest.mark.parametrize("companions", [False, True])
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.UNREPORTED])
@pytest.mark.parametrize("point", range(8))
async def test_a_reset_at_any_point_of_the_conversation_loses_and_repeats_nothing(
    weak_pool: Pool, pool: Pool, proxy: FaultProxy, fault: Fault, point: int, *, companions: bool
) -> None:
    commands = commands_of(24, companions=companions)
    async with Sequencer(weak_pool) as sequencer:
        proxy.arm(fault, after=point)
        results: list[object] = []
        for start in range(0, 24, 6):
            results += await asyncio.gather(*map(sequencer.append, commands[start : start + 6]))
    assert proxy.hits == 1
    await verify_log(pool, commands, results)


@pytest.mark.parametrize("fault", [Fault.LOST_SILENTLY, Fault.UNREPORTED_SILENTLY])
@pytest.mark.parametrize("point", [0, 3, 5, 6, 7])
async def test_a_black_hole_at_any_point_of_the_conversation_loses_and_repeats_nothing(
    weak_pool: Pool, pool: Pool, proxy: FaultProxy, fault: Fault, point: int
) -> None:
    commands = commands_of(12, companions=True)
    async with Sequencer(weak_pool, timeout=0.3) as sequencer:
        proxy.arm(fault, after=point)
        results: list[object] = []
        for start in range(0, 12, 6):
            results += await asyncio.gather(*map(sequencer.append, commands[start : start + 6]))
    assert proxy.hits == 1
    await verify_log(pool, commands, results)


async def test_connections_cut_after_any_number_of_bytes_lose_and_repeat_nothing(
    weak_pool: Pool, pool: Pool, proxy: FaultProxy
) -> None:
    commands = commands_of(150, companions=True)
    results: list[object] = []
    async with Sequencer(weak_pool) as sequencer:
        for start in range(0, 150, 5):
            proxy.cut_after = 101 + 97 * start
            results += await asyncio.gather(*map(sequencer.append, commands[start : start + 5]))
    await verify_log(pool, commands, results)


async def test_a_slow_network_changes_nothing(weak_pool: Pool, pool: Pool, proxy: FaultProxy) -> None:
    commands = commands_of(40, companions=True)
    async with Sequencer(weak_pool) as sequencer:
        proxy.latency = 0.05
        results = await asyncio.gather(*map(sequencer.append, commands))
    await verify_log(pool, commands, list(results))


async def test_a_database_that_never_comes_back_is_reported_and_nothing_is_claimed(
    weak_pool: Pool, pool: Pool, proxy: FaultProxy
) -> None:
    sent, unsent, later = commands_of(3, companions=False)
    async with Sequencer(weak_pool, timeout=0.5, patience=1.0) as sequencer:
        await sequencer.append(command("before"))
        proxy.arm(Fault.UNREPORTED)
        proxy.refusing = True
        with pytest.raises(OutcomeUnknown):
            await sequencer.append(sent)
        started = time.monotonic()
        with pytest.raises(LogUnavailable):
            await sequencer.append(unsent)
        assert time.monotonic() - started > 0.5
        proxy.refusing = False
        appended = await sequencer.append(later)
        again = await sequencer.append(sent)
    assert again == Appended(1, 1, already=True)
    assert appended.first == 2
    assert await EventReader(pool).head() == 3


async def test_a_database_that_takes_no_writes_refuses_all_at_once_and_claims_no_more_than_it_knows(
    postgres: EmbeddedPostgres, log_database: EmbeddedDatabase, weak_pool: Pool, pool: Pool, proxy: FaultProxy
) -> None:
    sent, unsent = command("sent"), commands_of(8, companions=True)
    async with Sequencer(weak_pool) as sequencer:
        await sequencer.append(command("before"))
        proxy.arm(Fault.UNREPORTED)
        proxy.refusing = True
        call = asyncio.ensure_future(sequencer.append(sent))
        await until(lambda: proxy.hits == 1)
        with read_only(postgres, log_database.name):
            proxy.refusing = False
            with pytest.raises(OutcomeUnknown):
                await call
            refused = await asyncio.gather(*map(sequencer.append, unsent), return_exceptions=True)
            assert {type(error) for error in refused} == {WritesRefused}
        results = await asyncio.gather(*map(sequencer.append, [sent, *unsent]))
    assert [appended.already for appended in results] == [True] + [False] * 8
    rows = await EventReader(pool).read(0)
    assert [row.position for row in rows] == list(range(10))


async def test_a_long_black_hole_ends_without_a_restart(weak_pool: Pool, pool: Pool, proxy: FaultProxy) -> None:
    commands = commands_of(10, companions=True)
    async with Sequencer(weak_pool, timeout=0.3) as sequencer:
        await sequencer.append(command("before"))
        proxy.black_hole()
        calls = [asyncio.ensure_future(sequencer.append(one)) for one in commands]
        await asyncio.sleep(1.5)
        assert not any(call.done() for call in calls)
        proxy.restore()
        results = await asyncio.gather(*calls)
    await pool.execute("SELECT 1")
    assert sorted(appended.first for appended in results) == list(range(1, 11))


async def test_a_follower_outlives_its_connections(weak_pool: Pool, pool: Pool, proxy: FaultProxy) -> None:
    seen: list[int] = []
    following = EventReader(weak_pool).follow(0)
    async with Sequencer(pool) as sequencer:
        for n in range(8):
            await sequencer.append(command(f"s/{n}"))
            seen += [entry.position for entry in await anext(following)]
            if n % 2:
                proxy.reset()
    await following.aclose()
    assert seen == list(range(8))


async def test_an_isolation_level_that_would_judge_by_old_versions_is_refused(pool: Pool) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.RaiseError, match="READ COMMITTED"):
            async with connection.transaction(isolation="repeatable_read"):
                await connection.fetch(
                    "SELECT * FROM log.append('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')"
                )
