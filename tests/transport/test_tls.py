"""TLS 1.3, and nothing without it where the hub can be reached from outside."""

import asyncio
import ssl

import pytest

from tests.hub.logs import FederationLog, admitted
from tests.hub.test_process import CODE, MESSAGE, pair, settings_for
from tests.transport.certificates import self_signed
from tomoni.transport import (
    Committed,
    Connection,
    Endpoint,
    NotConnectedError,
    events_subject,
    publish_one,
    tls_context,
)
from tomoni.transport.subjects import node_inbox
from tomoni_federation.hub.process import Hub


@pytest.fixture
def certificate(tmp_path):
    self_signed(tmp_path, "hub")
    return tmp_path


async def test_nodes_connect_over_tls_1_3_and_not_without_it_or_with_less(certificate, tmp_path):
    seed, key = pair()
    log = FederationLog([admitted(CODE, key)])
    variables = {
        "TOMONI_NATS__HOST": "0.0.0.0",
        "TOMONI_NATS__CERTIFICATE": str(certificate / "hub.crt"),
        "TOMONI_NATS__KEY": str(certificate / "hub.key"),
    }
    hub = Hub(settings_for(log, tmp_path / "hub", **variables), [CODE], log.fetch)

    def endpoint(tls: ssl.SSLContext) -> Endpoint:
        servers = (f"tls://127.0.0.1:{hub.ports.clients}",)
        return Endpoint(servers=servers, name=CODE, seed=seed, inbox=node_inbox(CODE), tls=tls)

    old = ssl.create_default_context(cafile=str(certificate / "hub.crt"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    stranger = tls_context(None)
    async with hub.running():
        for refused in (old, stranger):
            async with Connection(endpoint(refused)) as connection:
                with pytest.raises(NotConnectedError):
                    await connection.wait_connected(1.5)
        async with Connection(endpoint(tls_context(str(certificate / "hub.crt")))) as connection:
            await connection.wait_connected(20)
            assert await publish_one(connection, events_subject(CODE), MESSAGE, 0) == Committed(1)


async def test_nothing_is_said_to_a_hub_that_claims_to_have_no_tls():
    """A hub's first words are in the clear, so anybody on the way can say so; nats-py believes it."""
    said: asyncio.Queue[bytes] = asyncio.Queue()

    async def somebody(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":65536,"nonce":"bm9uY2U"}\r\n')
        said.put_nowait(await reader.read(1_000))
        writer.close()

    server = await asyncio.start_server(somebody, "127.0.0.1", 0)
    servers = (f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}",)
    endpoint = Endpoint(servers=servers, name=CODE, seed=pair()[0], inbox=node_inbox(CODE), tls=tls_context(None))
    async with server, Connection(endpoint):
        assert await said.get() == b""
