"""Proofs for one entry that stand alone in a file (C2SP tlog-proof): checked offline, with keys and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint
from tomoni.tlog.encoding import decode_base64, encode_base64, parse_decimal
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import HASH_SIZE, ProofError, leaf_hash, verify_inclusion
from tomoni.tlog.note import MAX_NOTE_SIZE, Verifier

HEADER: Final = "c2sp.org/tlog-proof@v1"
"""The first line ("Format")."""

MAX_HASHES: Final = 63
"""Hashes of the longest proof: no tree is higher."""

MAX_PROOF_SIZE: Final = MAX_NOTE_SIZE + 100_000
"""Bytes of the largest proof read; with the longest entry in base64 and the longest checkpoint."""


class LogProofError(ValueError):
    """A file is not a proof, or does not prove what it says; `line` is the line at fault, counted from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}")
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof as it stands in a file: nothing of it is verified. `extra` is opaque, None where it is left out."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    @property
    def checkpoint_line(self) -> int:
        """The line on which the checkpoint begins, counted from 1."""
        return 4 + len(self.hashes) + (self.extra is not None)


def format_proof(proof: LogProof) -> bytes:
    """Return the bytes of a proof ("Format")."""
    extra = [] if proof.extra is None else [f"extra {encode_base64(proof.extra)}"]
    lines = [HEADER, *extra, f"index {proof.index}", *map(encode_base64, proof.hashes), ""]
    return "".join(f"{line}\n" for line in lines).encode() + proof.checkpoint


def parse_proof(data: bytes) -> LogProof:
    """Return the proof of a file; raise LogProofError where it is not exactly one ("Format")."""
    if len(data) > MAX_PROOF_SIZE:
        raise LogProofError(1, f"a proof has at most {MAX_PROOF_SIZE} bytes")
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank:
        raise LogProofError(1, "no empty line comes before the checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise LogProofError(head.count(b"\n", 0, error.start) + 1, "a byte is not ASCII") from error
    if lines[0] != HEADER:
        raise LogProofError(1, f"the line is not {HEADER}")
    has_extra = len(lines) > 1 and lines[1].startswith("extra ")
    extra = _base64(2, lines[1].removeprefix("extra ")) if has_extra else None
    if extra == b"":
        raise LogProofError(2, "the line of extra data is there, and empty")
    at = 2 if has_extra else 1
    if len(lines) <= at or not lines[at].startswith("index "):
        raise LogProofError(at + 1, "the line does not begin with index")
    try:
        index = parse_decimal(lines[at].removeprefix("index "))
    except ValueError as error:
        raise LogProofError(at + 1, str(error)) from error
    if len(lines) - at - 1 > MAX_HASHES:
        raise LogProofError(at + 2 + MAX_HASHES, f"a proof has at most {MAX_HASHES} hashes")
    hashes = tuple(_hash(number, line) for number, line in enumerate(lines[at + 1 :], at + 2))
    return LogProof(index, hashes, checkpoint, extra)


def verify_proof(proof: LogProof, entry: bytes, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """Return the checkpoint under which a proof shows that an entry stands at its index ("Verifying a tlog proof").

    It is signed by a key of the log. Cosignatures of keys given must be right where they are; which of them must be
    there, the caller decides. Raises LogProofError.
    """
    try:
        checkpoint = open_checkpoint(proof.checkpoint, origin, verifiers)
    except NoteError as error:
        raise LogProofError(proof.checkpoint_line, str(error)) from error
    try:
        verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    except ProofError as error:
        line = proof.checkpoint_line - 1 - len(proof.hashes) - 1
        raise LogProofError(line, f"the entry is not proven at index {proof.index}: {error}") from error
    return checkpoint


def _base64(line: int, text: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as error:
        raise LogProofError(line, str(error)) from error


def _hash(line: int, text: str) -> bytes:
    data = _base64(line, text)
    if len(data) != HASH_SIZE:
        raise LogProofError(line, f"a hash has {HASH_SIZE} bytes, this one {len(data)}")
    return data
