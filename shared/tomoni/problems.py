# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The framework's types of requests and handlers are open.
"""Problem details (RFC 9457): every error of every route, with a stable type and a text that says what to do.

Nothing of a request is ever echoed: a handle in an error text would be a handle in somebody's log.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from tomoni.documents import HandleError

BASE: Final = "https://tomoni.example/problems/"
MEDIA_TYPE: Final = "application/problem+json"

_PLACE: Final = re.compile(r" - at `\$(\.[a-z_]{1,30}|\[[0-9]{1,4}\]|\[\.\.\.\])*`\Z")
"""Where msgspec says that something is wrong, in names as we give them: no handle, and nothing written by people."""

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]  # the framework's three parameters do not matter here


class Kind(NamedTuple):
    """A kind of problem: the HTTP status it is answered with and its title, which never varies."""

    status: int
    title: str


KINDS: dict[str, Kind] = {
    "conflict": Kind(409, "The command conflicts with what is recorded"),
    "forbidden": Kind(403, "The token does not allow this"),
    "handle-malformed": Kind(422, "The handle cannot be one"),
    "internal": Kind(500, "Something failed on our side"),
    "invalid-token": Kind(401, "The token is missing or not valid"),
    "malformed": Kind(400, "The request cannot be read"),
    "method-not-allowed": Kind(405, "The method is not allowed here"),
    "not-found": Kind(404, "There is nothing here"),
    "too-large": Kind(413, "The body is too large"),
    "too-many-requests": Kind(429, "Too many requests"),
    "unavailable": Kind(503, "The service cannot do this right now"),
    "unsupported-media-type": Kind(415, "The body must be JSON"),
}
"""The catalogue shared by all services; a service adds its own with `register`."""


def register(kinds: Mapping[str, Kind]) -> None:
    """Add a service's kinds to the catalogue; raise ValueError where one is there with another meaning."""
    for name, kind in kinds.items():
        if KINDS.setdefault(name, kind) != kind:
            raise ValueError(f"the problem kind {name} has two meanings")


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a problem answer (RFC 9457 §3.1)."""

    type: str
    title: str
    status: int
    detail: str
    fields: Mapping[str, str | int] = {}
    """What a program needs to go on, for example the current version after a conflict."""


class Problem(Exception):  # noqa: N818  # the RFC's word
    """An error with an answer: its kind, a text that says what to do, and fields for programs."""

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **fields: str | int
    ) -> None:
        super().__init__(kind)
        if kind not in KINDS:
            raise ValueError(f"there is no problem kind {kind}")
        self.kind = kind
        self.detail = detail
        self.fields = fields
        self.headers = dict(headers or {})

    @property
    def status(self) -> int:
        """The HTTP status of this kind."""
        return KINDS[self.kind].status

    def details(self) -> ProblemDetails:
        """Return the body of the answer."""
        status, title = KINDS[self.kind]
        return ProblemDetails(type=BASE + self.kind, title=title, status=status, detail=self.detail, fields=self.fields)


def answer(problem: Problem) -> Response[bytes]:
    """Return the HTTP answer to a problem."""
    return Response(
        msgspec.json.encode(problem.details()),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def _on_problem(_: AnyRequest, problem: Problem) -> Response[bytes]:
    return answer(problem)


def _on_validation(_: AnyRequest, error: ValidationException) -> Response[bytes]:
    """Name the fields that are wrong and what they should be, never what was given."""
    cause = error.__cause__
    if isinstance(cause, msgspec.ValidationError):
        return answer(Problem("malformed", f"{without_values(str(cause))}. Mend the body and send it again."))
    keys = sorted({str(item["key"]) for item in _extra(error) if item.get("key")})
    named = f" Look at: {', '.join(keys)}." if keys else ""
    return answer(Problem("malformed", f"The request does not have the form this route asks for.{named}"))


def without_values(text: str, part: str = "body") -> str:
    """Return msgspec's text about a part of a request without the names and values it repeats from there.

    The place is kept where it can be one of ours: whoever has written a field's name could have written it, too.
    """
    for known, plain in (
        ("Object contains unknown field", f"The {part} has an unknown field"),
        ("Invalid enum value", "A value is none of those listed"),
        ("Invalid value", "A value is none of those listed"),
    ):
        if text.startswith(known):
            place = _PLACE.search(text)
            return plain + (place[0] if place else "")
    return text


def _extra(error: HTTPException) -> list[dict[str, object]]:
    extra: object = error.extra
    return [item for item in extra if isinstance(item, dict)] if isinstance(extra, list) else []  # pyright: ignore[reportUnknownVariableType]


_HTTP_ANSWERS: Mapping[int, tuple[str, str]] = {
    400: ("malformed", "The body is not well-formed JSON. Mend it and send it again."),
    401: ("invalid-token", "Send a valid bearer token in the Authorization header."),
    403: ("forbidden", "Ask for a token with the scope this route needs."),
    404: ("not-found", "No such route or thing. Look at the address."),
    405: ("method-not-allowed", "Use the method that the interface description names."),
    413: ("too-large", "Send a smaller body; the limit stands in the interface description."),
    415: ("unsupported-media-type", "Send JSON, with Content-Type: application/json."),
    429: ("too-many-requests", "Wait and try again."),
    503: ("unavailable", "Try again in a few seconds."),
}


def _on_http(_: AnyRequest, error: HTTPException) -> Response[bytes]:
    kind, detail = _HTTP_ANSWERS.get(
        error.status_code, ("internal", "Try again; if it fails again, tell the operator.")
    )
    headers = {
        k: v for k, v in (error.headers or {}).items() if k.lower() in {"allow", "retry-after", "www-authenticate"}
    }
    return answer(Problem(kind, detail, headers=headers))


def mistyped(error: HandleError) -> Problem:
    """Return the problem of a handle that cannot be one."""
    return Problem("handle-malformed", f"{str(error).capitalize()}. Read it again from the document.")


def _on_handle(_: AnyRequest, error: HandleError) -> Response[bytes]:
    return answer(mistyped(error))


def _on_anything(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("unhandled_error", error=type(error).__name__, route=_route(request), status=500)
    return answer(Problem("internal", "Try again with the same Idempotency-Key; if it fails again, tell the operator."))


def _route(request: AnyRequest) -> str:
    """Return the route's template, never the path: a path could carry what is secret."""
    handler = request.scope.get("route_handler")
    paths: set[str] = getattr(handler, "paths", set())
    return next(iter(sorted(paths)), HTTPStatus(404).phrase)


exception_handlers: ExceptionHandlersMap = {
    Problem: _on_problem,
    HandleError: _on_handle,
    ValidationException: _on_validation,
    HTTPException: _on_http,
    Exception: _on_anything,
}
"""For `Litestar(exception_handlers=…)`."""
