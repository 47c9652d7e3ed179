"""The federation's database: migrations by the owner, and what the running role may do."""

from pathlib import Path
from typing import Final

import asyncpg

from tomoni import eventlog
from tomoni.database import migrate

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_GRANTS: Final = (
    "GRANT USAGE ON SCHEMA mirror, projection, watch TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON mirror.log, mirror.key, mirror.courier, mirror.pulse TO {role}",
    "GRANT SELECT, INSERT ON mirror.entry, mirror.disowned TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON mirror.evidence, mirror.affected, mirror.shrunk TO {role}",
    "GRANT DELETE ON mirror.shrunk TO {role}",
    "GRANT SELECT, INSERT ON mirror.retired_word TO {role}",
    "GRANT SELECT, INSERT ON mirror.checkpoint, mirror.first_heartbeat TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON mirror.provisional, mirror.awaited_checkpoint, mirror.heartbeat TO {role}",
    "GRANT EXECUTE ON FUNCTION mirror.disown(text, bigint, bytea) TO {role}",
    "GRANT SELECT ON mirror.damage, mirror.damaged TO {role}",
    "GRANT UPDATE (mended_at) ON mirror.damage TO {role}",
    "GRANT SELECT, UPDATE ON mirror.scrubbing TO {role}",
    "GRANT EXECUTE ON FUNCTION mirror.set_aside(text, bigint, bigint) TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA projection, watch TO {role}",
    "GRANT USAGE ON SCHEMA statistics TO {role}",
    "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA statistics TO {role}",
    "GRANT UPDATE (ended_year) ON statistics.counted TO {role}",
)
"""Proven entries, checkpoints and published counts can be added and read; nobody who runs can change or delete them."""


async def prepare(owner_dsn: str, runner: str | None) -> None:
    """Bring the database to the newest schema and grant a running role what it needs; safe to repeat."""
    await migrate(owner_dsn, "federation", [eventlog.MIGRATIONS, MIGRATIONS])
    if runner is None:
        return
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute("SELECT log.grant_writer($1)", runner)
        quoted = await connection.fetchval("SELECT quote_ident($1)", runner)
        for grant in _GRANTS:
            await connection.execute(grant.format(role=quoted))
    finally:
        await connection.close()
