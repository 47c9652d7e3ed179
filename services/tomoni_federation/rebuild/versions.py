"""Versions of the read model: a schema each, made alike, of which the one named `projection` serves.

Statements name `projection.…`, and a table is made the serving one by moving it into that schema. Whatever a running
service has prepared is planned anew by the server when a table it was planned for is moved, and finds the tables that
have these names then (docs/decisions/0086).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import tomoni.events
import tomoni.history
import tomoni_federation.projections
from tomoni.database import Connection
from tomoni_federation.projections.sql import PROJECTION, SERVING, VERSION

NEXT: Final = "projection_next"
"""The version being made."""
BEFORE: Final = "projection_before"
"""The version that served before, kept for a rollback."""

TABLES: Final = ("cursor", "certificate", "document", "arrangement", "membership", "stream", "position")
"""What is made from the mirror. What the federation's own log says (`charter`, `acceptance`) has one version."""

LOCK_MILLISECONDS: Final = 300
"""How long a switch waits for its locks before it lets everybody else go first. Shorter than PostgreSQL's
`deadlock_timeout` of a second: where two wait for each other, it is always the switch that gives way."""

_LAYOUT: Final = """
SELECT string_agg(concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull), E'\n'
    ORDER BY c.relname, a.attname)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace($1) AND c.relname = ANY ($2::name[])
"""

_MADE_BY: Final = "SELECT obj_description(to_regnamespace($1), 'pg_namespace')"

_KEYS: Final = """
SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $1::text, t.relname, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
WHERE t.relnamespace = 'projection'::regnamespace AND t.relname = ANY ($2::name[]) AND k.contype IN ('p', 'u')
UNION ALL
SELECT replace(pg_get_indexdef(i.indexrelid), ' ON projection.', format(' ON %I.', $1::text))
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = 'projection'::regnamespace AND t.relname = ANY ($2::name[])
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
"""
"""By name, so that a later migration finds them; CREATE TABLE … LIKE gives indexes names of its own."""

_GRANTS: Final = """
SELECT format('GRANT %s ON %I.%I TO %s',
    a.privilege_type, $1::text, t.relname, coalesce(quote_ident(r.rolname), 'PUBLIC'))
FROM pg_class t CROSS JOIN LATERAL aclexplode(t.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE t.relnamespace = 'projection'::regnamespace AND t.relname = ANY ($2::name[])
"""

_SCHEMA_GRANTS: Final = """
SELECT format('GRANT %s ON SCHEMA %I TO %s', a.privilege_type, $1::text, coalesce(quote_ident(r.rolname), 'PUBLIC'))
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = 'projection'
"""

_CURSORS: Final = """
INSERT INTO {version}.cursor (projection, version, log)
SELECT projection, version, log FROM projection.cursor WHERE projection = $1 AND version = $2 ON CONFLICT DO NOTHING
"""

_TAKE_OVER: Final = """
UPDATE {version}.cursor n SET fresh_as_of = c.fresh_as_of,
    halted = CASE WHEN n.position = c.position THEN c.halted ELSE n.halted END
FROM projection.cursor c
WHERE c.projection = $1 AND c.version = $2
  AND n.projection = c.projection AND n.version = c.version AND n.log = c.log
"""
"""How fresh a log is stands in no entry: heartbeats are forgotten once they count. A log that stands still for an entry
that the other version does not pass either stands still for the same."""


async def exists(connection: Connection, version: str) -> bool:
    """Say whether there is such a version."""
    found: bool = await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", version)
    return found


async def make_next(connection: Connection) -> bool:
    """Make an empty version to fill, unless one of this software and this layout is there; return whether it was.

    One that was begun by another software is made anew: two readings of events must not mix.
    """
    made_by = f"{_reading()} {hashlib.sha256((await _layout(connection, SERVING)).encode()).hexdigest()}"
    if await connection.fetchval(_MADE_BY, NEXT) == made_by:
        return True
    async with connection.transaction():
        # Who is taking a history back has not seen this version and would not take it back here.
        await connection.execute("LOCK TABLE mirror.log IN SHARE MODE")
        await drop(connection, NEXT)
        await _make_schema(connection, NEXT)
        for table in TABLES:
            await connection.execute(
                f"CREATE TABLE {NEXT}.{table} (LIKE {SERVING}.{table} INCLUDING ALL EXCLUDING INDEXES)"
            )
        await _execute_made(connection, _KEYS, NEXT, TABLES)
        await _execute_made(connection, _GRANTS, NEXT, TABLES)
        await connection.execute(f"COMMENT ON SCHEMA {NEXT} IS '{made_by}'")
    return False


async def fits(connection: Connection, version: str) -> bool:
    """Say whether a version has the tables and columns that the serving one has: a migration changes only that."""
    return await _layout(connection, version) == await _layout(connection, SERVING)


async def ensure_cursors(connection: Connection, version: str) -> None:
    """Give a version a cursor for every log that was admitted meanwhile."""
    await connection.execute(_CURSORS.format(version=version), PROJECTION, VERSION)


async def lock(connection: Connection, version: str) -> None:
    """Stop everybody who reads or writes either version; raise LockNotAvailableError where that takes too long.

    First only what vacuums or analyses: it can take long, and gives way to whoever waits for a second.
    """
    names = ", ".join(f"{schema}.{table}" for schema in (SERVING, version) for table in TABLES)
    await connection.execute(f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE")
    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
    await connection.execute(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


async def exchange(connection: Connection, version: str) -> None:
    """Let a version serve, and keep the one that served in the place of the one before that.

    Both are locked, and as far as each other.
    """
    leaving = "projection_leaving"
    await connection.execute(_TAKE_OVER.format(version=version), PROJECTION, VERSION)
    await _make_schema(connection, leaving)
    for table in TABLES:
        await connection.execute(f"ALTER TABLE {SERVING}.{table} SET SCHEMA {leaving}")
        await connection.execute(f"ALTER TABLE {version}.{table} SET SCHEMA {SERVING}")
    await connection.execute(f"DROP SCHEMA {version}")
    await drop(connection, BEFORE)
    await connection.execute(f"ALTER SCHEMA {leaving} RENAME TO {BEFORE}")


async def drop(connection: Connection, version: str) -> None:
    """Remove a version, if it is there."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {version} CASCADE")


async def _make_schema(connection: Connection, name: str) -> None:
    await connection.execute(f"CREATE SCHEMA {name}")
    for (statement,) in await connection.fetch(_SCHEMA_GRANTS, name):
        await connection.execute(statement)


async def _execute_made(connection: Connection, query: str, version: str, tables: Sequence[str]) -> None:
    for (statement,) in await connection.fetch(query, version, tables):
        await connection.execute(statement)


async def _layout(connection: Connection, version: str) -> str:
    layout: str | None = await connection.fetchval(_LAYOUT, version, TABLES)
    return layout or ""


def _reading() -> str:
    """Return a hash of the software that reads events, folds them and writes rows: of the source of its packages."""
    whole = hashlib.sha256()
    for package in (tomoni.events, tomoni.history, tomoni_federation.projections):
        for source in sorted(Path(package.__file__ or "").parent.glob("*.py")):
            whole.update(source.read_bytes())
    return whole.hexdigest()
