"""The scheme over HTTP."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

import msgspec
from litestar import Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body
from msgspec import Meta

from tomoni.auth import requires
from tomoni.documentation import COMMAND_PROBLEMS, answered, example, problems
from tomoni.events.jurisdiction import OfferedKinds
from tomoni.events.types import Day, OfferedKind, PublicText, Term
from tomoni.strict_json import StrictJson
from tomoni_registry.deciding import Stamp
from tomoni_registry.desk import Decision, Outcome
from tomoni_registry.interface import AnyRequest, IdempotencyKey, Town, order, respond
from tomoni_registry.schemes import decider

Seen = Annotated[int, Meta(ge=0, description="The version you looked at; 0 before the scheme opens.", examples=[1])]


class SchemeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the bodies about the scheme."""

    version: Seen | None = None


class OpenBody(SchemeBody, frozen=True, kw_only=True):
    """Offer certificates from a day on. Without name or kinds, those of this town's rules."""

    opens_on: Day
    name: PublicText | None = None
    kinds: OfferedKinds | None = None


class AmendBody(SchemeBody, frozen=True, kw_only=True):
    """Offer something else from a day on, whole. Without name or kinds, those of this town's rules."""

    effective_on: Day
    name: PublicText | None = None
    kinds: OfferedKinds | None = None


class CloseBody(SchemeBody, frozen=True, kw_only=True):
    """Offer nothing from a day on."""

    closes_on: Annotated[Day, Meta(description="The first day without the scheme.")]


class PeriodAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was or is offered from a day on, until the day before another."""

    name: str
    kinds: tuple[OfferedKind, ...]
    starts_on: Day
    ends_before: Day | None


class SchemeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The scheme: what is and was offered, oldest first."""

    version: int
    periods: tuple[PeriodAnswer, ...]


_FOURTEEN_DAYS = OfferedKind(kind="partnership", conditional_term=Term(unit="days", count=14))
OPEN = OpenBody(opens_on=date(2022, 11, 1), name="日光市パートナーシップ宣誓制度", kinds=(_FOURTEEN_DAYS,))
AMEND = AmendBody(effective_on=date(2027, 4, 1), version=1)
CLOSE = CloseBody(closes_on=date(2031, 4, 1), version=2)


def scheme_routes(town: Town) -> Router:
    """Return the routes about the scheme: supervisors change it, clerks read it."""
    return Router("/v1/scheme", route_handlers=[*_changes(town), _reading(town)], tags=["scheme"])


def _changes(town: Town) -> list[HTTPRouteHandler]:
    reserved = requires("supervisor", jurisdiction=town.code)
    described = answered(200, SchemeAnswer) | problems(
        "dates-out-of-order", "scheme-already-open", "scheme-not-open", "stale-version", *COMMAND_PROBLEMS
    )

    @post("/open", dto=StrictJson[OpenBody], opt=reserved, status_code=200, responses=described)
    async def open_scheme(
        request: AnyRequest,
        data: Annotated[OpenBody, Body(examples=[example(OPEN, "Nikko")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Open the scheme."""

        def command(stamp: Stamp) -> decider.Open:
            name, kinds = data.name or town.rules.name, data.kinds or town.rules.offered_kinds()
            return decider.Open(stamp=stamp, seen=data.version, name=name, kinds=kinds, opens_on=data.opens_on)

        placed = order(town.desk, request, idempotency_key, "scheme.open", data)
        return respond(await town.desk.carry_out(placed, _decision(town, command)))

    @post("/amend", dto=StrictJson[AmendBody], opt=reserved, status_code=200, responses=described)
    async def amend_scheme(
        request: AnyRequest,
        data: Annotated[AmendBody, Body(examples=[example(AMEND, "As the edited rules say")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Change what is offered from a day on."""

        def command(stamp: Stamp) -> decider.Amend:
            name, kinds = data.name or town.rules.name, data.kinds or town.rules.offered_kinds()
            return decider.Amend(stamp=stamp, seen=data.version, name=name, kinds=kinds, effective_on=data.effective_on)

        placed = order(town.desk, request, idempotency_key, "scheme.amend", data)
        return respond(await town.desk.carry_out(placed, _decision(town, command)))

    @post("/close", dto=StrictJson[CloseBody], opt=reserved, status_code=200, responses=described)
    async def close_scheme(
        request: AnyRequest,
        data: Annotated[CloseBody, Body(examples=[example(CLOSE, "Closing")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Close the scheme from a day on; certificates issued before go on."""

        def command(stamp: Stamp) -> decider.Close:
            return decider.Close(stamp=stamp, seen=data.version, closes_on=data.closes_on)

        placed = order(town.desk, request, idempotency_key, "scheme.close", data)
        return respond(await town.desk.carry_out(placed, _decision(town, command)))

    return [open_scheme, amend_scheme, close_scheme]


def _reading(town: Town) -> HTTPRouteHandler:
    @get("/", opt=requires("clerk", "supervisor", jurisdiction=town.code), responses=problems())
    async def scheme() -> SchemeAnswer:
        """Return what is and was offered."""
        return _answer(await current_scheme(town))

    return scheme


async def current_scheme(town: Town) -> decider.Scheme:
    """Return the town's scheme as its log has it."""
    return (await town.desk.history(decider.SUBJECT)).fold(decider.evolve, decider.Scheme())


def _decision(town: Town, command: Callable[[Stamp], decider.Open | decider.Amend | decider.Close]) -> Decision:
    async def decide(stamp: Stamp) -> Outcome:
        before = await current_scheme(town)
        events = decider.decide(before, command(stamp))
        after = before
        for event in events:
            after = decider.evolve(after, event)
        read = {decider.SUBJECT: before.version}
        return Outcome(subject=decider.SUBJECT, events=events, read=read, answer=_answer(after))

    return decide


def _answer(scheme: decider.Scheme) -> SchemeAnswer:
    periods = tuple(
        PeriodAnswer(name=period.name, kinds=period.kinds, starts_on=period.starts_on, ends_before=period.ends_before)
        for period in scheme.periods
    )
    return SchemeAnswer(version=scheme.version, periods=periods)
