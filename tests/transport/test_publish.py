"""Publishing in order and exactly once, on a real nats-server."""

import asyncio
import json

import pytest

from tests.transport.hubs import SETAGAYA, SHIBUYA, Hub, crowded_hub, entries, eventually, node, running_hub
from tomoni.transport import (
    BatchRefused,
    Committed,
    Connection,
    Full,
    NoAnswerError,
    NotConnectedError,
    Outgoing,
    Stale,
    TooLarge,
    TransportError,
    Unknown,
    events_subject,
    last_message,
    publish_batch,
    publish_one,
)
from tomoni.transport.provision import StreamLimits
from tomoni.transport.publish import MAX_BATCH_BYTES, _outcome
from tomoni.transport.subjects import EVENTS, HEARTBEATS, heartbeats_subject

SUBJECT = events_subject(SHIBUYA)


async def stored(hub: Hub, code: str = SHIBUYA) -> list[bytes]:
    """Read a town's whole subject, by the one who may read everything: the server's own files, over the federation."""
    async with Connection(hub.federation_endpoint()) as federation:
        await federation.wait_connected(10)
        found, start = [], 1
        while True:
            answer = await federation.request(
                "$JS.API.DIRECT.GET.EVENTS", json.dumps({"seq": start, "next_by_subj": events_subject(code)}).encode()
            )
            if answer.status == "404":
                return found
            found.append(answer.data)
            start = int(answer.headers["Nats-Sequence"]) + 1


async def test_a_batch_is_stored_whole_and_in_order(hub):
    async with node(hub) as connection:
        assert await publish_batch(connection, SUBJECT, entries(0, 1000), 0) == Committed(1000)
    assert await stored(hub) == [b"entry %d" % n for n in range(1000)]


async def test_a_batch_of_one_is_a_batch(hub):
    async with node(hub) as connection:
        assert await publish_batch(connection, SUBJECT, entries(0, 1), 0) == Committed(1)


@pytest.mark.parametrize("expected", [1, 3, 1000])
async def test_a_stale_expectation_stores_nothing_of_a_batch(hub, expected):
    async with node(hub) as connection:
        assert await publish_batch(connection, SUBJECT, entries(0, 2), 0) == Committed(2)
        assert await publish_batch(connection, SUBJECT, entries(2, 10), expected) == Stale()
        assert await publish_one(connection, SUBJECT, entries(2, 1)[0], expected) == Stale()
    assert await stored(hub) == [b"entry 0", b"entry 1"]


async def test_another_town_does_not_disturb_the_expectation(hub):
    async with node(hub) as shibuya, node(hub, SETAGAYA) as setagaya:
        assert await publish_one(shibuya, SUBJECT, entries(0, 1)[0], 0) == Committed(1)
        assert await publish_one(setagaya, events_subject(SETAGAYA), entries(0, 1)[0], 0) == Committed(2)
        assert await publish_batch(shibuya, SUBJECT, entries(1, 3), 1) == Committed(5)


