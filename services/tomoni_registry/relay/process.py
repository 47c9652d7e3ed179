# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""`tomoni registry relay`: the process that carries a node's log to the hub and brings receipts back."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import structlog
from litestar import Litestar
from prometheus_client import Gauge

from tomoni.addresses import require_private_database
from tomoni.database import Pool, create_pool
from tomoni.eventlog.connections import AWAY
from tomoni.eventlog.wakeup import CHECKPOINTS, Wakeup
from tomoni.health import health_routes
from tomoni.problems import exception_handlers
from tomoni.receipt_keys import ReceiptKeys
from tomoni.server import serve
from tomoni.service import refuse_open_http
from tomoni.transport import Connection, TransportError, last_message, receipts_subject
from tomoni.transport.subjects import RECEIPTS
from tomoni_registry.relay.beats import Beats
from tomoni_registry.relay.publisher import Publisher
from tomoni_registry.relay.receipts import NOTHING_YET, Receipt, Receipts
from tomoni_registry.relay.settings import RelaySettings, hub_endpoint, receipt_verifier
from tomoni_registry.relay.source import Source

log = structlog.get_logger()

POLL_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 15.0
MOST_DOUBLINGS: Final = 8
UNRECEIPTED = Gauge("tomoni_relay_unreceipted_entries", "Published entries that the federation has no receipt for")


class Relay:
    """The three loops of a relay over one connection and one pool."""

    def __init__(self, settings: RelaySettings, pool: Pool, connection: Connection) -> None:
        self._settings = settings
        self._pool = pool
        self._connection = connection
        self._source = Source(pool, f"{settings.federation}/{settings.code}")
        keys = ReceiptKeys(settings.federation, [receipt_verifier(settings)])
        self._receipts = Receipts(pool, self._source, settings.code, keys)
        self._receipt = NOTHING_YET
        self.publisher = Publisher(self._source, connection, settings.code, lambda: self._receipt)
        self.beats = Beats(self._source, connection, settings.code)
        self._lag = Lag(settings.lag_seconds)
        self._published = asyncio.Event()

    async def run(self) -> None:
        """Publish, beat and collect receipts, for ever; hub and database may come and go."""
        async with asyncio.TaskGroup() as group:
            for loop in (self._publish, self._collect_receipts, self._beat):
                group.create_task(loop(), name=loop.__name__)

    async def require_database(self) -> None:
        """Raise where the log cannot be read."""
        await self._source.heartbeat()
        await self._receipts.latest()

    async def require_hub(self) -> None:
        """Raise where our own subjects cannot be reached."""
        await last_message(self._connection, RECEIPTS, receipts_subject(self._settings.code))

    async def _publish(self) -> None:
        await self._until_it_works(self._read_receipt)
        async with Wakeup(self._pool, CHECKPOINTS) as wakeup:
            while True:
                await wakeup.listen()
                if await self._attempt(self.publisher.advance):
                    self._published.set()
                else:
                    await wakeup.wait()

    async def _collect_receipts(self) -> None:
        """Look for receipts often while one is owed, and soon after something was published."""
        while True:
            if self._unreceipted():
                await asyncio.sleep(POLL_SECONDS)
            else:
                self._lag.progressed(self._now())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_SECONDS):  # `wait_for` can swallow a cancellation
                        await self._published.wait()
            self._published.clear()
            await self._attempt(self._fetch_receipt)
            if self._unreceipted() and self._lag.is_due(self._now()):
                log.error("receipts_lag", position=self._receipt.size)
                self.publisher.republish("lag")

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(TransportError, *AWAY):
                await self.beats.step()
            await asyncio.sleep(POLL_SECONDS)

    async def _fetch_receipt(self) -> bool:
        receipt = await self._receipts.fetch(self._connection)
        if receipt.size > self._receipt.size:
            self._lag.progressed(self._now())
        self._receipt = receipt
        return True

    async def _read_receipt(self) -> bool:
        self._receipt: Receipt = await self._receipts.latest()
        return True

    def _unreceipted(self) -> bool:
        progress = self.publisher.progress
        count = 0 if progress is None else max(0, progress.position - self._receipt.size)
        UNRECEIPTED.set(count)
        return count > 0

    async def _attempt(self, step: Callable[[], Awaitable[bool]]) -> bool:
        """Do one step; where hub or database are away, wait for them and return False."""
        try:
            await self._connection.wait_connected(POLL_SECONDS)
            return await step()
        except (TransportError, *AWAY) as error:
            log.info("relay_waits", error=type(error).__name__)
            await asyncio.sleep(0.1)
            return False

    async def _until_it_works(self, step: Callable[[], Awaitable[bool]]) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                await step()
                return
            await asyncio.sleep(POLL_SECONDS)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


class Lag:
    """When what was published has waited long enough for its receipt: after a while, then twice as long, and so on.

    Publishing again is cheap for us and costs the hub room, so a federation that is away for weeks gets it rarely.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._times = 0

    def progressed(self, now: float) -> None:
        """Begin anew: a receipt came, or nothing waits for one."""
        self._since, self._times = now, 0

    def is_due(self, now: float) -> bool:
        """Tell whether to publish again now; the next time is then twice as far away."""
        if self._since is None:
            self._since = now
        if now - self._since < self._seconds * 2 ** min(self._times, MOST_DOUBLINGS):
            return False
        self._since, self._times = now, self._times + 1
        return True


async def run_relay(settings: RelaySettings) -> None:
    """Run the relay until SIGTERM; raise SettingsError where it cannot start as configured."""
    refuse_open_http(settings.http)
    require_private_database(settings.database)
    endpoint = hub_endpoint(settings)
    receipt_verifier(settings)
    pool = await create_pool(settings.database, max_size=4)
    connection = Connection(endpoint)
    relay = Relay(settings, pool, connection)

    @contextlib.asynccontextmanager
    async def running(_: Litestar) -> AsyncGenerator[None]:
        async with connection:
            loops = asyncio.create_task(relay.run(), name="relay")
            loops.add_done_callback(_stop_on_failure)
            try:
                yield
            finally:
                loops.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await loops

    app = Litestar(
        route_handlers=health_routes(
            {"database": relay.require_database, "hub": relay.require_hub, "clock": relay.beats.require_right_clock}
        ),
        lifespan=[running],
        exception_handlers=exception_handlers,
        openapi_config=None,
        logging_config=None,  # the framework's own would replace ours
    )
    try:
        await serve(app, settings.http.host, settings.http.port)
    finally:
        await pool.close()


def _stop_on_failure(loops: asyncio.Task[None]) -> None:
    """Drain and end the process when its work has failed for good: a relay that only answers health is none."""
    if not loops.cancelled() and (error := loops.exception()) is not None:
        log.error("relay_failed", error=type(error).__name__)
        signal.raise_signal(signal.SIGTERM)
