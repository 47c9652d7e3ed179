# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""`tomoni hub`: one nats-server, its configuration from the federation's log, its streams, its restarts."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, Generator, Iterable
from pathlib import Path

import httpx
import structlog
from litestar import Litestar
from prometheus_client import Counter, Gauge

from tomoni import nkey
from tomoni.health import health_routes
from tomoni.problems import exception_handlers
from tomoni.secret_files import read_secret
from tomoni.server import serve
from tomoni.settings import SettingsError
from tomoni.transport import Connection, Endpoint, TransportError, pinned_tls_context
from tomoni.transport.provision import StreamLimits, provision
from tomoni.transport.subjects import PROVISIONER_INBOX
from tomoni_federation.hub import settings as hub_settings
from tomoni_federation.hub.binary import BinaryError, verified_binary
from tomoni_federation.hub.configuration import Cluster, Listening, ServiceKeys, Storage, render
from tomoni_federation.hub.files import write_atomically
from tomoni_federation.hub.follower import Fetch, Follower, LogError
from tomoni_federation.hub.members import FoldError, Users
from tomoni_federation.hub.nats_server import NatsServer, ServerError
from tomoni_federation.hub.ports import kept_ports
from tomoni_federation.hub.settings import HubSettings

log = structlog.get_logger()

ADMITTED = Gauge("tomoni_hub_admitted", "Jurisdictions with a user on the hub")
LOG_SIZE = Gauge("tomoni_hub_log_size", "Proven size of the federation's log as followed")
FOLLOWED = Gauge("tomoni_hub_log_followed_timestamp_seconds", "When the federation's log was last found proven")
RESTARTS = Counter("tomoni_hub_server_restarts_total", "Restarts of a nats-server that ended by itself")
RELOADS = Counter("tomoni_hub_reloads_total", "Reloads of the nats-server's configuration", ["outcome"])

PROVISION_SECONDS = 1.0
RESERVED_BYTES = 200_000_000
"""Of the store: the two small streams, and room for the server's own files."""


