"""Integrating: making tiles of hashes of the entries that were appended since, and reading hashes back from them.

Integration trails the head and can be run again at any time: everything it writes follows from the entries. Nothing is
visible outside of the node until a checkpoint covers it, so a crash here loses time and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tomoni.database import Connection, Pool
from tomoni.eventlog.errors import CorruptLog
from tomoni.tlog.merkle import HASH_SIZE, HashAt, leaf_hashes, subtree_root
from tomoni.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, decode_tile, encode_tile, hash_at_tiles, tile_root

CHUNK = 2_000
"""Entries integrated in one transaction."""

LEAVES = "SELECT position, data, leaf_hash FROM log.entry WHERE position >= $1 AND position < $2 ORDER BY position"
TILES = """
    SELECT t.level, t.index, t.hashes FROM unnest($1::smallint[], $2::bigint[]) AS wanted (level, index)
    CROSS JOIN LATERAL (
        SELECT one.* FROM log.tile one WHERE one.level = wanted.level AND one.index = wanted.index LIMIT 1
    ) AS t
"""
STORE = """
    INSERT INTO log.tile (level, index, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
    ON CONFLICT (level, index) DO UPDATE SET hashes = excluded.hashes
"""

T = TypeVar("T")

TileKey = tuple[int, int]
"""Level and index of a tile."""


async def integrate(pool: Pool) -> int:
    """Bring the tiles up to the head, and return the size they cover.

    Raises CorruptLog where an entry is missing or its bytes no longer have the leaf hash they were appended with.
    """
    while True:
        async with pool.acquire() as connection, connection.transaction():
            # Tiles follow from the entries: a crash that loses them costs making them again, so this need not wait
            # for the disk. A checkpoint's commit, later in the same write-ahead log, does.
            await connection.execute("SET LOCAL synchronous_commit = off")
            size: int = await connection.fetchval("SELECT size FROM log.tree FOR UPDATE")
            head: int = await connection.fetchval("SELECT size FROM log.head")
            if head < size:
                raise CorruptLog(f"the tiles cover {size} entries, of which {head} are left")
            end = min(size + CHUNK, head)
            if size < end:
                leaves = await read_leaves(connection, size, end)
                grown = grow(await read_tiles(connection, edge(size)), size, leaves)
                await connection.execute(STORE, *columns_of(grown))
                await connection.execute("UPDATE log.tree SET size = $1", end)
        if end >= head:
            return end


async def read_leaves(connection: Connection | Pool, start: int, end: int) -> list[bytes]:
    """Return the leaf hashes of the entries from a position up to another, made from their bytes.

    Raises CorruptLog where an entry is missing or its bytes no longer have the leaf hash they were appended with.
    """
    rows = await connection.fetch(LEAVES, start, end)
    return leaves_of([(row["position"], row["data"], row["leaf_hash"]) for row in rows], start, end)


def leaves_of(entries: Sequence[tuple[int, bytes, bytes]], start: int, end: int) -> list[bytes]:
    """Return the leaf hashes of entries (position, bytes, leaf hash), as `read_leaves` does."""
    if len(entries) != end - start:
        raise CorruptLog(f"there are {len(entries)} entries from {start} to {end}")
    hashes = leaf_hashes(data for _, data, _ in entries)
    for expected, (position, _, appended), made in zip(range(start, end), entries, hashes, strict=True):
        if position != expected or appended != made:
            raise CorruptLog(f"the entry at position {expected} is not the one that was appended")
    return hashes


def grow(stored: Mapping[TileKey, bytes], size: int, leaves: Sequence[bytes]) -> dict[TileKey, bytes]:
    """Return the tiles that are new or wider after leaves were appended to a tree of a size with the `stored` edge.

    Raises CorruptLog where a tile of the edge is not as wide as it must be.
    """
    last: dict[int, list[bytes]] = {}
    for level, index in edge(size):
        width = (size >> TILE_HEIGHT * level) % TILE_WIDTH
        hashes = stored.get((level, index), b"")
        if len(hashes) != width * HASH_SIZE:
            raise CorruptLog(f"the last tile of level {level} does not have the width of a tree of {size}")
        last[level] = decode_tile(hashes, width)
    return grow_tiles(size, leaves, last)


def columns_of(tiles: Mapping[TileKey, bytes]) -> tuple[list[int], list[int], list[bytes]]:
    """Return levels, indexes and hashes of tiles, as `STORE` takes them."""
    return [level for level, _ in tiles], [index for _, index in tiles], list(tiles.values())


def edge(size: int) -> list[TileKey]:
    """Return the tiles on the right edge of a tree that are not full."""
    keys: list[TileKey] = []
    level = 0
    while count := size >> TILE_HEIGHT * level:
        if count % TILE_WIDTH:
            keys.append((level, count // TILE_WIDTH))
        level += 1
    return keys


def grow_tiles(size: int, leaves: Sequence[bytes], last: Mapping[int, Sequence[bytes]]) -> dict[TileKey, bytes]:
    """Return the tiles that are new or wider after leaf hashes were appended to a tree of a size.

    `last` has the hashes of the partial last tile of each level that has one.
    """
    grown: dict[TileKey, bytes] = {}
    row: list[bytes] = list(leaves)
    level = 0
    while row:
        index = (size >> TILE_HEIGHT * level) // TILE_WIDTH
        hashes = [*last.get(level, ()), *row]
        row = []
        for start in range(0, len(hashes), TILE_WIDTH):
            tile = hashes[start : start + TILE_WIDTH]
            grown[level, index + start // TILE_WIDTH] = encode_tile(tile)
            if len(tile) == TILE_WIDTH:
                row.append(tile_root(tile))
        level += 1
    return grown


async def read_tiles(connection: Connection | Pool, keys: Sequence[TileKey]) -> dict[TileKey, bytes]:
    """Return the stored bytes of tiles, as wide as they are by now; those that are not there are left out."""
    rows = await connection.fetch(TILES, [level for level, _ in keys], [index for _, index in keys])
    return {(row["level"], row["index"]): row["hashes"] for row in rows}


def root_in(tiles: Mapping[TileKey, bytes], size: int) -> bytes:
    """Return the root of a tree of a size from tiles at hand; those of its edge are enough.

    Raises CorruptLog where one is missing or not wide enough.
    """
    return subtree_root(0, size, hash_at_tiles(size, _read_from(tiles, size)))


def _read_from(tiles: Mapping[TileKey, bytes], size: int) -> Callable[[Tile], bytes]:
    def read(tile: Tile) -> bytes:
        hashes = tiles.get((tile.level, tile.index), b"")
        if len(hashes) < tile.width * HASH_SIZE:
            raise CorruptLog(f"tile {tile.level}/{tile.index} is not stored as wide as a tree of {size} has it")
        return hashes[: tile.width * HASH_SIZE]

    return read


async def with_tiles(connection: Connection | Pool, size: int, make: Callable[[HashAt], T]) -> T:
    """Return what a function makes of the hashes of a tree of a size, fetching the tiles it asks for in one query.

    The function runs twice: first over blank tiles, to learn which ones it reads.
    """
    wanted: dict[TileKey, None] = {}

    def note(tile: Tile) -> bytes:
        wanted[tile.level, tile.index] = None
        return bytes(tile.width * HASH_SIZE)

    make(hash_at_tiles(size, note))
    stored = await read_tiles(connection, list(wanted)) if wanted else {}

    return make(hash_at_tiles(size, _read_from(stored, size)))


async def root_at(connection: Connection | Pool, size: int) -> bytes:
    """Return the root of the tree at a size up to the one integrated, from its tiles."""
    return await with_tiles(connection, size, lambda hash_at: subtree_root(0, size, hash_at))
