"""The group-commit sequencer: the life of a command from a caller's call to its dense, committed position.

A command is prepared, waits in a queue, is taken with whatever else waits, appended by one statement that locks the
head of the log, committed, and only then answered. One task does this over one connection, so that there is always one
batch on its way and the next one gathering: waiting on purpose to fill a batch made it slower. Several processes may
write to one log; the lock on the head orders them.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self
from uuid import UUID

import asyncpg
import structlog

from tomoni.database import Pool, PoolConnection
from tomoni.eventlog.batch import (
    APPEND,
    Again,
    BatchArguments,
    Outcome,
    Prepared,
    companion_groups,
    read_outcomes,
    undone,
)
from tomoni.eventlog.commands import Append, Appended
from tomoni.eventlog.connections import LOST, UNWRITABLE, is_closed, part_with
from tomoni.eventlog.errors import LogUnavailable, OutcomeUnknown, Overloaded, VersionConflict, WritesRefused

MAX_WAITING = 5_000
"""Commands that may wait; one more is refused at once, rather than answered too late."""

MAX_BATCH = 500
"""Commands of one transaction."""

MAX_BATCH_BYTES = 4_000_000
"""Bytes of entries after which a transaction takes no further command."""

_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)

# A client whose machine vanished must not hold the head's lock for ever.
_SESSION = """
    SET idle_in_transaction_session_timeout = '5s';
    SET client_connection_check_interval = '1s';
    SET tcp_keepalives_idle = '5s';
    SET tcp_keepalives_interval = '5s';
    SET tcp_keepalives_count = 2;
    SET tcp_user_timeout = '15s';
    SET lock_timeout = '10s'
