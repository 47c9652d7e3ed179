"""`POST /v1/recognition`: does it count here; `GET /v1/arrangements`: what receivers have declared."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import Body, FromQuery, QueryParameter

from tomoni.auth import requires
from tomoni.documentation import answered, example, problems
from tomoni.events.types import Code, Service
from tomoni.problems import Problem
from tomoni.strict_json import StrictJson
from tomoni.times import day_in_japan
from tomoni_federation.interface import (
    Answering,
    AnyRequest,
    Described,
    document_key,
    jurisdiction,
    require_within_reach,
)
from tomoni_federation.recognition.decision import (
    TERMS,
    TEXTS,
    Arrangement,
    Decision,
    Outcome,
    Question,
    Reason,
    ReceiverView,
    decide,
)
from tomoni_federation.recognition.query import ARRANGEMENTS, Known, read, to_arrangement
from tomoni_federation.status.api import QUESTION_PROBLEMS, VALID, Handle, Purpose, StatusAnswer, respond, to_body
from tomoni_federation.status.decision import IssuerView
from tomoni_federation.status.decision import decide as decide_status

PAGE: Final = 100
MOST_AHEAD: Final = timedelta(days=366)
"""How far ahead a day may be: a contract or an enrolment, not a lifetime in which anything may change."""


class RecognitionQuestion(Described, frozen=True, kw_only=True):
    """A document, the receiver who is asked to recognise it, for which service and on which day in Japan (today).

    The day may be up to 366 days ahead; the answer then says that it rests on what is known now.
    """

    issuer: Code
    handle: Handle
    receiver: Code
    service: Service
    purpose: Purpose
    on: date | None = None


class ReasonAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One reason, for programs and for people."""

    code: Reason
    text: str


class EntryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that decided the answer; shown to auditors."""

    log: str
    position: int


class RecognitionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether it counts, under which arrangement and terms, what else to show, and why."""

    decision: Outcome
    reasons: tuple[ReasonAnswer, ...]
    certificate: StatusAnswer
    on: date
    receiver_fresh_as_of: datetime | None
    pattern: str | None = None
    arrangement: str | None = None
    terms: str | None = None
    conditions: tuple[str, ...] = ()
    entries: tuple[EntryAnswer, ...] = ()


class ArrangementAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a receiver has declared. `until` is the last day on which it counts."""

    id: str
    receiver: str
    pattern: str
    kinds: tuple[str, ...]
    services: tuple[str, ...]
    effective_from: date
    until: date | None = None
    issuers: tuple[str, ...] = ()
    prefecture: str | None = None
    network: str | None = None
    conditions: tuple[str, ...] = ()
    precedence: int = 0
    keeps_recognised: bool = False
    unknown: bool = False


class ArrangementsAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a receiver's arrangements; `after` asks for the next one."""

    arrangements: tuple[ArrangementAnswer, ...]
    fresh_as_of: datetime | None
    after: str | None = None


QUESTION: Final = RecognitionQuestion(
    issuer="131130",
    handle="0000-0000-0000-0000-00",
    receiver="131121",
    service="public-housing",
    purpose="counter",
)
RECOGNISED: Final = RecognitionAnswer(
    decision="recognised",
    reasons=(ReasonAnswer(code="arrangement-applies", text=TEXTS["arrangement-applies"]),),
    certificate=VALID,
    on=date(2026, 11, 23),
    receiver_fresh_as_of=datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
    pattern="E",
    arrangement="6f9c3f0e-2f5c-4c1e-9a55-0c9d0e6b7a11",
    terms=TERMS["E"],
    conditions=("identity-document",),
)

_ASKING = requires("verifier", "clerk", "supervisor", "aggregator", "auditor")
_READING = requires("verifier", "clerk", "supervisor", "aggregator", "auditor", "secretariat")


