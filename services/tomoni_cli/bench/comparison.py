"""The same events projected by the package `eventsourcing` into PostgreSQL, to compare with; needs the group `bench`.

Its application stores an aggregate for each certificate, and its projection runner gives each event to a view that
writes the certificate's and the document's row with the event's number in one transaction, as its documentation shows.
"""

import time
import uuid
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, DomainEventProtocol
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

from tomoni_cli.bench.samples import DAY, KIND, document_of
from tomoni_cli.embedded.postgres import EmbeddedPostgres

STORED_AT_ONCE: Final = 1_000
SECONDS: Final = 600.0


class Certificate(Aggregate):
    """A certificate as issued."""

    def __init__(self, log: str, position: int, kind: str, document: str, certified_on: str) -> None:
        self.log = log
        self.position = position
        self.kind = kind
        self.document = document
        self.certified_on = certified_on


class Registry(Application[uuid.UUID]):
    """Where certificates are stored."""


class View(PostgresTrackingRecorder):
    """Tables like those of the read model, and how far they are."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:  # noqa: ANN401  # the package's interface
        super().__init__(datastore, **kwargs)
        self.sql_create_statements.extend(
            (
                SQL(
                    "CREATE TABLE IF NOT EXISTS certificate (log text, certificate uuid, version integer, kind text, "
                    "document bytea, certified_on date, unknown boolean, first_position bigint, last_position bigint, "
                    "PRIMARY KEY (log, certificate))"
                ).format(),
                SQL(
                    "CREATE TABLE IF NOT EXISTS document (log text, document bytea, certificate uuid, "
                    "PRIMARY KEY (log, document))"
                ).format(),
            )
        )

    def issue(self, event: Any, tracking: Tracking) -> None:  # noqa: ANN401  # made by the package's metaclass
        """Write the rows of a certificate, and that its event was processed."""
        row = (event.log, event.originator_id, event.kind, bytes.fromhex(event.document), event.certified_on)
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO certificate VALUES (%s, %s, 1, %s, %s, %s, false, %s, %s)",
                (*row, event.position, event.position),
                prepare=True,
            )
            cursor.execute("INSERT INTO document VALUES (%s, %s, %s)", (row[0], row[3], row[1]), prepare=True)


class Issuing(Projection[View]):
    """Gives each event to the view."""

    name = "issuing"

    @singledispatchmethod
    def process_event(self, domain_event: DomainEventProtocol[uuid.UUID], tracking: Tracking) -> None:
        """Write what an event says."""
        self.view.issue(domain_event, tracking)


def projected(server: EmbeddedPostgres, entries: int) -> float:
    """Store so many certificates, project them, and return the events projected in a second."""
    database = server.create_database("compared")
    environment = _environment(database.owner_dsn)
    with Registry(environment) as registry:
        for start in range(0, entries, STORED_AT_ONCE):
            registry.save(*(_certificate(number) for number in range(start, min(entries, start + STORED_AT_ONCE))))
        last = registry.recorder.max_notification_id()
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=Registry, projection_class=Issuing, view_class=View, env=environment
    ) as runner:
        runner.wait(last, timeout=SECONDS)
        return entries / (time.perf_counter() - started)


def _certificate(number: int) -> Certificate:
    code = "131130"
    return Certificate(code, number, KIND, document_of(code, number), DAY.isoformat())


def _environment(dsn: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    options = parse_qs(parts.query)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": options["host"][0],
        "POSTGRES_PORT": options["port"][0],
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
        "POSTGRES_SCHEMA": "public",
    }
