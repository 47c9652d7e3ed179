"""The read model of one log as `tomoni.history.rows` writes it, so that a replay by somebody else can be compared."""

from typing import Final

from tomoni.history.rows import TABLES, Kind, Table

CURSOR: Final = """
SELECT l.state, c.position, c.halted IS NOT NULL AS halted, c.unknown, c.missing_unknown
FROM mirror.log l JOIN projection.cursor c ON c.projection = $1 AND c.version = $2 AND c.log = l.log
WHERE l.log = $3
"""

# The driver stores the first and the last day there is as infinities.
_WRITTEN: Final[dict[Kind, str]] = {
    "text": '"{}"::text',
    "day": "CASE \"{0}\" WHEN 'infinity' THEN '9999-12-31' WHEN '-infinity' THEN '0001-01-01' "
    "ELSE to_char(\"{0}\", 'YYYY-MM-DD') END",
    "bytes": "encode(\"{}\", 'hex')",
    "texts": 'array_to_json("{}")::text',
}


def _columns(table: Table) -> list[str]:
    return [_WRITTEN[kind].format(name) for name, kind in table.columns]


def _line(columns: list[str]) -> str:
    """Return the expression of a line: tabs between columns, NULL as backslash and N."""
    return "concat_ws(E'\\t', " + ", ".join(f"coalesce({column}, '\\N')" for column in columns) + ")"


def _keyed(table: Table) -> str:
    """Return the rows of one log with their keys, parts and lines, and each column as text."""
    columns = _columns(table)
    listed = ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns))
    return f"""
SELECT left(encode(sha256(convert_to(k.key, 'UTF8')), 'hex'), 2) AS part, k.* FROM (
    SELECT {_line(columns[: table.key])} COLLATE "C" AS key, {_line(columns)} AS line, {listed}
    FROM projection.{table.name} WHERE log = $1
) AS k"""  # noqa: S608  # no text but ours


DIGESTS: Final = {
    name: f"""
SELECT part, count(*) AS rows,
    encode(sha256(string_agg(sha256(convert_to(line, 'UTF8')), ''::bytea ORDER BY key)), 'hex') AS digest
FROM ({_keyed(table)}) AS r GROUP BY part ORDER BY part
"""  # noqa: S608  # no text but ours
    for name, table in TABLES.items()
}
"""One table of one log: each part with how many rows it has and the digest over them."""

ROWS: Final = {
    name: f"""
SELECT key, {", ".join(f"c{number}" for number in range(len(table.columns)))}
FROM ({_keyed(table)}) AS r WHERE part = $2 AND key > $3 ORDER BY key LIMIT $4
"""  # noqa: S608  # no text but ours
    for name, table in TABLES.items()
}
"""The rows of one part, in the order of their keys."""
