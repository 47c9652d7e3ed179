"""A whole hub inside one folder, without a federation's log behind it: for tests, benchmarks and tours.

It runs the server that `tomoni hub` runs, with the same configuration and the same streams; only who is admitted
is said by the caller.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from tomoni import nkey
from tomoni.transport import Connection, Endpoint
from tomoni.transport.provision import StreamLimits, provision
from tomoni.transport.subjects import FEDERATION_INBOX, PROVISIONER_INBOX, node_inbox
from tomoni_federation.hub.binary import verified_binary
from tomoni_federation.hub.configuration import Listening, ServiceKeys, Storage, render
from tomoni_federation.hub.files import write_atomically
from tomoni_federation.hub.nats_server import NatsServer
from tomoni_federation.hub.ports import kept_ports


class EmbeddedNats:
    """An async context manager: a nats-server with accounts for `codes`, all of them admitted at the start."""

    def __init__(self, folder: Path, codes: Iterable[str], limits: StreamLimits | None = None) -> None:
        self.folder = folder
        self.codes = sorted(codes)
        self.limits = limits or StreamLimits()
        self.seeds = {code: nkey.generate_seed() for code in self.codes}
        self.users = {code: nkey.public_nkey(seed) for code, seed in self.seeds.items()}
        self._system = nkey.generate_seed()
        self._provisioner = nkey.generate_seed()
        self._federation = nkey.generate_seed()
        folder.mkdir(parents=True, exist_ok=True)
        self._ports = kept_ports(folder, 0)
        self.configuration = folder / "nats-server.conf"
        self.server = NatsServer(verified_binary(), self.configuration, folder / "nats-server.log", self._ports.monitor)

    async def __aenter__(self) -> Self:
        self.write_configuration()
        await self.server.start()
        await self.provision()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()

    @property
    def port(self) -> int:
        """The port for clients."""
        return self._ports.clients

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://127.0.0.1:{self.port}"

    def write_configuration(self) -> str:
        """Write the configuration of the users as they are now; the server takes it at its start or by reload."""
        text = render(
            "embedded",
            Listening(host="127.0.0.1", port=self._ports.clients, monitor_port=self._ports.monitor),
            Storage(folder=self.folder, max_bytes=2_000_000_000),
            ServiceKeys(
                system=nkey.public_nkey(self._system),
                provisioner=nkey.public_nkey(self._provisioner),
                federation=nkey.public_nkey(self._federation),
            ),
            self.codes,
            {code: (key,) for code, key in self.users.items()},
        )
        write_atomically(self.configuration, text.encode())
        return text

    async def provision(self) -> None:
        """Make the streams and consumers that are missing."""
        async with Connection(self.provisioner_endpoint()) as connection:
            await connection.wait_connected(10)
            await provision(connection, self.limits)

    def node_endpoint(self, code: str, url: str | None = None) -> Endpoint:
        """Return how a node connects."""
        return Endpoint(servers=(url or self.url,), name=f"node {code}", seed=self.seeds[code], inbox=node_inbox(code))

    def federation_endpoint(self, url: str | None = None) -> Endpoint:
        """Return how the federation connects."""
        return Endpoint(servers=(url or self.url,), name="federation", seed=self._federation, inbox=FEDERATION_INBOX)

    def provisioner_endpoint(self) -> Endpoint:
        """Return how the provisioner connects."""
        return Endpoint(servers=(self.url,), name="provisioner", seed=self._provisioner, inbox=PROVISIONER_INBOX)
