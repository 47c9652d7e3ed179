"""`POST /v1/recognition/batch`: up to a thousand questions, each with an answer or a problem of its own."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body
from msgspec import Meta

from tomoni.documentation import Spoken, example
from tomoni.events.types import Code, Service
from tomoni.media import NDJSON
from tomoni.problems import Problem, ProblemDetails
from tomoni_federation.batches import MOST, Batch, BatchBody, ForPurpose, Items, answer_each, ask_many
from tomoni_federation.interface import Answering, AnyRequest, Described
from tomoni_federation.recognition.answer import Asked, conclude, prepare
from tomoni_federation.recognition.bodies import RECOGNISED, RecognitionAnswer, RecognitionQuestion
from tomoni_federation.recognition.query import read
from tomoni_federation.status.api import Handle
from tomoni_federation.status.batch import NO_SUCH_TOWN


class OneQuestion(Described, frozen=True, kw_only=True):
    """A document, and where it differs from what the questions share: the receiver, the service, the day."""

    issuer: Code
    handle: Handle
    receiver: Code | None = None
    service: Service | None = None
    on: date | None = None


class Shared(ForPurpose, frozen=True, kw_only=True):
    """What the questions share: the purpose always, the receiver, the service and the day where they do not say."""

    receiver: Code | None = None
    service: Service | None = None
    on: date | None = None


class RecognitionQuestions(Shared, frozen=True, kw_only=True):
    """Up to a thousand questions, for one purpose."""

    questions: Annotated[tuple[OneQuestion, ...], Meta(min_length=1, max_length=MOST)]


class _Read(Shared, frozen=True, kw_only=True):
    questions: Items


@dataclass(frozen=True, kw_only=True)
class RecognitionAnswers:
    """In the order of the questions, an answer each, or a problem; a problem is what has a `type`."""

    answers: tuple[RecognitionAnswer | ProblemDetails, ...]


class _Body(BatchBody):
    described = RecognitionQuestions
    read = _Read
    shared = Shared
    question = OneQuestion


QUESTIONS: Final = RecognitionQuestions(
    purpose="counter",
    receiver="131121",
    service="public-housing",
    questions=(
        OneQuestion(issuer="131130", handle="0000-0000-0000-0000-00"),
        OneQuestion(issuer="131131", handle="0000-0000-0000-0000-00", service="nursery"),
    ),
)
ANSWERS: Final = RecognitionAnswers(answers=(RECOGNISED, NO_SUCH_TOWN))
_LINES: Final = Spoken(
    media_type=NDJSON,
    question=msgspec.json.Encoder().encode_lines(QUESTIONS.questions).decode(),
    answer=msgspec.json.Encoder().encode_lines(ANSWERS.answers).decode(),
    query={
        "purpose": "with NDJSON, what the answers are for; with JSON it stands in the body, as do the others",
        "receiver": "with NDJSON, the receiver of all lines that name none",
        "service": "with NDJSON, the service of all lines that name none",
        "on": "with NDJSON, the day of all lines that name none; today where it is left out",
    },
)


def recognition_batch(answering: Answering) -> HTTPRouteHandler:
    """Return the route."""

    @ask_many("/v1/recognition/batch", _Body, _LINES, RecognitionAnswers, ANSWERS)
    async def recognitions(
        request: AnyRequest,
        data: Annotated[
            Batch[Shared, OneQuestion], Body(examples=[example(QUESTIONS, "Two services, one issuer of nowhere")])
        ],
    ) -> Response[bytes]:
        """Say of each of up to a thousand questions whether the document counts; one problem spoils no other answer.

        Each counts as one lookup. As NDJSON each line is a question and each line of the answer an answer, in order.
        """
        now = answering.clock()

        def ready(one: OneQuestion) -> Asked:
            return prepare(answering, _whole(one, data.shared), request.user, now)

        async def answer(asked: list[Asked]) -> list[RecognitionAnswer]:
            known = await read(answering.pool, [one.wanted for one in asked])
            return [conclude(*each) for each in zip(asked, known, strict=True)]

        return await answer_each(request, answering, data, ready, answer)

    return recognitions


def _whole(one: OneQuestion, shared: Shared) -> RecognitionQuestion:
    receiver, service = one.receiver or shared.receiver, one.service or shared.service
    if receiver is None or service is None:
        raise Problem("malformed", "Name a receiver and a service, in the question or for all of them.")
    return RecognitionQuestion(
        issuer=one.issuer,
        handle=one.handle,
        receiver=receiver,
        service=service,
        purpose=shared.purpose,
        on=one.on or shared.on,
    )
