"""Three hubs hold the streams together: what is lost with one of them, and what comes back by itself."""

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest

from tests.hub.clusters import Cluster, certificate, is_ready
from tests.hub.logs import NAME, FederationLog, new_key, suspended
from tests.relay.nodes import Mirror, Node, mirroring, opened, relaying
from tests.transport.hubs import SHIBUYA, eventually, until
from tomoni.secret_files import write_secret
from tomoni.settings import SettingsError, load
from tomoni.transport import (
    Committed,
    Connection,
    Kind,
    LastMessage,
    LostDeliveryError,
    Outgoing,
    PullConsumer,
    RawMessage,
    TransportError,
    events_subject,
    last_message,
    publish_one,
)
from tomoni.transport.subjects import EVENTS, INTAKE
from tomoni_federation.hub.initialise import Place, initialise_hub
from tomoni_federation.hub.nats_server import ServerError
from tomoni_federation.hub.process import Hub
from tomoni_federation.hub.settings import HubSettings, check

SUBJECT = events_subject(SHIBUYA)
QUIET = 5.0
"""Seconds without a message after which a stream has given all it has."""


@pytest.fixture
async def town(database):
    async with opened(database) as node:
        yield node


@pytest.fixture
async def cluster(tmp_path):
    async with Cluster(tmp_path / "cluster") as running:
        yield running


def settings_of(town: Node, cluster: Cluster):
    settings = town.settings(cluster)  # type: ignore[arg-type]
    return msgspec.structs.replace(settings, hub=msgspec.structs.replace(settings.hub, servers=cluster.urls))


async def read_from_the_beginning(cluster: Cluster) -> list[RawMessage]:
    """Return all of EVENTS as the federation gets it: from the beginning again where a delivery was lost."""
    while True:
        with contextlib.suppress(LostDeliveryError):  # to the pull of whoever read before us
            return await _read_what_comes(cluster)


async def _read_what_comes(cluster: Cluster) -> list[RawMessage]:
    found: list[RawMessage] = []
    async with (
        Connection(cluster.federation_endpoint()) as connection,
        PullConsumer(connection, EVENTS, INTAKE).open() as consumer,
    ):
        await connection.wait_connected(30)
        await consumer.align("another")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET) as quiet, contextlib.aclosing(consumer.batches()) as batches:
                async for messages in batches:
                    found += messages
                    quiet.reschedule(asyncio.get_running_loop().time() + QUIET)
    return found


async def append_until(enough: asyncio.Event, town: Node) -> None:
    while not enough.is_set():
        await town.append(20)
        await asyncio.sleep(0.02)


async def more_proven(mirror: Mirror, town: Node) -> None:
    """Wait until what is written after now has arrived."""
    written = len(town.entries)
    await eventually(lambda: len(mirror.proven) > written, 60)


@pytest.mark.slow
async def test_killing_the_leader_again_and_again_leaves_every_entry_once_and_in_order(cluster, town):
    await cluster.ready()
    async with mirroring(cluster, town) as mirror, relaying(settings_of(town, cluster)):
        enough = asyncio.Event()
        writing = asyncio.create_task(append_until(enough, town))
        for _ in range(3):
            await more_proven(mirror, town)
            killed = await cluster.leader()
            await cluster.kill(killed)
            await more_proven(mirror, town)
            await cluster.start(killed)
            await cluster.ready()
        enough.set()
        await writing
        await eventually(lambda: len(mirror.proven) == len(town.entries), 60)
    assert mirror.proven == town.entries
    assert [one.data for one in await read_from_the_beginning(cluster) if one.kind is Kind.ENTRY] == town.entries


@pytest.mark.slow
async def test_one_host_may_be_lost_and_replaced_and_with_two_nothing_is_stored(cluster):
    await cluster.ready()
    async with Connection(cluster.node_endpoint(0)) as connection:
        await connection.wait_connected(10)
        assert await stored_by(connection, 0)
        await cluster.kill(1)
        assert await stored_by(connection, 1)
        cluster.lose_disk(1)
        await cluster.start(1)
        await cluster.ready()

        await cluster.kill(2)  # what is stored from here on stands on the replaced host, too
        assert await stored_by(connection, 2)
        await cluster.kill(1)
        (alone,) = cluster.hubs.values()
        await until(lambda: is_not_ready(alone))
        assert not isinstance(await publish_one(connection, SUBJECT, Outgoing(b"3", {}), 3, timeout=3), Committed)

        cluster.log.entries.append(suspended(SHIBUYA))  # access changes all the same
        await eventually(lambda: not connection.is_connected)


async def stored_by(connection: Connection, expected: int) -> bool:
    """Publish after the message of a number until an election has passed; tell whether it stands there."""
    found: list[LastMessage | None] = []

    async def publish() -> bool:
        with contextlib.suppress(TransportError):
            await publish_one(connection, SUBJECT, Outgoing(b"%d" % expected, {}), expected, timeout=2)
            found[:] = [await last_message(connection, EVENTS, SUBJECT, timeout=2)]
        return bool(found and found[0] and found[0].sequence > expected)

    await until(publish)
    return [(one.sequence, one.data) for one in found if one] == [(expected + 1, b"%d" % expected)]


