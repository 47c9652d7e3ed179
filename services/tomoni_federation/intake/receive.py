"""Receiving: messages of many logs into the mirror, proven, in one transaction; the caller acknowledges after it.

Whatever the mirror must remember between batches is read here and written here; nothing is kept in the process, so a
kill at any instant costs what was not acknowledged, and that comes again. The rows of the logs are locked in order
of their codes, so any number of receivers work side by side.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from tomoni import times
from tomoni.database import Connection, Pool
from tomoni.tlog.checkpoint import Checkpoint, read_checkpoint
from tomoni.tlog.cosignature import Cosigner, cosign, make_cosignature
from tomoni.tlog.merkle import EMPTY_ROOT, CompactRange
from tomoni.tlog.succession import Key
from tomoni.transport.consume import RawMessage
from tomoni.transport.subjects import Kind
from tomoni_federation.bulk import execute_many, write_together
from tomoni_federation.intake import sql
from tomoni_federation.intake.assembly import (
    await_heartbeat,
    is_own_word,
    keep_nearest,
    prove,
    take_checkpoint,
    take_entry,
    take_heartbeat,
)
from tomoni_federation.intake.clocks import Clocks
from tomoni_federation.intake.logs import Branch, Checked, Heartbeat, Log
from tomoni_federation.intake.settling import settle
from tomoni_federation.mirror.evidence import accuse_continuation

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
            contradicted = await settle(connection, logs, now)
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
    return read_checkpoint(note).root


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
