"""Against `aics-tlog`, an implementation of the same specifications by others: each reads what the other wrote."""

from pathlib import Path

import aics_tlog
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from tomoni.tlog.cosignature import Cosigner, make_cosignature, open_cosigned
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, consistency_proof, inclusion_proof, leaf_hashes, subtree_root
from tomoni.tlog.note import Signature, Signer, add_signature, read_note
from tomoni.tlog.tiles import encode_bundle, hash_at_tiles
from tomoni.tlog.verify import verify_checkpoint, verify_tree

SEED = b"\x05" * 32
SIGNER = Signer("log.example", SEED)
COSIGNER = Cosigner("witness.example", SEED)
ENTRIES = [b"entry %d" % number for number in range(600)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log whose files the other implementation has written."""
    aics_tlog.tiles.write_tiles(ENTRIES, tmp_path)
    root = aics_tlog.MerkleTree(ENTRIES).root()
    checkpoint = aics_tlog.Checkpoint("log.example", len(ENTRIES), root)
    note = aics_tlog.sign_checkpoint(checkpoint, Ed25519PrivateKey.from_private_bytes(SEED), "log.example")
    (tmp_path / "checkpoint").write_bytes(note.to_bytes())
    return tmp_path


def test_a_log_of_theirs_is_verified(log: Path) -> None:
    def fetch(path: str) -> bytes:
        return (log / path).read_bytes()

    checkpoint = verify_checkpoint(fetch, [SIGNER.verifier], "log.example")
    verify_tree(checkpoint, fetch)
    assert checkpoint.size == 600
    assert encode_bundle(ENTRIES[:256]) == fetch("tile/entries/000")


def test_proofs_out_of_their_tiles_are_theirs(log: Path) -> None:
    hash_at = hash_at_tiles(600, lambda tile: (log / tile.path).read_bytes())
    theirs = aics_tlog.MerkleTree(ENTRIES)
    for size in (1, 2, 255, 256, 257, 511, 600):
        assert subtree_root(0, size, hash_at) == theirs.root(size)
        assert consistency_proof(size, 600, hash_at) == theirs.consistency_proof(size, 600)
    for index in (0, 1, 255, 256, 599):
        assert inclusion_proof(index, 600, hash_at) == theirs.inclusion_proof(index, 600)


def test_they_read_our_checkpoints_and_cosignatures() -> None:
    tree = CompactRange()
    tree.extend(leaf_hashes(ENTRIES))
    note = sign_checkpoint(Checkpoint("log.example", 600, tree.root()), [SIGNER], [COSIGNER], time=1_790_000_000)
    result = aics_tlog.verify_checkpoint(
        aics_tlog.parse_note(note),
        aics_tlog.parse_vkey(SIGNER.vkey),
        [aics_tlog.parse_vkey(COSIGNER.vkey)],
        1,
        expected_origin="log.example",
    )
    assert result.ok, result.error


def test_we_read_their_checkpoints_and_cosignatures(log: Path) -> None:
    note = (log / "checkpoint").read_bytes()
    checkpoint = open_checkpoint(note, "log.example", [SIGNER.verifier])
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    _, line = aics_tlog.sign_cosignature(key, "witness.example", 7, "log.example", 600, checkpoint.root)
    ours = make_cosignature(checkpoint.to_text(), COSIGNER, 7)
    theirs = Signature(line.name, line.key_id, line.signature)
    assert theirs == ours
    assert open_cosigned(add_signature(note, theirs), COSIGNER.verifier) == 7


@pytest.mark.parametrize(
    "text",
    ["a\n1\nAAAA\n", "a\n01\n" + "A" * 43 + "=\n", "a\n+1\n" + "A" * 43 + "=\n", "\n1\n" + "A" * 43 + "=\n", "a\n1\n"],
)
def test_both_refuse_the_same_checkpoints(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text)
    with pytest.raises(ValueError):
        aics_tlog.parse_checkpoint(text)


@pytest.mark.parametrize("data", [b"a\n\n", b"a\n\nb\n", b"a\n\n- a AAAAAAA=\n", "a\n\n— a AAAAAAA\n".encode()])
def test_both_refuse_the_same_notes(data: bytes) -> None:
    with pytest.raises(NoteError):
        read_note(data)
    with pytest.raises(ValueError):
        aics_tlog.parse_note(data)
