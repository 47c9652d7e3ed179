"""What the transport does when server, network or credentials fail."""

import asyncio

import pytest

from tests.transport.hubs import SETAGAYA, SHIBUYA, Hub, Proxy, entries, eventually, federation, node
from tests.transport.test_publish import stored
from tomoni import nkey
from tomoni.transport import (
    Committed,
    Connection,
    NotConnectedError,
    Outgoing,
    Stale,
    Unknown,
    events_subject,
    last_message,
    publish_batch,
    publish_one,
)
from tomoni.transport.errors import TransportError
from tomoni.transport.subjects import EVENTS

SUBJECT = events_subject(SHIBUYA)


async def publish_all(connection: Connection, messages: list[Outgoing], size: int) -> None:
    """Publish in batches; when unsure, look at the last message and go on from there, as a relay does."""
    position, last = 0, 0
    while position < len(messages):
        try:
            await connection.wait_connected(30)
            outcome = await publish_batch(connection, SUBJECT, messages[position : position + size], last, timeout=3)
            if isinstance(outcome, Committed):
                position, last = position + size, outcome.sequence
                continue
            found = await last_message(connection, EVENTS, SUBJECT, timeout=3)
        except TransportError:
            await asyncio.sleep(0.05)
            continue
        last = found.sequence if found else 0
        position = messages.index(Outgoing(found.data, messages[0].headers)) + 1 if found else 0


def plain(count: int) -> list[Outgoing]:
    return [Outgoing(b"entry %d" % number, {}) for number in range(count)]


async def test_killing_the_server_while_publishing_loses_doubles_and_reorders_nothing(hub):
    messages = plain(8000)
    async with node(hub) as connection:
        publishing = asyncio.create_task(publish_all(connection, messages, 100))
        for _ in range(4):
            await asyncio.sleep(0.3)
            await hub.kill()
            await hub.start()
        await asyncio.wait_for(publishing, 120)
    assert await stored(hub) == [message.data for message in messages]


async def test_a_window_of_publishes_reorders_where_a_chain_does_not(hub):
    """The reason why there is no window: what is retried after a crash arrives behind what was sent later."""
    async with node(hub) as window, node(hub, SETAGAYA) as chain:
        windows, chains = SUBJECT, events_subject(SETAGAYA)
        with hub.paused():
            lost = asyncio.gather(
                publish_one(window, windows, Outgoing(b"first", {}), None, timeout=60),
                publish_one(chain, chains, Outgoing(b"first", {}), 0, timeout=60),
            )
            await asyncio.sleep(0.1)
            await hub.kill()
            assert await lost == [Unknown(), Unknown()]
        await hub.start()
        await window.wait_connected(30)
        await chain.wait_connected(30)
        for message in (b"second", b"first"):
            assert isinstance(await publish_one(window, windows, Outgoing(message, {}), None), Committed)
        assert await publish_one(chain, chains, Outgoing(b"second", {}), 1) == Stale()
        assert isinstance(await publish_one(chain, chains, Outgoing(b"first", {}), 0), Committed)
    assert await stored(hub) == [b"second", b"first"]
    assert await stored(hub, SETAGAYA) == [b"first"]


async def test_a_lost_acknowledgement_is_unknown_and_the_resend_is_refused(hub):
    async with Proxy(hub.port) as proxy, node(hub, url=proxy.url) as connection:
        proxy.swallow_answers = True
        assert await publish_batch(connection, SUBJECT, entries(0, 10), 0, timeout=0.5) == Unknown()
        proxy.swallow_answers = False
        assert await publish_batch(connection, SUBJECT, entries(0, 10), 0) == Stale()
        last = await last_message(connection, EVENTS, SUBJECT)
        assert last is not None
        assert (last.sequence, last.data) == (10, b"entry 9")
        assert await publish_batch(connection, SUBJECT, entries(10, 10), last.sequence) == Committed(20)


