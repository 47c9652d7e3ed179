"""An answer of a federation that is to be judged, with what was asked: a signed statement, or the body of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from tomoni.client.answers import Recognition, Status
from tomoni.statements import Statement
from tomoni_auditor.explain.explanation import Asked
from tomoni_auditor.verify.sources import SourceError

T = TypeVar("T")

PURPOSES: Final[Mapping[str, timedelta]] = {"emergency": timedelta(days=7), "counter": timedelta(hours=24)}
"""How old knowledge may be for the purposes that every federation begins with."""

_FORM: Final = "the answer is none that a federation gives to one question about status or recognition"


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An answer and what it answers."""

    asked: Asked
    """Its `as_known_at` is the time of the answer where it is live."""
    answer: Status | Recognition
    live: bool
    """Given from what was known at the moment; otherwise asked for as it was known at a time."""
    said_by: str | None = None
    """The federation that signed it; None: nobody did, it is somebody's word that this was answered."""


class _Shape(msgspec.Struct):
    """What tells one kind of answer from the other, and what of the question an answer repeats."""

    decision: str | None = None
    on: date | None = None
    as_known_at: datetime | None = None


def of_statement(statement: Statement, max_age: timedelta | None) -> Given:
    """Return what a statement says, whose signature was checked; `max_age` None: that of its purpose.

    Raises SourceError where it cannot be told how old knowledge might be, or its answer has another form.
    """
    asked = statement.asked
    allowed = PURPOSES.get(asked.purpose) if max_age is None else max_age
    if allowed is None:
        raise SourceError(f"name --max-age: how many hours old knowledge may be for the purpose {asked.purpose}")
    try:
        document = bytes.fromhex(asked.document)
        at = asked.as_known_at or datetime.fromtimestamp(statement.iat, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise SourceError(_FORM) from error
    question = Asked(
        issuer=asked.issuer,
        document=document,
        on=asked.on,
        as_known_at=at,
        max_age=allowed,
        receiver=asked.receiver,
        service=asked.service,
    )
    answer = _answer(statement.answer, Status if asked.receiver is None else Recognition)
    return Given(asked=question, answer=answer, live=asked.as_known_at is None, said_by=statement.iss)


def of_body(data: bytes, asked: Asked) -> Given:
    """Return the answer in the body of a response to a question; what it repeats of the question prevails.

    Raises SourceError where it has another form, or nothing tells when it was given.
    """
    try:
        body: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise SourceError(_FORM) from error
    shape = _converted(body, _Shape)
    if (shape.decision is None) != (asked.receiver is None):
        raise SourceError(
            "an answer about recognition is given with --receiver and --service, one about status without"
        )
    at = shape.as_known_at or asked.as_known_at
    if at is None or at.tzinfo is None:
        raise SourceError("the answer does not say when it was given: name the time by --as-known-at")
    question = msgspec.structs.replace(asked, on=shape.on or asked.on, as_known_at=at)
    answer = _answer(body, Status if shape.decision is None else Recognition)
    if shape.as_known_at is None and any(one > at for one in freshness(answer)):
        raise SourceError("the answer was given after the time named by --as-known-at: it names a later freshness")
    return Given(asked=question, answer=answer, live=shape.as_known_at is None)


def freshness(answer: Status | Recognition) -> list[datetime]:
    """Return as of when the logs behind an answer were known, by its own word."""
    if isinstance(answer, Status):
        return [] if answer.fresh_as_of is None else [answer.fresh_as_of]
    return [one for one in (answer.certificate.fresh_as_of, answer.receiver_fresh_as_of) if one is not None]


def _answer(value: dict[str, Any], kind: type[Status] | type[Recognition]) -> Status | Recognition:
    answer = _converted(value, kind)
    if any(one.tzinfo is None for one in freshness(answer)):
        raise SourceError(_FORM)
    return answer


def _converted(value: dict[str, Any], cls: type[T]) -> T:
    try:
        return msgspec.convert(value, type=cls)
    except msgspec.MsgspecError as error:
        raise SourceError(_FORM) from error
