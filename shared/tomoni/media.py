"""Media types by the raw headers: the framework's own objects parse all of them, at each request."""

from collections.abc import Iterable
from typing import Final

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
"""One JSON text a line; not registered, and what everybody calls it."""
JOSE: Final = "application/jose"
"""A JSON Web Signature in its compact form (RFC 7515 §9.2.1)."""

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""


def sent(headers: Headers) -> str:
    """Return the media type of a body, in lower case and without parameters; empty where none is named."""
    return _header(headers, b"content-type").partition(";")[0].strip()


def wants(headers: Headers, offered: str) -> bool:
    """Return whether `Accept` names a media type and does not prefer JSON, which everybody gets who asks for nothing.

    Only a type named in full is asked for: `*/*` is what programs send that have not thought about it.
    """
    accept = _header(headers, b"accept")
    if offered not in accept:
        return False
    weights = dict(_weight(part) for part in accept.split(","))
    return weights.get(offered, 0.0) > 0 and weights[offered] >= weights.get(JSON, 0.0)


def _header(headers: Headers, wanted: bytes) -> str:
    for name, value in headers:
        if name == wanted:
            return value.decode("latin-1").lower()
    return ""


def _weight(part: str) -> tuple[str, float]:
    """Return a media type and its weight (RFC 9110 §12.4.2); one with a weight that is no number is not wanted."""
    name, *parameters = (each.strip() for each in part.split(";"))
    weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0
