"""The function of the mirror, tested: a few logs, chosen at random, are proven anew from what is stored of them.

One log that does not prove is an alarm and stops nobody else: the service is ready as long as proving works at all.
"""

from typing import Final

import asyncpg
import structlog
from prometheus_client import Counter

from tomoni.database import Pool
from tomoni.history.keys import verifiers_of
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash

_SOME_LOGS: Final = """
SELECT l.log, l.proven_size, l.compact, k.note, e.data, e.leaf,
    ARRAY(SELECT log_key FROM mirror.key WHERE log = l.log) AS keys
FROM mirror.log l
LEFT JOIN mirror.checkpoint k ON k.log = l.log AND k.size = l.proven_size
LEFT JOIN mirror.entry e ON e.log = l.log AND e.position = l.proven_size - 1
WHERE l.proven_size > 0 ORDER BY random() LIMIT 3
"""


log = structlog.get_logger()

UNPROVEN: Final = Counter(
    "tomoni_federation_unproven_logs_total", "Times a mirrored log, chosen at random, did not prove; each is an alarm"
)


class UnprovenError(Exception):
    """What the mirror holds of a log is not what its key has signed."""


async def require_proof(pool: Pool, federation: str) -> None:
    """Check the signed roots of a few logs against their compact ranges, and their last entries against their hashes.

    Raises UnprovenError where none of them holds, or database errors.
    """
    rows = await pool.fetch(_SOME_LOGS)
    wrong = [row["log"] for row in rows if not _holds(row, federation)]
    for code in wrong:
        UNPROVEN.inc()
        log.error("log_does_not_prove", code=code)
    if rows and len(wrong) == len(rows):
        raise UnprovenError("what the mirror holds is not what was signed: run `tomoni federation verify-mirror`")


def _holds(row: asyncpg.Record, federation: str) -> bool:
    verifiers = verifiers_of(row["keys"])
    try:
        signed = open_checkpoint(row["note"] or b"", f"{federation}/{row['log']}", verifiers)
    except NoteError:
        return False
    root = CompactRange.from_bytes(row["proven_size"], row["compact"]).root()
    if (signed.size, signed.root) != (row["proven_size"], root):
        return False
    return row["data"] is not None and leaf_hash(row["data"]) == row["leaf"]
