# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""What the benchmark of answers asks: a process of its own, serving the federation's application or a bare route.

Run as `python -m tomoni_cli.bench.status_server <file>`.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
from litestar import Litestar, post

from tomoni import logging, loop, times
from tomoni.auth import TokenIssuer, TokenVerifier
from tomoni.database import create_pool
from tomoni.eventlog import Sequencer
from tomoni.server import serve
from tomoni.statements import StatementSigner, generate_key
from tomoni_cli.bench.samples import FEDERATION
from tomoni_federation.admissions.office import Office
from tomoni_federation.app import create_app
from tomoni_federation.interface import Answering
from tomoni_federation.limits import LookupLimit
from tomoni_federation.status.api import VALID, StatusAnswer, StatusQuestion
from tomoni_federation.status.query import Gatherer
from tomoni_federation.watches.feed import open_watching

ISSUER: Final = f"https://{FEDERATION}"
NO_LIMIT: Final = 1_000_000_000
"""Lookups a minute of one client: the benchmark measures what comes after the limit."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve and where. Without a database it is the bare route."""

    port: int
    database: str | None = None
    token_key: str = ""


def read(path: Path) -> ServerSettings:
    """Return the settings of a file."""
    return msgspec.json.decode(path.read_bytes(), type=ServerSettings)


async def _serve_federation(port: int, database: str, token_key: Path) -> None:
    pool = await create_pool(database, max_size=16)
    try:
        async with Sequencer(pool) as sequencer:
            answering = Answering(
                pool=pool,
                gatherer=Gatherer(pool),
                limit=LookupLimit(NO_LIMIT),
                purposes={"counter": timedelta(hours=24)},
                clock=times.now,
                statements=StatementSigner(FEDERATION, [generate_key()]),
            )
            verifier = TokenVerifier(TokenIssuer(token_key, ISSUER).jwks(), ISSUER, FEDERATION)
            app = create_app(answering, Office(pool, sequencer, FEDERATION), verifier, FEDERATION, open_watching(pool))
            await serve(app, "127.0.0.1", port)
    finally:
        await pool.close()


@post("/v1/status", status_code=200)
async def bare(data: StatusQuestion) -> StatusAnswer:
    """Decode a question and give always the same answer: no token, no limit, no database."""
    return VALID if data.issuer else StatusAnswer(status="unknown", fresh_as_of=None)


async def _serve_bare(port: int) -> None:
    await serve(Litestar([bare], openapi_config=None, logging_config=None), "127.0.0.1", port)


def main(path: Path) -> None:
    """Serve until SIGTERM."""
    logging.configure("bench", "WARNING")
    settings = read(path)
    if settings.database is None:
        loop.run(_serve_bare(settings.port))
    else:
        loop.run(_serve_federation(settings.port, settings.database, Path(settings.token_key)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
