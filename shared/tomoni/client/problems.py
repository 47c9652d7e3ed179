"""Reading problem details (RFC 9457) from an answer that is not a success."""

from collections.abc import Mapping

import httpx
import msgspec

from tomoni.client.errors import ProblemError


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    fields: Mapping[str, str | int] = {}


def problem_of(response: httpx.Response) -> ProblemError:
    """Return the problem of an answer that is not a success, whatever stands in the body."""
    try:
        found = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.MsgspecError:
        found = _Problem(title=response.reason_phrase)
    return ProblemError(found.type.rpartition("/")[2], found.title, response.status_code, found.detail, found.fields)
