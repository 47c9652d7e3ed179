"""Tiles and bundles: exact paths, exact bytes, and nothing read that has two forms (C2SP tlog-tiles)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tlog import reference
from tomoni.tlog.merkle import consistency_proof, inclusion_proof, leaf_hashes, verify_consistency, verify_inclusion
from tomoni.tlog.tiles import (
    MAX_ENTRY_SIZE,
    EntryBundle,
    Tile,
    TileError,
    bundle_leaf_hashes,
    decode_bundle,
    decode_tile,
    encode_bundle,
    encode_tile,
    entries_path,
    hash_at_tiles,
    parse_path,
    tile_data_root,
    tile_path,
    tile_root,
    tile_width,
)

ENTRIES = [b"%d" % number for number in range(70_000)]


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 0, 1, "tile/0/000.p/1"),
        (0, 273, 112, "tile/0/273.p/112"),
        (1, 999, 255, "tile/1/999.p/255"),
        (0, 1067, 3, "tile/0/x001/067.p/3"),
        (2, 1234067, 256, "tile/2/x001/x234/067"),
        (63, 10**9, 256, "tile/63/x001/x000/x000/000"),
    ],
)
def test_tiles_and_bundles_have_exactly_these_paths(level: int, index: int, width: int, path: str) -> None:
    assert tile_path(level, index, width) == path
    assert parse_path(path) == Tile(level, index, width)
    bundle = path.replace(f"tile/{level}/", "tile/entries/", 1)
    assert entries_path(index, width) == bundle
    assert parse_path(bundle) == EntryBundle(index, width)


@given(st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_every_path_comes_back(level: int, index: int, width: int) -> None:
    assert parse_path(tile_path(level, index, width)) == Tile(level, index, width)
    assert parse_path(entries_path(index, width)) == EntryBundle(index, width)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/64/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/1 /000",
        "tile/x/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/1234",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x000",
        "tile/0/X001/000",
        "tile/0/x009/x223/x372/x036/x854/x775/808",  # 2^63
        "tile/0/٠٠٠",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/1000",
        "tile/0/000.p/+1",
        "tile/0/000.P/1",
        "tile/0/../000",
        "tile/Entries/000",
        "tile/entries/0/000",
        "tile/entries",
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(TileError):
        parse_path(path)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**63, 1), (0, 0, 0), (0, 0, 257)]
)
def test_a_tile_that_no_tree_can_have_has_no_path(level: int, index: int, width: int) -> None:
    with pytest.raises(TileError):
        tile_path(level, index, width)


def test_the_example_tree_of_70000_entries_has_the_tiles_of_the_specification() -> None:
    size = 70_000
    assert [tile_width(0, index, size) for index in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tile_width(1, index, size) for index in (0, 1, 2)] == [256, 17, 0]
    assert [tile_width(2, index, size) for index in (0, 1)] == [1, 0]
    assert tile_width(3, 0, size) == 0
    assert (tile_width(0, 0, 256), tile_width(0, 1, 256), tile_width(1, 0, 256)) == (256, 0, 1)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_come_back(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert data == b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    assert decode_bundle(data, len(entries)) == entries
    assert bundle_leaf_hashes(data, len(entries)) == leaf_hashes(entries)


def test_the_longest_entry_fits_and_one_byte_more_does_not() -> None:
    assert decode_bundle(encode_bundle([b"a" * MAX_ENTRY_SIZE]), 1) == [b"a" * MAX_ENTRY_SIZE]
    with pytest.raises(TileError, match="longer"):
        encode_bundle([b"a" * (MAX_ENTRY_SIZE + 1)])


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=9), st.data())
def test_a_bundle_cut_anywhere_or_followed_by_anything_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    bundle = encode_bundle(entries)
    cut = bundle[: data.draw(st.integers(0, len(bundle) - 1))]
    longer = bundle + data.draw(st.binary(min_size=1, max_size=4))
    for wrong in (cut, longer):
        with pytest.raises(TileError) as caught:
            decode_bundle(wrong, len(entries))
        with pytest.raises(TileError, match=f"^{re.escape(str(caught.value))}$"):
            bundle_leaf_hashes(wrong, len(entries))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=256))
def test_tiles_come_back(hashes: list[bytes]) -> None:
    data = encode_tile(hashes)
    assert decode_tile(data, len(hashes)) == hashes
    for wrong in (data[:-1], data + b"\0", data[32:], data + bytes(32)):
        with pytest.raises(TileError):
            decode_tile(wrong, len(hashes))


@pytest.mark.parametrize("height", range(9))
def test_the_hash_over_a_tile_is_the_root_of_its_subtree(height: int) -> None:
    entries = ENTRIES[: 1 << height]
    assert tile_root(leaf_hashes(entries)) == reference.mth(entries)


def test_the_hash_over_the_bytes_of_a_full_tile_is_the_same() -> None:
    entries = ENTRIES[:256]
    assert tile_data_root(encode_tile(leaf_hashes(entries))) == reference.mth(entries)


@pytest.fixture(scope="module")
def tiles() -> dict[str, bytes]:
    tiles: dict[str, bytes] = {}
    row, level = leaf_hashes(ENTRIES), 0
    while row:
        for start in range(0, len(row), 256):
            part = row[start : start + 256]
            tiles[tile_path(level, start // 256, len(part))] = encode_tile(part)
        row = [tile_root(row[start : start + 256]) for start in range(0, len(row) - 255, 256)]
        level += 1
    return tiles


class TestHashesFromTiles:
    """A log of 70,000 entries in memory: every proof comes out of its tiles."""

    size = 70_000

    @pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999])
    def test_inclusion_is_proven(self, tiles: dict[str, bytes], index: int) -> None:
        hash_at = hash_at_tiles(self.size, lambda tile: tiles[tile.path])
        proof = inclusion_proof(index, self.size, hash_at)
        verify_inclusion(leaf_hashes([ENTRIES[index]])[0], index, self.size, proof, reference.mth(ENTRIES))

    @pytest.mark.parametrize("old", [1, 256, 257, 65_536, 65_537, 69_888, 69_999, 70_000])
    def test_consistency_is_proven(self, tiles: dict[str, bytes], old: int) -> None:
        hash_at = hash_at_tiles(self.size, lambda tile: tiles[tile.path])
        proof = consistency_proof(old, self.size, hash_at)
        verify_consistency(old, self.size, proof, reference.mth(ENTRIES[:old]), reference.mth(ENTRIES))

    @pytest.mark.parametrize(("level", "index"), [(0, 70_000), (5, 2187), (16, 1), (17, 0), (40, 0)])
    def test_a_subtree_that_is_not_complete_has_no_hash(self, tiles: dict[str, bytes], level: int, index: int) -> None:
        hash_at = hash_at_tiles(self.size, lambda tile: tiles[tile.path])
        with pytest.raises(TileError, match="no complete subtree"):
            hash_at(level, index)
