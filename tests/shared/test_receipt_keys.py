"""The federation's keys for receipts: who knows one learns the others by signatures of both, and each has its time."""

from dataclasses import dataclass

import msgspec
import pytest

from tomoni.receipt_keys import (
    HEADER,
    ReceiptKeys,
    RotationError,
    from_file,
    from_header,
    sign_rotation,
    to_file,
    to_header,
)
from tomoni.tlog.checkpoint import Checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import cosign, generate_cosigner
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import generate_signer

FEDERATION = "tomoni.example"
NOTE = sign_checkpoint(Checkpoint("tomoni.example/131130", 3, bytes(32)), [generate_signer("tomoni.example/131130")])
TIMES = ["2026-11-23T03:00:00.000000Z", "2027-11-23T03:00:00.000000Z"]
SECONDS = [1795402800, 1826938800]


def key():
    return generate_cosigner(f"{FEDERATION}/receipts")


@dataclass
class Chain:
    """Three keys for receipts, one after the other."""

    def __post_init__(self):
        self.keys = [key(), key(), key()]
        self.rotations = [
            sign_rotation(FEDERATION, *pair, time)
            for pair, time in zip(zip(self.keys, self.keys[1:], strict=False), TIMES, strict=True)
        ]


@pytest.fixture
def chain():
    return Chain()


@pytest.mark.parametrize("known", [0, 1, 2])
def test_who_knows_one_key_of_the_chain_knows_all_each_within_its_time(chain, known):
    keys = ReceiptKeys(FEDERATION, [chain.keys[known].verifier])
    keys.learn(chain.rotations)
    for number, cosigner in enumerate(chain.keys):
        early, late = ([0, *SECONDS][number], [*SECONDS, 2**40][number])
        assert keys.open(cosign(NOTE, cosigner, early)) == early
        assert keys.open(cosign(NOTE, cosigner, late)) == late
        if number < 2:
            with pytest.raises(NoteError, match="was replaced before"):
                keys.open(cosign(NOTE, cosigner, late + 1))


def test_a_receipt_that_is_carried_has_the_keys_with_it_as_soon_as_there_is_more_than_one(chain):
    assert to_file(NOTE, []) == NOTE
    assert from_file(NOTE) == (NOTE, ())
    carried = to_file(NOTE, chain.rotations)
    assert from_file(carried) == (NOTE, tuple(chain.rotations))
    for broken in (
        carried.replace(b"[", b"", 1),
        carried.partition(b"\n\n")[0][:-1],
        carried.replace(b'"time"', b'"at"'),
    ):
        with pytest.raises(RotationError):
            from_file(broken)


def test_a_chain_of_strangers_is_passed_over(chain):
    keys = ReceiptKeys(FEDERATION, [key().verifier])
    keys.learn(chain.rotations)
    with pytest.raises(NoteError):
        keys.open(cosign(NOTE, chain.keys[0], 5))


@pytest.mark.parametrize("field", ["receipt_key", "replaces", "time", "replaced", "next"])
def test_nothing_of_a_rotation_can_be_another(chain, field):
    rotation = chain.rotations[0]
    if field in {"replaced", "next"}:
        other = sign_rotation(FEDERATION, key(), key(), TIMES[0]).proofs
        proofs = msgspec.structs.replace(rotation.proofs, **{field: getattr(other, field)})
        wrong = msgspec.structs.replace(rotation, proofs=proofs)
    else:
        value = TIMES[1] if field == "time" else key().vkey
        wrong = msgspec.structs.replace(rotation, **{field: value})
    keys = ReceiptKeys(FEDERATION, [cosigner.verifier for cosigner in chain.keys[:2]])
    with pytest.raises(RotationError):
        keys.learn([wrong])


def test_a_rotation_of_another_federation_is_none_of_ours():
    old, new = (generate_cosigner("other.example/receipts") for _ in range(2))
    keys = ReceiptKeys(FEDERATION, [old.verifier])
    with pytest.raises(RotationError, match=r"named tomoni\.example/receipts"):
        keys.learn([sign_rotation("other.example", old, new, TIMES[0])])


def test_the_thief_of_a_key_that_was_replaced_names_no_second_successor(chain):
    keys = ReceiptKeys(FEDERATION, [chain.keys[0].verifier])
    keys.learn(chain.rotations)
    thief = key()
    with pytest.raises(RotationError, match="replaced by another already"):
        keys.learn([sign_rotation(FEDERATION, chain.keys[0], thief, TIMES[1])])
    with pytest.raises(NoteError):
        keys.open(cosign(NOTE, thief, 5))


def test_rotations_travel_in_a_header_and_there_is_none_before_the_first(chain):
    assert to_header([]) == {}
    text = to_header(chain.rotations)[HEADER]
    assert "\n" not in text
    assert from_header(text) == tuple(chain.rotations)
    for junk in ("", "{}", "[1]", text[:-1]):
        with pytest.raises(RotationError):
            from_header(junk)
