"""Making the proof of one entry from a folder, and checking one with keys alone.

The entry itself stands in the proof's line of extra data. That line is opaque to C2SP and not authenticated by itself;
what is read from it counts because its leaf hash is then proven.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from tomoni.events import Event, EventError, UnknownEvent, decode_event
from tomoni.tlog.checkpoint import Checkpoint, read_checkpoint
from tomoni.tlog.cosignature import CosignatureVerifier, open_cosigned, parse_verifier
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import HashAt, inclusion_proof, leaf_hash
from tomoni.tlog.note import ED25519
from tomoni.tlog.proof import LogProof, LogProofError, parse_proof, verify_proof
from tomoni.tlog.tiles import TILE_WIDTH, Tile, hash_at_tiles
from tomoni_auditor.archive.folder import CHECKPOINT, RECEIPTS, LogFolder, damage_told
from tomoni_auditor.verify.sources import SourceError

_ENTRY_LINE: Final = 2


class Checked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry that is proven, and what it says."""

    origin: str
    position: int
    size: int
    """Of the log at the checkpoint that covers it."""
    root: str
    event: msgspec.Raw
    """The entry, as it stands in the log."""
    type: str
    subject: str | None
    known_at: datetime | None = None
    """When the federation held it, by its cosignature; None where its key was not given."""


def make_proof(folder: LogFolder, position: int) -> LogProof:
    """Return the proof of an entry under the first receipt that covers it, or else the newest checkpoint.

    Raises SourceError where the folder has no such entry, or not the tiles for its proof: it may be damaged.
    """
    with damage_told():
        note, checkpoint = _covering(folder, position)
        entry = entry_at(folder, position)
        hashes = tuple(inclusion_proof(position, checkpoint.size, hashes_in(folder, checkpoint.size)))
    return LogProof(position, hashes, note, entry)


def check_proof(data: bytes, keys: Sequence[str]) -> Checked:
    """Return the entry that a proof proves, under keys of its log; a key for receipts must have cosigned.

    Raises LogProofError where it does not, NoteError where a key is none.
    """
    verifiers = [parse_verifier(text) for text in keys]
    proof = parse_proof(data)
    if proof.extra is None:
        raise LogProofError(_ENTRY_LINE, "the entry is not here: a line that begins with extra holds it")
    origin = _origin(proof)
    of_log = [one for one in verifiers if one.key_type == ED25519 and one.name == origin]
    if not of_log:
        raise LogProofError(proof.checkpoint_line, f"no key was given for the log of {origin}")
    checkpoint = verify_proof(proof, proof.extra, origin, of_log)
    event = _event(proof, proof.extra)
    return Checked(
        origin=origin,
        position=proof.index,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        event=msgspec.Raw(proof.extra),
        type=event.type if isinstance(event, UnknownEvent) else str(type(event).__struct_config__.tag),
        subject=event.subject,
        known_at=_known_at(proof, [one for one in verifiers if isinstance(one, CosignatureVerifier)]),
    )


def entry_at(folder: LogFolder, position: int) -> bytes:
    """Return the entry at a position; raise as LogFolder does."""
    index, offset = divmod(position, TILE_WIDTH)
    width = min(TILE_WIDTH, folder.head().size - index * TILE_WIDTH)
    return folder.bundle(index, width)[offset]


def hashes_in(folder: LogFolder, size: int) -> HashAt:
    """Return what gives the hashes of a log at a size, from the tiles of the size that the folder has now."""
    return hash_at_tiles(size, lambda tile: _tile(folder, tile))


def _covering(folder: LogFolder, position: int) -> tuple[bytes, Checkpoint]:
    """Return the first receipt that covers a position, or the newest checkpoint."""
    head = folder.head()
    if not 0 <= position < head.size:
        raise SourceError(f"the folder holds no entry at position {position}: its log has {head.size}")
    for note in folder.notes(RECEIPTS):
        checkpoint = read_checkpoint(note)
        if position < checkpoint.size <= head.size:
            return note, checkpoint
    return folder.read(CHECKPOINT), head


def _tile(folder: LogFolder, tile: Tile) -> bytes:
    """Return the hashes of a tile at the width of an older size, from the fuller one that is there now."""
    hashes = tile.width * len(leaf_hash(b""))
    size = folder.head().size >> 8 * tile.level
    width = min(TILE_WIDTH, size - tile.index * TILE_WIDTH)
    return folder.read(Tile(tile.level, tile.index, width).path)[:hashes]


def _origin(proof: LogProof) -> str:
    try:
        return read_checkpoint(proof.checkpoint).origin
    except NoteError as error:
        raise LogProofError(proof.checkpoint_line, str(error)) from error


def _event(proof: LogProof, entry: bytes) -> Event | UnknownEvent:
    try:
        event = decode_event(entry)
    except EventError as error:
        raise LogProofError(_ENTRY_LINE, f"the entry is proven, and no legal event: {error}") from error
    if event.source != _origin(proof):
        raise LogProofError(_ENTRY_LINE, "the entry is proven, and names another log as its source")
    return event


def _known_at(proof: LogProof, cosigners: Sequence[CosignatureVerifier]) -> datetime | None:
    times: list[datetime] = []
    for cosigner in cosigners:
        try:
            times.append(datetime.fromtimestamp(open_cosigned(proof.checkpoint, cosigner), UTC))
        except (NoteError, ValueError, OverflowError, OSError) as error:
            raise LogProofError(proof.checkpoint_line, f"{cosigner.name} has not cosigned: {error}") from error
    return min(times, default=None)
