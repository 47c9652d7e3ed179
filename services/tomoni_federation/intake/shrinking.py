"""Logs that shrink: whose heartbeats speak of fewer entries than an earlier one did.

A machine that was restored as a whole, or cloned, signs such a heartbeat before it hears from the hub how far its log
was. It then refuses to sign; so this is an alarm at first, and nobody is accused of an accident that ends by itself.
Who goes on, told what his log held, is accused by two of his own heartbeats.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog

from tomoni.database import Connection
from tomoni.evidence.judging import SLACK_SECONDS
from tomoni_federation.intake.logs import Log
from tomoni_federation.mirror.evidence import accuse_shrinking

log = structlog.get_logger()

PATIENCE: Final = timedelta(seconds=SLACK_SECONDS)
"""How long a log may go on shrinking; heartbeats come every minute."""

_SHRUNK: Final = """
WITH shrunk AS (
    SELECT DISTINCT ON (n.log) n.log, coalesce(h.size, s.size) AS size, coalesce(h.note, s.before) AS before
    FROM unnest($1::text[], $2::bigint[], $3::timestamptz[]) AS n (log, size, as_of)
    LEFT JOIN mirror.shrunk s ON s.log = n.log AND s.size > n.size
    LEFT JOIN LATERAL (
        SELECT size, note FROM mirror.heartbeat
        WHERE log = n.log AND proven AND size > n.size AND as_of < n.as_of ORDER BY as_of DESC LIMIT 1
    ) AS h ON true
    WHERE h.note IS NOT NULL OR s.before IS NOT NULL ORDER BY n.log, n.as_of DESC
)
INSERT INTO mirror.shrunk AS s (log, size, before, since, heard_at)
SELECT log, size, before, $4::timestamptz, $4::timestamptz FROM shrunk
ON CONFLICT (log) DO UPDATE SET heard_at = excluded.heard_at,
    size = CASE WHEN s.heard_at < excluded.heard_at - $5::interval THEN excluded.size ELSE s.size END,
    before = CASE WHEN s.heard_at < excluded.heard_at - $5::interval THEN excluded.before ELSE s.before END,
    since = CASE WHEN s.heard_at < excluded.heard_at - $5::interval THEN excluded.since ELSE s.since END
RETURNING s.log, s.before, s.since
"""
"""What is heard after a pause longer than our patience is another accident. The heartbeat before is kept: of those in
the mirror only the one remains that makes the log fresh."""


class Heard(NamedTuple):
    """A proven heartbeat of fewer entries than its log has."""

    code: str
    size: int
    as_of: datetime
    note: bytes


async def accuse_shrunk(
    connection: Connection, logs: Mapping[str, Log], heard: Collection[Heard], now: datetime
) -> list[str]:
    """Note which logs shrink, and accuse those that went on; return them. The logs are locked by the caller."""
    accused: list[str] = []
    columns = [[one.code for one in heard], [one.size for one in heard], [one.as_of for one in heard]]
    for code, before, since in await connection.fetch(_SHRUNK, *columns, now, PATIENCE):
        if since == now:
            log.error("log_shrinks", code=code)
        elif now - since >= PATIENCE:
            last = max((one for one in heard if one.code == code), key=lambda one: one.as_of)
            if await accuse_shrinking(connection, code, logs[code].heartbeat_key, before, last.note):
                accused.append(code)
    return accused
