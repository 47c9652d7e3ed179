"""Requests under way: one subscription, one future for each, failed at once when the connection is lost.

nats-py's own multiplexer starts anew when two first requests meet, and leaves the others to their time-outs.
"""

import asyncio
import itertools
import secrets
from typing import Generic, Protocol, TypeVar


class HasSubject(Protocol):
    """An answer, known by the subject it came on."""

    @property
    def subject(self) -> str:
        """The subject."""
        ...


M = TypeVar("M", bound=HasSubject)


class Requests(Generic[M]):
    """The table of requests under way of one connection."""

    def __init__(self, inbox: str) -> None:
        self.prefix = f"{inbox}.{secrets.token_hex(11)}"
        self.subject = f"{self.prefix}.*"
        self._numbers = itertools.count(1)
        self._open: dict[str, tuple[str, asyncio.Future[M]]] = {}

    def open(self, subject: str) -> tuple[str, asyncio.Future[M]]:
        """Return the token for a request's reply subject, and the future of its answer."""
        token = str(next(self._numbers))
        answer: asyncio.Future[M] = asyncio.get_running_loop().create_future()
        self._open[token] = (subject, answer)
        return token, answer

    def close(self, token: str) -> None:
        """Forget a request; an answer that comes later is dropped."""
        _, answer = self._open.pop(token)
        if answer.done() and not answer.cancelled():
            answer.exception()  # seen, whether or not somebody awaited it
        answer.cancel()

    def resolve(self, message: M) -> None:
        """Hand an answer to the request it belongs to."""
        _, answer = self._open.get(message.subject[len(self.prefix) + 1 :], (None, None))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def fail(self, subject: str, error: Exception) -> None:
        """Fail the requests to one subject (compared without regard to case: nats-py gives errors in lower case)."""
        for requested, answer in self._open.values():
            if requested.lower() == subject and not answer.done():
                answer.set_exception(error)

    def fail_all(self, error: Exception) -> None:
        """Fail every request under way."""
        for _, answer in self._open.values():
            if not answer.done():
                answer.set_exception(error)
