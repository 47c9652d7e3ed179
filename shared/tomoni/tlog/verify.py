"""Verification of a whole C2SP tlog-tiles log, whatever its entries are.

The signed checkpoint authenticates the hashes of the tree's right edge, these the full tiles below them, and the tiles
of level 0 the entries. Reading from the root down, each hash is known to be the signed one before it is compared with
what lies under it, so the first difference found is at fault: an entry whose hash is not the signed one, or a tile
that the signed tree does not have. No more than one tile of each level is held at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import HASH_SIZE, CompactRange
from tomoni.tlog.note import Verifier
from tomoni.tlog.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    EntryBundle,
    Tile,
    TileError,
    bundle_leaf_hashes,
    decode_tile,
    encode_tile,
    tile_data_root,
    tile_width,
)

CHECKPOINT_PATH = "checkpoint"
"""The path of the checkpoint below the log's prefix (C2SP tlog-tiles, "Checkpoints")."""

Fetch = Callable[[str], bytes]
"""Gives the bytes at a path below the log's prefix; raises NotPublishedError when the log has none there."""


class NotPublishedError(Exception):
    """A log publishes nothing at a path."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong with a log: where it is, what the signed tree requires there, and what is there instead.

    `position` is that of the entry, or of the first entry under a hash; None when no single place is at fault.
    """

    path: str
    position: int | None
    expected: str
    found: str


class LogFaultError(Exception):
    """A log is not what its checkpoint says. `fault` tells where."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.path}: expected {fault.expected}, found {fault.found}")
        self.fault = fault


def verify_checkpoint(fetch: Fetch, verifiers: Sequence[Verifier], origin: str | None = None) -> Checkpoint:
    """Return the checkpoint that a log publishes, signed by one of the keys; raise LogFaultError when it is not so.

    Without an origin any is accepted: the key alone then tells which log it is, so the caller should show the origin.
    """
    try:
        data = fetch(CHECKPOINT_PATH)
    except NotPublishedError as error:
        raise LogFaultError(Fault(CHECKPOINT_PATH, None, "a signed checkpoint", "nothing published")) from error
    try:
        wanted = origin or read_checkpoint(data).origin
        return open_checkpoint(data, wanted, verifiers)
    except NoteError as error:
        raise LogFaultError(Fault(CHECKPOINT_PATH, None, "a checkpoint signed by the key", str(error))) from error


def verify_tree(checkpoint: Checkpoint, fetch: Fetch, on_progress: Callable[[int], None] | None = None) -> None:
    """Raise LogFaultError unless all tiles and entries of a log are those of a checkpoint already verified.

    `fetch` is asked for the paths of `reading_order`, in that order; at a fault for some more around it, and for the
    full tile or bundle where a partial one is gone (C2SP tlog-tiles, "Partial Tiles"). `on_progress` is told how many
    entries are verified after each bundle.
    """
    reader = _Reader(checkpoint.size, fetch)
    tree = _SignedHashes(checkpoint, reader)
    for name in _below_edge(checkpoint.size):
        match name:
            case Tile():
                tree.enter(name)
            case EntryBundle():
                tree.check_entries(name)
                if on_progress is not None:
                    on_progress(name.index * TILE_WIDTH + name.width)


def reading_order(size: int) -> Iterator[Tile | EntryBundle]:
    """Give every tile and bundle of a log of a size in the order in which `verify_tree` reads them.

    First the partial tiles at the right edge, the highest level's first: together they are the root. Then, from left
    to right, each full tile before what lies under it.
    """
    yield from _edge(size)
    yield from _below_edge(size)


def _edge(size: int) -> Iterator[Tile]:
    for level in reversed(range(_levels(size))):
        index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        if width:
            yield Tile(level, index, width)


def _below_edge(size: int) -> Iterator[Tile | EntryBundle]:
    levels = _levels(size)
    for index in range(-(-size // TILE_WIDTH)):
        for level in reversed(range(levels)):
            above, inside = divmod(index, 1 << TILE_HEIGHT * level)
            if inside == 0 and tile_width(level, above, size) == TILE_WIDTH:
                yield Tile(level, above)
        yield EntryBundle(index, tile_width(0, index, size))


def _levels(size: int) -> int:
    return -(-size.bit_length() // TILE_HEIGHT)


class _Reader:
    """Reads the tiles and bundles of a log of one size."""

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch

    def tile(self, tile: Tile) -> bytes:
        """Return the hashes of a tile, one after the other."""
        data, width = self._read(tile)
        if len(data) != width * HASH_SIZE:
            expected = f"{width} hashes of {HASH_SIZE} bytes"
            raise LogFaultError(_fault_of(tile, expected, f"{len(data)} bytes"))
        return data[: tile.width * HASH_SIZE]

    def leaf_hashes(self, bundle: EntryBundle) -> list[bytes]:
        """Return the leaf hashes of the entries of a bundle."""
        data, width = self._read(bundle)
        try:
            return bundle_leaf_hashes(data, width)[: bundle.width]
        except TileError as error:
            raise LogFaultError(_fault_of(bundle, f"{width} entries", str(error))) from error

    def tile_from_below(self, tile: Tile) -> bytes:
        """Return what the hashes of a tile must be by what is published under it: its entries, or its tiles."""
        if tile.level == 0:
            return encode_tile(self.leaf_hashes(EntryBundle(tile.index, tile.width)))
        first = tile.index * TILE_WIDTH
        return encode_tile(
            tile_data_root(self.tile(Tile(tile.level - 1, first + place))) for place in range(tile.width)
        )

    def _read(self, name: Tile | EntryBundle) -> tuple[bytes, int]:
        """Return the bytes of a tile or bundle and their width: full ones replace partial ones that are gone."""
        try:
            return self._fetch(name.path), name.width
        except NotPublishedError:
            full = replace(name, width=TILE_WIDTH)
        try:
            return self._fetch(full.path), full.width
        except NotPublishedError as error:
            what = "hashes" if isinstance(name, Tile) else "entries"
            raise LogFaultError(_fault_of(name, f"{name.width} {what}", "nothing published")) from error


class _SignedHashes:
    """The tiles known to be under the signature: the right edge, and each level's full tile over the place reached."""

    def __init__(self, checkpoint: Checkpoint, reader: _Reader) -> None:
        """Read the right edge; raise LogFaultError unless its hashes lead to the signed root."""
        self._reader = reader
        self._edge = {tile.level: reader.tile(tile) for tile in _edge(reader.size)}
        self._open: dict[int, bytes] = {}
        found = _root_above(reader.size, self._edge)
        if found != checkpoint.root:
            raise LogFaultError(self._explain_root(checkpoint.root, found))

    def enter(self, tile: Tile) -> None:
        """Read a full tile; raise LogFaultError unless its hash is the signed one in the tile above."""
        data = self._reader.tile(tile)
        above, place = divmod(tile.index, TILE_WIDTH)
        signed = _hash_in(self._over(tile.level + 1, above), place)
        if tile_data_root(data) != signed:
            raise LogFaultError(self._explain_tile(tile, data, signed))
        self._open[tile.level] = data

    def check_entries(self, bundle: EntryBundle) -> None:
        """Raise LogFaultError at the first entry of a bundle whose leaf hash is not the signed one."""
        signed = self._over(0, bundle.index)
        found = encode_tile(self._reader.leaf_hashes(bundle))
        if found != signed:
            place = _first_difference(signed, found)
            expected = f"an entry with the signed leaf hash {_hash_in(signed, place).hex()}"
            position = bundle.index * TILE_WIDTH + place
            fault = Fault(bundle.path, position, expected, f"one with the leaf hash {_hash_in(found, place).hex()}")
            raise LogFaultError(fault)

    def _over(self, level: int, index: int) -> bytes:
        """Return the tile of a level over the place reached."""
        full = tile_width(level, index, self._reader.size) == TILE_WIDTH
        return self._open[level] if full else self._edge[level]

    def _explain_tile(self, tile: Tile, data: bytes, signed: bytes) -> Fault:
        """Name the wrong hash of a tile where what lies under it shows which; else the entries under the tile."""
        below = self._below(tile)
        if below is not None and tile_data_root(below) == signed:
            return _fault_in_tile(tile, below, data)
        first = _first_entry(tile)
        last = first + (TILE_WIDTH << TILE_HEIGHT * tile.level) - 1
        expected = f"the signed hash {signed.hex()} over entries {first} to {last}"
        return _fault_of(tile, expected, tile_data_root(data).hex())

    def _explain_root(self, signed: bytes, found: bytes) -> Fault:
        """Name the wrong hash of the right edge where what lies under it shows which; else the root alone."""
        below = {tile: self._below(tile) or self._edge[tile.level] for tile in _edge(self._reader.size)}
        if _root_above(self._reader.size, {tile.level: data for tile, data in below.items()}) == signed:
            tile = next(tile for tile, data in below.items() if data != self._edge[tile.level])
            return _fault_in_tile(tile, below[tile], self._edge[tile.level])
        expected = f"the signed root {signed.hex()} over {self._reader.size} entries"
        return Fault(CHECKPOINT_PATH, None, expected, f"tiles with the root {found.hex()}")

    def _below(self, tile: Tile) -> bytes | None:
        try:
            return self._reader.tile_from_below(tile)
        except LogFaultError:  # more than one thing is wrong: the first one is reported
            return None


