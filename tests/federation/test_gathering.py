"""Questions gathered into one statement: none of them is left waiting."""

import asyncio

import pytest

from tomoni.documents import document_hash, new_handle
from tomoni_federation.status.query import LOOKUP, Gatherer, look_up


def any_key():
    return "131130", bytes.fromhex(document_hash("131130", new_handle()))


def lanes_at_work():
    return [task for task in asyncio.all_tasks() if "Gatherer" in task.get_coro().__qualname__]


async def test_a_question_at_the_very_end_of_a_lane_is_answered(federation):
    gatherer = Gatherer(federation.pool, lanes=1)
    for _ in range(20):
        await gatherer.ask(any_key())
        while lanes_at_work():
            await asyncio.sleep(0)
        async with asyncio.timeout(10):  # in the very turn of the loop in which the lane ended
            assert (await gatherer.ask(any_key()))[0] is None


async def test_every_question_of_many_is_answered(federation):
    gatherer = Gatherer(federation.pool, lanes=2, most=7)
    async with asyncio.timeout(30):
        found = await asyncio.gather(*(gatherer.ask(any_key()) for _ in range(300)))
    assert len(found) == 300


async def test_a_lookup_is_planned_a_few_times_and_then_no_more(federation):
    async with federation.pool.acquire() as connection:
        for _ in range(20):
            await look_up(connection, [any_key()])
        planned = await connection.fetchrow(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement = $1", LOOKUP
        )
    assert planned["custom_plans"] <= 5
    assert planned["generic_plans"] >= 15


async def test_where_the_database_is_gone_every_question_learns_it(federation):
    gatherer = Gatherer(federation.pool)
    await federation.pool.close()
    answers = await asyncio.gather(*(gatherer.ask(any_key()) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in answers)
    with pytest.raises(Exception, match="pool is clos"):
        await gatherer.ask(any_key())
