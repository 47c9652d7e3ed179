"""What each user of the hub may not do. Each attack was possible in another topology (docs/decisions/0020)."""

import json
import time

import pytest

from tests.transport.hubs import SETAGAYA, SHIBUYA, entries, eventually, federation, node
from tests.transport.test_publish import stored
from tomoni.transport import (
    Committed,
    Connection,
    DeniedError,
    Message,
    NoAnswerError,
    NoRespondersError,
    Outgoing,
    Refused,
    TransportError,
    events_subject,
    heartbeats_subject,
    last_message,
    publish_batch,
    publish_one,
    receipts_subject,
)
from tomoni.transport.subjects import EVENTS, HEARTBEATS, RECEIPTS

SUBJECT = events_subject(SHIBUYA)
FOREIGN = events_subject(SETAGAYA)


@pytest.mark.parametrize("subject", [FOREIGN, heartbeats_subject(SETAGAYA), receipts_subject(SHIBUYA), "anything"])
async def test_a_node_cannot_publish_on_a_foreign_subject(hub, subject, capsys):
    async with node(hub) as connection:
        assert await publish_one(connection, subject, entries(0, 1)[0], 0) == Refused(403)
    assert "hub_denied_permission" in "".join(capsys.readouterr())
    assert await stored(hub, SETAGAYA) == []


async def test_a_batch_on_a_foreign_subject_is_refused(hub):
    async with node(hub) as connection:
        assert await publish_batch(connection, FOREIGN, entries(0, 5), 0) == Refused(403)
    assert await stored(hub, SETAGAYA) == []


