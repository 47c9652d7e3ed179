"""Answering one question about recognition, whole: what is read, decided and told."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from tomoni.auth import Principal
from tomoni.problems import Problem
from tomoni.times import day_in_japan
from tomoni_federation.interface import Answering, document_key, jurisdiction, require_within_reach
from tomoni_federation.recognition.arrangements import Entry, Question
from tomoni_federation.recognition.bodies import (
    ConsideredAnswer,
    EntryAnswer,
    ReasonAnswer,
    RecognitionAnswer,
    RecognitionQuestion,
)
from tomoni_federation.recognition.decision import Considered, Decision, ReceiverView, decide
from tomoni_federation.recognition.query import Known, read
from tomoni_federation.recognition.texts import RANKING_TEXTS, TEXTS, Ranking, Reason
from tomoni_federation.status.api import StatusAnswer, to_body
from tomoni_federation.status.decision import IssuerView
from tomoni_federation.status.decision import decide as decide_status

MOST_AHEAD: Final = timedelta(days=366)
"""How far ahead a day may be: a contract or an enrolment, not a lifetime in which anything may change."""


EVERY_TEXT: Final[Mapping[Reason | Ranking, str]] = {**TEXTS, **RANKING_TEXTS}


async def answer_question(
    answering: Answering, question: RecognitionQuestion, principal: Principal
) -> RecognitionAnswer:
    """Return the answer to one question, as this principal may see it; the caller counts the lookup.

    Raises Problem where the question cannot be answered, HandleError where the handle cannot be one.
    """
    require_within_reach(principal, {question.issuer})
    max_age = answering.max_age(question.purpose)
    key = document_key(question.issuer, question.handle)
    receiver = jurisdiction(question.receiver).code
    now = answering.clock()
    today = day_in_japan(now)
    on = question.on or today
    if on - today > MOST_AHEAD:
        text = f"Ask about a day up to {today + MOST_AHEAD}; nobody can say what will count after it."
        raise Problem("day-too-far-ahead", text)
    known = await read(answering.pool, key, receiver)
    status = decide_status(known.document, known.issuer, max_age=max_age, now=now, on=on)
    asked = Question(issuer=question.issuer, receiver=receiver, service=question.service, on=on, today=today)
    view = ReceiverView(
        known=_is_known(known.receiver, max_age, now),
        arrangements=known.arrangements,
        networks=known.networks,
        unreadable=known.unreadable,
    )
    decision = decide(asked, known.document, status, view)
    return _to_body(decision, known, to_body(status, None), on, auditor="auditor" in principal.scopes)


def _is_known(receiver: IssuerView, max_age: timedelta, now: datetime) -> bool:
    if receiver.state not in {"open", "suspended"} or receiver.halted or receiver.unknown:
        return False
    return receiver.fresh_as_of is not None and now - receiver.fresh_as_of <= max_age


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
