"""Documents to ask about, written as the projector writes them: loaded once, for all rows of a run that need them."""

import random
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from tomoni import times
from tomoni.database import Pool
from tomoni.documents import document_hash, new_handle
from tomoni.jurisdictions import all_jurisdictions
from tomoni.tlog.cosignature import generate_cosigner
from tomoni_cli.bench.samples import DAY, KIND, SampleLog
from tomoni_cli.embedded.postgres import EmbeddedDatabase, EmbeddedPostgres
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.schema import prepare

KNOWN: Final = 10_000
"""Documents whose handles are known, spread evenly; the others are there to be searched among."""
CODES: Final = tuple(one.code for one in all_jurisdictions())
"""Every jurisdiction has a log."""
RECEIVER, *_ISSUERS = CODES
"""The first has declared that it recognises those of every prefecture."""
WATCHED_TOWN: Final = _ISSUERS.pop()
BUSY_TOWN: Final = _ISSUERS.pop()
"""The logs that rows add to. They have no documents beforehand."""
SERVICE: Final = "public-housing"

FOLDER: Final = "documents"
"""Where they lie, beside the folders of the rows of the same run."""
_NAME: Final = "documents"


class Known(msgspec.Struct, frozen=True):
    """A document that can be asked for."""

    issuer: str
    handle: str

    @property
    def hash(self) -> bytes:
        """What the read model has instead of the handle."""
        return bytes.fromhex(document_hash(self.issuer, self.handle))


class Documents(msgspec.Struct, frozen=True):
    """A running database with documents, and those that can be asked for, in no order."""

    database: EmbeddedDatabase
    known: tuple[Known, ...]


@asynccontextmanager
async def loaded(folder: Path, count: int) -> AsyncGenerator[Documents]:
    """Run a database with so many documents. What was loaded into a folder is used again by whoever comes later."""
    file = folder / "known.json"
    with EmbeddedPostgres(folder / "postgres") as server:
        if not file.exists():
            database = server.create_database(_NAME)
            await prepare(database.owner_dsn, database.runner)
            file.write_bytes(msgspec.json.encode(await _load(database.owner_dsn, count)))
        known = msgspec.json.decode(file.read_bytes(), type=tuple[Known, ...])
        yield Documents(server.database(_NAME), known)


async def _load(dsn: str, count: int) -> list[Known]:
    """Write logs, certificates and documents, and tell the planner how many there are."""
    known: list[Known] = []
    connection = await asyncpg.connect(dsn)
    try:
        heartbeat_key = generate_cosigner("bench.example/heartbeat").verifier.vkey
        await connection.execute(_ADMIT, CODES, heartbeat_key)
        await connection.execute(_HEARD_OF, PROJECTION, VERSION, CODES, times.now())
        await connection.execute(_RECOGNISE, RECEIVER, sorted({code[:2] for code in CODES}), DAY, KIND, SERVICE)
        await connection.copy_records_to_table(
            "certificate", schema_name="projection", records=_certificates(count, known)
        )
        await connection.execute(
            "INSERT INTO projection.document SELECT log, document, certificate FROM projection.certificate"
        )
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    random.shuffle(known)
    return known


def _certificates(count: int, known: list[Known]) -> Iterator[tuple[object, ...]]:
    """Yield rows, the issuers in turn, and keep the documents whose handles are known. No row stays in memory."""
    step = max(1, count // KNOWN)
    for number in range(count):
        position, place = divmod(number, len(_ISSUERS))
        code = _ISSUERS[place]
        document = random.randbytes(32)  # noqa: S311  # as good as any hash
        if number % step == 0:
            known.append(Known(code, new_handle()))
            document = known[-1].hash
        yield code, uuid.uuid4(), 1, KIND, document, DAY, None, None, None, None, False, position, position


_ADMIT: Final = """
INSERT INTO mirror.log (log, state, heartbeat_key) SELECT log, 'open', $2 FROM unnest($1::text[]) AS log
"""
_HEARD_OF: Final = """
INSERT INTO projection.cursor (projection, version, log, fresh_as_of)
SELECT $1, $2, log, $4 FROM unnest($3::text[]) AS log
"""
_RECOGNISE: Final = """
INSERT INTO projection.arrangement (log, arrangement, pattern, codes, prefecture, kinds, services, effective_from,
    conditions, precedence, keeps_recognised, position)
SELECT $1, gen_random_uuid(), 'E', '{}', prefecture, ARRAY[$4::text], ARRAY[$5::text], $3, '{}', 0, false, n
FROM unnest($2::text[]) WITH ORDINALITY AS p (prefecture, n)
"""


async def admit(database: Pool | asyncpg.Connection, log: SampleLog) -> None:
    """Take a log's key, so that entries of it can be proven."""
    await database.execute(
        "INSERT INTO mirror.key (log, from_size, log_key) VALUES ($1, 0, $2)", log.code, log.signer.vkey
    )
