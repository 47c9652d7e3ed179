"""Verifying the mirror: every log anew from its bytes, against the checkpoints its own keys have signed.

Trusts nothing that is derived: neither the stored leaf hashes nor the compact range nor the roots. A changed row is
named by its position as long as its own leaf hash still stands beside it; where both were changed, the checkpoints
that enclose it name the range.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

from tomoni.database import Connection
from tomoni.history.keys import verifiers_of
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import Verifier

_PREFETCH: Final = 2_000


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that is as its own checkpoints say."""

    log: str
    size: int


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong with a log: at a position (or from it on), and what was expected."""

    log: str
    position: int
    expected: str


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    size: int
    root: bytes
    note: bytes
    compact: bytes | None


class _Wrong(Exception):  # noqa: N818  # a finding
    def __init__(self, position: int, expected: str) -> None:
        super().__init__(expected)
        self.position = position
        self.expected = expected


async def verify_mirror(connection: Connection, federation: str) -> AsyncIterator[Verified | Fault]:
    """Yield the finding for each log, in order of code; must run in a repeatable-read transaction."""
    for row in await connection.fetch("SELECT log, proven_size, compact FROM mirror.log ORDER BY log"):
        try:
            await _verify_log(connection, federation, row["log"], row["proven_size"], row["compact"])
            yield Verified(row["log"], row["proven_size"])
        except _Wrong as wrong:
            yield Fault(row["log"], wrong.position, wrong.expected)


async def _verify_log(connection: Connection, federation: str, log: str, size: int, compact: bytes) -> None:
    """Grow the log's tree from its bytes; raise _Wrong at the first thing that is not as its keys have signed it."""
    signed = await _Signed.read(connection, log, f"{federation}/{log}", size)
    grown = CompactRange()
    changed: int | None = None
    async for row in connection.cursor(
        "SELECT position, data, leaf FROM mirror.entry WHERE log = $1 ORDER BY position", log, prefetch=_PREFETCH
    ):
        signed.settle(grown, changed)
        if row["position"] != grown.size:
            break
        leaf = leaf_hash(row["data"])
        if leaf != row["leaf"] and changed is None:
            changed = row["position"]
        grown.append(leaf)
    signed.settle(grown, changed)
    if grown.size != size:
        raise _Wrong(grown.size, "an entry at this position")
    if grown.to_bytes() != compact:
        raise _Wrong(size, "the compact range of these entries")
    if changed is not None:
        raise _Wrong(changed, "the bytes that were proven here")
    if (longer := signed.beyond()) is not None:
        raise _Wrong(size, f"all entries of the checkpoint of size {longer}, which is kept and was proven")


class _Signed:
    """The checkpoints of a log, in order of size, as its keys have signed them."""

    def __init__(self, origin: str, verifiers: list[Verifier], checkpoints: list[_Checkpoint]) -> None:
        self._origin = origin
        self._verifiers = verifiers
        self._checkpoints = deque(checkpoints)
        self._proven = 0

    @classmethod
    async def read(cls, connection: Connection, log: str, origin: str, size: int) -> Self:
        """Read what is stored; raise _Wrong where it does not reach the size that is said to be proven."""
        keys = await connection.fetch("SELECT log_key FROM mirror.key WHERE log = $1", log)
        verifiers = verifiers_of(key["log_key"] for key in keys)
        query = "SELECT size, root, note, compact FROM mirror.checkpoint WHERE log = $1 ORDER BY size"
        checkpoints = [_Checkpoint(*row.values()) for row in await connection.fetch(query, log)]
        if size > 0 and (not checkpoints or checkpoints[-1].size < size):
            raise _Wrong(size, "a checkpoint that covers everything that is proven")
        return cls(origin, verifiers, checkpoints)

    def settle(self, grown: CompactRange, changed: int | None) -> None:
        """Check the checkpoint of the size reached; where it does not hold, blame the row seen to be changed."""
        if not self._checkpoints or self._checkpoints[0].size != grown.size:
            return
        wrong = _check(self._checkpoints.popleft(), grown, self._origin, self._verifiers)
        if wrong is not None and changed is not None:
            raise _Wrong(changed, "the bytes that were proven here")
        if wrong is not None:
            raise _Wrong(self._proven, f"{wrong} (between here and position {grown.size - 1})")
        self._proven = grown.size

    def beyond(self) -> int | None:
        """Return the size of the first checkpoint that was not reached: the history was cut off."""
        return self._checkpoints[0].size if self._checkpoints else None


def _check(checkpoint: _Checkpoint, grown: CompactRange, origin: str, verifiers: list[Verifier]) -> str | None:
    """Return what a checkpoint expects and the entries do not give."""
    try:
        signed = open_checkpoint(checkpoint.note, origin, verifiers)
    except NoteError:
        return "a checkpoint signed by the log's own key"
    if (signed.size, signed.root) != (grown.size, grown.root()):
        return "the root that the log's own key has signed"
    if checkpoint.compact not in {None, grown.to_bytes()}:
        return "the compact range of the stored checkpoint"
    return None if checkpoint.root == signed.root else "the root of the stored checkpoint"
