"""What every answer says to browsers and to whoever keeps answers on the way."""

from typing import Final

from litestar.types import Message, Scope

_ALWAYS: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_NOT_KEPT: Final = (b"cache-control", b"no-store")
_CACHE_CONTROL: Final = b"cache-control"


async def close_answer(message: Message, _: Scope) -> None:
    """Close an answer before it is sent, for `Litestar(before_send=…)`: refusals too, which no route has made.

    Nothing in it runs, no page frames it or reads it from elsewhere, no browser guesses its type; and nobody keeps it,
    where its route does not say otherwise.
    """
    if message["type"] == "http.response.start":
        headers = list(message["headers"])
        kept = any(name.lower() == _CACHE_CONTROL for name, _ in headers)
        message["headers"] = [*headers, *_ALWAYS] if kept else [*headers, *_ALWAYS, _NOT_KEPT]
