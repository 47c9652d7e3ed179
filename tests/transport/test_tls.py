"""TLS 1.3, and nothing without it where the hub can be reached from outside."""

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
