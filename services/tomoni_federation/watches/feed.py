# pyright: reportUnknownMemberType=false
# The framework's types of requests and responses are open.
"""Following a watch: Server-Sent Events, one stream a follower, from where it was on.

One connection listens for all followers of the process, and one statement a round asks which of them are behind; each
reads a bounded page, and the next one only when the last was taken off its hands, so that a slow one costs itself.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog
from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from tomoni import times
from tomoni.database import Pool
from tomoni.eventlog.connections import BROKEN
from tomoni.eventlog.wakeup import Wakeup
from tomoni.problems import Problem
from tomoni_federation.status.standing import Standing
from tomoni_federation.watches import sql
from tomoni_federation.watches.register import Change, Owner, Register

PAGE: Final = 200
"""Changes in memory for one follower at most."""
KEEP_ALIVE_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 3_600.0
"""After which a stream ends, so that whoever follows shows a token that still holds."""
REST_SECONDS: Final = 0.01
"""After a round: a change that comes alone is heard at once, and a busy hour costs some eighty statements a second."""
READERS: Final = 4
"""Followers that read at once; the pool's other connections are for those who ask."""

_RETRY_MILLISECONDS: Final = (1_000, 4_000)
_KEEP_ALIVE: Final = b": still here\n\n"
_RESET: Final = (
    b'event: reset\nid: 0\ndata: {"text":"Not all changes since are kept. Forget what you know: '
    b'the state of every document and issuer follows."}\n\n'
)
_BROKEN: Final = (*BROKEN, asyncpg.PostgresError)

log = structlog.get_logger()


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a document, by its own reference, or of an issuer as a whole; as of `fresh_as_of` at the time."""

    reference: str | None = None
    """Left out with the event `issuer`."""
    issuer: str
    state: Standing | None = None
    """With the event `issuer`: how it stands, in the words of completeness. One that nothing was said of is `live`."""
    status: str | None = None
    reason: str | None = None
    fresh_as_of: datetime | None = None


def to_body(change: Change) -> ChangeBody:
    """Return a change as it goes out, without its number and kind."""
    if change.kind == "issuer":
        state = msgspec.convert(change.status, Standing)
        return ChangeBody(issuer=change.issuer, state=state, fresh_as_of=change.fresh_as_of)
    return ChangeBody(
        reference=change.reference,
        issuer=change.issuer,
        status=change.status,
        reason=change.reason,
        fresh_as_of=change.fresh_as_of,
    )


@dataclass(eq=False, slots=True)
class Follower:
    """Somebody who follows a watch; `after` is the number of the last change that was read."""

    owner: Owner
    watch: UUID
    after: int
    forgotten: int | None = None
    """Up to which number changes had been forgotten when it began at 0, if it did."""
    behind: asyncio.Event = field(default_factory=asyncio.Event)


class Feed:
    """The followers of this process."""

    def __init__(self, pool: Pool, register: Register, *, most: int = 1_000, most_of_one: int = 100) -> None:
        self._pool = pool
        self._register = register
        self._most = most
        self._most_of_one = most_of_one
        self._followers: set[Follower] = set()
        self._reading = asyncio.Semaphore(READERS)
        self._closed = False

    async def run(self) -> None:
        """Wake followers that are behind, until cancelled."""
        async with Wakeup(self._pool, sql.CHANNEL) as wakeup:
            while True:
                try:
                    await wakeup.listen()
                    await self._wake()
                except _BROKEN as error:
                    log.warning("loop_interrupted", module="feed", error=type(error).__name__)
                await asyncio.sleep(REST_SECONDS)
                await wakeup.wait()

    def close(self) -> None:
        """End all streams, so that those who follow come back, to another process or a later one."""
        self._closed = True
        for follower in self._followers:
            follower.behind.set()

    @contextmanager
    def place(self, owner: Owner, watch: UUID, after: int) -> Generator[Follower]:
        """Take a follower's place; raise Problem `too-many-requests` or `unavailable` where there is none."""
        if self._closed or len(self._followers) >= self._most:
            text = "No more followers can be taken here now. Come again in a few seconds."
            raise Problem("unavailable", text, headers={"Retry-After": "5"})
        if sum(other.owner.subject == owner.subject for other in self._followers) >= self._most_of_one:
            text = f"This token's subject follows {self._most_of_one} times already. End one of them first."
            raise Problem("too-many-requests", text, headers={"Retry-After": "60"})
        follower = Follower(owner, watch, after)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def require(self, follower: Follower) -> None:
        """Raise Problem `not-found` where the watch is not the follower's."""
        await self._register.require(follower.owner, follower.watch)

    async def read(self, follower: Follower) -> bytes:
        """Return the next page of a follower as events, empty where there is nothing new; raise Problem `not-found`.

        Where it cannot go on from where it was it is told so, and the whole state follows.
        """
        follower.behind.clear()
        async with self._reading:
            try:
                changes = await self._changes(follower)
                reset = b""
            except Problem as problem:
                if problem.kind != "changes-forgotten":
                    raise
                follower.after, reset = 0, _RESET
                changes = await self._changes(follower)
        if changes:
            follower.after = changes[-1].number
        if len(changes) == PAGE:
            follower.behind.set()
        return reset + b"".join(_event(change) for change in changes)

    async def pump(self, follower: Follower, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send a follower's events from here on, a page at a time, until the stream has to end.

        Raises what the database raises; whoever follows comes again.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_SECONDS):
                await send(b"retry: %d\n\n" % random.randint(*_RETRY_MILLISECONDS))  # noqa: S311  # not all at once
                while not self._closed:
                    if page := await self.read(follower):
                        await send(page)
                    elif not await _told(follower.behind):
                        await send(_KEEP_ALIVE)

    async def _changes(self, follower: Follower) -> list[Change]:
        begins = follower.after == 0
        changes, forgotten = await self._register.changes(
            follower.owner, follower.watch, follower.after, PAGE, follower.forgotten
        )
        if begins:
            follower.forgotten = forgotten
        return changes

    async def _wake(self) -> None:
        if not self._followers:
            return
        rows = await self._pool.fetch(sql.NEWEST, list({follower.watch for follower in self._followers}))
        newest: dict[UUID, int] = {row["id"]: row["last"] for row in rows}
        for follower in self._followers:
            if newest.get(follower.watch) != follower.after:
                follower.behind.set()