def _root_above(size: int, edge: Mapping[int, bytes]) -> bytes:
    """Return the root of a tree from its partial tiles, by level."""
    nodes: list[bytes] = []
    for level in sorted(edge, reverse=True):
        row = CompactRange()
        row.extend(decode_tile(edge[level], len(edge[level]) // HASH_SIZE))
        nodes += row.nodes
    return CompactRange(size, nodes).root()


def _hash_in(tile: bytes, place: int) -> bytes:
    return tile[place * HASH_SIZE : (place + 1) * HASH_SIZE]


def _first_difference(one: bytes, other: bytes) -> int:
    """Return the place of the first hash in which two tiles of the same width differ."""
    return next(place for place in range(TILE_WIDTH) if _hash_in(one, place) != _hash_in(other, place))


def _first_entry(name: Tile | EntryBundle) -> int:
    level = name.level if isinstance(name, Tile) else 0
    return name.index * TILE_WIDTH << TILE_HEIGHT * level


def _fault_of(name: Tile | EntryBundle, expected: str, found: str) -> Fault:
    return Fault(name.path, _first_entry(name), expected, found)


def _fault_in_tile(tile: Tile, right: bytes, wrong: bytes) -> Fault:
    place = _first_difference(right, wrong)
    position = _first_entry(tile) + (place << TILE_HEIGHT * tile.level)
    return Fault(
        tile.path, position, f"the hash {_hash_in(right, place).hex()} at {place}", _hash_in(wrong, place).hex()
    )
