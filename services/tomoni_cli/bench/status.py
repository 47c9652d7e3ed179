"""Row `status`: one document a request over kept connections, against a bare route that decodes the same body."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tomoni.auth import TokenIssuer
from tomoni.processes import free_port
from tomoni_cli.bench import documents, load
from tomoni_cli.bench.documents import Known
from tomoni_cli.bench.rows import Row, compare
from tomoni_cli.bench.samples import FEDERATION
from tomoni_cli.bench.server import ISSUER, ServerSettings, serving
from tomoni_federation.status.api import StatusQuestion

CONNECTIONS: Final = 32
REQUESTS: Final = 10_000
"""Requests of a round, each about another document."""


async def run(folder: Path, entries: int) -> list[Row]:
    """Load so many documents, then ask for some of them over HTTP."""
    async with documents.loaded(folder.parent / documents.FOLDER, entries) as found:
        key = folder / "tokens.jwk"
        TokenIssuer.create(key)
        token = TokenIssuer(key, ISSUER).issue("bench", ["verifier"], FEDERATION)
        ours = ServerSettings(port=free_port(), database=found.database.runner_dsn, token_key=str(key))
        async with serving(folder, ServerSettings(port=free_port())) as bare, serving(folder, ours) as port:
            return [await _single(found.known[:REQUESTS], port, bare, token)]


def questions(known: Sequence[Known], token: str | None) -> list[bytes]:
    """Return a request for each document."""
    asked = [StatusQuestion(issuer=one.issuer, handle=one.handle, purpose="counter") for one in known]
    return [load.request("/v1/status", msgspec.json.encode(one), token) for one in asked]


async def _single(known: Sequence[Known], port: int, bare: int, token: str) -> Row:
    asked, plain = questions(known, token), questions(known, None)

    async def ours() -> float:
        return len(asked) / await load.send_all(port, asked, CONNECTIONS, b'"status":"valid"')

    async def limit() -> float:
        return len(plain) / await load.send_all(bare, plain, CONNECTIONS, b'"status":"valid"')

    return await compare(f"status, {CONNECTIONS} connections", ours, limit, reach=0.6, unit="requests/s")
