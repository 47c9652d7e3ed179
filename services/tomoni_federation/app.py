# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""The federation's application, and the one place where its parts are put together."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import asyncpg
import structlog
from litestar import Litestar
from litestar.datastructures import State

from tomoni import times
from tomoni.auth import TokenVerifier, bearer_middleware, requires
from tomoni.eventlog import Sequencer
from tomoni.eventlog.connections import BROKEN
from tomoni.eventlog.errors import EventLogError
from tomoni.eventlog.lastword import LastWord
from tomoni.eventlog.publisher import CheckpointPublisher
from tomoni.eventlog.routes import log_routes
from tomoni.headers import close_answer
from tomoni.health import health_routes
from tomoni.receipt_keys import to_header
from tomoni.request import PlainRequest
from tomoni.server import END_STREAMS
from tomoni.service import AccessDescription, describe, exception_handlers, open_pool, open_token_verifier
from tomoni.transport import Connection, Endpoint, tls_for
from tomoni.transport.subjects import FEDERATION_INBOX
from tomoni_federation.admissions.api import admission_routes
from tomoni_federation.admissions.office import Office
from tomoni_federation.auditing.api import read_model_routes
from tomoni_federation.completeness.api import completeness_routes
from tomoni_federation.intake.receive import Receiver
from tomoni_federation.intake.work import Work
from tomoni_federation.interface import MAX_BODY_BYTES, Answering
from tomoni_federation.limits import LookupLimit
from tomoni_federation.mirror.api import mirror_routes
from tomoni_federation.mirror.damages import damage_routes
from tomoni_federation.mirror.evidence_api import evidence_routes
from tomoni_federation.mirror.health import require_proof
from tomoni_federation.mirror.scrub import Scrubber
from tomoni_federation.mirror.tail import tail_routes
from tomoni_federation.own_keys.log_key import open_log_keys
from tomoni_federation.own_keys.receipt_key import open_cosigner, read_rotations
from tomoni_federation.projections.project import Projector
from tomoni_federation.recognition.api import recognition_routes
from tomoni_federation.recognition.batch import recognition_batch
from tomoni_federation.settings import FederationSettings, load_keys
from tomoni_federation.statements.api import statement_routes
from tomoni_federation.statements.keys import open_signer
from tomoni_federation.statistics.api import statistics_routes
from tomoni_federation.statistics.publish import Publisher
from tomoni_federation.status.api import status_routes
from tomoni_federation.status.batch import status_batch
from tomoni_federation.status.query import Gatherer
from tomoni_federation.watches.api import watch_routes
from tomoni_federation.watches.feed import Watching, open_watching
from tomoni_federation.watches.settling import Settler

log = structlog.get_logger()


def create_app(
    answering: Answering, office: Office, verifier: TokenVerifier, federation: str, watching: Watching
) -> Litestar:
    """Return the application that answers questions and takes the secretariat's commands."""
    pool = answering.pool

    async def require_write() -> None:
        """Write a row: reading may work on a disk that is full or a server that is a replica."""
        await pool.execute(
            "INSERT INTO mirror.pulse (at) VALUES (now()) ON CONFLICT (one) DO UPDATE SET at = excluded.at"
        )

    async def require_proven() -> None:
        """Prove one log anew."""
        await require_proof(pool, federation)

    return Litestar(
        route_handlers=[
            status_routes(answering),
            status_batch(answering),
            recognition_routes(answering),
            recognition_batch(answering),
            statement_routes(answering.statements),
            watch_routes(answering, watching.register, watching.feed),
            admission_routes(office, answering, federation),
            tail_routes(pool),
            completeness_routes(answering),
            mirror_routes(pool),
            read_model_routes(answering),
            damage_routes(pool),
            evidence_routes(pool),
            statistics_routes(answering),
            *log_routes(pool, requires("auditor", "witness", "secretariat")),
            *health_routes({"write": require_write, "proof": require_proven}),
        ],
        middleware=[bearer_middleware(verifier)],
        before_send=[close_answer],
        plugins=[AccessDescription()],
        exception_handlers=exception_handlers,
        logging_config=None,  # its own would replace ours, and write the texts of exceptions
        openapi_config=describe(
            "Tomoni federation",
            "Status and recognition of partnership certificates across jurisdictions, and who takes part.",
        ),
        request_max_body_size=MAX_BODY_BYTES,
        request_class=PlainRequest,
        state=State({END_STREAMS: watching.feed.close}),
    )


@asynccontextmanager
async def open_federation(settings: FederationSettings) -> AsyncGenerator[Litestar]:
    """Put the federation together, its loops running, and give its application.

    Raises SettingsError where a file or the database is wrong, SigningRefused where its own log must not go on.
    """
    keys = load_keys(settings)
    verifier = open_token_verifier(settings.tokens, settings.folder)
    signer = open_signer(settings.federation, settings.files.statement_keys)
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.database)
        stack.push_async_callback(pool.close)
        sequencer = await stack.enter_async_context(Sequencer(pool))
        rotations = await read_rotations(pool)
        cosigner = open_cosigner(settings, rotations)
        log_keys = await open_log_keys(settings, pool)
        publisher = CheckpointPublisher(
            pool, settings.origin, log_keys, keys.heartbeat, LastWord(settings.files.last_word)
        )
        await publisher.check()
        office = Office(pool, sequencer, settings.federation)
        connection = await stack.enter_async_context(Connection(_endpoint(settings, keys.seed)))
        receiver = Receiver(pool, settings.federation, cosigner)
        projector = Projector(pool, settings.federation)
        scrubber = Scrubber(pool, settings.federation, settings.mirror.scrub_seconds)
        headers = to_header(rotations)
        work = Work(pool, connection, receiver, projector, office, scrubber=scrubber, receipt_headers=headers)
        answering = Answering(
            pool=pool,
            gatherer=Gatherer(pool),
            limit=LookupLimit(settings.limits.lookups_per_minute),
            purposes={name: timedelta(seconds=seconds) for name, seconds in settings.purposes.items()},
            clock=times.now,
            statements=signer,
        )
        statistics = Publisher(pool, settings.statistics.threshold)
        await statistics.check()
        watching = open_watching(pool)
        settler = Settler(pool, timedelta(days=settings.watches.retention_days))
        application = create_app(answering, office, verifier, settings.federation, watching)
        beats = _heartbeats(publisher, settings.log.heartbeat_seconds)
        loops = (publisher.run(), beats, work.run(), statistics.run(), settler.run(), watching.feed.run())
        async with _running(*loops):
            yield application


@asynccontextmanager
async def _running(*loops: Coroutine[None, None, None]) -> AsyncGenerator[None]:
    """Run loops beside the body and end them with it; one that fails ends the body: better none than half a one."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, Exception):
                    await task


async def _heartbeats(publisher: CheckpointPublisher, seconds: float) -> None:
    while True:
        try:
            await publisher.heartbeat()
        except (*BROKEN, asyncpg.PostgresError, EventLogError) as error:
            log.warning("heartbeat_missed", error=type(error).__name__)
        await asyncio.sleep(seconds)


def _endpoint(settings: FederationSettings, seed: str) -> Endpoint:
    hub = settings.hub
    return Endpoint(
        servers=hub.servers,
        name="federation",
        seed=seed,
        inbox=FEDERATION_INBOX,
        tls=tls_for(hub.servers, hub.ca_file),
    )
