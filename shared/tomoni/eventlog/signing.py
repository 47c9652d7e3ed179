"""What signing a checkpoint reads and writes: one statement each, so that a town's word is heard soon.

Nothing is locked in between. What was read is a prefix of an append-only log and holds for ever; whoever was faster has
moved the tree's size or stored the same checkpoint, and then nothing is written and the step is taken again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tomoni.database import Pool
from tomoni.eventlog.checkpoints import SignedCheckpoint
from tomoni.eventlog.errors import CorruptLog
from tomoni.eventlog.tree import STORE as STORE_TILES
from tomoni.eventlog.tree import TileKey, columns_of, leaves_of
from tomoni.eventlog.wakeup import CHECKPOINTS
from tomoni.tlog.merkle import CompactRange

_READ: Final = """
WITH newest AS (SELECT size, note, nodes FROM log.checkpoint ORDER BY size DESC LIMIT 1)
SELECT 'sizes' AS kind, tree.size AS a, head.size AS b, NULL::bytea AS c, NULL::bytea AS d
FROM log.tree CROSS JOIN log.head
UNION ALL
SELECT 'checkpoint', size, 0, note, nodes FROM newest
UNION ALL
SELECT 'entry', e.position, 0, e.data, e.leaf_hash FROM (
    SELECT position, data, leaf_hash FROM log.entry
    WHERE position >= coalesce((SELECT size FROM newest), 0) ORDER BY position LIMIT $1
) AS e
UNION ALL
SELECT 'tile', t.level, t.index, t.hashes, NULL
FROM log.tree CROSS JOIN generate_series(0, 6) AS l (level) CROSS JOIN LATERAL (
    SELECT one.* FROM log.tile one WHERE one.level = l.level AND one.index = tree.size >> (8 * (l.level + 1)) LIMIT 1
) AS t
"""
"""The right edge of the tiles (`tree.edge`) up to 2^56 entries."""

_STORE: Final = f"""
WITH moved AS (UPDATE log.tree SET size = greatest(size, $4) WHERE size = $8 RETURNING 1),
tiles AS ({STORE_TILES.replace("ON CONFLICT", "WHERE EXISTS (SELECT FROM moved) ON CONFLICT")}),
checkpoint AS (
    INSERT INTO log.checkpoint (size, note, nodes) SELECT $4, $5, $6 FROM moved
    ON CONFLICT (size) DO NOTHING RETURNING size
)
SELECT pg_notify($7, size::text) FROM checkpoint
"""  # noqa: S608  # of our own texts


@dataclass(frozen=True, slots=True)
class LogState:
    """A log as one snapshot has it."""

    head: int
    """How many entries are committed."""
    size: int
    """How many of them the tiles cover."""
    tiles: Mapping[TileKey, bytes]
    """The tiles of the right edge at that size."""
    signed: SignedCheckpoint | None
    """The newest stored checkpoint; None before the first."""
    tree: CompactRange
    """Its compact range."""
    entries: tuple[tuple[int, bytes, bytes], ...]
    """Position, bytes and leaf hash of the entries after it, up to a limit."""

    def leaves(self, end: int) -> list[bytes]:
        """Return the leaf hashes after the checkpoint, up to a size within the limit; raise CorruptLog where wrong."""
        return leaves_of(self.entries[: end - self.tree.size], self.tree.size, end)


async def read_state(pool: Pool, limit: int) -> LogState:
    """Return the log with up to `limit` entries after its newest checkpoint; raise CorruptLog where it is not one."""
    tiles: dict[TileKey, bytes] = {}
    entries: list[tuple[int, bytes, bytes]] = []
    size = head = 0
    signed, tree = None, CompactRange()
    for kind, a, b, c, d in await pool.fetch(_READ, limit):
        match kind:
            case "sizes":
                size, head = a, b
            case "checkpoint":
                signed, tree = SignedCheckpoint(a, c), CompactRange.from_bytes(a, d)
            case "entry":
                entries.append((a, c, d))
            case _:
                tiles[a, b] = c
    if head < size or size < tree.size:
        raise CorruptLog(f"of {head} entries the tiles cover {size} and a stored checkpoint {tree.size}")
    return LogState(head, size, tiles, signed, tree, tuple(sorted(entries)))


async def store(pool: Pool, note: bytes, tree: CompactRange, grown: Mapping[TileKey, bytes], before: int) -> bool:
    """Store a signed checkpoint, its compact range and the tiles that grew from a size, and tell who listens.

    Returns False, and stores nothing, where the tiles are not at the size `before` any more or the checkpoint is there.
    """
    values = (tree.size, note, tree.to_bytes(), CHECKPOINTS, before)
    return bool(await pool.fetch(_STORE, *columns_of(grown), *values))
