"""Rotating the key of the log over HTTP."""

from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.params import Body
from msgspec import Meta

from tomoni.auth import requires
from tomoni.documentation import COMMAND_PROBLEMS, answered, example, problems
from tomoni.eventlog.key_files import LogKeyFiles
from tomoni.events.types import VerifierKey
from tomoni.strict_json import StrictJson
from tomoni_registry.deciding import Stamp
from tomoni_registry.desk import Decision, Outcome
from tomoni_registry.interface import AnyRequest, IdempotencyKey, Town, order, respond
from tomoni_registry.keys import decider


class RotateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Go on with a new key. The node makes it: no private key ever travels."""

    version: Annotated[int, Meta(ge=0, description="The version you looked at; 0 before the first.")] | None = None


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs from now on, and the one before it."""

    version: int
    log_key: VerifierKey
    replaces: VerifierKey


ROTATE = RotateBody(version=0)


def key_routes(town: Town, keys: LogKeyFiles) -> Router:
    """Return the routes about keys, for supervisors of this town."""

    @post(
        "/rotate",
        dto=StrictJson[RotateBody],
        opt=requires("supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, KeyAnswer) | problems("stale-version", *COMMAND_PROBLEMS),
    )
    async def rotate(
        request: AnyRequest,
        data: Annotated[RotateBody, Body(examples=[example(ROTATE, "The first rotation")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Rotate the key of the log; the next checkpoint carries the signatures of both keys."""
        placed = order(town.desk, request, idempotency_key, "key.rotate", data)
        return respond(await town.desk.carry_out(placed, _decision(town, keys, data)))

    return Router("/v1/keys", route_handlers=[rotate], tags=["keys"])


def _decision(town: Town, keys: LogKeyFiles, body: RotateBody) -> Decision:
    async def decide(stamp: Stamp) -> Outcome:
        state = (await town.desk.history(decider.SUBJECT)).fold(decider.evolve, decider.LogKeys())
        current, new = await keys.current(), keys.add(town.desk.origin)
        command = decider.Rotate(stamp=stamp, seen=body.version, current=current, log_key=new.vkey)
        events = decider.decide(state, command)
        new.keep()
        answer = KeyAnswer(version=state.version + 1, log_key=new.vkey, replaces=current)
        return Outcome(subject=decider.SUBJECT, events=events, read={decider.SUBJECT: state.version}, answer=answer)

    return decide
