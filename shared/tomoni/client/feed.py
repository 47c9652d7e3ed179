"""Following a watch over Server-Sent Events: again and again from the last change that came."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent, SSEError

from tomoni.client.answers import Change
from tomoni.client.errors import FeedResetError, UnreachableError
from tomoni.client.problems import problem_of
from tomoni.client.retrying import BusyError, raise_if_busy

SILENCE_SECONDS: Final = 45.0
"""A feed that says nothing for so long, not even that it is there (every 15 s), is taken as broken."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_CHANGES: Final = frozenset({"snapshot", "status", "removed", "issuer"})


async def follow(
    http: httpx.AsyncClient, headers: Callable[[], Mapping[str, str]], path: str, after: int
) -> AsyncGenerator[Change]:
    """Yield changes after a number, for ever; raise ProblemError or FeedResetError where going on makes no sense.

    Raises UnreachableError where what comes is no feed, or cannot be read: the same would come again and again.
    """
    pause = _FIRST_PAUSE
    while True:
        told = 0.0
        try:
            async with aclosing(_stream(http, headers(), path, after)) as changes:
                async for change in changes:
                    pause = _FIRST_PAUSE
                    if change is not None and change.id > after:  # it may come again after a broken connection
                        after = change.id
                        yield change
        except BusyError as busy:
            told = busy.seconds or 0.0
        except SSEError:
            raise UnreachableError("what comes is no feed that can be read: is the address right?") from None
        except httpx.TransportError:
            pass
        spread = pause * random.uniform(0.5, 1.0)  # noqa: S311  # so that followers do not come at once
        await asyncio.sleep(max(told, spread))
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _stream(
    http: httpx.AsyncClient, headers: Mapping[str, str], path: str, after: int
) -> AsyncGenerator[Change | None]:
    """Yield None once the stream is open, then the changes in it."""
    asked = {**headers, "Accept": "text/event-stream", "Cache-Control": "no-store", "Last-Event-ID": str(after)}
    timeout = httpx.Timeout(http.timeout.connect, read=SILENCE_SECONDS)
    async with http.stream("GET", path, headers=asked, timeout=timeout) as response:
        raise_if_busy(response)
        if not response.is_success:
            await response.aread()
            raise problem_of(response)
        events = EventSource(response).aiter_sse()
        yield None
        async for event in events:
            if event.event == "reset":
                raise FeedResetError("the feed no longer reaches back so far: read it again from 0")
            if event.event in _CHANGES:
                yield _change(event)


def _change(event: ServerSentEvent) -> Change:
    try:
        body = msgspec.json.decode(event.data, type=dict[str, object])
        return msgspec.convert(body | {"id": int(event.id), "event": event.event}, Change)
    except (ValueError, msgspec.MsgspecError):
        raise SSEError("an event of the feed cannot be read") from None
