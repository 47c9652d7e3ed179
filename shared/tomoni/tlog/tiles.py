"""Tiles and entry bundles: how a log publishes its tree and its entries as files (C2SP tlog-tiles).

Level l of tiles holds the hashes of subtrees of 256^l entries, 256 hashes a tile. Only the last tile of a level may be
partial: narrower, with its width in its path.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from tomoni.tlog.merkle import HASH_SIZE, LEAF_PREFIX, MAX_SIZE, NODE_PREFIX, HashAt, parent_hashes

TILE_WIDTH = 256
"""Hashes of a full tile and entries of a full bundle ("Merkle Tree")."""

TILE_HEIGHT = 8
"""Levels of the tree that one level of tiles spans: 2^8 = 256."""

MAX_LEVEL = 63
"""The highest level a tile's path can name ("Merkle Tree")."""

MAX_ENTRY_SIZE = 0xFFFF
"""Bytes of the longest entry that a length prefix of a bundle can count ("Log entries")."""

MAX_BUNDLE_SIZE = TILE_WIDTH * (2 + MAX_ENTRY_SIZE)
"""Bytes of the largest bundle there can be."""

_PATH = re.compile(
    r"tile/(?:(?P<level>0|[1-9][0-9]?)|entries)"
    r"/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class TileError(ValueError):
    """A path is not that of a tile or a bundle, or the bytes of one are not in its format."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of a tile of hashes: its level, its index within the level, and its width."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Raise TileError for a tile that no tree can have."""
        if not 0 <= self.level <= MAX_LEVEL:
            raise TileError(f"the level of a tile is between 0 and {MAX_LEVEL}")
        _check(self.index, self.width)

    @property
    def path(self) -> str:
        """The path below the log's prefix, `tile/<L>/<N>[.p/<W>]`."""
        return f"tile/{self.level}/{_format_index(self.index)}{_format_width(self.width)}"


@dataclass(frozen=True, slots=True)
class EntryBundle:
    """The name of a bundle of entries: its index and its width."""

    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Raise TileError for a bundle that no log can have."""
        _check(self.index, self.width)

    @property
    def path(self) -> str:
        """The path below the log's prefix, `tile/entries/<N>[.p/<W>]`."""
        return f"tile/entries/{_format_index(self.index)}{_format_width(self.width)}"


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile, such as `tile/0/x001/067.p/3`; raise TileError when there can be none."""
    return Tile(level, index, width).path


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a bundle, such as `tile/entries/x001/067`; raise TileError when there can be none."""
    return EntryBundle(index, width).path


def parse_path(path: str) -> Tile | EntryBundle:
    """Return the tile or the bundle of a path; raise TileError unless the path is the one form of its name."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise TileError("the path is not tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")
    level, width = match["level"], int(match["width"] or TILE_WIDTH)
    index = int(match["index"].replace("x", "").replace("/", ""))
    name = EntryBundle(index, width) if level is None else Tile(int(level), index, width)
    if name.path != path:  # `000/001` with more digits than needed, or `.p/256`
        raise TileError("the path is not the shortest form of its tile's")
    return name


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes the tree of a size has in a tile, 0 when it has none ("Partial Tiles").

    A bundle has the width of the tile of level 0 with the same index.
    """
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries, each after its length in two bytes; raise TileError for one too long ("Log entries")."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_SIZE:
            raise TileError(f"an entry is longer than {MAX_ENTRY_SIZE} bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle; raise TileError unless the bytes are exactly `width` of them ("Log entries")."""
    entries: list[bytes] = []
    add = entries.append
    end, total = 0, len(data)
    for _ in range(width):
        start = end + 2
        if start > total:
            raise TileError(f"the bundle ends after {len(entries)} of {width} entries")
        end = start + (data[start - 2] << 8 | data[start - 1])
        add(data[start:end])
    if end != total:  # a slice beyond the end is cut short without a word, so this also finds a cut last entry
        raise TileError(f"the bundle is {total} bytes long, its {width} entries {end}")
    return entries


def bundle_leaf_hashes(data: bytes, width: int) -> list[bytes]:
    """Return the leaf hash of each entry of a bundle: `decode_bundle` and `leaf_hashes` in one pass, for whole logs."""
    hashes: list[bytes] = []
    add, digest, prefix = hashes.append, sha256, LEAF_PREFIX
    end, total = 0, len(data)
    for _ in range(width):
        start = end + 2
        if start > total:
            raise TileError(f"the bundle ends after {len(hashes)} of {width} entries")
        end = start + (data[start - 2] << 8 | data[start - 1])
        add(digest(prefix + data[start:end]).digest())
    if end != total:
        raise TileError(f"the bundle is {total} bytes long, its {width} entries {end}")
    return hashes


def encode_tile(hashes: Iterable[bytes]) -> bytes:
    """Return the bytes of a tile: its hashes, one after the other ("Merkle Tree")."""
    return b"".join(hashes)


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile; raise TileError unless the bytes are exactly `width` of them ("Merkle Tree")."""
    if len(data) != width * HASH_SIZE:
        raise TileError(f"the tile is {len(data)} bytes long, {width} hashes are {width * HASH_SIZE}")
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def tile_root(hashes: Sequence[bytes]) -> bytes:
    """Return the hash above the hashes of a full tile, which stands in the tile one level up ("Merkle Tree").

    For any power of two of hashes, it is the root of their complete subtree.
    """
    row = hashes
    while len(row) > 1:
        row = parent_hashes(row)
    return row[0]


def tile_data_root(data: bytes) -> bytes:
    """Return the hash above the bytes of a full tile: `decode_tile` and `tile_root` in one pass, for whole logs."""
    digest, prefix, pair = sha256, NODE_PREFIX, 2 * HASH_SIZE
    return tile_root([digest(prefix + data[start : start + pair]).digest() for start in range(0, len(data), pair)])


def hash_at_tiles(size: int, read_tile: Callable[[Tile], bytes]) -> HashAt:
    """Return a function that gives the hash of any complete subtree of a tree of a size, from its tiles.

    It is what `inclusion_proof` and `consistency_proof` ask for. `read_tile` is only asked for tiles of that size.
    """

    def hash_at(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        tile_index, offset = divmod(first, TILE_WIDTH)
        width = tile_width(tile_level, tile_index, size)
        if offset + (1 << height) > width:
            raise TileError(f"a tree of {size} leaves has no complete subtree at level {level}, index {index}")
        hashes = decode_tile(read_tile(Tile(tile_level, tile_index, width)), width)
        return tile_root(hashes[offset : offset + (1 << height)])

    return hash_at


def _check(index: int, width: int) -> None:
    if not 0 <= index <= MAX_SIZE:
        raise TileError("the index of a tile is between 0 and 2^63 - 1")
    if not 1 <= width <= TILE_WIDTH:
        raise TileError(f"the width of a tile is between 1 and {TILE_WIDTH}")


def _format_index(index: int) -> str:
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path


def _format_width(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"
