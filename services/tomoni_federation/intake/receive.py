"""Receiving: messages of many logs into the mirror, proven, in one transaction; the caller acknowledges after it.

Whatever the mirror must remember between batches is read here and written here; nothing is kept in the process, so a
kill at any instant costs what was not acknowledged, and that comes again. The rows of the logs are locked in order
of their codes, so any number of receivers work side by side.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import msgspec
import structlog
from prometheus_client import Counter

from tomoni import times
from tomoni.database import Connection, Pool
from tomoni.tlog.checkpoint import Checkpoint, parse_checkpoint
from tomoni.tlog.cosignature import Cosigner, cosign, make_cosignature
from tomoni.tlog.merkle import EMPTY_ROOT, CompactRange
from tomoni.tlog.note import read_note
from tomoni.tlog.succession import Key
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind
from tomoni_federation.bulk import execute_many, write_together
from tomoni_federation.intake import sql
from tomoni_federation.intake.assembly import (
    Branch,
    Checked,
    Claim,
    Heartbeat,
    Log,
    Retired,
    await_heartbeat,
    is_own_word,
    keep_nearest,
    prove,
    retired_word,
    take_checkpoint,
    take_entry,
    take_heartbeat,
)
from tomoni_federation.intake.clocks import Clocks
from tomoni_federation.intake.shrinking import Heard, accuse_shrunk
from tomoni_federation.mirror import tree
from tomoni_federation.mirror.evidence import accuse_checkpoint, accuse_continuation, accuse_pair
from tomoni_federation.mirror.retired import alarm
from tomoni_federation.mirror.tree import GAPS, MirrorGapError
from tomoni_federation.projections.sql import PROJECTION, VERSION

log = structlog.get_logger()

DROPPED: Final = Counter("tomoni_federation_junk_messages_total", "Messages nobody entitled could have sent")
MISMATCHES: Final = Counter("tomoni_federation_root_mismatches_total", "Unproven suffixes discarded for a wrong root")
CONTRADICTIONS: Final = Counter("tomoni_federation_contradictions_total", "Logs caught contradicting themselves")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The federation's word that it has proven and kept a log up to a size, for the log's node."""

    code: str
    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """What a batch brought: receipts to publish, how many entries were proven, logs that contradict themselves."""

    receipts: tuple[Receipt, ...]
    proven: int
    contradicted: tuple[str, ...]
    gaps: tuple[str, ...] = ()
    """Logs whose relay is further than the mirror: it was taken back, or something was lost on the way."""
    repeats: tuple[str, ...] = ()
    """Logs of which came what was proven before, and nothing new: their relay may lack the receipt, which the hub can
    lose, and which a bundle that was faster got."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A checkpoint whose history had another root at a size than the one proven there, and the proof of that."""

    size: int
    """Where it differs from what is proven."""
    root: bytes
    """What its history had there."""
    proof: list[bytes]
    """That the history of `note` began so (RFC 6962 §2.1.2)."""
    note: bytes


