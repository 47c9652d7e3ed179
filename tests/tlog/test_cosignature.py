"""Timestamped cosignatures: each MUST of C2SP tlog-cosignature for its Ed25519 type."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import MAX_TIME, Cosigner, cosign, generate_cosigner, make_cosignature, open_cosigned
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import EMPTY_ROOT
from tomoni.tlog.note import Signature, Signer, add_signature, open_note, read_note

LOG = Signer("example.com/behind-the-sofa", b"\x01" * 32)
WITNESS = Cosigner("witness.example.com/w1", b"\x02" * 32)
CHECKPOINT = Checkpoint("example.com/behind-the-sofa", 20852163, EMPTY_ROOT)
NOTE = sign_checkpoint(CHECKPOINT, [LOG])


def signed(message: str, time: int) -> Signature:
    """Make a cosignature by hand, over any message."""
    raw = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32).sign(message.encode())
    return Signature(WITNESS.name, WITNESS.key_id, time.to_bytes(8, "big") + raw)


def test_the_signed_message_is_the_header_the_time_and_the_note_text() -> None:
    by_hand = signed(f"cosignature/v1\ntime 1679315147\n{CHECKPOINT.to_text()}", 1679315147)
    assert make_cosignature(CHECKPOINT.to_text(), WITNESS, 1679315147) == by_hand
    assert cosign(NOTE, WITNESS, 1679315147) == NOTE + by_hand.to_line().encode()


def test_extension_lines_are_signed_too() -> None:
    extended = Checkpoint("a.example", 1, EMPTY_ROOT, ("an extension",))
    note = sign_checkpoint(extended, [LOG], [WITNESS], time=5)
    assert open_cosigned(note, WITNESS.verifier) == 5
    with pytest.raises(NoteError, match="wrong"):
        open_cosigned(note.replace(b"an extension", b"an expansion"), WITNESS.verifier)


@given(st.integers(0, MAX_TIME))
def test_every_time_comes_back(time: int) -> None:
    assert open_cosigned(cosign(NOTE, WITNESS, time), WITNESS.verifier) == time


@pytest.mark.parametrize("time", [-1, MAX_TIME + 1, 2**64])
def test_a_time_beyond_its_bounds_is_not_signed(time: int) -> None:
    with pytest.raises(NoteError, match="time"):
        cosign(NOTE, WITNESS, time)


def test_a_time_beyond_its_bounds_is_refused_although_it_is_signed() -> None:
    time = MAX_TIME + 1
    line = signed(f"cosignature/v1\ntime {time}\n{CHECKPOINT.to_text()}", time)
    with pytest.raises(NoteError, match="wrong"):
        open_cosigned(add_signature(NOTE, line), WITNESS.verifier)


@pytest.mark.parametrize(
    "message",
    [
        "{text}",
        "cosignature/v1\n{text}",
        "cosignature/v2\ntime 7\n{text}",
        "cosignature/v1\ntime 07\n{text}",
        "cosignature/v1\ntime  7\n{text}",
        "cosignature/v1\ntime 8\n{text}",
        "cosignature/v1\ntime 7\n{text}\n",
    ],
)
def test_a_signature_over_any_other_message_is_refused(message: str) -> None:
    line = signed(message.format(text=CHECKPOINT.to_text()), 7)
    with pytest.raises(NoteError, match="wrong"):
        open_cosigned(add_signature(NOTE, line), WITNESS.verifier)


@pytest.mark.parametrize("size", [1, 8, 64, 71, 73])
def test_a_cosignature_is_a_time_and_64_bytes(size: int) -> None:
    line = Signature(WITNESS.name, WITNESS.key_id, bytes(size))
    with pytest.raises(NoteError, match="wrong"):
        open_cosigned(add_signature(NOTE, line), WITNESS.verifier)


@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    note = bytearray(NOTE + make_cosignature(CHECKPOINT.to_text(), WITNESS, 7).to_line().encode())
    lines = bytes(note).splitlines(keepends=True)
    covered = [*range(len(b"".join(lines[:3]))), *range(len(note) - len(lines[-1]), len(note))]
    bit = data.draw(st.sampled_from(covered)) * 8 + data.draw(st.integers(0, 7))
    note[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NoteError):
        open_cosigned(bytes(note), WITNESS.verifier)


def test_of_two_cosignatures_of_a_key_the_later_time_counts_and_both_must_be_right() -> None:
    twice = cosign(cosign(NOTE, WITNESS, 9), WITNESS, 7)
    assert open_cosigned(twice, WITNESS.verifier) == 9
    wrong = Signature(WITNESS.name, WITNESS.key_id, bytes(72))
    with pytest.raises(NoteError, match="wrong"):
        open_cosigned(add_signature(twice, wrong), WITNESS.verifier)


def test_other_cosigners_and_the_log_itself_are_ignored() -> None:
    note = cosign(cosign(NOTE, generate_cosigner("w2.example"), 9), WITNESS, 7)
    assert open_cosigned(note, WITNESS.verifier) == 7
    assert len(open_note(note, [LOG.verifier, WITNESS.verifier]).verified) == 2
    with pytest.raises(NoteError, match="no known key"):
        open_cosigned(note, generate_cosigner(WITNESS.name).verifier)


def test_a_cosignature_holds_for_no_other_checkpoint() -> None:
    line = make_cosignature(CHECKPOINT.to_text(), WITNESS, 7)
    other = sign_checkpoint(Checkpoint(CHECKPOINT.origin, 20852164, EMPTY_ROOT), [LOG])
    with pytest.raises(NoteError, match="wrong"):
        open_cosigned(add_signature(other, line), WITNESS.verifier)


def test_only_notes_are_cosigned() -> None:
    with pytest.raises(NoteError):
        cosign(b"no note", WITNESS, 7)


def test_a_witness_answers_with_the_line_alone() -> None:
    answer = make_cosignature(read_note(NOTE).text, WITNESS, 7).to_line().encode()
    assert open_cosigned(NOTE + answer, WITNESS.verifier) == 7
