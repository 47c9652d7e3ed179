"""Verifying the mirror: every log anew from its bytes, against the checkpoints its own keys have signed.

Trusts nothing that is derived: neither the stored leaf hashes nor the compact range nor the roots. A changed row is
named by its position as long as its own leaf hash still stands beside it; where both were changed, the checkpoints
that enclose it name the range.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from tomoni.database import Connection
from tomoni.tlog.checkpoint import open_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import Verifier
from tomoni_federation.mirror.keys import verifier_of

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


async def verify_mirror(connection: Connection, federation: str) -> AsyncIterator[Verified | Fault]:
    """Yield the finding for each log, in order of code; must run in a repeatable-read transaction."""
    for row in await connection.fetch("SELECT log, proven_size, compact FROM mirror.log ORDER BY log"):
        yield await _verify_log(connection, federation, row["log"], row["proven_size"], row["compact"])


async def _verify_log(connection: Connection, federation: str, log: str, size: int, compact: bytes) -> Verified | Fault:
    keys = await connection.fetch("SELECT log_key FROM mirror.key WHERE log = $1", log)
    verifiers = [verifier for key in keys if (verifier := verifier_of(key["log_key"])) is not None]
    rows = await connection.fetch("SELECT size, root, note FROM mirror.checkpoint WHERE log = $1 ORDER BY size", log)
    checkpoints = [_Checkpoint(*row.values()) for row in rows]
    if size > 0 and (not checkpoints or checkpoints[-1].size < size):
        return Fault(log, size, "a checkpoint that covers everything that is proven")
    grown = CompactRange()
    proven = 0
    changed: Fault | None = None
    async for row in connection.cursor(
        "SELECT position, data, leaf FROM mirror.entry WHERE log = $1 ORDER BY position", log, prefetch=_PREFETCH
    ):
        if row["position"] != grown.size:
            return Fault(log, grown.size, "an entry at this position")
        leaf = leaf_hash(row["data"])
        if leaf != row["leaf"] and changed is None:
            changed = Fault(log, row["position"], "the bytes that were proven here")
        grown.append(leaf)
        while checkpoints and checkpoints[0].size <= grown.size:
            wrong = _check(checkpoints.pop(0), grown, f"{federation}/{log}", verifiers)
            if wrong is not None:
                return changed or Fault(log, proven, f"{wrong} (between here and position {grown.size - 1})")
            proven = grown.size
    if grown.size != size:
        return Fault(log, grown.size, "an entry at this position")
    if grown.to_bytes() != compact:
        return Fault(log, size, "the compact range of these entries")
    return changed or Verified(log, size)


def _check(checkpoint: _Checkpoint, grown: CompactRange, origin: str, verifiers: list[Verifier]) -> str | None:
    """Return what a checkpoint expects and the entries do not give."""
    try:
        signed = open_checkpoint(checkpoint.note, origin, verifiers)
    except NoteError:
        return "a checkpoint signed by the log's own key"
    if (signed.size, signed.root) != (grown.size, grown.root()):
        return "the root that the log's own key has signed"
    return None if checkpoint.root == signed.root else "the root of the stored checkpoint"
