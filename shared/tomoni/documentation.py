"""Pieces of the interface description (OpenAPI 3.1) that routes share."""

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from tomoni.problems import BASE, KINDS, MEDIA_TYPE, ProblemDetails


def example(value: msgspec.Struct, summary: str) -> Example:
    """Return an example of a body."""
    return Example(summary=summary, value=msgspec.to_builtins(value))


def problems(*kinds: str) -> dict[int, ResponseSpec]:
    """Return the problem answers of a route by status, each kind with an example."""
    every = ("malformed", "invalid-token", "forbidden", "too-large", "unavailable", *kinds)
    answers: dict[int, list[str]] = {}
    for kind in sorted(set(every)):
        answers.setdefault(KINDS[kind].status, []).append(kind)
    return {status: _spec(names) for status, names in answers.items()}


def answered(
    status: int, container: type[msgspec.Struct], value: msgspec.Struct | None = None
) -> dict[int, ResponseSpec]:
    """Return the description of a successful answer."""
    examples = [] if value is None else [example(value, "As answered")]
    return {
        status: ResponseSpec(
            data_container=container, generate_examples=False, description="Done", examples=examples or None
        )
    }


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
    return ResponseSpec(
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
