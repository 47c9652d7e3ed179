"""Rows of `batch`: a thousand questions in one request, against one SQL query for the same ids."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from tomoni.auth import TokenIssuer
from tomoni.processes import free_port
from tomoni_cli.bench import documents, load
from tomoni_cli.bench.documents import RECEIVER, SERVICE, Known
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import FEDERATION
from tomoni_cli.bench.server import ISSUER, ServerSettings, serving
from tomoni_federation.batches import MOST
from tomoni_federation.recognition.batch import OneQuestion, RecognitionQuestions
from tomoni_federation.status.batch import NamedDocument, StatusQuestions

BATCHES: Final = 20
"""Requests of a round, one after the other."""
STATUS_REACH: Final = 0.5
RECOGNITION_REACH: Final = 0.25

_STATUS: Final = """
SELECT w.n, l.state, c.fresh_as_of, c.halted, c.unknown, c.missing_unknown, k.kind, k.certified_on,
    k.conditional_until, k.confirmed_on, k.effect, k.effective_on, k.unknown, k.document = w.document
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS w (log, document, n)
JOIN projection.document d USING (log, document)
JOIN projection.certificate k USING (log, certificate)
JOIN projection.cursor c USING (log)
JOIN mirror.log l USING (log)
"""

_RECOGNITION: Final = """
SELECT w.n, l.state, c.fresh_as_of, c.halted, c.unknown, c.missing_unknown, k.kind, k.certified_on,
    k.conditional_until, k.confirmed_on, k.effect, k.effective_on, k.unknown, k.document = w.document,
    r.state, h.fresh_as_of, h.halted, h.unknown, a.arrangement, a.pattern, a.conditions, a.precedence
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS w (log, document, n)
JOIN projection.document d USING (log, document)
JOIN projection.certificate k USING (log, certificate)
JOIN projection.cursor c USING (log)
JOIN mirror.log l USING (log)
JOIN mirror.log r ON r.log = $3
JOIN projection.cursor h ON h.log = $3
JOIN projection.arrangement a ON a.log = $3 AND (w.log = ANY (a.codes) OR a.prefecture = left(w.log, 2))
    AND k.kind = ANY (a.kinds) AND $4 = ANY (a.services)
"""


async def run(folder: Path, entries: int) -> list[Row]:
    """Load so many documents, then ask for a thousand of them at once, over HTTP and in SQL."""
    async with documents.loaded(folder.parent / documents.FOLDER, entries) as found:
        key = folder / "tokens.jwk"
        TokenIssuer.create(key)
        token = TokenIssuer(key, ISSUER).issue("bench", ["verifier"], FEDERATION)
        asked = ServerSettings(port=free_port(), database=found.database.runner_dsn, token_key=str(key))
        connection = await asyncpg.connect(found.database.runner_dsn)
        try:
            async with serving(folder, asked) as port:
                pair = _Pair(found.known[:MOST], port, token, connection)
                return [await pair.status(), await pair.recognition()]
        finally:
            await connection.close()


def statuses(known: Sequence[Known], token: str) -> tuple[bytes, bytes]:
    """Return a request whether they are valid, and what the answer holds."""
    named = tuple(NamedDocument(issuer=one.issuer, handle=one.handle) for one in known)
    body = msgspec.json.encode(StatusQuestions(purpose="counter", documents=named))
    return load.request("/v1/status/batch", body, token), b'"status":"valid"'


def recognitions(known: Sequence[Known], token: str) -> tuple[bytes, bytes]:
    """Return a request whether one receiver recognises them, and what the answer holds."""
    questions = tuple(OneQuestion(issuer=one.issuer, handle=one.handle) for one in known)
    body = msgspec.json.encode(
        RecognitionQuestions(purpose="counter", receiver=RECEIVER, service=SERVICE, questions=questions)
    )
    return load.request("/v1/recognition/batch", body, token), b'"decision":"recognised"'


class _Pair:
    """Both rows, about the same documents."""

    def __init__(self, known: Sequence[Known], port: int, token: str, connection: asyncpg.Connection) -> None:
        self._known = known
        self._port = port
        self._token = token
        self._connection = connection
        self._ids = ([one.issuer for one in known], [one.hash for one in known])

    async def status(self) -> Row:
        """Ask whether they are valid."""
        name = f"status of {len(self._known):,} documents in one request"
        return await self._compare(name, statuses(self._known, self._token), STATUS_REACH, (_STATUS, *self._ids))

    async def recognition(self) -> Row:
        """Ask whether one receiver recognises them."""
        name = f"recognition of {len(self._known):,} documents in one request"
        query = (_RECOGNITION, *self._ids, RECEIVER, SERVICE)
        return await self._compare(name, recognitions(self._known, self._token), RECOGNITION_REACH, query)

    async def _compare(
        self, name: str, asking: tuple[bytes, bytes], reach: float, query: tuple[str, *tuple[object, ...]]
    ) -> Row:
        question, expected = asking
        total = BATCHES * len(self._known)

        async def ours() -> float:
            return total / await load.send_all(self._port, [question] * BATCHES, 1, expected)

        async def limit() -> float:
            started = time.perf_counter()
            for _ in range(BATCHES):
                if len(await self._connection.fetch(*query)) != len(self._known):
                    raise RuntimeError("the query did not find every document")
            return total / (time.perf_counter() - started)

        return await compare(name, ours, limit, reach=reach, unit="documents/s")
