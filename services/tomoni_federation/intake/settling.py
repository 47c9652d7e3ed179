"""Settling: what becomes of rightly signed words about proven sizes, in the transaction that received them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import structlog

from tomoni import times
from tomoni.database import Connection
from tomoni.tlog.merkle import CompactRange
from tomoni_federation.bulk import execute_many, write_together
from tomoni_federation.intake import sql
from tomoni_federation.intake.assembly import retired_word
from tomoni_federation.intake.logs import Claim, Heartbeat, Log, Retired
from tomoni_federation.intake.shrinking import Heard, accuse_shrunk
from tomoni_federation.mirror import tree
from tomoni_federation.mirror.evidence import accuse_checkpoint, accuse_pair
from tomoni_federation.mirror.retired import alarm
from tomoni_federation.mirror.tree import GAPS, MirrorGapError
from tomoni_federation.projections.sql import PROJECTION, VERSION

log = structlog.get_logger()


async def settle(connection: Connection, logs: Mapping[str, Log], now: datetime) -> list[str]:
    """Compare rightly signed words about proven sizes with the history: they make it fresh, or contradict it."""
    fresh: dict[tuple[str, int, datetime], bytes] = {}  # a heartbeat that comes twice is one row
    shrunk: list[Heard] = []
    contradicted: list[str] = []
    for one in logs.values():
        for claim in sorted(one.claims, key=lambda claim: claim.size):  # each is computed from the one before
            try:
                verdict = await _judge(connection, one, claim, now)
            except MirrorGapError as gap:  # it can be neither believed nor held against the log; the word comes again
                GAPS.inc()
                log.error("mirror_gap", code=one.code, position=gap.position)
                continue
            if verdict == "accused":
                contradicted.append(one.code)
                break  # one is enough: whoever signs a thousand costs us what one costs
            if verdict == "holds" and (beat := claim.heartbeat) is not None:
                fresh[one.code, claim.size, await _counts_as_of(connection, one, beat)] = claim.note
                if claim.size < one.range.size:
                    shrunk.append(Heard(one.code, claim.size, beat.as_of, claim.note))
        if one.retired is not None:
            await _look_at(connection, one, one.retired, now)
        pairs = [
            pair for pair in one.contradictions if await accuse_pair(connection, one.code, pair.first, pair.second)
        ]
        contradicted += [one.code] * len(pairs)
    if fresh:
        contradicted += await _freshen(connection, logs, fresh, shrunk, now)
    return sorted(set(contradicted))


async def _freshen(
    connection: Connection,
    logs: Mapping[str, Log],
    fresh: Mapping[tuple[str, int, datetime], bytes],
    shrunk: Sequence[Heard],
    now: datetime,
) -> list[str]:
    """Store heartbeats that hold, and let logs be as fresh as they say; return the logs that go on shrinking."""
    await execute_many(connection, sql.INSERT_HEARTBEATS, [(*key, note, True, now) for key, note in fresh.items()])
    accused = await accuse_shrunk(connection, logs, shrunk, now) if shrunk else []
    await execute_many(connection, sql.INSERT_FIRST_HEARTBEATS, [(*key, now) for key in fresh])
    codes = sorted({code for code, _, _ in fresh})
    await connection.execute(sql.LOCK_CURSORS, PROJECTION, VERSION, codes)
    await connection.execute(sql.FRESHEN, PROJECTION, VERSION, codes)
    await connection.execute(sql.FORGET_HEARTBEATS, PROJECTION, VERSION, codes)
    return accused


async def _judge(
    connection: Connection, one: Log, claim: Claim, now: datetime
) -> Literal["holds", "accused", "of no effect"]:
    """Return what becomes of a word: it is true of the history, or its log is accused of it.

    The word of a key that was replaced since raises an alarm and has no effect where it is not true. Nor has one that
    its key has not contradicted by another: of a node that was readmitted with a new key and holds another history.
    """
    if await _root_at(connection, one, claim) == claim.root:
        return "holds"
    if (retired := retired_word(one, claim.note)) is not None:
        await alarm(connection, one.code, claim.size, retired.log_key, claim.note, now)
        return "of no effect"
    if await accuse_checkpoint(connection, one.code, claim.note):
        return "accused"
    one.mismatches += 1
    return "of no effect"


async def _look_at(connection: Connection, one: Log, word: Retired, now: datetime) -> None:
    """Raise an alarm about the word of a retired key, unless it is an old one of the history, which comes again."""
    if word.size <= one.range.size:
        try:
            root, _ = await _known_root(connection, one, word.size)
            if word.root == root:
                return
        except MirrorGapError:
            return  # nothing can be said of it; a gap has an alarm of its own
    await alarm(connection, one.code, word.size, word.log_key, word.note, now)


async def _counts_as_of(connection: Connection, one: Log, heartbeat: Heartbeat) -> datetime:
    """Return the instant a heartbeat speaks for: no later than when a longer history was proven.

    Who says after that moment that the log ends earlier is behind: a restored backup or a cloned machine, beside a
    node that may know of an end and be cut off.
    """
    if heartbeat.size >= one.first:
        return heartbeat.as_of
    longer: datetime | None = await connection.fetchval(sql.LONGER_PROVEN_AT, one.code, heartbeat.size)
    return heartbeat.as_of if longer is None else min(heartbeat.as_of, longer)


async def _root_at(connection: Connection, one: Log, claim: Claim) -> bytes:
    """Return the root of the proven history at a size, computed once."""
    root, grown = await _known_root(connection, one, claim.size)
    if grown is not None and root == claim.root:  # sent again and again it shall cost the sender's time and not ours
        rows = [(one.code, claim.size, root, claim.note, grown.to_bytes(), None, times.now())]
        await write_together(connection, [(sql.CHECKPOINTS, rows)])
    return root


async def _known_root(connection: Connection, one: Log, size: int) -> tuple[bytes, CompactRange | None]:
    """Return the root of the proven history at a size: known from this batch, stored, or that of the range computed."""
    if size == one.range.size:
        return one.range.root(), None
    if (root := one.roots.get(size)) is not None:
        return root, None
    stored = await connection.fetchval(sql.ROOT_AT, one.code, size)
    if stored is not None:
        return stored, None
    grown = await tree.range_at(connection, one.code, size)
    return grown.root(), grown
