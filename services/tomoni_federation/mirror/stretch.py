"""A stretch of a mirrored log held against the checkpoints within it: pure, over rows as they are stored.

Trusted are signatures of the log's own keys and a range to begin with. Leaf hashes, compact ranges and roots that stand
beside them only tell which of the rows is wrong.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import Verifier


class Row(NamedTuple):
    """An entry as it is stored: its bytes, and the leaf hash that was proven with them."""

    data: bytes
    leaf: bytes


class Stored(NamedTuple):
    """A checkpoint as it is stored."""

    size: int
    root: bytes
    note: bytes
    compact: bytes | None


class Wrong(NamedTuple):
    """Positions from `first` to before `beyond` that are not what was signed."""

    first: int
    beyond: int
    forged: bool
    """Nothing tells which of them is wrong, and none is missing: bytes and leaf hash of one were changed together."""


class Stretch:
    """A stretch under examination: checkpoints are taken in order of size."""

    def __init__(self, origin: str, verifiers: Sequence[Verifier], rows: Mapping[int, Row], base: CompactRange) -> None:
        self._origin = origin
        self._verifiers = verifiers
        self._rows = rows
        self.base = base
        """The tree up to where the stretch is known to be as signed, or is as whoever signed it had it there."""
        self.wrong: list[Wrong] = []
        self.checkpoints: list[int] = []
        """Sizes of checkpoints whose own rows are not as they were stored."""

    def take(self, stored: Stored) -> None:
        """Hold the entries up to a checkpoint against it; where its own row is wrong, the next one speaks for them."""
        signed = self.opened(stored)
        if signed is None:
            self.checkpoints.append(stored.size)
            return
        positions = range(self.base.size, signed.size)
        computed = {at: leaf_hash(self._rows[at].data) for at in positions if at in self._rows}
        recorded = {at: self._rows[at].leaf for at in computed}
        differing = [at for at in positions if at not in computed or computed[at] != recorded[at]]
        grown = self._grown(positions, computed, signed) or self._grown(positions, recorded, signed)
        if grown is None:
            forged = len(computed) == len(positions)
            while self.wrong and self.wrong[-1].first >= self.base.size:  # a checkpoint in between was wrong, too
                self.wrong.pop()
            self.wrong.append(Wrong(self.base.size, signed.size, forged))
        elif differing:
            self.wrong.append(Wrong(differing[0], differing[-1] + 1, forged=False))
        own = trusted_range(stored, signed)
        if stored.root != signed.root or (stored.compact is not None and own is None):
            self.checkpoints.append(stored.size)
        self.base = grown or own or self.base

    def opened(self, stored: Stored) -> Checkpoint | None:
        """Return what the log's key has signed in a stored checkpoint; None where it has not, or at another size."""
        try:
            signed = open_checkpoint(stored.note, self._origin, self._verifiers)
        except NoteError:
            return None
        return signed if signed.size == stored.size else None

    def _grown(self, positions: range, leaves: Mapping[int, bytes], signed: Checkpoint) -> CompactRange | None:
        """Return the tree grown by leaves, if it then is the one that was signed."""
        if len(leaves) != len(positions):
            return None
        grown = self.base.copy()
        grown.extend(leaves[at] for at in positions)
        return grown if grown.root() == signed.root else None


def trusted_range(stored: Stored, signed: Checkpoint) -> CompactRange | None:
    """Return the compact range that stands beside a checkpoint, if it has the root that was signed."""
    try:
        own = CompactRange.from_bytes(stored.size, stored.compact or b"")
    except ValueError:
        return None
    return own if own.root() == signed.root else None
