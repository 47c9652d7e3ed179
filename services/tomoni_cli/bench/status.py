"""Rows of `status`: one document a request, against a bare route; a thousand in one, against one SQL query."""

import asyncio
import random
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from tomoni import times
from tomoni.auth import TokenIssuer
from tomoni.database import Pool, create_pool
from tomoni.documents import document_hash, new_handle
from tomoni.jurisdictions import all_jurisdictions
from tomoni.processes import free_port
from tomoni_cli.bench import load
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import DAY, FEDERATION, KIND
from tomoni_cli.bench.status_server import ISSUER, ServerSettings
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_federation.batches import MOST
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.schema import prepare
from tomoni_federation.status.api import StatusQuestion
from tomoni_federation.status.batch import NamedDocument, StatusQuestions

CONNECTIONS: Final = 32
REQUESTS: Final = 10_000
"""Requests of a round, and documents whose handles are known; the others are there to be searched among."""
BATCHES: Final = 20
ISSUERS: Final = 100
READY_SECONDS: Final = 30
ROUNDS: Final = 3

ONE_QUERY: Final = """
SELECT w.n, l.state, c.fresh_as_of, c.halted, c.unknown, c.missing_unknown, k.kind, k.certified_on,
    k.conditional_until, k.confirmed_on, k.effect, k.effective_on, k.unknown, k.document = w.document
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS w (log, document, n)
JOIN projection.document d USING (log, document)
JOIN projection.certificate k USING (log, certificate)
JOIN projection.cursor c USING (log)
JOIN mirror.log l USING (log)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A document that can be asked for."""

    issuer: str
    handle: str


async def run(folder: Path, entries: int) -> list[Row]:
    """Load so many documents, then ask for some of them over HTTP."""
    with EmbeddedPostgres(folder / "postgres") as server:
        database = server.create_database("bench")
        await prepare(database.owner_dsn, database.runner)
        pool = await create_pool(database.owner_dsn)
        try:
            known = await _load(pool, entries)
        finally:
            await pool.close()
        key = folder / "tokens.jwk"
        TokenIssuer.create(key)
        token = TokenIssuer(key, ISSUER).issue("bench", ["verifier"], FEDERATION)
        async with (
            _serving(folder, ServerSettings(port=free_port())) as bare,
            _serving(
                folder, ServerSettings(port=free_port(), database=database.runner_dsn, token_key=str(key))
            ) as port,
        ):
            single = await _single(known, port, bare, token)
            batch = await _batch(known, port, token, database.runner_dsn)
    return [single, batch]


async def _load(pool: Pool, entries: int) -> list[Known]:
    """Write certificates and documents as the projector does, and tell the planner how many there are."""
    codes = [one.code for one in all_jurisdictions()][:ISSUERS]
    now = times.now()
    await pool.executemany(
        "INSERT INTO mirror.log (log, state, heartbeat_key) VALUES ($1, 'open', '')", [(code,) for code in codes]
    )
    await pool.executemany(
        "INSERT INTO projection.cursor (projection, version, log, fresh_as_of) VALUES ($1, $2, $3, $4)",
        [(PROJECTION, VERSION, code, now) for code in codes],
    )
    step = max(1, entries // REQUESTS)
    known: list[Known] = []
    certificates: list[tuple[object, ...]] = []
    documents: list[tuple[object, ...]] = []
    for number in range(entries):
        code = codes[number % len(codes)]
        document = random.randbytes(32)  # noqa: S311  # as good as any hash
        if number % step == 0:
            known.append(Known(code, new_handle()))
            document = bytes.fromhex(document_hash(code, known[-1].handle))
        position, certificate = number // len(codes), uuid.uuid4()
        row = (code, certificate, 1, KIND, document, DAY, None, None, None, None, False, position, position)
        certificates.append(row)
        documents.append((code, document, certificate))
    async with pool.acquire() as connection:
        for table, rows in (("certificate", certificates), ("document", documents)):
            await connection.copy_records_to_table(table, schema_name="projection", records=rows)
        await connection.execute("VACUUM ANALYZE")
    random.shuffle(known)
    return known


async def _single(known: Sequence[Known], port: int, bare: int, token: str) -> Row:
    bodies = [
        msgspec.json.encode(StatusQuestion(issuer=one.issuer, handle=one.handle, purpose="counter"))
        for one in known[:REQUESTS]
    ]
    questions = [load.request("/v1/status", body, token) for body in bodies]
    plain = [load.request("/v1/status", body, None) for body in bodies]

    async def ours() -> float:
        return len(bodies) / await load.send_all(port, questions, CONNECTIONS, b'"status":"valid"')

    async def limit() -> float:
        return len(bodies) / await load.send_all(bare, plain, CONNECTIONS, b'"status":"valid"')

    name = f"status, {CONNECTIONS} connections"
    return await compare(name, ours, limit, reach=0.6, unit="requests/s", rounds=ROUNDS)


async def _batch(known: Sequence[Known], port: int, token: str, dsn: str) -> Row:
    asked = known[:MOST]
    documents = tuple(NamedDocument(issuer=one.issuer, handle=one.handle) for one in asked)
    body = msgspec.json.encode(StatusQuestions(purpose="counter", documents=documents))
    question = load.request("/v1/status/batch", body, token)
    issuers = [one.issuer for one in asked]
    hashes = [bytes.fromhex(document_hash(one.issuer, one.handle)) for one in asked]
    connection = await asyncpg.connect(dsn)

    async def ours() -> float:
        return BATCHES * len(asked) / await load.send_all(port, [question] * BATCHES, 1, b'"status":"valid"')

    async def limit() -> float:
        started = time.perf_counter()
        for _ in range(BATCHES):
            if len(await connection.fetch(ONE_QUERY, issuers, hashes)) != len(asked):
                raise RuntimeError("the query did not find every document")
        return BATCHES * len(asked) / (time.perf_counter() - started)

    try:
        name = f"status of {len(asked):,} documents in one request"
        return await compare(name, ours, limit, reach=0.5, unit="documents/s", rounds=ROUNDS)
    finally:
        await connection.close()


@asynccontextmanager
async def _serving(folder: Path, settings: ServerSettings) -> AsyncGenerator[int]:
    """Run a server in a process of its own and yield its port."""
    file = folder / f"server-{settings.port}.json"
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(settings))
    child = subprocess.Popen([sys.executable, "-m", "tomoni_cli.bench.status_server", str(file)])  # noqa: S603, ASYNC220  # our own command
    try:
        await _wait_until_listening(child, settings.port)
        yield settings.port
    finally:
        child.terminate()
        child.wait()


async def _wait_until_listening(child: "subprocess.Popen[bytes]", port: int) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError as error:
                if child.poll() is not None:
                    raise RuntimeError("the benchmark's server ended at its start") from error
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
