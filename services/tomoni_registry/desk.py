"""The desk: where every command is carried out, once.

A command comes with an Idempotency-Key. The desk looks for a kept answer, lets the slice decide on the current state,
and appends the event, the vault's records and the kept answer in one transaction. A crash before that transaction
leaves nothing, a crash after it leaves everything: the client asks again and learns what happened.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg
import msgspec

from tomoni import problems
from tomoni.database import Pool
from tomoni.eventlog import Append, EventReader, NewEntry, Sequencer, Statement
from tomoni.eventlog.errors import VersionConflict
from tomoni.events import JurisdictionEvent, UnknownEvent, decode_event, encode_event
from tomoni.problems import Problem
from tomoni.times import format_time
from tomoni_registry.deciding import Refused, Stamp
from tomoni_registry.refusals import problem_of
from tomoni_registry.vault.answers import Answer, Answers
from tomoni_registry.vault.records import AccessRecord, Record
from tomoni_registry.vault.store import Vault

ATTEMPTS = 8
"""Times a command is decided anew because somebody else changed what it was decided on."""

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Order:
    """A command as it came: its identity, who sent it, its name and the fingerprint of the whole request.

    The identity stands in the log as its event's id. So it comes back with an entry that was lost, and a command of the
    lost time is still not carried out twice.
    """

    command_id: UUID
    who: str
    what: str
    fingerprint: bytes


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a slice decided: events of one stream, the versions it read, what the vault keeps, and the answer.

    `kept_under`: what the records are kept under where that is not the stream itself. `companions` are carried out with
    the append, before the records are written.
    """

    subject: str
    events: tuple[JurisdictionEvent, ...]
    read: Mapping[str, int]
    answer: msgspec.Struct
    status: int = 200
    location: str | None = None
    records: tuple[Record, ...] = field(default=(), repr=False)
    kept_under: str | None = None
    companions: tuple[Statement, ...] = ()


Decision = Callable[[Stamp], Awaitable[Outcome]]


@dataclass(frozen=True, kw_only=True)
class History:
    """The events of one stream of the town's own log, oldest first."""

    events: tuple[JurisdictionEvent, ...]

    def fold(self, evolve: Callable[[S, JurisdictionEvent], S], initial: S) -> S:
        """Return the state that the events make."""
        for event in self.events:
            initial = evolve(initial, event)
        return initial


class Desk:
    """Carries out commands for one log."""

    def __init__(
        self,
        *,
        origin: str,
        pool: Pool,
        sequencer: Sequencer,
        reader: EventReader,
        vault: Vault,
        answers: Answers,
        clock: Callable[[], datetime],
    ) -> None:
        self.origin = origin
        self.vault = vault
        self.answers = answers
        self.clock = clock
        self._pool = pool
        self._sequencer = sequencer
        self._reader = reader
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def history(self, subject: str) -> History:
        """Return the events of a stream, none where there is no such stream."""
        return History(events=tuple(_own(entry.data) for entry in await self._reader.stream(subject)))

    async def streams(self, prefix: str) -> list[str]:
        """Return the streams whose names begin so."""
        return await self._reader.streams(prefix)

    async def carry_out(self, order: Order, decide: Decision) -> Answer:
        """Return the answer of a command: decided and appended now, or the one it was given before.

        Raises Problem `idempotency-key-reused` where the key was used for another request, `command-already-done`
        where it was carried out and its answer is no longer kept, and `conflict` where others keep changing what
        the command depends on. What `decide` refuses is an answer like any other, and kept.
        """
        lock = self._locks.setdefault(order.command_id, asyncio.Lock())
        async with lock:
            kept = await self._kept(order)
            return kept or await self._decide_and_append(order, decide)

    async def _decide_and_append(self, order: Order, decide: Decision) -> Answer:
        for _ in range(ATTEMPTS):
            stamp = Stamp(event_id=str(order.command_id), origin=self.origin, at=self.clock())
            try:
                outcome = await decide(stamp)
            except Refused as refused:
                return await self._refuse(order, problem_of(refused))
            answer = Answer(
                status=outcome.status,
                media_type="application/json",
                body=msgspec.json.encode(outcome.answer),
                location=outcome.location,
            )
            try:
                return await self._append(order, await self._append_of(order, outcome, answer, stamp), answer)
            except VersionConflict:
                continue
        raise Problem("conflict", "Others changed what the command depends on, again and again. Send it again.")

    async def _append(self, order: Order, append: Append, answer: Answer) -> Answer:
        try:
            appended = await self._sequencer.append(append)
        except asyncpg.UniqueViolationError as error:  # another process has answered this command meanwhile
            return await self._kept(order) or _raise_elsewhere(error)
        return await self._kept(order) or _raise_already_done() if appended.already else answer

    async def _append_of(self, order: Order, outcome: Outcome, answer: Answer, stamp: Stamp) -> Append:
        access = AccessRecord(who=order.who, what=order.what, at=format_time(stamp.at))
        records = await self.vault.keep(
            outcome.kept_under or outcome.subject,
            (*outcome.records, access),
            new=outcome.kept_under is None and outcome.read[outcome.subject] == 0,
        )
        entries = tuple(
            NewEntry(data=encode_event(event), subject=outcome.subject, version=event.data.version)
            for event in outcome.events
        )
        companions = (*outcome.companions, *records, *self.answers.keep(order.command_id, order.fingerprint, answer))
        return Append(command_id=order.command_id, entries=entries, expected=outcome.read, companions=companions)

    async def _kept(self, order: Order) -> Answer | None:
        kept = await self.answers.find(order.command_id)
        if kept is None:
            return None
        if kept.fingerprint != order.fingerprint:
            raise Problem(
                "idempotency-key-reused",
                "This Idempotency-Key was used for another command. Make a new UUID for every new command.",
            )
        return kept.answer

    async def _refuse(self, order: Order, problem: Problem) -> Answer:
        """Keep a refusal, so that the same key gets it again even where the command would pass by then.

        A command that was carried out, and whose answer is no longer kept, is not refused because of its own effect.
        """
        if await self._reader.holds(order.command_id):
            return await self._kept(order) or _raise_already_done()
        body = msgspec.json.encode(problem.details())
        answer = Answer(status=problem.status, media_type=problems.MEDIA_TYPE, body=body)
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                for statement in self.answers.keep(order.command_id, order.fingerprint, answer):
                    await connection.execute(statement.sql, *statement.args)
        except asyncpg.UniqueViolationError as error:  # another process has answered this command meanwhile
            return await self._kept(order) or _raise_elsewhere(error)
        return answer


def _own(data: bytes) -> JurisdictionEvent:
    event = decode_event(data)
    if isinstance(event, UnknownEvent) or not isinstance(event, JurisdictionEvent):
        raise TypeError("the town's own log holds an event that this version does not know")
    return event


def _raise_already_done() -> Answer:
    raise Problem(
        "command-already-done",
        "The command with this Idempotency-Key was carried out, and its answer is no longer kept. Read the result.",
    )


def _raise_elsewhere(error: Exception) -> Answer:
    raise Problem("conflict", "The same command is being carried out elsewhere. Send it again.") from error
