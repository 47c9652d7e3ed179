"""The federation's pull: everything, in order, again until it is acknowledged."""

import asyncio
import contextlib

import pytest

from tests.transport.hubs import SETAGAYA, SHIBUYA, entries, federation, node
from tomoni.transport import (
    Kind,
    LostDeliveryError,
    NotConnectedError,
    Outgoing,
    PullConsumer,
    RawMessage,
    TransportError,
    events_subject,
    publish_batch,
    publish_one,
)
from tomoni.transport.consume import _position
from tomoni.transport.subjects import EVENTS, INTAKE, code_of

SUBJECT = events_subject(SHIBUYA)


async def take(consumer: PullConsumer, count: int, *, acknowledge: bool = True) -> list[RawMessage]:
    taken: list[RawMessage] = []
    async with asyncio.timeout(60):
        async with contextlib.aclosing(consumer.batches()) as batches:
            async for messages in batches:
                taken += messages
                if acknowledge:
                    await consumer.acknowledge(messages[-1])
                if len(taken) >= count:
                    return taken
    return taken


async def publish(hub, count: int, code: str = SHIBUYA) -> None:
    async with node(hub, code) as connection:
        last = 0
        for first in range(0, count, 1000):
            size = min(1000, count - first)
            outcome = await publish_batch(connection, events_subject(code), entries(first, size), last)
            last = outcome.sequence


async def test_everything_arrives_once_and_in_order(hub):
    await publish(hub, 5000)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        await consumer.align(None)
        taken = await take(consumer, 5000)
    assert [message.position for message in taken] == list(range(5000))
    assert {(message.code, message.kind) for message in taken} == {(SHIBUYA, Kind.ENTRY)}
    assert [message.data for message in taken] == [b"entry %d" % number for number in range(5000)]


async def test_what_was_not_acknowledged_comes_again_at_once_after_a_restart(hub):
    await publish(hub, 3000)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        await consumer.align(None)
        first = len(await take(consumer, 1000))  # at least: batches are what has arrived
        assert await take(consumer, 500, acknowledge=False)
        await consumer.align(None)
        again = await take(consumer, 3000 - first)
    assert [message.position for message in again] == list(range(first, 3000))


async def test_a_message_that_comes_while_waiting_is_delivered(hub):
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        await consumer.align(None)
        waiting = asyncio.create_task(take(consumer, 1))
        await asyncio.sleep(6)  # longer than one pull lasts
        await publish(hub, 1)
        assert [message.position for message in await waiting] == [0]


async def test_towns_are_told_apart_by_their_subject(hub):
    await publish(hub, 3)
    await publish(hub, 2, SETAGAYA)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        await consumer.align(None)
        taken = await take(consumer, 5)
    assert [message.code for message in taken] == [SHIBUYA] * 3 + [SETAGAYA] * 2


async def test_junk_is_handed_over_as_junk(hub):
    async with node(hub) as connection:
        for headers in ({}, {"Tomoni-Kind": "x", "Tomoni-Position": "-1"}, {"Tomoni-Kind": "entry"}):
            await publish_one(connection, SUBJECT, Outgoing(b"junk", headers), None)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        await consumer.align(None)
        taken = await take(consumer, 3)
    assert [(m.kind, m.position) for m in taken] == [(None, None), (None, None), (Kind.ENTRY, None)]


async def take_all(consumer: PullConsumer, last: int) -> set[int | None]:
    """Take, as intake does, and align again after each interruption, until a position has arrived; return all."""
    taken: set[int | None] = set()
    async with asyncio.timeout(20):  # less than the hub waits before it delivers again by itself
        while last not in taken:
            with contextlib.suppress(TransportError):
                await consumer.align(None)
                async with contextlib.aclosing(consumer.batches()) as batches:
                    async for messages in batches:
                        taken |= {message.position for message in messages}
                        await consumer.acknowledge(messages[-1])
                        if last in taken:
                            break
    return taken


async def test_what_was_lost_on_the_way_is_not_acknowledged_with_what_came_after_it(hub):
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        await consumer.align(None)
        await connection.subscribe("_INBOX.federation.lost", lambda _: None)
        await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{INTAKE}", b"2", reply="_INBOX.federation.lost")
        await publish(hub, 10)  # the first two go where nobody looks, as when a server ends that had just sent them
        with pytest.raises(LostDeliveryError):
            await take(consumer, 10)
        assert await take_all(consumer, 9) == set(range(10))


async def test_a_reader_that_left_with_an_open_pull_takes_nothing_away_from_the_next(hub):
    async with federation(hub) as connection:
        await publish(hub, 10)
        async with PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
            assert await take_all(consumer, 9) == set(range(10))
        async with node(hub) as town:
            await publish_batch(town, SUBJECT, entries(10, 10), 10)
        async with PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
            assert await take_all(consumer, 19) == set(range(10, 20))


async def test_aligning_with_an_open_pull_drops_nothing_that_comes_at_once(hub):
    await publish(hub, 10)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        for _ in range(5):
            await consumer.align(None)
            async with asyncio.timeout(20):
                taken = await take(consumer, 10, acknowledge=False)
            assert [message.position for message in taken] == list(range(10))


async def test_a_lost_connection_ends_the_batches_and_the_next_ones_go_on(hub):
    await publish(hub, 10)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        created = await consumer.align(None)
        assert len(await take(consumer, 10)) == 10
        waiting = asyncio.create_task(take(consumer, 1))
        await asyncio.sleep(0.2)
        await hub.kill()
        with pytest.raises(NotConnectedError):
            await waiting
        await hub.start()
        await connection.wait_connected(30)
        assert await consumer.align(created) == created
        async with node(hub) as town:
            await publish_one(town, SUBJECT, entries(10, 1)[0], 10)
        assert [message.position for message in await take(consumer, 1)] == [10]


async def test_a_wiped_and_refilled_stream_is_delivered_from_its_first_message(hub):
    await publish(hub, 20)
    async with federation(hub) as connection, PullConsumer(connection, EVENTS, INTAKE).open() as consumer:
        created = await consumer.align(None)
        assert len(await take(consumer, 20)) == 20
        await hub.wipe()
        await connection.wait_connected(30)
        await publish(hub, 15)
        assert await consumer.align(created) != created
        assert [message.position for message in await take(consumer, 15)] == list(range(15))


@pytest.mark.parametrize("text", [None, "", "-1", "+1", " 1", "01", "1_0", "１", "1" * 17, "0x1"])
def test_a_malformed_position_is_none(text):
    assert _position(text) is None


@pytest.mark.parametrize(("text", "position"), [("0", 0), ("1", 1), ("9007199254740991", 9007199254740991)])
def test_a_position_is_read(text, position):
    assert _position(text) == position


@pytest.mark.parametrize(
    "subject", ["registry.events.13113", "registry.events.131130.x", "registry.events.１３１１３０", "_INBOX.x", "x"]
)
def test_a_foreign_subject_has_no_code(subject):
    assert code_of(subject) is None
