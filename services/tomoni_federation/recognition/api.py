"""`POST /v1/recognition`: does it count here; and what receivers have declared, in which words."""

from typing import Annotated, Final

from litestar import Response, Router, get, post
from litestar.params import Body, FromQuery, QueryParameter

from tomoni.auth import SCOPES, requires
from tomoni.documentation import answered, example, problems, speaks
from tomoni.documents import document_hash
from tomoni.history.arrangements import Arrangement
from tomoni.media import JOSE, wants
from tomoni.problems import Problem
from tomoni.statements import Asked
from tomoni.strict_json import StrictJson
from tomoni_federation.interface import ASKING, Answering, AnyRequest, jurisdiction
from tomoni_federation.recognition.answer import answer_question
from tomoni_federation.recognition.bodies import (
    QUESTION,
    RECOGNISED,
    VOCABULARY,
    ArrangementAnswer,
    ArrangementsAnswer,
    RecognitionAnswer,
    RecognitionQuestion,
    VocabularyAnswer,
)
from tomoni_federation.recognition.query import ARRANGEMENTS, to_arrangement
from tomoni_federation.statements.api import STATEMENT, as_verifier, signed
from tomoni_federation.status.api import QUESTION_PROBLEMS, respond

PAGE: Final = 100
_ROOM: Final = 4_096
"""Bytes that an answer fills, or a multiple: what is considered of an issuer and a receiver varies little, and fits."""

_READING = requires("verifier", "clerk", "supervisor", "aggregator", "auditor", "secretariat")
_LEARNING = requires(*SCOPES)


def recognition_routes(answering: Answering) -> Router:
    """Return the routes of recognition."""

    @post(
        "/recognition",
        dto=StrictJson[RecognitionQuestion],
        return_dto=None,
        status_code=200,
        opt=ASKING,
        operation_class=speaks(STATEMENT),
        responses=answered(200, RecognitionAnswer, RECOGNISED)
        | problems("day-too-far-ahead", "time-to-come", *QUESTION_PROBLEMS),
    )
    async def recognition(
        request: AnyRequest, data: Annotated[RecognitionQuestion, Body(examples=[example(QUESTION, "Public housing")])]
    ) -> Response[bytes]:
        """Say whether a document counts at a receiver for a service on a day, and why.

        With `Accept: application/jose` as a signed statement, which holds what a verifier sees.
        """
        answering.limit.take(request.user.subject)
        if not wants(request.scope["headers"], JOSE):
            return respond(await answer_question(answering, data, request.user), room=_ROOM)
        answer = await answer_question(answering, data, as_verifier(request.user))
        return signed(
            answering,
            Asked(
                issuer=data.issuer,
                document=document_hash(data.issuer, data.handle),
                purpose=data.purpose,
                on=answer.on,
                receiver=data.receiver,
                service=data.service,
                as_known_at=answer.as_known_at,
            ),
            answer,
            rests_on=[answer.certificate.fresh_as_of, answer.receiver_fresh_as_of],
            now=answering.clock(),
        )

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

    @get("/vocabulary", opt=_LEARNING, responses=answered(200, VocabularyAnswer, VOCABULARY) | problems())
    async def vocabulary() -> Response[bytes]:
        """List the words of arrangements: kinds, patterns with their terms, services and conditions.

        Codes that begin with `x-` are local and not listed: they mean what those who use them have agreed.
        """
        return respond(VOCABULARY)

    return Router(path="/v1", route_handlers=[recognition, arrangements, vocabulary], tags=["answers"])


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