def _event(change: Change) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        change.number,
        change.kind.encode(),
        msgspec.json.encode(to_body(change)),
    )


async def _told(behind: asyncio.Event) -> bool:
    """Wait until there may be more; return False where it is time to show that the stream lives."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
            await behind.wait()
    except TimeoutError:
        return False
    return True


class Watching(NamedTuple):
    """What the routes of watches need."""

    register: Register
    feed: Feed


def open_watching(pool: Pool, clock: Callable[[], datetime] = times.now) -> Watching:
    """Return the register and the feed of a database."""
    register = Register(pool, clock)
    return Watching(register, Feed(pool, register))


class FollowResponse(Response[bytes]):
    """The answer that is a stream."""

    def __init__(self, feed: Feed, owner: Owner, watch: UUID, after: int) -> None:
        super().__init__(b"")
        self._stream = _Stream(feed, owner, watch, after)

    def to_asgi_response(self, *_: object, **__: object) -> ASGIResponse:
        """Return what sends the stream."""
        return self._stream


class _Stream(ASGIResponse):
    """The stream of a follower: a place taken when it begins, and given back when either side ends it.

    The framework's own streams leave the end of a generator to the collector of garbage when a client goes, and ours
    looks rarely.
    """

    def __init__(self, feed: Feed, owner: Owner, watch: UUID, after: int) -> None:
        super().__init__()
        self._feed = feed
        self._follows = (owner, watch, after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # the interface's
        """Send the stream; raise Problem before it has begun where it cannot."""
        with self._feed.place(*self._follows) as follower:
            pumping = asyncio.create_task(self._pump(follower, send))
            gone = asyncio.create_task(_disconnected(receive))
            try:
                await asyncio.wait({pumping, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                if not pumping.done():
                    pumping.cancel()
                with suppress(asyncio.CancelledError):
                    await pumping

    async def _pump(self, follower: Follower, send: Send) -> None:
        async def chunk(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await self._feed.require(follower)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        try:
            await self._feed.pump(follower, chunk)
        except (Problem, *_BROKEN) as error:  # the watch was deleted, or the database is away
            log.info("stream_ended", error=type(error).__name__)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # a proxy that gathers would keep changes back
]
