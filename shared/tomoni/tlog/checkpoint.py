"""Checkpoints: a log's signed word about its size and root (C2SP tlog-checkpoint)."""

from collections.abc import Sequence
from dataclasses import dataclass

from tomoni.tlog.cosignature import Cosigner, cosign
from tomoni.tlog.encoding import decode_base64, encode_base64, parse_decimal
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import HASH_SIZE, MAX_SIZE
from tomoni.tlog.note import ED25519, Signer, Verifier, open_note, read_note, sign_note


class CheckpointError(NoteError):
    """A note is not a checkpoint, or not one of the log that was asked about."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of a log: its origin, its size and its root hash of 32 bytes ("Note text").

    Extension lines are read and kept, so that any log can be verified; none are written by this project.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise CheckpointError for values that no checkpoint can have."""
        if not all(line and "\n" not in line for line in (self.origin, *self.extensions)):
            raise CheckpointError("the origin and the extension lines of a checkpoint are single lines, none empty")
        if not 0 <= self.size <= MAX_SIZE:
            raise CheckpointError("the size of a checkpoint is between 0 and 2^63 - 1")
        if len(self.root) != HASH_SIZE:
            raise CheckpointError("the root of a checkpoint is a hash of 32 bytes")

    def to_text(self) -> str:
        """Return the text of the note: origin, size, base64 of the root and extensions, a line each ("Note text")."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of the text of a note; raise CheckpointError when it is not exactly one ("Note text")."""
    *lines, end = text.split("\n")
    if end or len(lines) < 3:
        raise CheckpointError("a checkpoint has at least three lines, each ended by a newline")
    origin, size, root, *extensions = lines
    try:
        return Checkpoint(origin, parse_decimal(size), decode_base64(root), tuple(extensions))
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"a line of the checkpoint is wrong: {error}") from error


def read_checkpoint(data: bytes) -> Checkpoint:
    """Return the checkpoint of a note without verifying any signature; raise NoteError when the form is wrong."""
    return parse_checkpoint(read_note(data).text)


def sign_checkpoint(
    checkpoint: Checkpoint, signers: Sequence[Signer], cosigners: Sequence[Cosigner] = (), time: int = 0
) -> bytes:
    """Return the note of a checkpoint with a signature line of each signer, then of each cosigner at a POSIX time."""
    note = sign_note(checkpoint.to_text(), signers)
    for cosigner in cosigners:
        note = cosign(note, cosigner, time)
    return note


def open_checkpoint(data: bytes, origin: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """Return the checkpoint of a note that one of the log's own keys has signed, and whose origin is the log's.

    The verifiers are the keys trusted to speak for this log; among them, cosignature keys must be right too but do not
    suffice. Raises NoteError for a wrong note or signature, CheckpointError (one of them) for a wrong checkpoint.
    """
    note = open_note(data, verifiers)
    own = {(verifier.name, verifier.key_id) for verifier in verifiers if verifier.key_type == ED25519}
    if own.isdisjoint(note.verified):
        raise CheckpointError("the checkpoint is cosigned, but the log's own signature is missing")
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise CheckpointError("the checkpoint is of another log: its origin is not the one asked for")
    return checkpoint