async def test_a_server_stopped_under_write_load_goes_on_where_it_was(hub):
    messages = plain(6000)
    async with node(hub) as connection:
        publishing = asyncio.create_task(publish_all(connection, messages, 50))
        for _ in range(3):
            await asyncio.sleep(0.2)
            with hub.paused():
                await asyncio.sleep(4)
        await asyncio.wait_for(publishing, 120)
    assert await stored(hub) == [message.data for message in messages]


async def test_unsent_data_and_a_paused_peer_do_not_hang_the_reconnection(hub):
    """nats-py waits for ever for such a transport to close; the watchdog aborts it."""
    async with Proxy(hub.port) as proxy, node(hub, url=proxy.url) as connection:
        proxy.stall()
        heavy = [Outgoing(b"x" * 60_000, {})] * 200
        assert await publish_batch(connection, SUBJECT, heavy, 0, timeout=0.5) == Unknown()
        client = connection._client
        assert client is not None
        await client._process_op_err(OSError("the network says so"))
        await eventually(lambda: not connection.is_connected)
        await connection.wait_connected(20)
        assert connection._client is client
        assert await publish_batch(connection, SUBJECT, entries(0, 10), 0) == Committed(10)


@pytest.mark.parametrize("attempt", ["fails", "succeeds"])
async def test_whoever_leaves_does_not_come_back_where_a_cancellation_was_swallowed(hub, monkeypatch, attempt):
    """`asyncio.wait_for` of Python 3.11 swallows one that meets the end of what it waits for."""
    trying = asyncio.Event()
    async with node(hub) as connection:
        client = connection._client
        assert client is not None
        connect = client._connect_to_server

        async def swallow(server):
            trying.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if attempt == "fails":
                    raise ConnectionRefusedError from None
                await connect(server)

        monkeypatch.setattr(client, "_connect_to_server", swallow)
        await hub.kill()
        await hub.start()
        await asyncio.wait_for(trying.wait(), 10)
        reconnecting = client._reconnection_task
    assert reconnecting is not None
    done, _ = await asyncio.wait({reconnecting}, timeout=5)
    assert done
    assert client._transport._io_writer.transport.is_closing()


async def test_what_is_subscribed_while_the_hub_is_away_is_heard_afterwards(hub):
    heard = asyncio.Event()
    async with node(hub) as connection:
        await hub.kill()
        await eventually(lambda: not connection.is_connected)
        subject = f"{connection.endpoint.inbox}.later"
        await connection.subscribe(subject, lambda _: heard.set())
        await hub.start()
        await connection.wait_connected(30)
        await connection.publish(SUBJECT, b"x", reply=subject)  # the acknowledgement comes there
        await asyncio.wait_for(heard.wait(), 10)


async def test_a_connection_that_does_not_come_back_is_made_anew(hub, monkeypatch):
    monkeypatch.setattr("tomoni.transport.connection.REBUILD_SECONDS", 1.0)
    async with node(hub) as connection:
        client = connection._client
        assert client is not None
        await hub.kill()
        await eventually(lambda: client._reconnection_task is not None)
        assert client._reconnection_task is not None
        client._reconnection_task.cancel()
        await hub.start()
        await connection.wait_connected(30)
        assert connection._client is not client
        assert await publish_one(connection, SUBJECT, entries(0, 1)[0], 0) == Committed(1)


async def test_a_reconnection_that_is_cancelled_while_the_old_transport_closes_is_made_anew(hub, monkeypatch):
    monkeypatch.setattr("tomoni.transport.connection.REBUILD_SECONDS", 1.0)
    async with node(hub) as connection:
        client = connection._client
        assert client is not None
        await hub.kill()
        while client._reconnection_task is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # it waits for the transport's end, and so will whoever closes the client
        client._reconnection_task.cancel()
        await hub.start()
        await connection.wait_connected(30)
        assert connection._client is not client


async def test_a_hub_that_is_away_at_the_start_is_waited_for(hub):
    await hub.kill()
    async with Connection(hub.node_endpoint(SHIBUYA)) as connection:
        with pytest.raises(NotConnectedError):
            await connection.wait_connected(0.2)
        await hub.start()
        await connection.wait_connected(30)
        assert await publish_one(connection, SUBJECT, entries(0, 1)[0], 0) == Committed(1)


