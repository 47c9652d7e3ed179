"""Membership of networks over HTTP."""

from collections.abc import Callable
from datetime import date
from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.params import Body, FromPath
from msgspec import Meta

from tomoni.auth import requires
from tomoni.documentation import COMMAND_PROBLEMS, answered, example, problems
from tomoni.events.types import Day, Slug
from tomoni.problems import Problem
from tomoni.strict_json import StrictJson
from tomoni_registry.deciding import Stamp
from tomoni_registry.desk import Decision, Outcome
from tomoni_registry.interface import AnyRequest, IdempotencyKey, Town, order, respond
from tomoni_registry.networks import decider


class MembershipBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Join or leave a network from a day on."""

    effective_on: Day
    version: Annotated[int, Meta(ge=0, description="The version you looked at; 0 before the first.")] | None = None


class MembershipAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What this town says about its membership; the federation says whether it is accepted."""

    network: Slug
    version: int
    member: bool
    since: Day | None


MEMBERSHIP = MembershipBody(effective_on=date(2026, 12, 1))


def network_routes(town: Town) -> Router:
    """Return the routes about networks, for clerks and supervisors of this town."""
    reserved = requires("clerk", "supervisor", jurisdiction=town.code)
    described = answered(200, MembershipAnswer) | problems(
        "dates-out-of-order", "network-already-joined", "network-not-joined", "stale-version", *COMMAND_PROBLEMS
    )

    @post("/{network:str}/join", dto=StrictJson[MembershipBody], opt=reserved, status_code=200, responses=described)
    async def join(
        request: AnyRequest,
        network: FromPath[str],
        data: Annotated[MembershipBody, Body(examples=[example(MEMBERSHIP, "From December on")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Join a network; it counts once the federation has accepted it as well."""

        def command(stamp: Stamp, subject: str) -> decider.Join:
            return decider.Join(stamp=stamp, seen=data.version, subject=subject, effective_on=data.effective_on)

        placed = order(town.desk, request, idempotency_key, "network.join", data, network)
        return respond(await town.desk.carry_out(placed, _decision(town, network, command)))

    @post("/{network:str}/leave", dto=StrictJson[MembershipBody], opt=reserved, status_code=200, responses=described)
    async def leave(
        request: AnyRequest,
        network: FromPath[str],
        data: Annotated[MembershipBody, Body(examples=[example(MEMBERSHIP, "From December on")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Leave a network."""

        def command(stamp: Stamp, subject: str) -> decider.Leave:
            return decider.Leave(stamp=stamp, seen=data.version, subject=subject, effective_on=data.effective_on)

        placed = order(town.desk, request, idempotency_key, "network.leave", data, network)
        return respond(await town.desk.carry_out(placed, _decision(town, network, command)))

    return Router("/v1/networks", route_handlers=[join, leave], tags=["networks"])


def _decision(town: Town, network: str, command: Callable[[Stamp, str], decider.Join | decider.Leave]) -> Decision:
    subject = f"network/{_slug(network)}"

    async def decide(stamp: Stamp) -> Outcome:
        before = (await town.desk.history(subject)).fold(decider.evolve, decider.Membership())
        events = decider.decide(before, command(stamp, subject))
        after = before
        for event in events:
            after = decider.evolve(after, event)
        answer = MembershipAnswer(network=network, version=after.version, member=after.member, since=after.since)
        return Outcome(subject=subject, events=events, read={subject: before.version}, answer=answer)

    return decide


def _slug(name: str) -> str:
    try:
        return msgspec.convert(name, Slug)
    except msgspec.ValidationError:
        raise Problem("malformed", "A network's name has lower-case letters, digits and hyphens only.") from None
