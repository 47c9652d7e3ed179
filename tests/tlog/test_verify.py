"""Verification of whole logs, written by the naive reference: whatever is changed is found, where it is."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tlog import reference
from tests.tlog.reference import Key
from tomoni.tlog.checkpoint import Checkpoint
from tomoni.tlog.merkle import EMPTY_ROOT
from tomoni.tlog.note import Verifier
from tomoni.tlog.tiles import EntryBundle, Tile, encode_bundle
from tomoni.tlog.verify import Fault, LogFaultError, NotPublishedError, reading_order, verify_checkpoint, verify_tree

KEY = Key("other.example/log")
VERIFIER = Verifier.parse(KEY.vkey)
BIG = 66_000  # 257 full tiles of level 0, one of level 1, and partial ones on three levels


def entries_of(size: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(size)]


def reader(folder: Path) -> Callable[[str], bytes]:
    def fetch(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError as error:
            raise NotPublishedError(path) from error

    return fetch


def verify(folder: Path) -> Checkpoint:
    fetch = reader(folder)
    checkpoint = verify_checkpoint(fetch, [VERIFIER])
    verify_tree(checkpoint, fetch)
    return checkpoint


def fault_in(folder: Path) -> Fault:
    with pytest.raises(LogFaultError) as caught:
        verify(folder)
    assert caught.value.fault.path in str(caught.value)
    return caught.value.fault


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(data)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("big")
    reference.write_log(folder, entries_of(BIG), KEY)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A log of 600 entries: two full bundles and one of 88."""
    reference.write_log(tmp_path, entries_of(600), KEY)
    return tmp_path


class Overlay:
    """A log with some files replaced, so that a large one need not be written again for each test."""

    def __init__(self, folder: Path) -> None:
        self.changed: dict[str, bytes | None] = {}
        self._under = reader(folder)

    def fetch(self, path: str) -> bytes:
        data = self.changed[path] if path in self.changed else self._under(path)
        if data is None:
            raise NotPublishedError(path)
        return data

    def flip(self, path: str, offset: int) -> None:
        data = bytearray(self.fetch(path))
        data[offset] ^= 1
        self.changed[path] = bytes(data)

    def fault(self) -> Fault:
        with pytest.raises(LogFaultError) as caught:
            verify_tree(verify_checkpoint(self.fetch, [VERIFIER]), self.fetch)
        return caught.value.fault