class Hub:
    """The parts of a hub, wired: what it follows, what it writes, what it runs."""

    def __init__(self, settings: HubSettings, codes: Iterable[str], fetch: Fetch) -> None:
        self._settings = hub_settings.check(settings)
        self._codes = frozenset(codes)
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ports = kept_ports(settings.folder, settings.nats.port)
        self._configuration = settings.folder / "nats-server.conf"
        self.server = NatsServer(
            verified_binary(settings.nats.binary, settings.nats.binary_sha256),
            self._configuration,
            settings.folder / "nats-server.log",
            self.ports.monitor,
            clustered=settings.cluster is not None,
        )
        origin = f"{settings.federation}/federation"
        verifier = hub_settings.federation_verifier(settings)
        self.follower = Follower(origin, verifier, fetch, settings.folder / "followed.json")
        self._applied: Users | None = None
        self._halted = False
        self._streams_due = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run server and follower while in the context; raise SettingsError where they cannot start as configured."""
        with _only_one(self._settings.folder):
            try:
                await self._start()
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self.server.supervise(self._after_restart), name="supervise"),
                        group.create_task(self.server.end_when_stuck(), name="end when stuck"),
                        group.create_task(self._keep_following(), name="follow"),
                        group.create_task(self._keep_provisioned(), name="provision"),
                    ]
                    yield
                    for task in tasks:
                        task.cancel()
            finally:
                await self.server.close()

    async def _start(self) -> None:
        await self.follow()
        try:
            await self._apply()
            if self._settings.cluster is None:
                await self._provision()
            else:
                self._streams_due.set()  # the other servers may be started later
        except (ServerError, TransportError) as error:
            raise SettingsError(f"the hub cannot start: {error}") from error

    async def follow(self) -> None:
        """Take what is new in the federation's log; what cannot be believed or had changes nothing."""
        try:
            await self.follower.advance()
        except (LogError, FoldError) as error:
            self._halted = True
            log.error("federation_log_not_followed", error=type(error).__name__, position=self.follower.followed.size)
        except OSError as error:
            log.warning("federation_unreachable", error=type(error).__name__)
        else:
            self._halted = False
            FOLLOWED.set_to_current_time()
        LOG_SIZE.set(self.follower.followed.size)

    async def require_followed(self) -> None:
        """Raise LogError while the federation's log contradicts itself or cannot be interpreted."""
        if self._halted:
            raise LogError("the federation's log cannot be followed")

    async def require_applied(self) -> None:
        """Raise ServerError while the server does not run with the users that the log names."""
        if self._applied != self.follower.followed.users:
            raise ServerError("the newest configuration is not in force")

    async def require_streams(self) -> None:
        """Raise ServerError until the streams were found or made as the settings want them, since the last start."""
        if self._streams_due.is_set():
            raise ServerError("the streams are not there as configured")

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(self._settings.log.every_seconds)
            await self.follow()
            if self._applied != self.follower.followed.users:
                try:
                    await self._apply()
                except (ServerError, OSError):  # a full disk too: whoever is connected stays so, and it is tried again
                    RELOADS.labels("failed").inc()
                    log.exception("configuration_not_applied")

    async def _apply(self) -> None:
        """Write the configuration of the users as followed, and make the server take it."""
        users = self.follower.followed.users
        write_atomically(self._configuration, self._render(users).encode())
        if self._applied is None:
            await self.server.start()
        else:
            await self.server.reload()
            RELOADS.labels("applied").inc()
        self._applied = users
        ADMITTED.set(len(users))
        log.info("configuration_applied", count=len(users))

    def _render(self, users: Users) -> str:
        nats, keys = self._settings.nats, self._settings.keys
        services = ServiceKeys(
            system=keys.system,
            federation=keys.federation,
            provisioner=nkey.public_nkey(hub_settings.provisioner_seed(self._settings)),
        )
        reserved = {services.system, services.federation, services.provisioner}
        listening = Listening(
            host=nats.host,
            port=self.ports.clients,
            monitor_port=self.ports.monitor,
            certificate=nats.certificate,
            key=nats.key,
            cluster=self._cluster(),
        )
        towns = {code: [key for key in keys if key not in reserved] for code, keys in users.items()}
        storage = Storage(folder=self._settings.folder, max_bytes=nats.max_bytes)
        return render(self._settings.federation, listening, storage, services, self._codes, towns)

    def _cluster(self) -> Cluster | None:
        cluster = self._settings.cluster
        return cluster and Cluster(
            server=cluster.server,
            host=cluster.host,
            port=cluster.port,
            routes=cluster.routes,
            secret=hub_settings.route_secret(cluster),
            certificate=cluster.certificate,
            key=cluster.key,
            authority=cluster.authority,
        )

    async def _provision(self) -> None:
        """Make the streams, as the only user who may, and leave."""
        nats = self._settings.nats
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(nats.host, nats.host)  # noqa: S104  # listening everywhere
        endpoint = Endpoint(
            servers=(f"nats://{host}:{self.ports.clients}",),
            name="provisioner",
            seed=hub_settings.provisioner_seed(self._settings),
            inbox=PROVISIONER_INBOX,
            tls=None if nats.certificate is None else pinned_tls_context(nats.certificate),
        )
        limits = StreamLimits(
            events_bytes=nats.max_bytes - RESERVED_BYTES,
            messages_per_jurisdiction=nats.messages_per_jurisdiction,
            replicas=1 if self._settings.cluster is None else hub_settings.SERVERS,
        )
        async with Connection(endpoint) as connection:
            await connection.wait_connected(20)
            await provision(connection, limits)

    async def _after_restart(self) -> None:
        """Make the streams again where a lost disk took them; nodes refill them from their last receipts."""
        RESTARTS.inc()
        self._streams_due.set()

    async def _keep_provisioned(self) -> None:
        """Make the streams when they are due, again until it works: a cluster without a majority can make none."""
        while True:
            await self._streams_due.wait()
            try:
                await self._provision()
            except TransportError as error:
                log.error("streams_not_provisioned", error=type(error).__name__)
                await asyncio.sleep(PROVISION_SECONDS)
            else:
                self._streams_due.clear()


async def run_hub(settings: HubSettings, codes: Iterable[str]) -> None:
    """Run the hub until SIGTERM; raise SettingsError where it cannot start as configured."""
    base = settings.log.url.rstrip("/") + "/"
    async with httpx.AsyncClient(base_url=base, timeout=10, trust_env=False) as client:

        async def fetch(path: str) -> bytes:
            authorization = _authorization(settings.log.token_file)
            try:
                answer = await client.get(path, headers=authorization)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise OSError("the federation's log cannot be fetched") from error
            return answer.content

        try:
            hub = Hub(settings, codes, fetch)
        except (BinaryError, LogError) as error:
            raise SettingsError(str(error)) from error
        app = Litestar(
            route_handlers=health_routes(
                {
                    "nats": hub.server.require_healthy,
                    "streams": hub.require_streams,
                    "configuration": hub.require_applied,
                    "log": hub.require_followed,
                }
            ),
            lifespan=[lambda _: hub.running()],
            exception_handlers=exception_handlers,
            openapi_config=None,
            logging_config=None,  # the framework's own would replace ours
        )
        await serve(app, settings.http.host, settings.http.port)


def _authorization(token_file: Path | None) -> dict[str, str]:
    """Return the header with the token as it is in its file now, so that it can be renewed without a restart."""
    if token_file is None:
        return {}
    try:
        return {"Authorization": f"Bearer {read_secret(token_file).decode('ascii').strip()}"}
    except ValueError as error:
        raise OSError("the token file cannot be used") from error


@contextlib.contextmanager
def _only_one(folder: Path) -> Generator[None]:
    """Hold the folder: two servers on one store would destroy it."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SettingsError(f"another hub runs in {folder}") from error
    finally:
        os.close(lock)
