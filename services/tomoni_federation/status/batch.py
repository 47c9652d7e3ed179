"""`POST /v1/status/batch`: the status of up to a thousand documents at once, each with an answer or a problem."""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body
from msgspec import Meta

from tomoni.documentation import Spoken, example
from tomoni.events.types import Code
from tomoni.history.status import decide
from tomoni.media import NDJSON
from tomoni.problems import Problem, ProblemDetails
from tomoni.times import day_in_japan
from tomoni_federation.batches import MOST, Batch, BatchBody, ForPurpose, Items, answer_each, ask_many
from tomoni_federation.interface import (
    Answering,
    AnyRequest,
    Described,
    document_key,
    require_within_reach,
    sees_details,
)
from tomoni_federation.status.api import VALID, Handle, StatusAnswer, to_body
from tomoni_federation.status.query import Key, look_up


class NamedDocument(Described, frozen=True, kw_only=True):
    """A document by its issuer and handle."""

    issuer: Code
    handle: Handle


class StatusQuestions(ForPurpose, frozen=True, kw_only=True):
    """Up to a thousand documents, for one purpose."""

    documents: Annotated[tuple[NamedDocument, ...], Meta(min_length=1, max_length=MOST)]


class _Read(ForPurpose, frozen=True, kw_only=True):
    questions: Items = msgspec.field(name="documents")


@dataclass(frozen=True, kw_only=True)
class StatusAnswers:
    """In the order of the documents asked about, an answer each, or a problem; a problem is what has a `type`."""

    answers: tuple[StatusAnswer | ProblemDetails, ...]


class _Body(BatchBody):
    described = StatusQuestions
    read = _Read
    shared = ForPurpose
    question = NamedDocument


QUESTIONS: Final = StatusQuestions(
    purpose="counter",
    documents=(
        NamedDocument(issuer="131130", handle="0000-0000-0000-0000-00"),
        NamedDocument(issuer="131131", handle="0000-0000-0000-0000-00"),
    ),
)
NO_SUCH_TOWN: Final = Problem("jurisdiction-not-found", "The check digit of the code does not match.").details()
ANSWERS: Final = StatusAnswers(answers=(VALID, NO_SUCH_TOWN))
_LINES: Final = Spoken(
    media_type=NDJSON,
    question=msgspec.json.Encoder().encode_lines(QUESTIONS.documents).decode(),
    answer=msgspec.json.Encoder().encode_lines(ANSWERS.answers).decode(),
    query={"purpose": "with NDJSON, what the answers are for; with JSON it stands in the body"},
)


def status_batch(answering: Answering) -> HTTPRouteHandler:
    """Return the route."""

    @ask_many("/v1/status/batch", _Body, _LINES, StatusAnswers, ANSWERS)
    async def statuses(
        request: AnyRequest,
        data: Annotated[
            Batch[ForPurpose, NamedDocument],
            Body(examples=[example(QUESTIONS, "Two documents, one of them of nowhere")]),
        ],
    ) -> Response[bytes]:
        """Say of each of up to a thousand documents whether it counts; one that cannot be answered spoils no other.

        Each counts as one lookup. As NDJSON each line is a document and each line of the answer an answer, in order.
        """

        def prepare(one: NamedDocument) -> tuple[Key, bool]:
            require_within_reach(request.user, {one.issuer})
            return document_key(one.issuer, one.handle), sees_details(request.user, one.issuer)

        async def answer(asked: list[tuple[Key, bool]]) -> list[StatusAnswer]:
            found = await look_up(answering.pool, [key for key, _ in asked])
            max_age, now = answering.max_age(data.shared.purpose), answering.clock()
            today = day_in_japan(now)
            return [
                to_body(decide(document, issuer, max_age=max_age, now=now, on=today), document if detailed else None)
                for (document, issuer), (_, detailed) in zip(found, asked, strict=True)
            ]

        return await answer_each(request, answering, data, prepare, answer)

    return statuses