def recognition_routes(answering: Answering) -> Router:
    """Return the routes of recognition."""

    @post(
        "/recognition",
        dto=StrictJson[RecognitionQuestion],
        return_dto=None,
        status_code=200,
        opt=_ASKING,
        responses=answered(200, RecognitionAnswer, RECOGNISED) | problems("day-too-far-ahead", *QUESTION_PROBLEMS),
    )
    async def recognition(
        request: AnyRequest, data: Annotated[RecognitionQuestion, Body(examples=[example(QUESTION, "Public housing")])]
    ) -> Response[bytes]:
        """Say whether a document counts at a receiver for a service on a day, and why."""
        principal = request.user
        answering.limit.take(principal.subject)
        require_within_reach(principal, {data.issuer})
        max_age = answering.max_age(data.purpose)
        key = document_key(data.issuer, data.handle)
        receiver = jurisdiction(data.receiver).code
        now = answering.clock()
        today = day_in_japan(now)
        on = data.on or today
        if on - today > MOST_AHEAD:
            text = f"Ask about a day up to {today + MOST_AHEAD}; nobody can say what will count after it."
            raise Problem("day-too-far-ahead", text)
        known = await read(answering.pool, key, receiver, on)
        status = decide_status(known.document, known.issuer, max_age=max_age, now=now, on=on)
        question = Question(
            issuer=data.issuer,
            receiver=receiver,
            service=data.service,
            on=on,
            today=today,
            shared_networks=known.shared_networks,
            unclear_networks=known.unclear_networks,
        )
        view = ReceiverView(
            known=_is_known(known.receiver, max_age, now),
            arrangements=known.arrangements,
            unreadable=known.unreadable,
        )
        decision = decide(question, known.document, status, view)
        return respond(_to_body(decision, known, to_body(status, None), on, auditor="auditor" in principal.scopes))

    @get(
        "/arrangements",
        opt=_READING,
        responses=answered(200, ArrangementsAnswer) | problems("jurisdiction-not-found"),
    )
    async def arrangements(
        receiver: FromQuery[str],
        after: Annotated[str | None, QueryParameter(description="where the page before ended")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE)] = PAGE,
    ) -> Response[bytes]:
        """List what a receiver has declared, as far as it is proven."""
        code = jurisdiction(receiver).code
        async with (
            answering.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            fresh = await connection.fetchval("SELECT max(fresh_as_of) FROM projection.cursor WHERE log = $1", code)
            rows = await connection.fetch(ARRANGEMENTS, code)
        listed = [to_arrangement(row) for row in rows]
        page = [one for one in listed if after is None or one.id > _cursor(after)][: limit + 1]
        return respond(
            ArrangementsAnswer(
                arrangements=tuple(_to_arrangement_body(code, one) for one in page[:limit]),
                fresh_as_of=fresh,
                after=page[limit - 1].id if len(page) > limit else None,
            )
        )

    return Router(path="/v1", route_handlers=[recognition, arrangements], tags=["answers"])


def _is_known(receiver: IssuerView, max_age: timedelta, now: datetime) -> bool:
    if receiver.state not in {"open", "suspended"} or receiver.halted or receiver.unknown:
        return False
    return receiver.fresh_as_of is not None and now - receiver.fresh_as_of <= max_age


def _to_body(decision: Decision, known: Known, status: StatusAnswer, on: date, *, auditor: bool) -> RecognitionAnswer:
    return RecognitionAnswer(
        decision=decision.outcome,
        reasons=tuple(ReasonAnswer(code=reason, text=TEXTS[reason]) for reason in decision.reasons),
        certificate=status,
        on=on,
        receiver_fresh_as_of=known.receiver.fresh_as_of,
        pattern=decision.pattern,
        arrangement=decision.arrangement,
        terms=decision.terms,
        conditions=decision.conditions,
        entries=tuple(EntryAnswer(log=one.log, position=one.position) for one in decision.entries) if auditor else (),
    )


def _to_arrangement_body(receiver: str, one: Arrangement) -> ArrangementAnswer:
    return ArrangementAnswer(
        id=one.id,
        receiver=receiver,
        pattern=one.pattern,
        kinds=tuple(sorted(one.kinds)),
        services=tuple(sorted(one.services)),
        effective_from=one.effective_from,
        until=one.last_day,
        issuers=tuple(sorted(one.codes)),
        prefecture=one.prefecture,
        network=one.network,
        conditions=one.conditions,
        precedence=one.precedence,
        keeps_recognised=one.keeps_recognised,
        unknown=one.unknown,
    )


def _cursor(after: str) -> str:
    if len(after) != 36:
        raise Problem("malformed", "Send `after` as the page before gave it, or leave it out.")
    return after
