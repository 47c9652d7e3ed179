"""Pieces of the interface description (OpenAPI 3.1) that routes share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from tomoni.problems import BASE, KINDS, MEDIA_TYPE, ProblemDetails


class _Shared(ResponseSpec):
    """Nobody changes one, and the framework copies a router deeply when it registers it: all examples with it."""

    def __deepcopy__(self, _: object) -> "_Shared":
        return self


def example(value: object, summary: str) -> Example:
    """Return an example of a body."""
    return Example(summary=summary, value=msgspec.to_builtins(value))


def problems(*kinds: str) -> dict[int, ResponseSpec]:
    """Return the problem answers of a route by status, each kind with an example."""
    every = ("malformed", "invalid-token", "forbidden", "too-large", "unavailable", *kinds)
    answers: dict[int, list[str]] = {}
    for kind in sorted(set(every)):
        answers.setdefault(KINDS[kind].status, []).append(kind)
    return {status: _spec(names) for status, names in answers.items()}


def answered(status: int, container: type[object], value: object = None) -> dict[int, ResponseSpec]:
    """Return the description of a successful answer."""
    examples = [] if value is None else [example(value, "As answered")]
    return {
        status: _Shared(
            data_container=container, generate_examples=False, description="Done", examples=examples or None
        )
    }


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A media type that a route speaks beside JSON, which is all that the framework describes of it by itself."""

    media_type: str
    answer: str
    """An example."""
    question: str | None = None
    """An example; None where the question is JSON all the same."""
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the query says with it, and what that means."""


def speaks(also: Spoken) -> type[Operation]:
    """Return the `operation_class` of a route that is asked by, or answers, another media type as well."""

    @dataclass
    class Speaking(Operation):
        def __post_init__(self) -> None:
            if also.question is not None and isinstance(self.request_body, RequestBody):
                self.request_body.content[also.media_type] = _text(also.question)
            done = (self.responses or {}).get("200")
            if isinstance(done, OpenAPIResponse) and done.content is not None:
                done.content[also.media_type] = _text(also.answer)
            self.parameters = [*(self.parameters or ()), *(_query(*each) for each in also.query.items())]

    return Speaking


def _text(text: str) -> OpenAPIMediaType:
    return OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING), examples={"given": Example(value=text)})


def _query(name: str, meaning: str) -> Parameter:
    return Parameter(name=name, param_in="query", description=meaning, schema=Schema(type=OpenAPIType.STRING))


def _spec(kinds: list[str]) -> ResponseSpec:
    examples = [
        Example(
            summary=KINDS[kind].title,
            value={
                "type": BASE + kind,
                "title": KINDS[kind].title,
                "status": KINDS[kind].status,
                "detail": "What is wrong, and what to do about it.",
            },
        )
        for kind in kinds
    ]
    description = "; ".join(KINDS[kind].title for kind in kinds)
    return _Shared(
        data_container=ProblemDetails,
        generate_examples=False,
        media_type=MEDIA_TYPE,  # pyright: ignore[reportArgumentType]  # any media type may be named
        description=description,
        examples=examples,
    )


COMMAND_PROBLEMS = (
    "command-already-done",
    "idempotency-key-invalid",
    "idempotency-key-reused",
    "unsupported-media-type",
)
"""What every command may be answered."""
