"""The root of a log at every size it passes, as its bundles are read one after the other."""

from collections.abc import Sequence

from tomoni.tlog.merkle import CompactRange
from tomoni.tlog.tiles import TILE_WIDTH, tile_root


class GrowingTree:
    """A tree that grows by bundles; within a bundle its root is known at each size."""

    def __init__(self) -> None:
        self._full = CompactRange()
        """Of the roots of full tiles: what it holds of them is what a tree of all their leaves holds."""
        self._leaves: Sequence[bytes] = ()
        self._part = CompactRange()

    @property
    def size(self) -> int:
        """Where the bundle ends that was begun last."""
        return self._full.size * TILE_WIDTH + len(self._leaves)

    def begin(self, leaves: Sequence[bytes]) -> None:
        """Go on with the leaf hashes of the next bundle; the one before must have been full."""
        if self._leaves:
            self._full.append(tile_root(self._leaves))
        self._leaves, self._part = leaves, CompactRange()

    def root_at(self, size: int) -> bytes:
        """Return the root at a size within the bundle begun last, none smaller than asked for before."""
        inside = size - self._full.size * TILE_WIDTH
        self._part.extend(self._leaves[self._part.size : inside])
        if inside == TILE_WIDTH:
            whole = self._full.copy()
            whole.append(self._part.nodes[0])
            return CompactRange(size, whole.nodes).root()
        return CompactRange(size, [*self._full.nodes, *self._part.nodes]).root()
