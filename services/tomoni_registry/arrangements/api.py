"""Arrangements over HTTP."""

import asyncio
from datetime import date
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from litestar import Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, FromPath
from msgspec import UNSET, Meta

from tomoni.auth import requires
from tomoni.documentation import COMMAND_PROBLEMS, answered, example, problems
from tomoni.events import JurisdictionEvent
from tomoni.events.jurisdiction import ArrangementDeclaredData
from tomoni.events.types import Condition, Day, IssuerSet, Kind, Pattern, Service, Uuid
from tomoni.strict_json import StrictJson
from tomoni_registry.arrangements import decider
from tomoni_registry.arrangements.decider import Arrangement
from tomoni_registry.deciding import Stamp
from tomoni_registry.desk import Decision, Outcome
from tomoni_registry.interface import AnyRequest, IdempotencyKey, Town, order, respond

PREFIX = "arrangement/"


class DeclareBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose certificates count here, as what, for what and how long."""

    pattern: Annotated[Pattern, Meta(description="A mutual use, B continuation, C hand-over, D documents, E service.")]
    issuers: IssuerSet
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1, max_length=10)]
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=50)]
    effective_from: Day
    effective_until: Annotated[Day, Meta(description="The last day on which it counts.")] | None = None
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()
    precedence: Annotated[int, Meta(ge=0, le=1000)] = 0
    keeps_recognised: bool = False

    def terms(self) -> ArrangementDeclaredData:
        """Return the terms as an event has them."""
        return ArrangementDeclaredData(
            version=1,
            pattern=self.pattern,
            issuers=self.issuers,
            kinds=self.kinds,
            services=self.services,
            effective_from=self.effective_from,
            effective_until=self.effective_until or UNSET,
            conditions=self.conditions,
            precedence=self.precedence,
            keeps_recognised=self.keeps_recognised,
        )


class WithdrawBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End an arrangement."""

    effective_on: Annotated[Day, Meta(description="The first day without it.")]
    version: Annotated[int, Meta(ge=1, description="The version you looked at.")] | None = None


class ArrangementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An arrangement of this town."""

    arrangement: Uuid
    version: int
    terms: ArrangementDeclaredData
    withdrawn_on: Day | None


class ArrangementsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All arrangements of this town, withdrawn ones too."""

    arrangements: tuple[ArrangementAnswer, ...]


DECLARE = DeclareBody(
    pattern="E",
    issuers=IssuerSet(codes=("131130",)),
    kinds=("partnership",),
    services=("hospital-visit", "public-housing"),
    effective_from=date(2026, 4, 1),
)
WITHDRAW = WithdrawBody(effective_on=date(2027, 4, 1), version=1)


def arrangement_routes(town: Town) -> Router:
    """Return the routes about arrangements, for clerks and supervisors of this town."""
    handlers = [*_changes(town), _reading(town)]
    return Router("/v1/arrangements", route_handlers=handlers, tags=["arrangements"])


def _changes(town: Town) -> list[HTTPRouteHandler]:
    reserved = requires("clerk", "supervisor", jurisdiction=town.code)
    declaring = asyncio.Lock()

    @post(
        "/",
        dto=StrictJson[DeclareBody],
        opt=reserved,
        responses=answered(201, ArrangementAnswer)
        | problems("dates-out-of-order", "jurisdiction-not-found", "too-many-arrangements", *COMMAND_PROBLEMS),
    )
    async def declare(
        request: AnyRequest,
        data: Annotated[DeclareBody, Body(examples=[example(DECLARE, "Shibuya's count for housing here")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Declare that certificates of others count here."""
        placed = order(town.desk, request, idempotency_key, "arrangement.declare", data)
        async with declaring:  # declarations take numbers: at once, all but one would be decided anew
            return respond(await town.desk.carry_out(placed, _declaration(town, data)))

    @post(
        "/{arrangement:uuid}/withdraw",
        dto=StrictJson[WithdrawBody],
        opt=reserved,
        status_code=200,
        responses=answered(200, ArrangementAnswer)
        | problems("arrangement-not-found", "arrangement-withdrawn", "stale-version", *COMMAND_PROBLEMS),
    )
    async def withdraw(
        request: AnyRequest,
        arrangement: FromPath[UUID],
        data: Annotated[WithdrawBody, Body(examples=[example(WITHDRAW, "No longer")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Withdraw an arrangement from a day on."""
        placed = order(town.desk, request, idempotency_key, "arrangement.withdraw", data, str(arrangement))
        return respond(await town.desk.carry_out(placed, _withdrawal(town, arrangement, data)))

    return [declare, withdraw]


def _reading(town: Town) -> HTTPRouteHandler:
    @get("/", opt=requires("clerk", "supervisor", jurisdiction=town.code), responses=problems())
    async def arrangements() -> ArrangementsAnswer:
        """Return this town's arrangements."""
        answers = [
            _answer(subject.removeprefix(PREFIX), state)
            for subject in await town.desk.streams(PREFIX)
            if (state := await _state(town, subject)) is not None
        ]
        return ArrangementsAnswer(arrangements=tuple(answers))

    return arrangements


def _declaration(town: Town, body: DeclareBody) -> Decision:
    async def decide(stamp: Stamp) -> Outcome:
        declared = len(await town.desk.streams(PREFIX))
        # The next number names the stream, so that of two who counted the same the log takes one: the bound is exact.
        identity = str(uuid5(NAMESPACE_URL, f"{stamp.origin}/{PREFIX}{declared + 1}"))
        command = decider.Declare(
            stamp=stamp,
            subject=PREFIX + identity,
            receiver=town.code,
            declared=declared,
            terms=body.terms(),
        )
        return _outcome(identity, None, decider.decide(None, command), status=201)

    return decide


def _withdrawal(town: Town, arrangement: UUID, body: WithdrawBody) -> Decision:
    async def decide(stamp: Stamp) -> Outcome:
        subject = PREFIX + str(arrangement)
        state = await _state(town, subject)
        command = decider.Withdraw(stamp=stamp, seen=body.version, subject=subject, effective_on=body.effective_on)
        return _outcome(str(arrangement), state, decider.decide(state, command), status=200)

    return decide


def _outcome(
    identity: str, before: Arrangement | None, events: tuple[JurisdictionEvent, ...], *, status: int
) -> Outcome:
    after = before
    for event in events:
        after = decider.evolve(after, event)
    if after is None:
        raise TypeError("an arrangement's first event declares it")
    return Outcome(
        subject=PREFIX + identity,
        events=events,
        read={PREFIX + identity: before.version if before else 0},
        answer=_answer(identity, after),
        status=status,
    )


async def _state(town: Town, subject: str) -> Arrangement | None:
    nothing: Arrangement | None = None
    return (await town.desk.history(subject)).fold(decider.evolve, nothing)


def _answer(identity: str, state: Arrangement) -> ArrangementAnswer:
    return ArrangementAnswer(
        arrangement=identity, version=state.version, terms=state.terms, withdrawn_on=state.withdrawn_on
    )