async def test_more_than_a_batch_may_hold_is_told_before_anything_is_sent(hub):
    async with node(hub) as connection:
        assert await publish_batch(connection, SUBJECT, entries(0, 1001), 0) == TooLarge()
        heavy = [Outgoing(b"x" * 60_000, {})] * (MAX_BATCH_BYTES // 60_000 + 1)
        assert await publish_batch(connection, SUBJECT, heavy, 0) == TooLarge()
        assert await last_message(connection, EVENTS, SUBJECT) is None


async def test_the_largest_batch_by_bytes_is_stored(hub):
    async with node(hub) as connection:
        heavy = [Outgoing(b"x" * 60_000, {})] * (MAX_BATCH_BYTES // 60_000)
        assert await publish_batch(connection, SUBJECT, heavy, 0) == Committed(len(heavy))


async def test_the_last_message_is_read_back_with_its_headers(hub):
    async with node(hub) as connection:
        assert await last_message(connection, EVENTS, SUBJECT) is None
        await publish_batch(connection, SUBJECT, entries(7, 3), 0)
        last = await last_message(connection, EVENTS, SUBJECT)
    assert last is not None
    assert (last.sequence, last.data) == (3, b"entry 9")
    assert (last.headers["Tomoni-Kind"], last.headers["Tomoni-Position"]) == ("entry", "9")


async def test_a_full_subject_pushes_back_and_stops_nobody_else(tmp_path):
    async with running_hub(tmp_path / "hub", StreamLimits(messages_per_jurisdiction=10)) as hub, node(hub) as shibuya:
        assert await publish_batch(shibuya, SUBJECT, entries(0, 10), 0) == Committed(10)
        assert await publish_one(shibuya, SUBJECT, entries(10, 1)[0], 10) == Full()
        assert await publish_batch(shibuya, SUBJECT, entries(10, 5), 10) == Full()
        async with node(hub, SETAGAYA) as setagaya:
            assert await publish_one(setagaya, events_subject(SETAGAYA), entries(0, 1)[0], 0) == Committed(11)


async def test_a_full_stream_pushes_back(tmp_path):
    async with running_hub(tmp_path / "hub", StreamLimits(events_bytes=200_000)) as hub, node(hub) as connection:
        message, sequence, outcome = Outgoing(b"x" * 50_000, {}), 0, None
        while isinstance(outcome := await publish_one(connection, SUBJECT, message, sequence), Committed):
            sequence = outcome.sequence
        assert outcome == Full()
        assert await publish_batch(connection, SUBJECT, [message] * 2, sequence) == Full()
        assert await publish_one(connection, SUBJECT, entries(0, 1)[0], sequence) == Committed(sequence + 1)


async def test_batches_are_refused_when_slots_are_taken_and_single_messages_go_on(tmp_path):
    async with crowded_hub(tmp_path / "hub") as hub, node(hub) as shibuya:
        assert await publish_batch(shibuya, SUBJECT, entries(0, 3), 0) == BatchRefused()
        assert await publish_one(shibuya, SUBJECT, entries(0, 1)[0], 0) == Committed(1)


async def test_open_batches_of_one_town_do_not_block_another(hub):
    async with node(hub) as shibuya, node(hub, SETAGAYA) as setagaya:
        for number in range(120):
            opened = {"Nats-Batch-Id": f"open {number}", "Nats-Batch-Sequence": "1"}
            await setagaya.publish(events_subject(SETAGAYA), b"x", headers=opened)
        assert await publish_batch(shibuya, SUBJECT, entries(0, 100), 0) == Committed(100)


async def test_a_torn_batch_is_forgotten(hub):
    async with node(hub) as connection:
        torn = {"Nats-Batch-Id": "torn", "Nats-Batch-Sequence": "1", "Nats-Expected-Last-Subject-Sequence": "0"}
        await connection.publish(SUBJECT, b"first", headers=dict(torn))
        gap = {"Nats-Batch-Id": "torn", "Nats-Batch-Sequence": "3", "Nats-Batch-Commit": "1"}
        answer = await connection.request(SUBJECT, b"third", headers=gap)
        assert _outcome(answer.data, 3) == BatchRefused()
        assert await last_message(connection, EVENTS, SUBJECT) is None


async def test_only_the_last_heartbeat_is_kept(hub):
    async with node(hub) as connection:
        for number in range(5):
            beat = Outgoing(b"beat %d" % number, {})
            assert await publish_one(connection, heartbeats_subject(SHIBUYA), beat, None) == Committed(number + 1)
    async with Connection(hub.federation_endpoint()) as federation:
        await federation.wait_connected(10)
        answer = await federation.request(f"$JS.API.CONSUMER.RESET.{HEARTBEATS}.intake")
    assert json.loads(answer.data)["num_pending"] == 1


async def test_the_callers_headers_are_left_alone(hub):
    headers = {"Tomoni-Kind": "entry"}
    async with node(hub) as connection:
        await publish_one(connection, SUBJECT, Outgoing(b"x", headers), 0)
        await publish_batch(connection, SUBJECT, [Outgoing(b"x", headers)] * 2, 1)
    assert headers == {"Tomoni-Kind": "entry"}


async def test_without_a_hub_nothing_is_sent_and_nothing_is_kept_for_later(hub):
    async with node(hub) as connection:
        await hub.kill()
        await eventually(lambda: not connection.is_connected)
        for _ in range(100):
            with pytest.raises(NotConnectedError):
                await publish_one(connection, SUBJECT, entries(0, 1)[0], 0)
            with pytest.raises(NotConnectedError):
                await publish_batch(connection, SUBJECT, entries(0, 5), 0)
        await hub.start()
        await connection.wait_connected(20)
        assert await last_message(connection, EVENTS, SUBJECT) is None


async def test_a_request_under_way_fails_at_once_when_the_connection_is_lost(hub):
    async with node(hub) as connection:
        with hub.paused():
            waiting = asyncio.create_task(connection.request(SUBJECT, b"x", timeout=600))
            await asyncio.sleep(0.1)
            await hub.kill()
            with pytest.raises(NoAnswerError):
                await asyncio.wait_for(waiting, 60)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"stream":"EVENTS","seq":5,"duplicate":true}',
        b'{"stream":"EVENTS","seq":0}',
        b'{"stream":"EVENTS","seq":5,"batch":"x","count":3}',
        b"{}",
    ],
)
def test_an_acknowledgement_of_something_else_is_an_error(answer):
    with pytest.raises(TransportError):
        _outcome(answer, 0)


def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown():
    assert _outcome(b"junk", 0) == Unknown()
    assert _outcome(b'{"error":{"code":503,"err_code":10008}}', 0) == Unknown()
