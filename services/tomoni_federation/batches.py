# ruff: noqa: ANN401
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeArgument=false, reportUnknownParameterType=false
# The framework's types of fields and schemas are open.
"""Many questions in one request, each with an answer or a problem of its own.

As JSON they are the one list of the body, and what they share stands beside it. As NDJSON they are lines, and what
they share stands in the query: it is no secret, and handles are in no query.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.typing import FieldDefinition
from msgspec import Meta

from tomoni.documentation import Spoken, answered, problems, speaks
from tomoni.documents import HandleError
from tomoni.media import JSON, NDJSON, sent, wants
from tomoni.problems import Problem, mistyped
from tomoni.strict_json import StrictJson, malformed, read_body
from tomoni_federation.interface import ASKING, Answering, AnyRequest, Described, require_within_reach
from tomoni_federation.status.api import Purpose

MOST: Final = 1_000
"""Questions of one request."""
MOST_BYTES: Final = 262_144
"""Bytes of such a request: a thousand questions with everything that can be said in them."""
MOST_LINE_BYTES: Final = 1_024

S = TypeVar("S", bound="ForPurpose")
T = TypeVar("T")
K = TypeVar("K")

Items = Annotated[tuple[msgspec.Raw, ...], Meta(min_length=1, max_length=MOST)]
"""The questions of a body, not looked into yet: one that is wrong must not spoil the others."""

_encoder: Final = msgspec.json.Encoder()
_TOO_MANY: Final = f"Send between 1 and {MOST} lines, a question each."


class ForPurpose(Described, frozen=True, kw_only=True):
    """What all questions share: what the answers are for."""

    purpose: Purpose


@dataclass(frozen=True, kw_only=True)
class Batch(Generic[S, T]):
    """Questions as they were read, in order, with what they share."""

    shared: S
    questions: tuple[T | Problem, ...]


class BatchBody(StrictJson[Any]):
    """Reads a body, JSON or NDJSON, question by question; a subclass names the structures.

    It refuses the whole only for what is wrong with the whole.
    """

    described: ClassVar[type[msgspec.Struct]]
    """The whole body, for the interface description."""
    read: ClassVar[type[ForPurpose]]
    """The whole body, for reading: its `questions` are `Items`."""
    shared: ClassVar[type[ForPurpose]]
    """What the questions share."""
    question: ClassVar[type[msgspec.Struct]]

    @classmethod
    def create_openapi_schema(cls, field_definition: Any, handler_id: str, schema_creator: Any) -> Any:  # noqa: ARG003
        """Return the schema of the body."""
        described = FieldDefinition.from_annotation(cls.described, kwarg_definition=field_definition.kwarg_definition)
        return schema_creator.for_field_definition(described)

    def decode_bytes(self, value: bytes) -> Batch[ForPurpose, msgspec.Struct]:
        """Return the questions; raise Problem where the body as a whole is none."""
        scope = self.asgi_connection.scope
        kind = sent(scope["headers"])
        if kind == NDJSON:
            shared = _from_query(scope["query_string"], self.shared)
            return Batch(shared=shared, questions=self._each(_lines(value)))
        if kind != JSON:
            raise Problem("unsupported-media-type", f"Send JSON as {JSON}, or a question a line as {NDJSON}.")
        body = read_body(value, self.read)
        items: Sequence[msgspec.Raw] = body.questions  # pyright: ignore[reportAttributeAccessIssue]
        return Batch(shared=body, questions=self._each(items))

    def _each(self, items: Iterable[bytes | msgspec.Raw]) -> tuple[msgspec.Struct | Problem, ...]:
        return tuple(_read(item, self.question) for item in items)


def ask_many(
    path: str, body: type[BatchBody], lines: Spoken, answers: type[object], given: object
) -> Callable[[Any], HTTPRouteHandler]:
    """Return the decorator of a route that takes many questions; `lines` describes it in NDJSON, `given` an answer."""
    return post(
        path,
        tags=["answers"],
        dto=body,
        return_dto=None,
        status_code=200,
        opt=ASKING,
        request_max_body_size=MOST_BYTES,
        operation_class=speaks(lines),
        responses=answered(200, answers, given)
        | problems("purpose-unknown", "too-many-requests", "unsupported-media-type"),
    )


async def answer_each(
    request: AnyRequest,
    answering: Answering,
    batch: Batch[S, T],
    prepare: Callable[[T], K],
    answer: Callable[[list[K]], Awaitable[Iterable[object]]],
) -> Response[bytes]:
    """Prepare question by question, and answer those that can be answered all at once; each counts as one lookup.

    Where one cannot be answered its problem stands in its place. Answers come as the caller wants them, JSON or NDJSON,
    and nobody on the way may keep them. Raises Problem where the whole cannot be answered.
    """
    answering.limit.take(request.user.subject, len(batch.questions))
    require_within_reach(request.user, set())
    answering.max_age(batch.shared.purpose)
    places = [_prepared(one, prepare) for one in batch.questions]
    answers = iter(await answer([place for place in places if not isinstance(place, Problem)]))
    filled = [place.details() if isinstance(place, Problem) else next(answers) for place in places]
    lines = wants(request.scope["headers"], NDJSON)
    return Response(
        _encoder.encode_lines(filled) if lines else _encoder.encode({"answers": filled}),
        status_code=200,
        media_type=NDJSON if lines else JSON,
        headers={"Cache-Control": "no-store"},
    )


def _prepared(question: T | Problem, prepare: Callable[[T], K]) -> K | Problem:
    if isinstance(question, Problem):
        return question
    try:
        return prepare(question)
    except Problem as problem:
        return problem
    except HandleError as error:
        return mistyped(error)


def _lines(body: bytes) -> list[bytes]:
    """Return the lines. An empty one is a question that cannot be read: line n of the answer is always of line n."""
    lines = body.removesuffix(b"\n").split(b"\n", MOST)
    if not body or len(lines) > MOST:
        raise Problem("malformed", _TOO_MANY)
    return lines


def _read(item: bytes | msgspec.Raw, cls: type[T]) -> T | Problem:
    if len(memoryview(item)) > MOST_LINE_BYTES:
        return Problem("malformed", f"A question has at most {MOST_LINE_BYTES} bytes. Mend it and send it again.")
    try:
        return read_body(bytes(item), cls, "question")
    except Problem as problem:
        return problem


def _from_query(query: bytes, cls: type[S]) -> S:
    """Return what the query says of all questions; raise Problem, which repeats nothing of it."""
    fields = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    try:
        return msgspec.convert(fields, cls, strict=False)
    except msgspec.ValidationError as error:
        raise malformed(error, "query") from None
