"""The HTTP side all slices share: the Idempotency-Key, how an order is made of a request, how an answer goes out."""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter

from tomoni.auth import Principal
from tomoni.problems import Problem
from tomoni_registry.desk import Desk, Order
from tomoni_registry.schemes.rules import Rules
from tomoni_registry.vault.answers import Answer

MAX_BODY_BYTES: Final = 65_536
"""Bytes of a request's body; the largest application has twenty family members and fits many times."""

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=True,
        description="A new UUID for every new command; the same one when a command is sent again.",
        examples=[Example(value="7f3e6f0c-0f0b-4c9e-9d8e-3c1d1f0a2b4c")],
        schema_extra={"format": "uuid"},
    ),
]

AnyRequest = Request[Principal, Any, Any]


@dataclass(frozen=True, kw_only=True)
class Town:
    """What every route needs: whose registry it is, its rules and its desk."""

    code: str
    rules: Rules
    desk: Desk


def order(desk: Desk, request: AnyRequest, key: str | None, what: str, body: msgspec.Struct, *about: str) -> Order:
    """Return the order of a request; raise Problem where its Idempotency-Key is missing or no UUID."""
    try:
        command_id = desk.answers.identify(UUID(key or ""))
    except ValueError:
        raise Problem(
            "idempotency-key-invalid",
            "Send the header Idempotency-Key with a new UUID, and the same one when you send the command again.",
        ) from None
    who = request.user.subject
    return Order(
        command_id=command_id, who=who, what=what, fingerprint=desk.answers.fingerprint(who, what, about, body)
    )


def respond(answer: Answer) -> Response[bytes]:
    """Return an answer as the framework sends it; never to be kept by anybody on the way."""
    headers = {"Cache-Control": "no-store"}
    if answer.location is not None:
        headers["Location"] = answer.location
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=headers)
