"""Replaying one log up to a size: its entries, proven to be those under its checkpoint, folded to state.

The fold is the one the federation projects with. Entries are read in portions, so that memory does not grow with the
log. A log stops at the first entry that is no legal event or does not fit, as it stops for the federation.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tomoni.history.faults import HandlerError
from tomoni.history.fold import Changes, Decoded, Fault, Prior, decode, fold, needs
from tomoni.tlog.checkpoint import Checkpoint
from tomoni.tlog.merkle import CompactRange, ProofError, consistency_proof, leaf_hashes, verify_consistency
from tomoni_auditor.archive.folder import LogFolder, damage_told
from tomoni_auditor.proofs.making import hashes_in
from tomoni_auditor.replay.state import State
from tomoni_auditor.verify.sources import SourceError

_ENTRIES: Final = 10_000
_BYTES: Final = 4_000_000

Progress = Callable[[int, int], None]
"""Told how many entries are replayed, of how many."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A log as it stood once it had `size` entries; `position` is less than that where it stopped at a `fault`."""

    code: str
    checkpoint: Checkpoint
    size: int
    position: int
    fault: Fault | None
    unknown: bool
    """An event of an unknown type is about the whole log."""
    missing_unknown: bool
    """One is about a certificate, which it may have issued."""
    state: State


@contextmanager
def replayed(
    folder: LogFolder, code: str, size: int | None = None, on_progress: Progress | None = None
) -> Generator[Replayed]:
    """Give the state of a log at a size, by default that of its checkpoint; it is gone at the end.

    Raises SourceError where the folder's log is shorter, where a file of it cannot be read, or where its entries are
    not those of its checkpoint. Signatures are not looked at: `tomoni audit verify` does that.
    """
    state = State(code)
    try:
        with damage_told():
            replay = _replay(folder, code, size, state, on_progress)
        yield replay
    finally:
        state.close()


def _replay(folder: LogFolder, code: str, size: int | None, state: State, on_progress: Progress | None) -> Replayed:
    checkpoint = folder.head()
    size = checkpoint.size if size is None else size
    if size > checkpoint.size:
        raise SourceError(f"{code}: the folder's log ends at {checkpoint.size} entries; fetch more of it first")
    position, fault, unknown, missing_unknown = 0, None, False, False
    for portion in proven_portions(folder, code, checkpoint, size):
        if fault is not None:
            continue  # what comes after it is read for the proof alone
        entries = decode(portion)
        prior = state.prior(*needs(entries, new_too=True, missing_unknown=missing_unknown))
        prior.missing_unknown = missing_unknown
        changes = _fold(code, checkpoint.origin, entries, prior)
        state.apply(changes)
        position, fault = changes.position, changes.fault
        unknown, missing_unknown = unknown or changes.unknown, changes.missing_unknown
        if on_progress is not None:
            on_progress(position, size)
    return Replayed(code, checkpoint, size, position, fault, unknown, missing_unknown, state)


def proven_portions(
    folder: LogFolder, code: str, checkpoint: Checkpoint, size: int
) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the first entries of a log, some at a time; raise SourceError at the end unless they are under it."""
    tree = CompactRange()
    for portion in _portions(islice(folder.entries(0, checkpoint.size), size)):
        tree.extend(leaf_hashes(data for _, data in portion))
        yield portion
    try:
        proof = consistency_proof(tree.size, checkpoint.size, hashes_in(folder, checkpoint.size))
        verify_consistency(tree.size, checkpoint.size, proof, tree.root(), checkpoint.root)
    except ProofError as error:
        text = f"{code}: the first {tree.size} entries are not those under the checkpoint"
        raise SourceError(f"{text}; `tomoni audit verify` tells which") from error


def _fold(code: str, origin: str, entries: Sequence[Decoded], prior: Prior) -> Changes:
    try:
        return fold(code, origin, entries, prior)
    except HandlerError as error:
        raise SourceError(f"{code}: this version of the software fails on entry {error.position}") from error


def _portions(entries: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    portion: list[tuple[int, bytes]] = []
    held = 0
    for entry in entries:
        portion.append(entry)
        held += len(entry[1])
        if len(portion) == _ENTRIES or held > _BYTES:
            yield portion
            portion, held = [], 0
    if portion:
        yield portion