async def test_bad_credentials_are_reported_and_mended_without_a_restart(hub, capsys):
    hub.seeds[SHIBUYA] = nkey.generate_seed()
    async with Connection(hub.node_endpoint(SHIBUYA)) as connection:
        with pytest.raises(NotConnectedError):
            await connection.wait_connected(1)
        assert "hub_refused_credentials" in "".join(capsys.readouterr())
        hub.users[SHIBUYA] = nkey.public_nkey(hub.seeds[SHIBUYA])
        await hub.reload()
        await connection.wait_connected(30)


async def test_a_suspended_user_is_cut_and_a_readmitted_one_comes_back_by_itself(hub):
    admitted = dict(hub.users)
    async with node(hub) as connection, node(hub, SETAGAYA) as other:
        assert await publish_one(connection, SUBJECT, entries(0, 1)[0], 0) == Committed(1)
        del hub.users[SHIBUYA]
        await hub.reload()
        await eventually(lambda: not connection.is_connected)
        with pytest.raises(NotConnectedError):
            await connection.wait_connected(1.5)
        assert await publish_one(other, events_subject(SETAGAYA), entries(0, 1)[0], 0) == Committed(2)
        hub.users = admitted
        await hub.reload()
        await connection.wait_connected(30)
        assert await publish_one(connection, SUBJECT, entries(1, 1)[0], 1) == Committed(3)


async def test_a_rotated_key_replaces_the_old_one(hub):
    old = hub.node_endpoint(SHIBUYA)
    async with Connection(old) as before:
        await before.wait_connected(10)
        hub.seeds[SHIBUYA] = nkey.generate_seed()
        hub.users[SHIBUYA] = nkey.public_nkey(hub.seeds[SHIBUYA])
        await hub.reload()
        await eventually(lambda: not before.is_connected)
        async with node(hub) as after:
            assert await publish_one(after, SUBJECT, entries(0, 1)[0], 0) == Committed(1)
        with pytest.raises(NotConnectedError):
            await before.wait_connected(1.5)


async def test_a_user_admitted_by_reload_publishes_at_once(tmp_path):
    hub = Hub(tmp_path / "hub", (SHIBUYA, SETAGAYA))
    admitted, hub.users = hub.users, {}
    async with hub:
        hub.users = admitted
        await hub.reload()
        async with node(hub) as connection:
            assert await publish_batch(connection, SUBJECT, entries(0, 10), 0) == Committed(10)
            assert await last_message(connection, EVENTS, SUBJECT) is not None


async def test_subscriptions_outlive_the_client_they_were_made_with(hub):
    got: list[bytes] = []
    async with federation(hub) as connection:
        await connection.subscribe("_INBOX.federation.test", lambda message: got.append(message.data))
        await hub.kill()
        await hub.start()
        await eventually(lambda: connection.is_connected and connection.generation > 1)
        await connection.publish(
            "$JS.API.CONSUMER.MSG.NEXT.EVENTS.intake", b'{"no_wait":true}', reply="_INBOX.federation.test"
        )
        await eventually(lambda: bool(got))
        await connection.unsubscribe("_INBOX.federation.test")
    assert got == [b""]


async def test_nothing_secret_stands_in_a_representation_or_a_log_line(hub, capsys):
    async with node(hub) as connection:
        text = repr(connection.endpoint) + repr(connection)
        await hub.kill()
        await eventually(lambda: not connection.is_connected)
        await hub.start()
        await connection.wait_connected(30)
        await publish_one(connection, SUBJECT, Outgoing(b"payload that nobody logs", {}), 0)
    text += "".join(capsys.readouterr()) + (hub.folder / "nats-server.log").read_text()
    assert "hub_connected" in text
    for secret in (*hub.seeds.values(), "payload"):
        assert secret not in text