class Receiver:
    """Writes what arrives into the mirror."""

    def __init__(
        self, pool: Pool, federation: str, cosigner: Cosigner, *, clock: Callable[[], datetime] = times.now
    ) -> None:
        self._pool = pool
        self._federation = federation
        self._cosigner = cosigner
        self._clock = clock
        self._clocks = Clocks()

    async def events(self, messages: Sequence[RawMessage]) -> Received:
        """Take entries and checkpoints, in the order of the stream; return once they are committed."""
        return await self._receive(messages, _take_event)

    async def heartbeats(self, messages: Sequence[RawMessage]) -> Received:
        """Take heartbeats; return once they are committed."""
        return await self._receive(messages, _take_heartbeat)

    async def accuse(self, code: str, found: Fork) -> bool:
        """Accuse a log of a branch of its history, if its own key has signed it; return whether it was accused.

        On the wire the entries under a wrong root are junk, since anybody may have sent them. Who has the whole branch
        in his hands can show that the log's own word contradicts what is proven.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            one = (await _load(connection, self._federation, [code])).get(code)
            proven = await connection.fetchrow(sql.CHECKPOINT_AT, code, found.size)
            if one is None or proven is None or proven["root"] == found.root or not is_own_word(one, found.note):
                return False
            if not await accuse_continuation(connection, code, proven["note"], found.note, found.root, found.proof):
                return False
        CONTRADICTIONS.inc()
        log.error("log_contradicts_itself", code=code)
        return True

    def nothing(self, code: str) -> bytes:
        """Return the receipt for the empty log, which says that nothing of a log is held: its relay begins anew.

        The town's own signature is not on it, and need not be: every log begins empty.
        """
        text = Checkpoint(f"{self._federation}/{code}", 0, EMPTY_ROOT).to_text()
        line = make_cosignature(text, self._cosigner, int(self._clock().timestamp())).to_line()
        return f"{text}\n{line}".encode()

    async def _receive(self, messages: Sequence[RawMessage], take: "_Take") -> Received:
        now = self._clock()
        codes = sorted({message.code for message in messages})
        async with self._pool.acquire() as connection, connection.transaction():
            logs = await _load(connection, self._federation, codes)
            dropped = 0
            for message in messages:
                if (of_message := logs.get(message.code)) is None:
                    dropped += 1  # not admitted, suspended or quarantined: nothing of it is accepted
                else:
                    take(of_message, message, now)
            for one in logs.values():
                if one.awaited:
                    prove(one, discard=False)
            receipts = self._receipts(logs.values(), now)
            await _store(connection, list(logs.values()), receipts, now)
            contradicted = await _settle(connection, logs, now)
        for one in logs.values():
            for beat in one.beats:
                self._clocks.compare(one.code, beat)
        return _report(logs.values(), dropped, receipts, contradicted)

    def _receipts(self, logs: Iterable[Log], now: datetime) -> dict[str, Receipt]:
        """Give one receipt for each log that was proven further: the last covers those before."""
        receipts: dict[str, Receipt] = {}
        for one in logs:
            if one.proven:
                last = one.proven[-1]
                note = cosign(last.note, self._cosigner, int(now.timestamp()))
                receipts[one.code] = Receipt(one.code, last.size, note)
        return receipts


_Take = Callable[[Log, RawMessage, datetime], None]


def _take_event(of_log: Log, message: RawMessage, _: datetime) -> None:
    if message.position is None:
        of_log.junk += 1
    elif message.kind is Kind.ENTRY:
        take_entry(of_log, message.position, message.data)
    elif message.kind is Kind.CHECKPOINT:
        take_checkpoint(of_log, message.data)
    else:
        of_log.junk += 1


def _take_heartbeat(of_log: Log, message: RawMessage, now: datetime) -> None:
    take_heartbeat(of_log, message.data, min(now, message.stored_at or now))


async def _load(connection: Connection, federation: str, codes: Sequence[str]) -> dict[str, Log]:
    logs: dict[str, Log] = {}
    remembered: list[str] = []
    for row in await connection.fetch(sql.LOCK_LOGS, codes):
        code: str = row["log"]
        keys = [Key(*fields) for fields in msgspec.json.decode(row["keys"], type=list[tuple[int, str, bool]])]
        logs[code] = Log(
            code=code,
            origin=f"{federation}/{code}",
            keys=keys,
            heartbeat_key=row["heartbeat_key"],
            range=CompactRange.from_bytes(row["proven_size"], row["compact"]),
            branch=None if row["branch_size"] is None else Branch(row["branch_size"], row["branch_root"]),
        )
        if row["remembered"]:
            remembered.append(code)
    if remembered:
        await _recall(connection, logs, remembered)
    return logs


async def _recall(connection: Connection, logs: Mapping[str, Log], codes: Sequence[str]) -> None:
    """Read what waits since earlier batches: provisional entries, checkpoints and heartbeats without their entries."""
    for code, position, data in await connection.fetch(sql.PROVISIONAL, codes):
        logs[code].provisional[position] = logs[code].stored[position] = data
    for code, size, note in await connection.fetch(sql.AWAITED, codes):
        logs[code].awaited[size] = Checked(size, _root(note), note)
    for code, size, as_of, note in await connection.fetch(sql.AWAITED_HEARTBEATS, codes):
        await_heartbeat(logs[code], Heartbeat(size, _root(note), as_of, note))
    for code in codes:
        logs[code].remembered = True


def _root(note: bytes) -> bytes:
    return parse_checkpoint(read_note(note).text).root


async def _store(connection: Connection, logs: Sequence[Log], receipts: Mapping[str, Receipt], now: datetime) -> None:
    entries = [
        (one.code, one.first + offset, data, leaf)
        for one in logs
        for offset, (data, leaf) in enumerate(zip(one.entries, one.leaves, strict=True))
    ]
    checkpoints = [
        (one.code, each.size, each.root, each.note, each.compact, _receipt_of(receipts.get(one.code), each.size), now)
        for one in logs
        for each in one.proven
    ]
    grown = [(one.code, one.range.size, one.range.to_bytes()) for one in logs if one.proven]
    keys = [(one.code, key.from_size, key.log_key) for one in logs for key in one.keys if key.from_size > one.first]
    await write_together(
        connection,
        ((sql.ENTRIES, entries), (sql.CHECKPOINTS, checkpoints), (sql.GROW_LOGS, grown), (sql.KEYS, keys)),
    )
    await _remember(connection, logs, now)


def _receipt_of(receipt: Receipt | None, size: int) -> bytes | None:
    return receipt.note if receipt is not None and receipt.size == size else None


async def _remember(connection: Connection, logs: Sequence[Log], now: datetime) -> None:
    had = [one.code for one in logs if one.remembered]
    if had:
        for statement in sql.FORGET_AWAITED:
            await connection.execute(statement, had)
    for one in logs:
        keep_nearest(one)
    gone = [(one.code, position) for one in logs for position in one.stored if _changed(one, position)]
    provisional = [
        (one.code, position, data)
        for one in logs
        for position, data in one.provisional.items()
        if _changed(one, position)
    ]
    awaited = [(one.code, each.size, each.note) for one in logs for each in one.awaited.values()]
    heartbeats = [(one.code, each.size, each.as_of, each.note, False, now) for one in logs for each in one.heartbeats]
    await execute_many(connection, sql.FORGET_PROVISIONAL, gone)
    await execute_many(connection, sql.INSERT_PROVISIONAL, provisional)
    await execute_many(connection, sql.INSERT_AWAITED, awaited)
    await execute_many(connection, sql.INSERT_HEARTBEATS, heartbeats)


def _changed(one: Log, position: int) -> bool:
    return one.provisional.get(position) != one.stored.get(position)


async def _settle(connection: Connection, logs: Mapping[str, Log], now: datetime) -> list[str]:
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
    if (
        grown is not None and root == claim.root
    ):  # so that sending it again and again costs the sender's time and not ours
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


def _report(
    logs: Iterable[Log], dropped: int, receipts: Mapping[str, Receipt], contradicted: Sequence[str]
) -> Received:
    proven = 0
    for one in logs:
        proven += len(one.entries)
        dropped += one.junk
        if one.mismatches:
            MISMATCHES.inc(one.mismatches)
            log.error("root_mismatch", code=one.code, position=one.range.size)
    if dropped:
        DROPPED.inc(dropped)
        log.warning("junk_dropped", count=dropped)
    for code in contradicted:
        CONTRADICTIONS.inc()
        log.error("log_contradicts_itself", code=code)
    gaps = tuple(one.code for one in logs if one.has_gap)
    repeats = tuple(one.code for one in logs if one.repeats and not one.proven)
    return Received(tuple(receipts.values()), proven, tuple(contradicted), gaps, repeats)
