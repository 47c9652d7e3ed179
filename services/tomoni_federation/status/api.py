"""`POST /v1/status`: the status of one document. Handles stand in bodies alone."""

from datetime import UTC, date, datetime
from typing import Annotated, Final

import msgspec
from litestar import Response, Router, post
from litestar.params import Body
from msgspec import Meta

from tomoni.documentation import answered, example, problems, speaks
from tomoni.documents import document_hash
from tomoni.events.types import Code
from tomoni.history.status import Answer, Document, Reason, Status, decide
from tomoni.history.texts import STATUS_TEXTS
from tomoni.media import JOSE, wants
from tomoni.statements import Asked
from tomoni.strict_json import StrictJson
from tomoni.times import day_in_japan
from tomoni_federation.interface import (
    ASKING,
    Answering,
    AnyRequest,
    Described,
    document_key,
    require_within_reach,
    sees_details,
)
from tomoni_federation.statements.api import STATEMENT, signed

Handle = Annotated[str, Meta(max_length=64, description="as printed, with or without hyphens; a secret of its holder")]
Purpose = Annotated[str, Meta(max_length=40, examples=["counter", "emergency"])]


class StatusQuestion(Described, frozen=True, kw_only=True):
    """A document, and what the answer is for: that says how old it may be."""

    issuer: Code
    handle: Handle
    purpose: Purpose


class Details(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the issuer and auditors see beside the status."""

    kind: str
    certified_on: date
    conditional_until: date | None = None
    confirmed_on: date | None = None
    effect: str | None = None
    effective_on: date | None = None


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The status as of `fresh_as_of`; where unknown, why and what was last proven (never to be taken as valid)."""

    status: Status
    fresh_as_of: datetime | None
    reason: Reason | None = None
    text: str | None = None
    last_proven: Status | None = None
    details: Details | None = None


QUESTION_PROBLEMS: Final = (
    "handle-malformed",
    "jurisdiction-not-found",
    "purpose-unknown",
    "too-many-requests",
    "unsupported-media-type",
)
"""What every question about a document may be answered."""

QUESTION: Final = StatusQuestion(issuer="131130", handle="0000-0000-0000-0000-00", purpose="counter")
VALID: Final = StatusAnswer(status="valid", fresh_as_of=datetime(2026, 11, 23, 3, 0, tzinfo=UTC))

_ROOM: Final = 512
"""Bytes of every answer: all that can be said of one document fits."""

_encoder = msgspec.json.Encoder()


def status_routes(answering: Answering) -> Router:
    """Return the routes of status."""

    @post(
        "/",
        dto=StrictJson[StatusQuestion],
        return_dto=None,
        status_code=200,
        opt=ASKING,
        operation_class=speaks(STATEMENT),
        responses=answered(200, StatusAnswer, VALID) | problems(*QUESTION_PROBLEMS),
    )
    async def status(
        request: AnyRequest, data: Annotated[StatusQuestion, Body(examples=[example(QUESTION, "At a counter")])]
    ) -> Response[bytes]:
        """Say whether a document counts, how fresh that is, and `unknown` wherever that cannot be said.

        With `Accept: application/jose` as a signed statement, which holds what a verifier sees.
        """
        principal = request.user
        answering.limit.take(principal.subject)
        require_within_reach(principal, {data.issuer})
        max_age = answering.max_age(data.purpose)
        document, issuer = await answering.gatherer.ask(document_key(data.issuer, data.handle))
        now = answering.clock()
        today = day_in_japan(now)
        answer = decide(document, issuer, max_age=max_age, now=now, on=today)
        if wants(request.scope["headers"], JOSE):
            document_name = document_hash(data.issuer, data.handle)
            asked = Asked(issuer=data.issuer, document=document_name, purpose=data.purpose, on=today)
            return signed(answering, asked, to_body(answer, None), rests_on=[answer.fresh_as_of], now=now)
        return respond(to_body(answer, document if sees_details(principal, data.issuer) else None), room=_ROOM)

    return Router(path="/v1/status", route_handlers=[status], tags=["answers"])


def to_body(answer: Answer, shown: Document | None) -> StatusAnswer:
    """Return an answer as it goes out; `shown` where the caller may see how and when the certificate ended."""
    return StatusAnswer(
        status=answer.status,
        fresh_as_of=answer.fresh_as_of,
        reason=answer.reason,
        text=None if answer.reason is None else STATUS_TEXTS[answer.reason],
        last_proven=answer.last_proven,
        details=None if shown is None else _details(shown),
    )


def respond(body: msgspec.Struct, status: int = 200, *, room: int = 1) -> Response[bytes]:
    """Return an answer that nobody on the way may keep.

    With spaces at its end it fills a multiple of `room` bytes: TLS shows sizes, and by its size a status could be told
    from another (docs/decisions/0111).
    """
    data = _encoder.encode(body)
    data = data.ljust(-(-len(data) // room) * room)
    headers = {"Cache-Control": "no-store"}
    return Response(data, status_code=status, media_type="application/json", headers=headers)


def _details(document: Document) -> Details:
    certificate = document.certificate
    return Details(
        kind=certificate.kind,
        certified_on=certificate.certified_on,
        conditional_until=certificate.conditional_until,
        confirmed_on=certificate.confirmed_on,
        effect=certificate.effect,
        effective_on=certificate.effective_on,
    )
