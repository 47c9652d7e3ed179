"""Making all tiles of a log from its entries, bundle by bundle, from where a folder stands."""

from collections.abc import Sequence
from typing import Self

from tomoni.tlog.merkle import CompactRange
from tomoni.tlog.tiles import (
    TILE_WIDTH,
    EntryBundle,
    Tile,
    decode_tile,
    encode_tile,
    hash_at_tiles,
    tile_root,
)
from tomoni_auditor.archive.folder import LogFolder


class TileMaker:
    """Writes the tiles over bundles that are given in order.

    No tile is fetched: what is made from the entries is either what the checkpoint signs, or the entries are not. The
    tiles that a full bundle completes are written before the bundle, so that a bundle that is there has its tiles.
    """

    def __init__(self, folder: LogFolder) -> None:
        self._folder = folder
        self._rows: list[list[bytes]] = []
        """Of each level above the first, the hashes of its last tile, which is not full."""
        self._range = CompactRange()
        """Of the roots of full tiles of the lowest level."""
        self._edge: Sequence[bytes] = ()

    @classmethod
    def resume(cls, folder: LogFolder, bundles: int) -> Self:
        """Return the maker that goes on after a number of full bundles, which are in the folder with their tiles."""
        made = cls(folder)
        size, level = bundles, 0
        while size:
            first = size // TILE_WIDTH * TILE_WIDTH
            made._rows.append([tile_root(made._read(Tile(level, index))) for index in range(first, size)])
            size, level = size // TILE_WIDTH, level + 1
        hash_at = hash_at_tiles(bundles * TILE_WIDTH, made._stored)
        nodes: list[bytes] = []
        start = 0
        for bit in reversed(range(bundles.bit_length())):
            if bundles >> bit & 1:
                nodes.append(hash_at(8 + bit, start >> bit))
                start += 1 << bit
        made._range = CompactRange(bundles, nodes)
        return made

    @property
    def size(self) -> int:
        """How many entries were given."""
        return self._range.size * TILE_WIDTH + len(self._edge)

    def add(self, bundle: EntryBundle, data: bytes, leaves: Sequence[bytes]) -> None:
        """Write a bundle, given its leaf hashes too, and every tile it completes; only the last bundle is partial."""
        self._folder.write(Tile(0, bundle.index, bundle.width).path, encode_tile(leaves))
        if bundle.width == TILE_WIDTH:
            root = tile_root(leaves)
            self._range.append(root)
            self._carry(root, 1, bundle.index)
        else:
            self._edge = leaves
        self._folder.write(bundle.path, data)

    def finish(self) -> bytes:
        """Write the partial tiles at the right edge, and return the root."""
        for level, row in enumerate(self._rows, 1):
            if row:
                index = (self._range.size >> 8 * (level - 1)) // TILE_WIDTH
                self._folder.write(Tile(level, index, len(row)).path, encode_tile(row))
        part = CompactRange()
        part.extend(self._edge)
        return CompactRange(self.size, [*self._range.nodes, *part.nodes]).root()

    def _carry(self, root: bytes, level: int, below: int) -> None:
        """Put the root of a full tile, by its index, into the tile above, and write that once it is full."""
        if len(self._rows) < level:
            self._rows.append([])
        row = self._rows[level - 1]
        row.append(root)
        if len(row) == TILE_WIDTH:
            index = below // TILE_WIDTH
            self._folder.write(Tile(level, index).path, encode_tile(row))
            above = tile_root(row)
            row.clear()
            self._carry(above, level + 1, index)

    def _read(self, tile: Tile) -> list[bytes]:
        return decode_tile(self._folder.read(tile.path), TILE_WIDTH)

    def _stored(self, tile: Tile) -> bytes:
        """Return a tile of the tree of all full bundles: a partial one is not looked for on the disk."""
        return self._folder.read(tile.path) if tile.width == TILE_WIDTH else encode_tile(self._rows[tile.level - 1])
