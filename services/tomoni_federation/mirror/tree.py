"""Hashes of a mirrored log at any size, for the rare cases that need them.

A tree is grown from the compact range of the nearest proven checkpoint below. An entry is at most `MAX_AHEAD` beyond
the checkpoint before it, or intake would not have kept it, so a long history costs no more to read than a short one.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter

from tomoni.database import Connection
from tomoni.tlog.merkle import CompactRange, HashAt, parent_hashes

_NEAREST: Final = """
SELECT size, compact FROM mirror.checkpoint
WHERE log = $1 AND size <= $2 AND compact IS NOT NULL ORDER BY size DESC LIMIT 1
"""
"""Checkpoints that an earlier version has stored have none."""

WHOLE: Final = "sha256('\\x00'::bytea || data) = leaf"
"""Whether the bytes of a row still have the leaf hash (RFC 6962) that was proven with them.

Whoever reads entries to answer from them asks for it: a row that a disk or a hand has changed is a gap to him.
"""

SUBJECT: Final = """coalesce(substring(encode(data, 'escape') FROM '.*"subject":"([^"]*)"'), '')"""
"""What the bytes of an entry are about, also where this version cannot read them; the empty text of what is no event.

The envelope's member is the last of that name, since `data` sorts before it, and within a text of canonical JSON the
quotes would be escaped.
"""

_LEAVES: Final = f"""
SELECT position, leaf FROM mirror.entry
WHERE log = $1 AND position >= $2 AND position < $3 AND {WHOLE} ORDER BY position
"""  # noqa: S608  # our own text


GAPS: Final = Counter(
    "tomoni_federation_mirror_gaps_total", "Times the mirror lacked what was proven of a log; each is an alarm"
)


class MirrorGapError(Exception):
    """The mirror lacks an entry, or a checkpoint, that was proven: somebody removed or changed it, or data was lost."""

    def __init__(self, position: int) -> None:
        super().__init__("the mirror lacks what was proven: run `tomoni federation verify-mirror`")
        self.position = position


async def range_at(connection: Connection, log: str, size: int) -> CompactRange:
    """Return the compact range of a log at a proven size; raise MirrorGapError where the mirror has less."""
    grown = await _nearest(connection, log, size)
    grown.extend(await _leaves(connection, log, grown.size, size))
    return grown


async def proof_hashes(connection: Connection, log: str, position: int, size: int) -> HashAt:
    """Return the hashes that proofs from a position, or from the tree of that size, to the tree of a size consist of.

    Raises MirrorGapError where the mirror has less.
    """
    base = await _nearest(connection, log, position)
    return hashes_beyond(base, await _leaves(connection, log, base.size, size))


def hashes_beyond(base: CompactRange, leaves: Iterable[bytes]) -> HashAt:
    """Return the function that gives the hash of each complete subtree in a range or made by appending leaves to it.

    Whatever a proof from the range's end or beyond names is among them: left of there only subtrees that are whole,
    which is what a compact range keeps.
    """
    rows: list[tuple[int, list[bytes]]] = []
    first, row, nodes = base.size, list(leaves), list(base.nodes)
    while first or row:
        if first & 1:
            row.insert(0, nodes.pop())
            first -= 1
        rows.append((first, row))
        row = parent_hashes(row[: len(row) & ~1])
        first >>= 1

    def hash_at(level: int, index: int) -> bytes:
        first, row = rows[level]
        return row[index - first]

    return hash_at


async def _nearest(connection: Connection, log: str, size: int) -> CompactRange:
    row = await connection.fetchrow(_NEAREST, log, size)
    return CompactRange() if row is None else CompactRange.from_bytes(row["size"], row["compact"])


async def _leaves(connection: Connection, log: str, low: int, high: int) -> list[bytes]:
    rows = await connection.fetch(_LEAVES, log, low, high)
    for expected, row in enumerate(rows, low):
        if row["position"] != expected:
            raise MirrorGapError(expected)
    if len(rows) != high - low:
        raise MirrorGapError(low + len(rows))
    return [row["leaf"] for row in rows]
