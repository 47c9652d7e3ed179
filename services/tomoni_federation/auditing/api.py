"""`GET /v1/read-model/…`: the state of one issuer's log by digests, and the rows of a part whose digest differs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Final

import asyncpg
import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter

from tomoni.auth import requires
from tomoni.database import Connection, Pool
from tomoni.documentation import answered, problems
from tomoni.history.rows import TABLES
from tomoni.problems import Problem
from tomoni_federation.auditing import sql
from tomoni_federation.interface import Answering
from tomoni_federation.projections.sql import PROJECTION, VERSION
from tomoni_federation.status.api import respond

PAGE: Final = 1_000


class TableDigest(msgspec.Struct, frozen=True, kw_only=True):
    """A table of one issuer: how many rows it has, and the digest of each part that has any."""

    rows: int
    parts: dict[str, str]


class ReadModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the read model has of one issuer's log, whose first `position` entries are in it."""

    code: str
    state: str
    position: int
    halted: bool
    unknown: bool
    missing_unknown: bool
    tables: dict[str, TableDigest]


class RowsAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of the rows of a part, each column as text; `after` asks for the next one."""

    position: int
    """Where the read model stood when they were read; another than before means: begin anew."""
    rows: tuple[tuple[str | None, ...], ...]
    after: str | None = None


_EXAMPLE: Final = ReadModelAnswer(
    code="131130",
    state="open",
    position=1,
    halted=False,
    unknown=False,
    missing_unknown=False,
    tables={"document": TableDigest(rows=1, parts={"3f": "ab" * 32})},
)
_AUDITING: Final = requires("auditor")


def read_model_routes(answering: Answering) -> Router:
    """Return the routes that a replay is compared with."""

    @get(
        "/{code:str}",
        opt=_AUDITING,
        responses=answered(200, ReadModelAnswer, _EXAMPLE) | problems("jurisdiction-not-admitted"),
    )
    async def digests(code: FromPath[str]) -> Response[bytes]:
        """Return the state of an issuer by digests, all of one snapshot.

        A row is a line: its columns with tabs between, NULL as a backslash and N. Its part is the first byte, in hex,
        of the SHA-256 of its key. A part's digest is the SHA-256 over the SHA-256 of each of its lines, by key.
        """
        async with _snapshot(answering.pool, code) as (connection, cursor):
            tables = {name: await _digest(connection, code, name) for name in TABLES}
        return respond(
            ReadModelAnswer(
                code=code,
                state=cursor["state"],
                position=cursor["position"],
                halted=cursor["halted"],
                unknown=cursor["unknown"],
                missing_unknown=cursor["missing_unknown"],
                tables=tables,
            )
        )

    @get(
        "/{code:str}/{table:str}/{part:str}",
        opt=_AUDITING,
        responses=answered(200, RowsAnswer) | problems("jurisdiction-not-admitted", "not-found"),
    )
    async def rows(
        code: FromPath[str],
        table: FromPath[str],
        part: FromPath[str],
        after: Annotated[str, QueryParameter(max_length=200, description="where the page before ended")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE)] = PAGE,
    ) -> Response[bytes]:
        """Return the rows of one part of a table, in the order of their keys."""
        if table not in TABLES:
            raise Problem("not-found", f"Name one of the tables of the read model: {', '.join(TABLES)}.")
        if "\0" in after + part:  # no text in the database has one
            raise Problem("malformed", "Send `after` as the page before gave it, or leave it out.")
        async with _snapshot(answering.pool, code) as (connection, cursor):
            found = await connection.fetch(sql.ROWS[table], code, part, after, limit + 1)
        return respond(
            RowsAnswer(
                position=cursor["position"],
                rows=tuple(tuple(row.values())[1:] for row in found[:limit]),
                after=found[limit - 1]["key"] if len(found) > limit else None,
            )
        )

    return Router(path="/v1/read-model", route_handlers=[digests, rows], tags=["auditor"])


@asynccontextmanager
async def _snapshot(pool: Pool, code: str) -> AsyncGenerator[tuple[Connection, asyncpg.Record]]:
    """Give a snapshot and where the log's cursor stands in it; raise Problem where there is no such log."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        cursor = None if "\0" in code else await connection.fetchrow(sql.CURSOR, PROJECTION, VERSION, code)
        if cursor is None:
            raise Problem("jurisdiction-not-admitted", "The jurisdiction was never admitted: check the code.")
        yield connection, cursor


async def _digest(connection: Connection, code: str, table: str) -> TableDigest:
    rows = await connection.fetch(sql.DIGESTS[table], code)
    return TableDigest(rows=sum(row["rows"] for row in rows), parts={row["part"]: row["digest"] for row in rows})
