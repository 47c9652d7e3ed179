"""The sequencer: what it promises to one caller among many."""

import asyncio
import uuid

import asyncpg
import pytest

from tests.eventlog.making import beside, command
from tomoni.database import Pool
from tomoni.eventlog import Append, Appended, EventReader, NewEntry, Sequencer, Statement
from tomoni.eventlog.errors import LogUnavailable, Overloaded, VersionConflict
from tomoni.eventlog.sequencer import MAX_WAITING


async def test_commands_get_dense_positions_in_the_order_of_their_calls(
    sequencer: Sequencer, reader: EventReader
) -> None:
    made = await asyncio.gather(*(sequencer.append(command(f"s/{n}", data=b"%d" % n, count=3)) for n in range(100)))
    assert made == [Appended(3 * n, 3, already=False) for n in range(100)]
    assert [entry.data for entry in await reader.read(0)] == [b"%d" % (n // 3) for n in range(300)]
    assert await reader.head() == 300


async def test_a_stored_command_is_not_run_again_and_gets_its_first_positions(
    sequencer: Sequencer, reader: EventReader, pool: Pool
) -> None:
    command_id = uuid.uuid4()
    first = await sequencer.append(command("a", command_id=command_id, companions=[beside(command_id)], count=2))
    await sequencer.append(command("b"))
    again = await sequencer.append(command("c", command_id=command_id, companions=[beside(uuid.uuid4())]))
    assert (first.first, first.size, first.already) == (0, 2, False)
    assert (again.first, again.size, again.already) == (0, 2, True)
    assert await reader.head() == 3
    assert await pool.fetchval("SELECT count(*) FROM beside") == 1


async def test_the_same_command_sent_twice_at_once_is_stored_once(sequencer: Sequencer, reader: EventReader) -> None:
    twice = command("a")
    first, second = await asyncio.gather(sequencer.append(twice), sequencer.append(twice))
    assert (first.first, first.already) == (0, False)
    assert (second.first, second.already) == (0, True)
    assert await reader.head() == 1


async def test_of_many_at_the_same_version_one_wins_and_the_others_are_told_the_version(
    sequencer: Sequencer, reader: EventReader
) -> None:
    results = await asyncio.gather(*(sequencer.append(command("a")) for _ in range(50)), return_exceptions=True)
    conflicts = [result for result in results if isinstance(result, VersionConflict)]
    assert len(conflicts) == 49
    assert {(conflict.subject, conflict.expected, conflict.actual) for conflict in conflicts} == {("a", 0, 1)}
    assert await reader.head() == 1


async def test_commands_that_continue_each_other_all_land_when_sent_at_once(
    sequencer: Sequencer, reader: EventReader
) -> None:
    made = await asyncio.gather(*(sequencer.append(command("a", version)) for version in range(1, 21)))
    assert [appended.first for appended in made] == list(range(20))
    assert await reader.version("a") == 20


@pytest.mark.parametrize("with_companions", [False, True])
async def test_a_conflict_leaves_the_neighbours_alone(
    sequencer: Sequencer, reader: EventReader, *, with_companions: bool
) -> None:
    def companions() -> list[Statement]:
        return [beside(uuid.uuid4())] if with_companions else []

    await sequencer.append(command("taken"))
    commands = [command("taken" if n % 7 == 3 else f"s/{n}", companions=companions()) for n in range(40)]
    results = await asyncio.gather(*map(sequencer.append, commands), return_exceptions=True)
    for n, result in enumerate(results):
        assert isinstance(result, VersionConflict if n % 7 == 3 else Appended)
    stored = sum(isinstance(result, Appended) for result in results)
    assert await reader.head() == 1 + stored


async def test_commands_on_one_stream_with_companions_are_judged_one_after_the_other(
    sequencer: Sequencer, reader: EventReader, pool: Pool
) -> None:
    commands = [command("same", companions=[beside(uuid.uuid4())]) for _ in range(5)]
    commands += [command(f"s/{n}", companions=[beside(uuid.uuid4())]) for n in range(5)]
    commands.append(command("same", 2, companions=[beside(uuid.uuid4())]))
    async with asyncio.timeout(20):
        results = await asyncio.gather(*(sequencer.append(one) for one in commands), return_exceptions=True)
    conflicts = [result for result in results if isinstance(result, VersionConflict)]
    assert [(conflict.expected, conflict.actual) for conflict in conflicts][:4] == [(0, 1)] * 4
    assert await reader.head() == len(results) - len(conflicts) == await pool.fetchval("SELECT count(*) FROM beside")


async def test_a_stream_that_is_only_read_must_be_at_its_version_too(sequencer: Sequencer, reader: EventReader) -> None:
    await sequencer.append(command("scheme"))
    await sequencer.append(command("certificate/1", reads={"scheme": 1}))
    with pytest.raises(VersionConflict) as caught:
        await sequencer.append(command("certificate/2", reads={"scheme": 0}))
    assert (caught.value.subject, caught.value.expected, caught.value.actual) == ("scheme", 0, 1)
    closing = command("scheme", 2)
    issuing = command("certificate/3", reads={"scheme": 1})
    closed, issued = await asyncio.gather(sequencer.append(closing), sequencer.append(issuing), return_exceptions=True)
    assert isinstance(closed, Appended)
    assert isinstance(issued, VersionConflict)
    assert await reader.head() == 3


async def test_companions_are_stored_with_the_entries_or_not_at_all(
    sequencer: Sequencer, reader: EventReader, pool: Pool
) -> None:
    ids = [uuid.uuid4() for _ in range(30)]
    commands = [command(f"s/{n}", companions=[beside(command_id)]) for n, command_id in enumerate(ids)]
    commands[11] = command("s/11", companions=[beside(ids[11]), Statement("SELECT 1/0")])
    commands[12] = command("s/12", companions=[beside(ids[12]), beside(ids[12])])
    commands[13] = command("s/13", companions=[Statement("INSERT INTO beside VALUES ($1, $2)", (7, 7))])
    commands[14] = command("s/14", companions=[Statement("INSERT INTO entry_of_nobody VALUES (1)")])
    results = await asyncio.gather(*map(sequencer.append, commands), return_exceptions=True)
    assert isinstance(results[11], asyncpg.DivisionByZeroError)
    assert isinstance(results[12], asyncpg.UniqueViolationError)
    assert isinstance(results[13], asyncpg.DataError)
    assert isinstance(results[14], asyncpg.UndefinedTableError)
    good = [n for n, result in enumerate(results) if isinstance(result, Appended)]
    assert good == [n for n in range(30) if n not in {11, 12, 13, 14}]
    assert {row["id"] for row in await pool.fetch("SELECT id FROM beside")} == {ids[n] for n in good}
    assert await reader.head() == len(good)


async def test_a_cancelled_caller_harms_nobody(sequencer: Sequencer, reader: EventReader) -> None:
    calls = [asyncio.ensure_future(sequencer.append(command(f"s/{n}"))) for n in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert sorted(result.first for result in results[1::2]) == [r.first for r in results[1::2]]
    entries = await reader.read(0)
    assert len(entries) == await reader.head() == 10  # the cancelled ones had not been taken yet


async def test_a_repeated_call_goes_on_where_the_first_caller_was_cancelled(
    sequencer: Sequencer, reader: EventReader
) -> None:
    twice = command("a")
    first = asyncio.ensure_future(sequencer.append(twice))
    second = asyncio.ensure_future(sequencer.append(twice))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).first == 0
    assert await reader.head() == 1


async def test_more_commands_than_may_wait_are_refused_at_once(sequencer: Sequencer, reader: EventReader) -> None:
    calls = [asyncio.ensure_future(sequencer.append(command(f"s/{n}"))) for n in range(MAX_WAITING + 50)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 50
    assert await reader.head() == MAX_WAITING


async def test_leaving_the_sequencer_stores_what_waits_and_refuses_what_comes(pool: Pool, reader: EventReader) -> None:
    async with Sequencer(pool) as sequencer:
        calls = [asyncio.ensure_future(sequencer.append(command(f"s/{n}"))) for n in range(20)]
        await asyncio.sleep(0)
    assert [appended.first for appended in await asyncio.gather(*calls)] == list(range(20))
    with pytest.raises(LogUnavailable):
        await sequencer.append(command("late"))
    assert await reader.head() == 20


async def test_commands_larger_than_a_transaction_takes_are_split(sequencer: Sequencer, reader: EventReader) -> None:
    calls = [sequencer.append(command(f"s/{n}", data=bytes([n]) * 60_000, count=20)) for n in range(8)]
    assert [appended.first for appended in await asyncio.gather(*calls)] == [20 * n for n in range(8)]
    assert await reader.head() == 160


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), {}),
        ((NewEntry(b"", "a", 1),), {"a": 0}),
        ((NewEntry(bytes(60_001), "a", 1),), {"a": 0}),
        ((NewEntry(b"x", "", 1),), {"": 0}),
        ((NewEntry(b"x", "a\x00", 1),), {"a\x00": 0}),
        ((NewEntry(b"x", "a", 1),), {}),
        ((NewEntry(b"x", "a", 2),), {"a": 0}),
        ((NewEntry(b"x", "a", 1), NewEntry(b"x", "a", 1)), {"a": 0}),
        (tuple(NewEntry(b"x", "a", n + 1) for n in range(1001)), {"a": 0}),
    ],
)
def test_a_command_that_breaks_a_limit_or_a_stream_cannot_be_made(
    entries: tuple[NewEntry, ...], expected: dict[str, int]
) -> None:
    with pytest.raises(ValueError):
        Append(uuid.uuid4(), entries, expected)
