# pyright: reportUnknownVariableType=false
# The framework's types of handlers are open.
"""What the rows of answers ask: a process of its own, serving the federation's application or a bare route.

Run as `python -m tomoni_cli.bench.server <file>`.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from litestar import Litestar, post

from tomoni import logging, loop, times
from tomoni.auth import TokenIssuer, TokenVerifier
from tomoni.database import Pool, create_pool
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
READY_SECONDS: Final = 30


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve and where. Without a database it is the bare route."""

    port: int
    database: str | None = None
    token_key: str = ""


def read(path: Path) -> ServerSettings:
    """Return the settings of a file."""
    return msgspec.json.decode(path.read_bytes(), type=ServerSettings)


class Answers(NamedTuple):
    """The federation's application with its database."""

    app: Litestar
    pool: Pool


@asynccontextmanager
async def open_answers(database: str, token_key: Path) -> AsyncGenerator[Answers]:
    """Give the federation's application as its service puts it together, without intake; its feed runs beside it."""
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
            office, watching = Office(pool, sequencer, FEDERATION), open_watching(pool)
            feeding = asyncio.create_task(watching.feed.run())
            try:
                yield Answers(create_app(answering, office, verifier, FEDERATION, watching), pool)
            finally:
                feeding.cancel()
                with suppress(asyncio.CancelledError):
                    await feeding
    finally:
        await pool.close()


async def _serve_federation(port: int, database: str, token_key: Path) -> None:
    async with open_answers(database, token_key) as answers:
        await serve(answers.app, "127.0.0.1", port)


@post("/v1/status", status_code=200)
async def bare(data: StatusQuestion) -> StatusAnswer:
    """Decode a question and give always the same answer: no token, no limit, no database."""
    return VALID if data.issuer else StatusAnswer(status="unknown", fresh_as_of=None)


async def _serve_bare(port: int) -> None:
    await serve(Litestar([bare], openapi_config=None, logging_config=None), "127.0.0.1", port)


@asynccontextmanager
async def serving(folder: Path, settings: ServerSettings) -> AsyncGenerator[int]:
    """Run a server in a process of its own and yield its port."""
    file = folder / f"server-{settings.port}.json"
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(settings))
    child = subprocess.Popen([sys.executable, "-m", "tomoni_cli.bench.server", str(file)])  # noqa: S603, ASYNC220  # our own command
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await is_listening(settings.port):
                if child.poll() is not None:
                    raise RuntimeError("the benchmark's server ended at its start")
                await asyncio.sleep(0.05)
        yield settings.port
    finally:
        child.terminate()
        child.wait()


async def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections at a port of this machine."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


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
