"""The loops of intake: pull from the hub, keep and prove, acknowledge, send receipts, project, record evidence, scrub.

Each loop outlives the hub and the database: what broke is tried again after a second, from what the database holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import asyncpg
import structlog
from prometheus_client import Gauge

from tomoni.database import Pool
from tomoni.eventlog.connections import BROKEN
from tomoni.eventlog.errors import EventLogError
from tomoni.transport import (
    Committed,
    Connection,
    Outgoing,
    PullConsumer,
    TransportError,
    publish_one,
    receipts_subject,
)
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import EVENTS, HEARTBEATS, INTAKE
from tomoni_federation.admissions.office import Office
from tomoni_federation.intake import sql
from tomoni_federation.intake.receive import Received, Receiver
from tomoni_federation.mirror.scrub import Scrubber
from tomoni_federation.projections.project import Projector

log = structlog.get_logger()

RETRY_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.1
BATCH: Final = 4_000
"""Messages in one transaction at most; what has arrived is taken, nothing is waited for."""

_SURVIVED = (*BROKEN, asyncpg.PostgresError, TransportError, EventLogError)

FAILING = Gauge("tomoni_federation_loop_failing", "1 while a loop cannot do its work", ["loop"])


class Receipts:
    """Sends receipts to the hub, the newest of each log, until it has them."""

    def __init__(
        self, pool: Pool, connection: Connection, nothing: Callable[[str], bytes], headers: Mapping[str, str]
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._nothing = nothing
        self._headers = headers
        self._waiting: dict[str, bytes] = {}
        self._held: dict[str, bytes | None] = {}
        self._told = asyncio.Event()

    def give(self, code: str, note: bytes) -> None:
        """Send a receipt soon, in the place of an older one; not while a log is held back."""
        if code not in self._held:
            self._waiting[code] = note
            self._told.set()

    async def hold_back(self, older: Mapping[str, bytes | None]) -> None:
        """Send older receipts of these logs (None: for the empty log) and no newer ones, so that relays go back there.

        Logs that are not among them any more get their newest again.
        """
        before, self._held = self._held, dict(older)
        for code, receipt in older.items():
            if code not in before or before[code] != receipt:
                self._waiting[code] = receipt or self._nothing(code)
                self._told.set()
        if ended := sorted(before.keys() - older.keys()):
            for code in ended:
                self._waiting.pop(code, None)
            await self.give_again(ended)

    async def give_again(self, codes: Sequence[str] | None = None) -> None:
        """Send the newest receipts of some logs, or of all: to a hub that may lack them.

        Of those that are named and have none, say that nothing is held: the hub may still have a receipt by the
        database that was lost, and their relays would wait for ever.
        """
        found = {code: note for code, _, note in await self._pool.fetch(sql.LATEST_RECEIPTS, codes)}
        for code in found if codes is None else codes:
            self._waiting.setdefault(code, self._held.get(code, found.get(code)) or self._nothing(code))
        self._told.set()

    async def send(self) -> None:
        """Wait for receipts and send them; raise TransportError where one is not stored.

        Then pause: the next receipt of a busy log stands for those that it replaces meanwhile, and nodes look for
        theirs twice a second.
        """
        await self._told.wait()
        self._told.clear()
        try:
            while self._waiting:
                code, note = next(iter(self._waiting.items()))
                outcome = await publish_one(
                    self._connection, receipts_subject(code), Outgoing(note, dict(self._headers)), None
                )
                if not isinstance(outcome, Committed):
                    raise TransportError("the hub did not store a receipt")
                if self._waiting.get(code) == note:
                    del self._waiting[code]
        finally:
            if self._waiting:
                self._told.set()
        await asyncio.sleep(PAUSE_SECONDS)


class Work:
    """Everything that runs beside the answers; `receipt_headers` tell which keys receipts may be signed by."""

    def __init__(
        self,
        pool: Pool,
        connection: Connection,
        receiver: Receiver,
        projector: Projector,
        office: Office,
        *,
        scrubber: Scrubber,
        receipt_headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._receiver = receiver
        self._projector = projector
        self._office = office
        self._scrubber = scrubber
        self._receipts = Receipts(pool, connection, receiver.nothing, receipt_headers)
        self._evidence = asyncio.Event()

    async def run(self) -> None:
        """Run all loops until cancelled; an error nobody expected ends them, and with them the process."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_for_ever("events", lambda: self._intake(EVENTS, self._take_events)))
            group.create_task(_for_ever("heartbeats", lambda: self._intake(HEARTBEATS, self._receiver.heartbeats)))
            group.create_task(_for_ever("receipts", self._receipts.send))
            group.create_task(_for_ever("project", self._project))
            group.create_task(_for_ever("evidence", self._record))
            group.create_task(_for_ever("scrub", self._scrub))

    async def _intake(self, stream: str, take: Callable[[Sequence[RawMessage]], Awaitable[Received]]) -> None:
        """Take one stream from the hub, over one connection after the other.

        What is taken may be committed although the answer was lost, and then it comes again and changes nothing: so at
        each beginning receipts and evidence are looked for that were never passed on.
        """
        consumer = PullConsumer(self._connection, stream, INTAKE, batch=BATCH)
        await self._connection.wait_connected()
        async with consumer.open():
            await self._align(consumer, stream)
            await self._scrubber.start()
            await self._receipts.hold_back(await self._scrubber.older_receipts())
            await self._receipts.give_again()
            self._evidence.set()
            FAILING.labels(stream.lower()).set(0)
            async for messages in consumer.batches():
                received = await take(messages)
                await consumer.acknowledge(messages[-1])
                await self._pass_on(received)

    async def _take_events(self, messages: Sequence[RawMessage]) -> Received:
        received = await self._receiver.events(messages)
        if await self._scrubber.overhear(messages):
            await self._go_on_after_mending()
        return received

    async def _scrub(self) -> None:
        await self._scrubber.pause()
        await self._scrubber.turn()
        await self._go_on_after_mending()

    async def _go_on_after_mending(self) -> None:
        await self._receipts.hold_back(await self._scrubber.older_receipts())
        self._projector.notify()

    async def _align(self, consumer: PullConsumer, stream: str) -> None:
        known = await self._pool.fetchval("SELECT created FROM mirror.courier WHERE stream = $1", stream)
        found = await consumer.align(known)
        if found != known:
            await self._pool.execute(
                """INSERT INTO mirror.courier (stream, created) VALUES ($1, $2)
                ON CONFLICT (stream) DO UPDATE SET created = excluded.created""",
                stream,
                found,
            )

    async def _pass_on(self, received: Received) -> None:
        for receipt in received.receipts:
            self._receipts.give(receipt.code, receipt.note)
        if received.proven:
            self._projector.notify()
        if received.contradicted:
            self._evidence.set()
        # With a gap a history was taken back: its relay holds a receipt for more, and goes on from there. What comes
        # again is published again by a relay that waits for its receipt, and would do so again and again.
        if again := (*received.gaps, *received.repeats):
            await self._receipts.give_again(again)

    async def _project(self) -> None:
        await self._projector.wait(RETRY_SECONDS)
        changed = True  # where it is interrupted, a part of it may be done
        try:
            changed = await self._projector.catch_up() > 0
        finally:
            if changed:
                self._evidence.set()

    async def _record(self) -> None:
        await self._evidence.wait()
        self._evidence.clear()
        try:
            await self._office.record_evidence()
        except _SURVIVED:
            self._evidence.set()
            raise


async def _for_ever(name: str, step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except _SURVIVED as error:
            FAILING.labels(name).set(1)
            log.warning("loop_interrupted", module=name, error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            FAILING.labels(name).set(0)
