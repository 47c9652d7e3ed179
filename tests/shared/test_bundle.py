"""The form of bundles: read back as written, flat in memory, and never with a bit that is not the writer's."""

import re
from datetime import timedelta
from hashlib import sha256
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles import carry
from tests.federation.towns import NOW, Town
from tomoni.bundle import MAX_BYTES, MAX_PORTION, BundleError, BundleReader, BundleWriter
from tomoni.tlog.checkpoint import open_checkpoint, sign_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import open_note

SECTION = re.compile(rb"(head|checkpoint|entries|heartbeat|end) ([0-9]+) ([0-9]+) [0-9a-f]{64}\n")


@pytest.fixture(scope="module")
def town():
    town = Town("131130")
    for _ in range(11):
        town.issue()
    return town


@pytest.fixture(scope="module")
def data(town, tmp_path_factory):
    """The bundle of what follows the size 4: two portions of three entries, one of one, a heartbeat."""
    return carry(town, tmp_path_factory.mktemp("b") / "file", 4, heartbeat=town.heartbeat().data).read_bytes()


def read(data: bytes):
    bundle = BundleReader(BytesIO(data))
    return bundle, list(bundle.portions())


def sections(data: bytes) -> list[tuple[int, int, int, str, int]]:
    """Return offset, start and end of the content, kind and size of each section."""
    found, offset = [], data.index(b"\n") + 1
    while offset < len(data):
        line = SECTION.match(data, offset)
        end = line.end() + int(line[3])
        found.append((offset, line.end(), end, line[1].decode(), int(line[2])))
        offset = end
    return found


def entry_at(data: bytes, place: int) -> int | None:
    """Return the position in the log of the entry, or of the leaf hash, that a byte of the file belongs to."""
    reached = 0
    for _, start, end, kind, size in sections(data):
        if start <= place < end and kind == "entries":
            count = size - reached
            if place < start + 32 * count:
                return reached + (place - start) // 32
            at = start + 32 * count
            for number in range(count):
                at += 2 + int.from_bytes(data[at : at + 2], "big")
                if place < at:
                    return reached + number
        reached = size
    return None


def test_a_bundle_is_read_as_it_was_written(town, data):
    bundle, portions = read(data)
    assert (bundle.origin, bundle.start, bundle.size) == (town.origin, 4, 11)
    assert bundle.heartbeat == town.heartbeat().data
    assert [(one.start, one.size) for one in portions] == [(4, 4), (4, 7), (7, 10), (10, 11)]
    assert [entry for one in portions for entry in one.entries] == town.entries[4:]
    assert [leaf for one in portions for leaf in one.leaves] == [leaf_hash(entry) for entry in town.entries[4:]]
    assert [one.note for one in portions] == [town.note(size) for size in (4, 7, 10, 11)]
    open_note(bundle.end, [town.log_key.verifier])


def test_a_bundle_of_a_whole_log_and_one_of_nothing_but_a_checkpoint_are_bundles(town, tmp_path):
    bundle, portions = read(carry(town, tmp_path / "whole", step=MAX_PORTION).read_bytes())
    assert (bundle.start, bundle.size, bundle.heartbeat, len(portions)) == (0, 11, None, 1)
    bundle, portions = read(carry(town, tmp_path / "none", 11).read_bytes())
    assert (bundle.start, bundle.size, [one.entries for one in portions]) == (11, 11, [()])


def test_every_bit_that_is_flipped_is_found_and_the_message_names_where(data):
    """Every byte once, each with another bit: the section at fault is named, and in entries the position."""
    parts = [(0, data.index(b"\n") + 1), *((offset, end) for offset, _, end, _, _ in sections(data))]
    for offset, end in parts:
        for place in range(offset, end):
            altered = bytearray(data)
            altered[place] ^= 1 << place % 8
            with pytest.raises(BundleError) as found:
                read(bytes(altered))
            position = entry_at(data, place)
            assert found.value.offset == offset
            assert str(found.value).startswith(f"byte {offset} on")
            if position is not None:
                assert found.value.position == position
                assert f"position {position} of the log" in str(found.value)


