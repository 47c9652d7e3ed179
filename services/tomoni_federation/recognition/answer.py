"""Answering questions about recognition, one or many: what is read, decided and told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from tomoni.auth import Principal
from tomoni.history.arrangements import Entry, Question
from tomoni.history.known import Known, decide
from tomoni.history.recognition import Considered, Decision
from tomoni.history.texts import RANKING_TEXTS, TEXTS, Ranking, Reason
from tomoni.problems import Problem
from tomoni.times import day_in_japan
from tomoni_federation.interface import Answering, document_key, jurisdiction, require_within_reach
from tomoni_federation.recognition.bodies import (
    ConsideredAnswer,
    EntryAnswer,
    ReasonAnswer,
    RecognitionAnswer,
    RecognitionQuestion,
)
from tomoni_federation.recognition.history import read_as_known
from tomoni_federation.recognition.query import Wanted, read
from tomoni_federation.status.api import StatusAnswer, to_body

MOST_AHEAD: Final = timedelta(days=366)
"""How far ahead a day may be: a contract or an enrolment, not a lifetime in which anything may change."""

_FIRST_INSTANT: Final = datetime.min.replace(tzinfo=UTC)

EVERY_TEXT: Final[Mapping[Reason | Ranking, str]] = {**TEXTS, **RANKING_TEXTS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question that can be answered, and when and by whom it was asked."""

    wanted: Wanted
    service: str
    max_age: timedelta
    now: datetime
    """The instant at which it is answered, or as of whose knowledge."""
    as_it_was_known: bool
    auditor: bool


async def answer_question(
    answering: Answering, question: RecognitionQuestion, principal: Principal
) -> RecognitionAnswer:
    """Return the answer to one question, as this principal may see it; the caller counts the lookup.

    Raises Problem where the question cannot be answered, HandleError where the handle cannot be one.
    """
    asked = prepare(answering, question, principal, answering.clock())
    if asked.as_it_was_known:
        known = await read_as_known(answering.pool, asked.wanted.key, asked.wanted.receiver, asked.now)
    else:
        (known,) = await read(answering.pool, [asked.wanted])
    return conclude(asked, known)


def prepare(answering: Answering, question: RecognitionQuestion, principal: Principal, now: datetime) -> Asked:
    """Return what has to be read for a question; raise Problem or HandleError where it cannot be answered."""
    require_within_reach(principal, {question.issuer})
    now = _instant(question.as_known_at, now)
    today = day_in_japan(now)
    wanted = Wanted(
        key=document_key(question.issuer, question.handle),
        receiver=jurisdiction(question.receiver).code,
        on=question.on or today,
    )
    if wanted.on - today > MOST_AHEAD:
        text = f"Ask about a day up to {today + MOST_AHEAD}; nobody can say what will count after it."
        raise Problem("day-too-far-ahead", text)
    return Asked(
        wanted=wanted,
        service=question.service,
        max_age=answering.max_age(question.purpose),
        now=now,
        as_it_was_known=question.as_known_at is not None,
        auditor="auditor" in principal.scopes,
    )


def conclude(asked: Asked, known: Known) -> RecognitionAnswer:
    """Return the answer that follows from what is known."""
    on, max_age, now = asked.wanted.on, asked.max_age, asked.now
    question = Question(
        issuer=asked.wanted.key[0],
        receiver=asked.wanted.receiver,
        service=asked.service,
        on=on,
        today=day_in_japan(now),
    )
    status, decision = decide(question, known, max_age=max_age, now=now)
    answer = _to_body(decision, known, to_body(status, None), on, auditor=asked.auditor)
    return replace(answer, as_known_at=now) if asked.as_it_was_known else answer


def _instant(as_known_at: datetime | None, now: datetime) -> datetime:
    if as_known_at is None:
        return now
    if as_known_at > now:
        raise Problem("time-to-come", "Nobody knows yet what will be known then. Name a time that has been.")
    try:
        return as_known_at.astimezone(UTC)
    except OverflowError:  # the first hours of the first year, east of Greenwich
        return _FIRST_INSTANT


def _to_body(decision: Decision, known: Known, status: StatusAnswer, on: date, *, auditor: bool) -> RecognitionAnswer:
    """Return the answer in words, and to auditors with the entries; a position tells others how long a log is."""
    return RecognitionAnswer(
        decision=decision.outcome,
        reasons=tuple(ReasonAnswer(code=reason, text=TEXTS[reason]) for reason in decision.reasons),
        certificate=status,
        on=on,
        receiver_fresh_as_of=known.receiver.fresh_as_of,
        pattern=decision.pattern,
        arrangement=decision.arrangement,
        terms=None if decision.terms is None else decision.terms.en,
        terms_ja=None if decision.terms is None else decision.terms.ja,
        conditions=decision.conditions,
        considered=tuple(_to_considered(one, auditor=auditor) for one in decision.considered),
        entries=_to_entries(decision.entries) if auditor else (),
    )


def _to_considered(one: Considered, *, auditor: bool) -> ConsideredAnswer:
    return ConsideredAnswer(
        arrangement=one.arrangement,
        pattern=one.pattern,
        outcome=one.outcome,
        reason=one.reason,
        text=EVERY_TEXT[one.reason],
        entries=_to_entries(one.entries) if auditor else (),
    )


def _to_entries(entries: Iterable[Entry]) -> tuple[EntryAnswer, ...]:
    return tuple(EntryAnswer(log=one.log, position=one.position) for one in entries)