async def is_not_ready(hub: Hub) -> bool:
    return not await is_ready(hub)


async def test_a_server_that_starts_alone_waits_for_the_others_and_says_so(tmp_path):
    cluster = Cluster(tmp_path / "cluster")
    await cluster.start(0)
    try:
        hub = cluster.hubs[0]
        with pytest.raises(ServerError):
            await hub.server.require_healthy()
        with pytest.raises(ServerError, match="streams"):
            await hub.require_streams()
        await cluster.start(1)
        await cluster.start(2)
        await cluster.ready()
    finally:
        await cluster.__aexit__()


async def test_a_server_without_the_secret_is_let_in_by_nobody(cluster, tmp_path):
    await cluster.ready()
    write_secret(tmp_path / "other.secret", b"x" * 40)
    settings = cluster.settings(2)
    await cluster.stop(2)
    assert settings.cluster is not None
    other = msgspec.structs.replace(settings.cluster, secret_file=tmp_path / "other.secret")
    await cluster.start(2, msgspec.structs.replace(settings, cluster=other))
    with pytest.raises(ServerError):
        await cluster.hubs[2].server.require_healthy()
    log = (settings.folder / "nats-server.log").read_text()
    assert "x" * 40 not in log
    await eventually(lambda: "uthorization" in (settings.folder / "nats-server.log").read_text())


async def test_the_routes_take_certificates_on_both_sides(tmp_path):
    cluster = Cluster(tmp_path / "cluster", certificates=True)
    async with cluster:
        await cluster.ready()
        assert "tls {" in (cluster.settings(0).folder / "nats-server.conf").read_text()
        await cluster.stop(2)
        settings = cluster.settings(2)
        stranger = msgspec.structs.replace(settings.cluster, **certificate(tmp_path, "stranger"))
        await cluster.start(2, msgspec.structs.replace(settings, cluster=stranger))
        with pytest.raises(ServerError):
            await cluster.hubs[2].server.require_healthy()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"routes": ("127.0.0.1:1", "127.0.0.1:2")}, "all 3 servers"),
        ({"routes": ("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:2")}, "all 3 servers"),
        ({"routes": ("127.0.0.1:1", "127.0.0.1:2", "192.0.2.1:3")}, "reachable from outside"),
        ({"host": "0.0.0.0"}, "reachable from outside"),
        ({"key": Path("/x")}, "belong together"),
        ({"secret_file": Path("/nowhere")}, "cannot be read"),
        ({"secret_file": Path("/dev/null")}, "readable by others"),
    ],
)
def test_wrong_settings_of_a_cluster_are_refused_with_a_clear_text(tmp_path, change, text):
    settings = Cluster(tmp_path / "cluster").settings(0)
    with pytest.raises(SettingsError, match=text):
        check(msgspec.structs.replace(settings, cluster=msgspec.structs.replace(settings.cluster, **change)))


@pytest.mark.parametrize("name", ["keys/provisioner.nk", "keys/routes.secret"])
def test_a_secret_of_the_hub_that_others_can_read_is_refused(tmp_path, name):
    """Who reads the one makes streams, who reads the other speaks for any town."""
    place = Place(server="hub-1", routes=("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"))
    options = {"federation": NAME, "log_url": "http://127.0.0.1:1/log", "verifier_key": FederationLog().verifier.vkey}
    file = initialise_hub(tmp_path, **options, place=place, federation_key=new_key())
    (tmp_path / name).chmod(0o640)
    with pytest.raises(SettingsError, match="readable by others"):
        check(load(HubSettings, file))


def test_the_federations_log_is_followed_over_no_open_network(tmp_path):
    key = FederationLog().verifier.vkey
    file = initialise_hub(tmp_path, federation=NAME, log_url="http://tomoni.example/log", verifier_key=key)
    with pytest.raises(SettingsError, match=r"log\.url"):
        check(load(HubSettings, file))


def test_a_hub_of_three_is_made_for_the_federation_of_the_others(tmp_path):
    place = Place(server="hub-1", routes=("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"))
    options = {"federation": NAME, "log_url": "http://127.0.0.1:1/log", "verifier_key": FederationLog().verifier.vkey}
    with pytest.raises(SettingsError, match="same federation"):
        initialise_hub(tmp_path, **options, place=place)
    file = initialise_hub(tmp_path, **options, place=place, federation_key=new_key())
    settings = check(load(HubSettings, file))
    assert settings.cluster is not None
    assert settings.cluster.secret_file == tmp_path / "keys" / "routes.secret"
    assert settings.cluster.secret_file.stat().st_mode & 0o777 == 0o600
