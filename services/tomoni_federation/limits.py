"""Limits of lookups for each client: a bearer secret of 80 bits cannot be guessed, but a leaked token can be bled."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tomoni.problems import Problem

_MOST_CLIENTS: Final = 10_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class LookupLimit:
    """A token bucket for each client: so many lookups a minute on average, and as many at once."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = per_minute
        self._rate = per_minute / 60
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, client: str, count: int = 1) -> None:
        """Count lookups of a client; raise Problem `too-many-requests` where they are too many.

        With Retry-After, but where they are more than can ever be taken at once: to wait is no help then.
        """
        if count > self._most:
            text = f"This token may ask {self._most} times a minute, and this request is more. Send fewer at once."
            raise Problem("too-many-requests", text)
        now = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            self._make_room(now)
            bucket = self._buckets[client] = _Bucket(self._most, now)
        bucket.tokens = min(self._most, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        if count > bucket.tokens:
            seconds = max(1, math.ceil((count - bucket.tokens) / self._rate))
            raise Problem(
                "too-many-requests",
                f"This token has asked too often. Wait {seconds} seconds and ask again, {self._most} a minute at most.",
                headers={"Retry-After": str(seconds)},
            )
        bucket.tokens -= count

    def _make_room(self, now: float) -> None:
        """Forget clients whose buckets are full again: they are as if never seen."""
        if len(self._buckets) >= _MOST_CLIENTS:
            self._buckets = {
                client: bucket
                for client, bucket in self._buckets.items()
                if bucket.tokens + (now - bucket.at) * self._rate < self._most
            }