def test_who_alters_a_section_and_its_hash_too_is_found_at_the_end(data, town):
    offset, _, end, _, size = next(one for one in sections(data) if one[3] == "heartbeat")
    other = town.heartbeat(NOW + timedelta(days=1)).data
    line = f"heartbeat {size} {len(other)} {sha256(other).hexdigest()}\n".encode()
    with pytest.raises(BundleError, match="signed over other bytes"):
        read(data[:offset] + line + other + data[end:])


@given(st.data())
def test_a_bundle_that_is_cut_off_or_goes_on_is_none(data, drawn):
    length = drawn.draw(st.integers(0, len(data) - 1))
    for other in (data[:length], data + data[:1] + data[:length]):
        with pytest.raises(BundleError):
            read(other)


@given(st.data())
def test_sections_in_another_order_twice_or_left_out_are_no_bundle(data, drawn):
    parts = [data[offset:end] for offset, _, end, _, _ in sections(data)]
    kept = drawn.draw(st.lists(st.sampled_from(range(len(parts))), max_size=len(parts) + 1))
    if kept == list(range(len(parts))):
        return
    with pytest.raises(BundleError):
        read(data[: data.index(b"\n") + 1] + b"".join(parts[number] for number in kept))


def test_entries_put_together_by_somebody_else_do_not_pass_for_those_that_were_signed(town, tmp_path):
    forged = Town(town.code, entries=[*town.entries[:5], town.entries[0], *town.entries[6:]])
    notes = {size: town.note(size) for size in (6, 9, 11)}
    with pytest.raises(BundleError, match="entries from 3 to 5 are not"):
        carry(forged, tmp_path / "file", notes=notes)


def test_a_bundle_of_another_towns_checkpoints_is_none(town, tmp_path):
    other = Town("131121", entries=town.entries)
    with pytest.raises(BundleError, match="entries from 0 to 2 are not"):
        carry(town, tmp_path / "file", notes={3: other.note(3)})


def test_an_end_that_somebody_else_has_signed_is_not_the_towns(town, tmp_path):
    bundle, _ = read(carry(town, tmp_path / "file", signers=[Town(town.code).log_key]).read_bytes())
    with pytest.raises(NoteError):
        open_note(bundle.end, [town.log_key.verifier])


@pytest.mark.parametrize(
    "line",
    [
        b"entries 2001 5 ",
        b"entries 0 5 ",
        b"entries 1 %d " % (MAX_BYTES["entries"] + 1),
        b"entries 01 5 ",
        b"entries +1 5 ",
        b"entries 1  5 ",
        b"entries 99999999999999999999 5 ",
        b"Entries 1 5 ",
        b"checkpoint 1 5 ",
        b"leaves 1 5 ",
        b"x" * 200,
    ],
)
def test_no_line_makes_the_reader_take_more_or_other_than_a_section_may_have(line):
    file = BytesIO()
    BundleWriter(file, "tomoni.example/131130", CompactRange(), None)
    end = len(file.getvalue())
    with pytest.raises(BundleError) as found:
        read(file.getvalue() + line + b"0" * 64 + b"\n12345")
    assert found.value.offset == end


def test_the_note_at_the_end_is_no_checkpoint_of_the_log(data, town):
    bundle, _ = read(data)
    with pytest.raises(NoteError):
        open_checkpoint(bundle.end, town.origin, [town.log_key.verifier])


def test_a_portion_that_no_federation_would_wait_for_is_not_written(town):
    writer = BundleWriter(BytesIO(), town.origin, CompactRange(), None)
    for entries in ([], [b"x"] * (MAX_PORTION + 1)):
        with pytest.raises(BundleError, match="a checkpoint follows after"):
            writer.portion(entries, sign_checkpoint(town.checkpoint_at(0), [town.log_key]))