"""
_WHO_AM_I = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END_ORPHAN = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Pending:
    prepared: Prepared
    since: float
    waiters: list[asyncio.Future[Appended]] = field(default_factory=list[asyncio.Future[Appended]])
    sent: bool = False
    in_doubt: bool = False
    """Whether a connection was lost after it was sent: it may be stored."""

    @property
    def abandoned(self) -> bool:
        return all(waiter.done() for waiter in self.waiters)


class Sequencer:
    """Appends commands to the log of a database; an asynchronous context manager.

    `timeout`: seconds a statement may take before its connection counts as lost. `patience`: seconds a command is tried
    again after its connection was lost.
    """

    def __init__(self, pool: Pool, *, timeout: float = 10.0, patience: float = 30.0) -> None:
        self._pool = pool
        self._timeout = timeout
        self._patience = patience
        self._queue: deque[_Pending] = deque()
        self._known: dict[UUID, _Pending] = {}
        self._arrived = asyncio.Event()
        self._closing = False
        self._connection: PoolConnection | None = None
        self._backend: tuple[object, object] | None = None
        self._orphan: tuple[object, object] | None = None
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._worker = asyncio.create_task(self._work(), name="sequencer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Append what still waits, then end."""
        self._closing = True
        self._arrived.set()
        if self._worker is not None:
            await self._worker

    async def append(self, command: Append) -> Appended:
        """Append a command's entries and return where they stand, once they are committed.

        Raises VersionConflict, Overloaded, WritesRefused, LogUnavailable (nothing was written), OutcomeUnknown (perhaps
        it was), or the PostgreSQL error of a companion. A caller that is cancelled leaves the command to its fate and
        the others alone.
        """
        if self._worker is None or self._worker.done() or self._closing:
            raise LogUnavailable("the sequencer is not running")
        pending = self._known.get(command.command_id)
        repeated = pending is not None
        if pending is None:
            if len(self._queue) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING} commands wait to be appended")
            pending = _Pending(Prepared.of(command), asyncio.get_running_loop().time())
            self._known[command.command_id] = pending
            self._queue.append(pending)
            self._arrived.set()
        waiter: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        pending.waiters.append(waiter)
        appended = await waiter
        return replace(appended, already=True) if repeated else appended

    async def _work(self) -> None:
        try:
            while self._queue or not self._closing:
                await self._arrived.wait()
                if not self._queue and not self._closing:
                    self._arrived.clear()
                    continue
                if batch := self._take():
                    await self._store(batch)
        finally:
            self._fail(list(self._known.values()), LogUnavailable("the sequencer was stopped"))
            await self._release()

    def _take(self) -> list[_Pending]:
        """Take what waits, in order, up to the limits of one transaction; forget what nobody waits for any more."""
        batch: list[_Pending] = []
        size = 0
        while self._queue and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            pending = self._queue.popleft()
            if pending.abandoned:
                del self._known[pending.prepared.command.command_id]
                continue
            batch.append(pending)
            size += sum(len(entry.data) for entry in pending.prepared.command.entries)
        return batch

    async def _store(self, batch: Sequence[_Pending]) -> None:
        """Append a batch until every command of it has its answer, whatever happens to connections.

        A batch that fails is halved until the command to blame stands alone, so that no neighbour fails with it.
        """
        delay = 0.02
        while batch:
            try:
                batch = await self._attempt(batch)
            except Exception as error:
                if self._is_lost(error):
                    log.warning("append_connection_lost", error=type(error).__name__, count=len(batch))
                    for pending in batch:
                        pending.in_doubt = pending.sent
                    await self._release()
                elif isinstance(error, UNWRITABLE):
                    await self._refuse(batch, error)
                    return
                elif not isinstance(error, _AGAIN):  # a companion's error, or the database's: who gets it alone has it
                    await self._isolate(batch, error)
                    return
                batch = self._give_up_on_late(batch)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)

    async def _isolate(self, batch: Sequence[_Pending], error: Exception) -> None:
        if len(batch) == 1:
            self._fail(batch, error)
            return
        await self._store(batch[: len(batch) // 2])
        await self._store(batch[len(batch) // 2 :])

    async def _refuse(self, batch: Sequence[_Pending], error: Exception) -> None:
        """Answer a batch that the server cannot write, at once: waiting for an operator would only fill the queue.

        The connection is given up, because a session that began on a read-only database stays read-only.
        """
        log.error("append_refused", error=type(error).__name__, count=len(batch))
        await self._release()
        for pending in batch:
            self._fail([pending], _unknown() if pending.in_doubt else WritesRefused("the database takes no writes"))

    async def _attempt(self, batch: Sequence[_Pending]) -> list[_Pending]:
        """Append a batch in one transaction, answer its commands, and return those to be sent again.

        After a lost connection the same commands are sent again, and that is all there is to an unknown outcome: the
        new statement waits for the head's lock until the old transaction is over, and then finds the command ids
        stored, or not. A mere look-up on a new connection could miss a commit that is still under way.
        """
        connection = await self._connect()
        deferred: list[_Pending] = []
        if any(pending.prepared.command.companions for pending in batch):
            batch, deferred = _separate(batch)
        prepared = [pending.prepared for pending in batch]
        for pending in batch:
            pending.sent = True
        if any(one.command.companions for one in prepared):
            outcomes = await self._append_with_companions(connection, prepared)
        else:
            rows = await connection.fetch(APPEND, *BatchArguments.of(prepared).as_tuple(), timeout=self._timeout)
            outcomes = read_outcomes(rows, prepared)
        return self._answer(batch, outcomes) + deferred

    async def _append_with_companions(self, connection: PoolConnection, prepared: Sequence[Prepared]) -> list[Outcome]:
        """Run companions and append in one transaction; where not every command was appended, undo all of it.

        The companions come first: one that waits for another transaction must not hold the head's lock meanwhile. A
        command alone is appended first, so that a repeated command is told from one whose companion fails.
        """
        alone = len(prepared) == 1
        arguments = BatchArguments.of(prepared).as_tuple()
        await connection.execute("BEGIN", timeout=self._timeout)
        try:
            if not alone:
                await self._run_companions(connection, prepared)
            rows = await connection.fetch(APPEND, *arguments, timeout=self._timeout)
            outcomes = read_outcomes(rows, prepared)
            complete = all(isinstance(outcome, Appended) and not outcome.already for outcome in outcomes)
            if complete and alone:
                await self._run_companions(connection, prepared)
        except Exception as error:
            if not self._is_lost(error):
                await connection.execute("ROLLBACK", timeout=self._timeout)
            raise
        await connection.execute("COMMIT" if complete else "ROLLBACK", timeout=self._timeout)
        return outcomes if complete else undone(outcomes)

    async def _run_companions(self, connection: PoolConnection, prepared: Sequence[Prepared]) -> None:
        for sql, arguments in companion_groups(prepared):
            await connection.executemany(sql, arguments, timeout=self._timeout)

    def _answer(self, batch: Sequence[_Pending], outcomes: Sequence[Outcome]) -> list[_Pending]:
        again: list[_Pending] = []
        for pending, outcome in zip(batch, outcomes, strict=True):
            match outcome:
                case Appended():
                    self._forget(pending)
                    for waiter in pending.waiters:
                        if not waiter.done():
                            waiter.set_result(outcome)
                case VersionConflict():
                    self._fail([pending], outcome)
                case Again():
                    again.append(pending)
        return again

    def _give_up_on_late(self, batch: Sequence[_Pending]) -> list[_Pending]:
        """Answer the commands that were tried for too long, and return the others."""
        now = asyncio.get_running_loop().time()
        late = [pending for pending in batch if now - pending.since > self._patience]
        for pending in late:
            self._fail([pending], _unknown() if pending.sent else LogUnavailable("the database cannot be reached"))
        return [pending for pending in batch if pending not in late]

    def _fail(self, batch: Sequence[_Pending], error: Exception) -> None:
        for pending in batch:
            self._forget(pending)
            for waiter in pending.waiters:
                if not waiter.done():
                    waiter.set_exception(error)

    def _forget(self, pending: _Pending) -> None:
        self._known.pop(pending.prepared.command.command_id, None)

    def _is_lost(self, error: Exception) -> bool:
        return isinstance(error, LOST) or self._connection is None or is_closed(self._connection)

    async def _connect(self) -> PoolConnection:
        """Return a connection that is not known to be broken: what is sent over a dead one is in doubt for nothing."""
        if self._connection is not None and is_closed(self._connection):
            await self._release()
        if self._connection is None:
            connection = await self._pool.acquire(timeout=self._timeout)
            self._connection = connection
            await connection.execute(_SESSION, timeout=self._timeout)
            if self._orphan is not None:
                await connection.execute(_END_ORPHAN, *self._orphan, timeout=self._timeout)
                self._orphan = None
            row = await connection.fetchrow(_WHO_AM_I, timeout=self._timeout)
            self._backend = (row["pid"], row["backend_start"]) if row is not None else None
        return self._connection

    async def _release(self) -> None:
        """Give the connection up without a further word over it, which might never be answered.

        Its server process may not know yet, and holds its locks: the next connection ends it.
        """
        self._orphan, self._backend = self._backend or self._orphan, None
        connection, self._connection = self._connection, None
        if connection is not None:
            await part_with(self._pool, connection)


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("the connection was lost after the command was sent")


def _separate(batch: Sequence[_Pending]) -> tuple[list[_Pending], list[_Pending]]:
    """Part a batch into commands that can all be appended together and those whose streams one of them writes.

    With companions a batch is appended whole or undone whole. A command that is only checked would never let it be
    whole, and the batch would be sent and undone for ever; so it waits for the next one.
    """
    check_only = BatchArguments.of([pending.prepared for pending in batch]).check_only
    together = [pending for pending, checked in zip(batch, check_only, strict=True) if not checked]
    return together, [pending for pending, checked in zip(batch, check_only, strict=True) if checked]
