"""Comparing two versions of the read model at equal cursors, row by row, in the database.

Rows are compared rather than hashes of them: that is no slower, and tells what differs (docs/decisions/0087).
"""

from typing import Final, NamedTuple

from tomoni.database import Connection
from tomoni_federation.projections.sql import PROJECTION, VERSION

_PARTS: Final = {
    "position": """
SELECT coalesce(a.log, b.log), coalesce(a.subject, b.subject), coalesce(a.position, b.position), true,
    coalesce(a.unknown AND NOT b.unknown, false)
FROM projection.position a FULL JOIN {version}.position b
    ON b.log = a.log AND b.subject = a.subject AND b.position = a.position
WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
""",
    "certificate": """
SELECT coalesce(a.log, b.log), 'certificate/' || coalesce(a.certificate, b.certificate),
    coalesce(a.first_position, b.first_position), false, coalesce(a.unknown AND NOT b.unknown, false)
FROM projection.certificate a FULL JOIN {version}.certificate b ON b.log = a.log AND b.certificate = a.certificate
WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
""",
    "document": """
SELECT coalesce(a.log, b.log), 'certificate/' || coalesce(b.certificate, a.certificate),
    coalesce((SELECT k.first_position FROM {version}.certificate k
        WHERE k.log = b.log AND k.certificate = b.certificate), 0), false, false
FROM projection.document a FULL JOIN {version}.document b ON b.log = a.log AND b.document = a.document
WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
""",
    "arrangement": """
SELECT coalesce(a.log, b.log), 'arrangement/' || coalesce(a.arrangement, b.arrangement),
    coalesce(a.position, b.position), false, false
FROM projection.arrangement a FULL JOIN {version}.arrangement b ON b.log = a.log AND b.arrangement = a.arrangement
WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
""",
    "membership": """
SELECT coalesce(a.log, b.log), 'network/' || coalesce(a.network, b.network), coalesce(a.position, b.position),
    true, false
FROM projection.membership a FULL JOIN {version}.membership b ON b.log = a.log AND b.position = a.position
WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
""",
    "stream": """
SELECT coalesce(a.log, b.log), coalesce(a.subject, b.subject),
    coalesce((SELECT min(k.position) FROM {version}.position k
        WHERE k.log = coalesce(a.log, b.log) AND k.subject = coalesce(a.subject, b.subject)), 0), false,
    coalesce(a.unknown AND NOT b.unknown, false)
FROM projection.stream a FULL JOIN {version}.stream b ON b.log = a.log AND b.subject = a.subject
WHERE ROW(a.*) IS DISTINCT FROM ROW(b.*)
""",
    "cursor": """
SELECT coalesce(a.log, b.log), '', least(a.position, b.position), false,
    coalesce(a.unknown AND NOT b.unknown OR a.missing_unknown AND NOT b.missing_unknown, false)
FROM (SELECT * FROM projection.cursor WHERE projection = '{projection}' AND version = {number}) a
FULL JOIN (SELECT * FROM {version}.cursor WHERE projection = '{projection}' AND version = {number}) b ON b.log = a.log
WHERE ROW(a.position, a.unknown, a.missing_unknown) IS DISTINCT FROM ROW(b.position, b.unknown, b.missing_unknown)
""",
}
"""Table → log, subject, position, whether that is exactly where it differs, whether only the new one knows it."""

_DIFFERENCES: Final = """
SELECT log, min(position), count(*), count(*) FILTER (WHERE unknown_before)
FROM (
    SELECT log, subject, coalesce(min(position) FILTER (WHERE exact), min(position)) AS position,
        bool_or(unknown_before) AS unknown_before
    FROM ({parts}) AS d (log, subject, position, exact, unknown_before) GROUP BY log, subject
) AS s
GROUP BY log ORDER BY log
"""


class Difference(NamedTuple):
    """How two versions differ about a log. `position` is that of the first entry about what differs first.

    `subjects` counts certificates, arrangements and so on that differ; `unknown_before` those of them that were
    unknown to the serving version and are known to the other.
    """

    log: str
    position: int
    subjects: int
    unknown_before: int


async def differences(connection: Connection, version: str) -> list[Difference]:
    """Compare a version with the serving one, all rows of both; must run in one snapshot, at equal cursors."""
    await connection.execute("SET LOCAL work_mem = '64MB'")
    return await _compare(connection, version, list(_PARTS))


async def cursor_differences(connection: Connection, version: str) -> list[Difference]:
    """Compare only how far each log is, and what is unknown about it as a whole."""
    return await _compare(connection, version, ["cursor"])


async def _compare(connection: Connection, version: str, tables: list[str]) -> list[Difference]:
    parts = " UNION ALL ".join(_PARTS[table] for table in tables)
    query = _DIFFERENCES.format(parts=parts).format(version=version, projection=PROJECTION, number=VERSION)
    return [Difference(*row) for row in await connection.fetch(query, timeout=None)]
