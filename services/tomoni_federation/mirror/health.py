"""The function of the mirror, tested: one log, chosen at random, is proven anew from what is stored of it."""

from typing import Final

from tomoni.database import Pool
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni_federation.mirror.keys import verifier_of

_ONE_LOG: Final = """
SELECT l.log, l.proven_size, l.compact, k.note, e.data, e.leaf,
    ARRAY(SELECT log_key FROM mirror.key WHERE log = l.log) AS keys
FROM mirror.log l
LEFT JOIN mirror.checkpoint k ON k.log = l.log AND k.size = l.proven_size
LEFT JOIN mirror.entry e ON e.log = l.log AND e.position = l.proven_size - 1
WHERE l.proven_size > 0 ORDER BY random() LIMIT 1
"""


class UnprovenError(Exception):
    """What the mirror holds of a log is not what its key has signed."""


async def require_proof(pool: Pool, federation: str) -> None:
    """Check a log's signed root against its compact range, and its last entry against its hash.

    Raises UnprovenError, NoteError or database errors.
    """
    row = await pool.fetchrow(_ONE_LOG)
    if row is None:
        return
    verifiers = [verifier for key in row["keys"] if (verifier := verifier_of(key)) is not None]
    signed = open_checkpoint(row["note"] or b"", f"{federation}/{row['log']}", verifiers)
    root = CompactRange.from_bytes(row["proven_size"], row["compact"]).root()
    if (signed.size, signed.root) != (row["proven_size"], root):
        raise UnprovenError("the compact range of a log is not the one its key has signed")
    if row["data"] is None or leaf_hash(row["data"]) != row["leaf"]:
        raise UnprovenError("an entry of the mirror is not the one that was proven")