async def test_a_batch_cannot_be_finished_on_a_foreign_subject(hub):
    async with node(hub) as connection:
        await connection.publish(SUBJECT, b"mine", headers={"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1"})
        commit = {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
        with pytest.raises(DeniedError):
            await connection.request(FOREIGN, b"theirs", headers=commit)
    assert await stored(hub) == await stored(hub, SETAGAYA) == []


async def test_a_forged_reply_subject_stores_nothing_under_another_town(hub):
    """In one shared account the server would store the acknowledgement as the other town's event."""
    async with node(hub) as connection, node(hub, SETAGAYA) as setagaya:
        await connection.publish(SUBJECT, b"mine", reply=FOREIGN)
        await connection.publish(heartbeats_subject(SHIBUYA), b"mine", reply=FOREIGN)
        await connection.publish(f"$JS.API.DIRECT.GET.EVENTS.{SUBJECT}", b"", reply=FOREIGN)
        assert await publish_one(connection, SUBJECT, Outgoing(b"second", {}), 1) == Committed(2)
        assert await last_message(setagaya, EVENTS, FOREIGN) is None
    assert await stored(hub) == [b"mine", b"second"]


async def test_the_federation_cannot_forge_an_event_by_a_reply_subject(hub):
    async with node(hub) as setagaya, federation(hub) as connection:
        await publish_one(setagaya, SUBJECT, Outgoing(b"true", {}), 0)
        for subject, data in (
            (receipts_subject(SETAGAYA), b"forged"),
            ("$JS.API.DIRECT.GET.EVENTS", b'{"seq":1}'),
            ("$JS.API.CONSUMER.MSG.NEXT.EVENTS.intake", b'{"batch":1}'),
            ("$JS.API.CONSUMER.RESET.EVENTS.intake", b""),
        ):
            await connection.publish(subject, data, reply=FOREIGN)
        await connection.request("$JS.API.CONSUMER.RESET.EVENTS.intake")
    assert await stored(hub, SETAGAYA) == []
    assert await stored(hub) == [b"true"]


async def test_the_federation_cannot_publish_events(hub):
    async with federation(hub) as connection:
        with pytest.raises(DeniedError):
            await connection.request(SUBJECT, b"forged")


async def test_a_receipt_can_be_read_by_its_own_town_only(hub):
    async with federation(hub) as connection, node(hub) as shibuya, node(hub, SETAGAYA) as setagaya:
        await publish_one(connection, receipts_subject(SHIBUYA), Outgoing(b"receipt", {}), None)
        last = await last_message(shibuya, RECEIPTS, receipts_subject(SHIBUYA))
        assert last is not None
        assert last.data == b"receipt"
        with pytest.raises(DeniedError):
            await last_message(setagaya, RECEIPTS, receipts_subject(SHIBUYA))
        assert await last_message(setagaya, RECEIPTS, receipts_subject(SETAGAYA)) is None


async def test_a_node_reads_when_its_own_heartbeat_was_stored_and_nobody_elses(hub):
    async with node(hub) as shibuya, node(hub, SETAGAYA) as setagaya:
        await publish_one(shibuya, heartbeats_subject(SHIBUYA), Outgoing(b"beat", {}), None)
        last = await last_message(shibuya, HEARTBEATS, heartbeats_subject(SHIBUYA))
        assert last is not None
        assert last.stored_at == pytest.approx(time.time(), abs=60)
        with pytest.raises(DeniedError):
            await last_message(setagaya, HEARTBEATS, heartbeats_subject(SHIBUYA))


async def test_a_node_cannot_read_another_towns_events(hub):
    async with node(hub) as shibuya, node(hub, SETAGAYA) as setagaya:
        await publish_one(setagaya, FOREIGN, Outgoing(b"secret", {}), 0)
        for subject in (f"$JS.API.DIRECT.GET.EVENTS.{FOREIGN}", "$JS.API.DIRECT.GET.EVENTS"):
            with pytest.raises(DeniedError):
                await shibuya.request(subject, b'{"seq":1}')
        answer = await shibuya.request(f"$JS.API.DIRECT.GET.EVENTS.{SUBJECT}", b'{"seq":1}')
        assert b"secret" not in answer.data


@pytest.mark.parametrize("subject", ["registry.events.*", "_INBOX.>", f"_INBOX.{SETAGAYA}.>", ">", "$JS.EVENT.>"])
async def test_a_node_cannot_listen_to_others(hub, subject, capsys):
    heard: list[Message] = []
    async with node(hub) as shibuya, node(hub, SETAGAYA) as setagaya:
        await shibuya.subscribe(subject, heard.append)
        await publish_one(setagaya, FOREIGN, Outgoing(b"secret", {}), 0)
        await last_message(setagaya, EVENTS, FOREIGN)
        await last_message(shibuya, EVENTS, SUBJECT)
    assert [message for message in heard if b"secret" in message.data] == []
    assert "hub_denied_permission" in "".join(capsys.readouterr())


ADMINISTRATION = [
    ("$JS.API.STREAM.UPDATE.EVENTS", {"name": "EVENTS", "subjects": ["registry.events.*"], "max_msgs": 2}),
    ("$JS.API.STREAM.DELETE.EVENTS", {}),
    ("$JS.API.STREAM.PURGE.EVENTS", {}),
    ("$JS.API.STREAM.MSG.DELETE.EVENTS", {"seq": 1}),
    ("$JS.API.STREAM.MSG.GET.EVENTS", {"seq": 1}),
    ("$JS.API.STREAM.SNAPSHOT.EVENTS", {"deliver_subject": "_INBOX.x"}),
    ("$JS.API.CONSUMER.DELETE.EVENTS.intake", {}),
    ("$JS.API.STREAM.CREATE.MINE", {"name": "MINE", "subjects": ["mine"]}),
]


@pytest.mark.parametrize(("subject", "body"), ADMINISTRATION)
async def test_nobody_who_runs_can_shrink_retention_or_delete(hub, subject, body):
    async with node(hub) as connection:
        assert await publish_batch(connection, SUBJECT, entries(0, 5), 0) == Committed(5)
    for endpoint in (hub.node_endpoint(SHIBUYA), hub.federation_endpoint(), hub.provisioner_endpoint()):
        async with Connection(endpoint) as connection:
            await connection.wait_connected(10)
            with pytest.raises((DeniedError, NoRespondersError, NoAnswerError)):
                await connection.request(subject, json.dumps(body).encode(), timeout=1)
    assert len(await stored(hub)) == 5


async def test_creating_a_stream_again_with_less_retention_changes_nothing(hub):
    async with node(hub) as connection:
        await publish_batch(connection, SUBJECT, entries(0, 5), 0)
    async with Connection(hub.provisioner_endpoint()) as provisioner:
        await provisioner.wait_connected(10)
        smaller = {"name": "EVENTS", "subjects": ["registry.events.*"], "max_msgs": 2, "storage": "file"}
        answer = await provisioner.request("$JS.API.STREAM.CREATE.EVENTS", json.dumps(smaller).encode())
    assert json.loads(answer.data)["error"]["err_code"] == 10058
    assert len(await stored(hub)) == 5


async def test_junk_published_with_a_stolen_key_does_not_stop_the_true_events(hub):
    """Who holds the key of a town's transport can write junk after the town's entries, never change or hide them."""
    async with node(hub) as town, node(hub) as thief:
        assert await publish_batch(town, SUBJECT, entries(0, 5), 0) == Committed(5)
        assert await publish_one(thief, SUBJECT, Outgoing(b"junk", {}), None) == Committed(6)
        last = await last_message(town, EVENTS, SUBJECT)
        assert last is not None
        assert last.data == b"junk"
        assert await publish_batch(town, SUBJECT, entries(5, 5), last.sequence) == Committed(11)
    true = [data for data in await stored(hub) if data != b"junk"]
    assert true == [b"entry %d" % number for number in range(10)]


async def test_headers_that_would_purge_or_expire_are_refused(hub):
    async with node(hub) as connection:
        await publish_batch(connection, SUBJECT, entries(0, 5), 0)
        for headers in ({"Nats-Rollup": "sub"}, {"Nats-Rollup": "all"}, {"Nats-TTL": "1s"}):
            outcome = await publish_one(connection, SUBJECT, Outgoing(b"x", headers), None)
            assert isinstance(outcome, Refused), headers
    assert len(await stored(hub)) == 5


async def test_a_message_over_the_limit_is_refused_before_it_is_sent(hub):
    async with node(hub) as connection:
        with pytest.raises(TransportError):
            await publish_one(connection, SUBJECT, Outgoing(b"x" * 65_537, {}), 0)
        assert await publish_one(connection, SUBJECT, Outgoing(b"x" * 60_000, {}), 0) == Committed(1)
        await eventually(lambda: connection.is_connected)
