"""Proofs from stored tiles: that an entry stands in a tree, and that a tree continues an older one (RFC 6962 §2.1)."""

from tomoni.database import Pool
from tomoni.eventlog.tree import root_at, with_tiles
from tomoni.tlog.merkle import consistency_proof, inclusion_proof


class Proofs:
    """Makes proofs about the integrated tree of a database's log; sizes are those of checkpoints.

    Every method raises ProofError where there can be no such proof, and CorruptLog or TileError beyond the tree.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def root(self, size: int) -> bytes:
        """Return the root of the tree at a size."""
        return await root_at(self._pool, size)

    async def inclusion(self, position: int, size: int) -> list[bytes]:
        """Return the audit path of an entry in the tree of a size, its sibling first."""
        return await with_tiles(self._pool, size, lambda hash_at: inclusion_proof(position, size, hash_at))

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of a new size begins with that of an old one."""
        return await with_tiles(self._pool, new, lambda hash_at: consistency_proof(old, new, hash_at))
