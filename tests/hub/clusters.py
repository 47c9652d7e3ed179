"""Three hubs on loopback, each with a nats-server of its own: one cluster, whose servers can be lost."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from pathlib import Path

import httpx
import msgspec

from tests import loopback
from tests.hub.logs import NAME, FederationLog, admitted
from tests.transport.certificates import self_signed
from tests.transport.hubs import SETAGAYA, SHIBUYA, until
from tomoni import nkey
from tomoni.processes import free_port
from tomoni.secret_files import write_secret
from tomoni.settings import load
from tomoni.transport import Endpoint
from tomoni.transport.subjects import FEDERATION_INBOX, node_inbox
from tomoni_federation.hub.initialise import Place, initialise_hub
from tomoni_federation.hub.nats_server import ServerError
from tomoni_federation.hub.process import Hub
from tomoni_federation.hub.settings import HubSettings

CODES = (SHIBUYA, SETAGAYA)


class Cluster:
    """The three hosts; `hubs` holds those that run, by number."""

    def __init__(self, folder: Path, *, certificates: bool = False) -> None:
        self.folder = folder
        self.log = FederationLog()
        self.seeds = {SHIBUYA: nkey.generate_seed()}
        self.log.entries.append(admitted(SHIBUYA, nkey.public_nkey(self.seeds[SHIBUYA])))
        self._federation = nkey.generate_seed()
        self._routes = tuple(f"127.0.0.1:{free_port()}" for _ in range(3))
        self._clients = [free_port() for _ in range(3)]
        folder.mkdir(parents=True)
        write_secret(folder / "routes.secret", secrets.token_hex(32).encode())
        self._certificates = [certificate(folder, f"hub-{number}") for number in range(3)] if certificates else []
        authority = b"".join(one["certificate"].read_bytes() for one in self._certificates)
        (folder / "authority.crt").write_bytes(authority)
        self._running: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        self.hubs: dict[int, Hub] = {}

    async def __aenter__(self) -> "Cluster":
        for number in range(3):
            await self.start(number)
        return self

    async def __aexit__(self, *_: object) -> None:
        for number in list(self._running):
            await self.stop(number)

    def settings(self, number: int) -> HubSettings:
        folder = self.folder / f"host-{number}"
        if not (folder / "hub.toml").exists():
            initialise_hub(
                folder,
                federation=NAME,
                log_url="http://127.0.0.1:1/log",
                verifier_key=self.log.verifier.vkey,
                port=self._clients[number],
                federation_key=nkey.public_nkey(self._federation),
                place=self._place(number),
            )
        variables = {"TOMONI_LOG__EVERY_SECONDS": "0.1"}
        if self._certificates:
            files = self._certificates[number] | {"authority": self.folder / "authority.crt"}
            variables |= {f"TOMONI_CLUSTER__{name.upper()}": str(file) for name, file in files.items()}
        return load(HubSettings, folder / "hub.toml", environment=variables)

    def _place(self, number: int) -> Place:
        return Place(
            server=f"hub-{number}",
            host="127.0.0.1",
            port=int(self._routes[number].rpartition(":")[2]),
            routes=self._routes,
            secret_file=self.folder / "routes.secret",
        )

    async def start(self, number: int, settings: HubSettings | None = None) -> None:
        """Run one hub; return when its server runs, whatever the others do."""
        hub = Hub(settings or self.settings(number), CODES, self.log.fetch)
        up, leave = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with hub.running():
                up.set()
                await leave.wait()

        task = asyncio.create_task(run())
        waiting = asyncio.create_task(up.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            await task
        self._running[number] = (leave, task)
        self.hubs[number] = hub

    async def stop(self, number: int) -> None:
        leave, task = self._running.pop(number)
        self.hubs.pop(number)
        leave.set()
        await task

    async def kill(self, number: int) -> None:
        """End a server as a power cut would, and its hub with it."""
        os.kill(self.hubs[number].server.pid, signal.SIGKILL)
        await self.stop(number)

    def lose_disk(self, number: int) -> None:
        """Leave of a host what stands in its settings and keys."""
        shutil.rmtree(self.settings(number).folder)

    async def ready(self) -> None:
        """Wait until every hub that runs says so."""
        for hub in self.hubs.values():
            await until(lambda hub=hub: is_ready(hub))

    async def leader(self) -> int:
        """Return the number of the server that leads the stream EVENTS."""
        found: list[str] = []

        async def look() -> bool:
            found[:] = await leaders(next(iter(self.hubs.values())))
            return bool(found)

        await until(look)
        return int(found[0].removeprefix("hub-"))

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"nats://127.0.0.1:{port}" for port in self._clients)

    @property
    def url(self) -> str:
        return self.urls[0]

    def federation_endpoint(self) -> Endpoint:
        return Endpoint(servers=self.urls, name="federation", seed=self._federation, inbox=FEDERATION_INBOX)

    def node_endpoint(self, *numbers: int) -> Endpoint:
        servers = tuple(self.urls[number] for number in numbers or range(3))
        return Endpoint(servers=servers, name="node", seed=self.seeds[SHIBUYA], inbox=node_inbox(SHIBUYA))


def certificate(folder: Path, name: str) -> dict[str, Path]:
    """Make a certificate that signs itself, as operators are told to, and return the settings that name it."""
    made, key = self_signed(folder, name)
    return {"certificate": made, "key": key}


async def is_ready(hub: Hub) -> bool:
    """Tell whether all that `/health/ready` looks at is well."""
    try:
        await hub.server.require_healthy()
        await hub.require_streams()
        await hub.require_applied()
    except ServerError:
        return False
    return True


async def leaders(hub: Hub) -> list[str]:
    """Return who leads EVENTS as one server knows it: one name or none."""
    with contextlib.suppress(httpx.HTTPError):
        async with loopback.client() as http:
            answer = await http.get(f"http://127.0.0.1:{hub.ports.monitor}/jsz?accounts=true&streams=true")
        accounts = msgspec.json.decode(answer.content).get("account_details") or []
        streams = [stream for account in accounts for stream in account.get("stream_detail") or []]
        found = [stream["cluster"].get("leader") for stream in streams if stream["name"] == "EVENTS"]
        return [leader for leader in found if leader]
    return []