class TestRightLogs:
    @pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 1000])
    def test_a_log_by_another_hand_is_verified(self, tmp_path: Path, size: int) -> None:
        root = reference.write_log(tmp_path, entries_of(size), KEY)
        assert verify(tmp_path) == Checkpoint("other.example/log", size, root)

    def test_a_log_of_three_levels_is_verified_with_progress(self, big: Path) -> None:
        fetch = reader(big)
        steps: list[int] = []
        checkpoint = verify_checkpoint(fetch, [VERIFIER])
        verify_tree(checkpoint, fetch, steps.append)
        assert checkpoint.size == steps[-1] == BIG
        assert steps == sorted(steps)
        assert len(steps) == 258

    def test_entries_may_be_empty_or_as_long_as_can_be(self, tmp_path: Path) -> None:
        root = reference.write_log(tmp_path, [b"", b"a" * 65_535, b""], KEY)
        assert verify(tmp_path).root == root

    def test_full_tiles_stand_in_for_partial_ones_that_are_gone(
        self, small: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        grown = tmp_path_factory.mktemp("grown")
        reference.write_log(grown, entries_of(768), KEY)
        for kind in ("0", "entries"):
            (small / f"tile/{kind}/002.p/88").unlink()
            (small / f"tile/{kind}/002").write_bytes((grown / f"tile/{kind}/002").read_bytes())
        assert verify(small).size == 600
        flip(small / "tile/entries/002", 2)
        assert fault_in(small).position == 512

    def test_only_what_the_checkpoint_requires_is_read_in_the_order_told(self, big: Path) -> None:
        asked: list[str] = []

        def fetch(path: str) -> bytes:
            asked.append(path)
            return reader(big)(path)

        checkpoint = verify_checkpoint(fetch, [VERIFIER])
        verify_tree(checkpoint, fetch)
        assert asked == ["checkpoint", *(name.path for name in reading_order(BIG))]
        published = {str(file.relative_to(big)) for file in big.rglob("*") if file.is_file()}
        assert sorted(asked) == sorted(published)


class TestReadingOrder:
    @given(st.integers(0, 300_000))
    def test_it_names_every_file_of_the_tree_once(self, size: int) -> None:
        names = list(reading_order(size))
        bundles = [EntryBundle(index) for index in range(size // 256)]
        bundles += [EntryBundle(size // 256, size % 256)] if size % 256 else []
        tiles: set[Tile] = set()
        for level in range(8):
            count = size >> 8 * level
            tiles |= {Tile(level, index) for index in range(count // 256)}
            tiles |= {Tile(level, count // 256, count % 256)} if count % 256 else set()
        assert [name for name in names if isinstance(name, EntryBundle)] == bundles
        assert {name for name in names if isinstance(name, Tile)} == tiles
        assert len(names) == len(bundles) + len(tiles)

    def test_a_size_that_nobody_could_publish_takes_no_memory(self) -> None:
        names = reading_order(2**63 - 1)
        assert next(names) == Tile(7, 0, 127)


class TestWrongCheckpoints:
    def test_none_is_published(self, tmp_path: Path) -> None:
        assert fault_in(tmp_path) == Fault("checkpoint", None, "a signed checkpoint", "nothing published")

    def test_another_key_has_signed(self, small: Path) -> None:
        (small / "checkpoint").write_bytes(reference.checkpoint(KEY.name, 600, bytes(32), Key(KEY.name, b"\x08" * 32)))
        assert fault_in(small).found == "no known key has signed the note"

    def test_the_size_was_changed(self, small: Path) -> None:
        file = small / "checkpoint"
        file.write_bytes(file.read_bytes().replace(b"600", b"599"))
        assert fault_in(small).path == "checkpoint"

    def test_the_origin_is_another(self, small: Path) -> None:
        assert verify_checkpoint(reader(small), [VERIFIER], "other.example/log").size == 600
        with pytest.raises(LogFaultError, match="another log"):
            verify_checkpoint(reader(small), [VERIFIER], "another.example/log")

    def test_the_signed_root_is_of_no_published_tree(self, small: Path) -> None:
        (small / "checkpoint").write_bytes(reference.checkpoint(KEY.name, 600, b"\x11" * 32, KEY))
        fault = fault_in(small)
        assert (fault.path, fault.position) == ("checkpoint", None)
        assert "11" * 32 in fault.expected
        assert reference.mth(entries_of(600)).hex() in fault.found

    def test_an_empty_log_has_the_empty_root(self, tmp_path: Path) -> None:
        (tmp_path / "checkpoint").write_bytes(reference.checkpoint(KEY.name, 0, b"\x11" * 32, KEY))
        assert EMPTY_ROOT.hex() in fault_in(tmp_path).found


class TestWrongEntries:
    @pytest.mark.parametrize("position", [0, 255, 256, 511, 512, 599])
    def test_a_changed_entry_is_named_by_its_position(self, small: Path, position: int) -> None:
        index, width = position // 256, min(256, 600 - position // 256 * 256)
        entries = entries_of(600)
        signed, changed = entries[position], b"forged"
        entries[position] = changed
        file = small / EntryBundle(index, width).path
        file.write_bytes(encode_bundle(entries[index * 256 : index * 256 + width]))
        fault = fault_in(small)
        assert (fault.path, fault.position) == (EntryBundle(index, width).path, position)
        assert reference.mth([signed]).hex() in fault.expected
        assert reference.mth([changed]).hex() in fault.found

    def test_of_several_changed_entries_the_first_is_named(self, big: Path) -> None:
        log = Overlay(big)
        for path in ("tile/entries/257.p/208", "tile/entries/200", "tile/entries/201"):
            log.flip(path, 2)
        assert log.fault().position == 200 * 256

    def test_swapped_entries_are_found(self, small: Path) -> None:
        entries = entries_of(600)
        entries[300], entries[301] = entries[301], entries[300]
        (small / "tile/entries/001").write_bytes(encode_bundle(entries[256:512]))
        assert fault_in(small).position == 300

    @pytest.mark.parametrize("change", [-1, 1])
    def test_an_entry_too_few_or_too_many_is_found(self, small: Path, change: int) -> None:
        (small / "tile/entries/001").write_bytes(encode_bundle(entries_of(600)[256 : 512 + change]))
        fault = fault_in(small)
        assert (fault.path, fault.position, fault.expected) == ("tile/entries/001", 256, "256 entries")

    def test_a_missing_bundle_is_found(self, small: Path) -> None:
        (small / "tile/entries/001").unlink()
        assert fault_in(small) == Fault("tile/entries/001", 256, "256 entries", "nothing published")

    def test_a_missing_partial_bundle_is_found(self, small: Path) -> None:
        (small / "tile/entries/002.p/88").unlink()
        assert fault_in(small) == Fault("tile/entries/002.p/88", 512, "88 entries", "nothing published")


class TestWrongTiles:
    @pytest.mark.parametrize(
        ("path", "place", "position"),
        [
            ("tile/0/000", 0, 0),
            ("tile/0/256", 77, 65_536 + 77),
            ("tile/0/257.p/208", 207, BIG - 1),
            ("tile/1/000", 3, 3 * 256),
            ("tile/1/001.p/1", 0, 65_536),
            ("tile/2/000.p/1", 0, 0),
        ],
    )
    def test_a_changed_hash_is_named_where_the_entries_are_right(
        self, big: Path, path: str, place: int, position: int
    ) -> None:
        log = Overlay(big)
        right = log.fetch(path)[place * 32 : place * 32 + 32]
        log.flip(path, place * 32 + 31)
        wrong = log.fetch(path)[place * 32 : place * 32 + 32]
        assert log.fault() == Fault(path, position, f"the hash {right.hex()} at {place}", wrong.hex())

    def test_an_entry_rewritten_with_its_tile_is_found_by_the_signed_hash_above(self, big: Path) -> None:
        log = Overlay(big)
        entries = entries_of(512)[256:]
        entries[5] = b"forged"
        log.changed["tile/entries/001"] = encode_bundle(entries)
        log.changed["tile/0/001"] = b"".join(reference.mth([entry]) for entry in entries)
        fault = log.fault()
        assert (fault.path, fault.position) == ("tile/0/001", 256)
        assert fault.expected.endswith("over entries 256 to 511")
        assert reference.mth(entries_of(512)[256:]).hex() in fault.expected
        assert fault.found == reference.mth(entries).hex()

    def test_a_tile_of_a_higher_level_rewritten_with_all_below_it_names_what_it_covers(self, big: Path) -> None:
        log = Overlay(big)
        log.flip("tile/1/000", 0)
        log.changed["tile/0/000"] = None
        fault = log.fault()
        assert (fault.path, fault.position) == ("tile/1/000", 0)
        assert fault.expected.endswith("over entries 0 to 65535")

    def test_a_right_edge_rewritten_with_its_entries_is_found_by_the_root(self, small: Path) -> None:
        entries = entries_of(600)
        entries[550] = b"forged"
        (small / "tile/entries/002.p/88").write_bytes(encode_bundle(entries[512:]))
        (small / "tile/0/002.p/88").write_bytes(b"".join(reference.mth([entry]) for entry in entries[512:]))
        fault = fault_in(small)
        assert (fault.path, fault.position) == ("checkpoint", None)
        assert reference.mth(entries).hex() in fault.found

    def test_a_wrong_right_edge_without_entries_is_found_by_the_root(self, small: Path) -> None:
        flip(small / "tile/0/002.p/88", 0)
        (small / "tile/entries/002.p/88").unlink()
        assert fault_in(small).path == "checkpoint"

    @pytest.mark.parametrize("path", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
    def test_a_missing_tile_is_found(self, small: Path, path: str) -> None:
        (small / path).unlink()
        fault = fault_in(small)
        assert (fault.path, fault.found) == (path, "nothing published")

    @pytest.mark.parametrize("path", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
    @pytest.mark.parametrize("change", [-32, -1, 1, 32])
    def test_a_tile_of_another_length_is_found(self, small: Path, path: str, change: int) -> None:
        file = small / path
        file.write_bytes(file.read_bytes()[:change] if change < 0 else file.read_bytes() + bytes(change))
        fault = fault_in(small)
        assert fault.path == path
        assert fault.expected.endswith("hashes of 32 bytes")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_any_flipped_bit_of_any_file_is_found(small: Path, seed: int) -> None:
    choose = random.Random(seed)
    file = choose.choice(sorted(file for file in small.rglob("*") if file.is_file()))
    data = file.read_bytes()
    bit = choose.randrange(len(data) * 8)
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    file.write_bytes(changed)
    try:
        assert fault_in(small).path in {str(file.relative_to(small)), "checkpoint"}
    finally:
        file.write_bytes(data)
