"""A service's database with what may happen to it: connections cut, writes held up, an old backup restored."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg

from tomoni_cli.embedded.postgres import SUPERUSER, EmbeddedPostgres

_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND usename <> $2 ORDER BY pid"
_WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = $1 AND usename <> $2 AND wait_event_type = 'Lock' AND wait_event = 'relation'
"""
_CUT = "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid"


class Database:
    """A database, its owner who may make roles, and the administrator's connection to it."""

    def __init__(self, postgres: EmbeddedPostgres, name: str) -> None:
        self._postgres, self.name = postgres, name
        self.owner_dsn = postgres.dsn(name, f"{name}_owner")
        self.backup_size = 0
        self._administrator: asyncpg.Connection | None = None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Return rows as the administrator sees them."""
        if self._administrator is None:
            self._administrator = await asyncpg.connect(self._postgres.dsn(self.name))
        return await self._administrator.fetch(query, *arguments)

    async def digest(self, compute: Callable[[asyncpg.Connection], Awaitable[str]]) -> str:
        """Return what is computed from one snapshot."""
        await self.fetch("SELECT 1")
        async with self._administrator.transaction(isolation="repeatable_read"):
            return await compute(self._administrator)

    async def make(self) -> None:
        """Make it with its owner."""
        owner = f"{self.name}_owner"
        await self._outside(f"CREATE ROLE \"{owner}\" LOGIN CREATEROLE PASSWORD '{self._postgres._password(owner)}'")
        await self._outside(f'CREATE DATABASE "{self.name}" OWNER "{owner}"')

    async def back_up(self, size: int) -> None:
        """Copy it; nobody may be connected."""
        await self._copy(self.name, f"{self.name}_backup")
        self.backup_size = size

    async def restore(self) -> None:
        """Put the copy in its place."""
        await self._copy(f"{self.name}_backup", self.name)

    async def cut(self, choose: int) -> None:
        """End some of the services' connections: every one, or each `choose`-th of them."""
        pids = [row["pid"] for row in await self.fetch(_BACKENDS, self.name, SUPERUSER)]
        await self.fetch(_CUT, pids[:: max(1, choose)])

    @contextlib.asynccontextmanager
    async def held(self, table: str):
        """Let nobody write to a table; then end the connections of those who wait for it, in mid-transaction."""
        holder = await asyncpg.connect(self._postgres.dsn(self.name))
        try:
            async with holder.transaction():
                await holder.execute(f"LOCK TABLE {table} IN SHARE MODE")
                yield
                await holder.fetch(_CUT, [row["pid"] for row in await holder.fetch(_WAITING, self.name, SUPERUSER)])
        finally:
            await holder.close()

    async def somebody_waits(self, seconds: float) -> bool:
        """Return whether somebody comes to wait for a table that is held."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await self.fetch(_WAITING, self.name, SUPERUSER):
                    await asyncio.sleep(0.01)
                return True
        return False

    async def close(self) -> None:
        """Let go of it."""
        connection, self._administrator = self._administrator, None
        if connection is not None:
            await connection.close()

    async def _copy(self, source: str, target: str) -> None:
        await self.close()
        await self._outside(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')
        await self._outside(f'CREATE DATABASE "{target}" OWNER "{self.name}_owner" TEMPLATE "{source}"')

    async def _outside(self, statement: str) -> None:
        connection = await asyncpg.connect(self._postgres.dsn())
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
