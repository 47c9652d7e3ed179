# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
# nats-py leaves its callbacks and its transport untyped; nothing of it leaves this module.
"""One connection to the hub that heals itself, around nats-py and its defects.

nats-py reconnects, and a supervisor looks after it: a lost connection whose peer is paused would wait for ever for
unsent data, so its transport is aborted after two seconds; a client that was closed for good (a user removed by
reload, an expired credential) or that does not come back is replaced by a new one with the same subscriptions.
`publish_async`, ordered consumers and buffering while disconnected are not used: each of them loses or reorders.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import nats.errors
import structlog
from nats.aio.msg import Msg
from prometheus_client import Counter, Gauge

from tomoni.transport.client import ABORT_SECONDS, NatsClient, abort, dispose, jittered, writer_of
from tomoni.transport.errors import (
    ConnectionClosedError,
    DeniedError,
    NoAnswerError,
    NoRespondersError,
    NotConnectedError,
)
from tomoni.transport.requests import Requests

log = structlog.get_logger()

FIRST_CONNECT_SECONDS: Final = 10.0
"""Limit of one attempt to connect: nats-py would try bad credentials for ever without saying so."""
REBUILD_SECONDS: Final = 30.0
_WATCH_SECONDS: Final = 0.25

CONNECTED = Gauge("tomoni_transport_connected", "1 while the connection to the hub stands", ["name"])
DENIALS = Counter("tomoni_transport_denials_total", "Publishes and subscriptions the hub forbade", ["name"])


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str = ""

    @property
    def status(self) -> str | None:
        """The inline status of an answer of the server (404, 408, 503 …), or None."""
        return self.headers.get("Status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the hub is and who we are there. The seed is kept out of every representation."""

    servers: tuple[str, ...]
    name: str
    seed: str = field(repr=False)
    inbox: str
    tls: ssl.SSLContext | None = None


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a client context for TLS 1.3 and nothing older, trusting the system's authorities or one file."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def pinned_tls_context(certificate: Path) -> ssl.SSLContext:
    """Return a client context that trusts this one certificate, whatever name it is for: the hub talking to itself."""
    context = tls_context(str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


Handler = Callable[[Message], None]


class Connection:
    """An async context manager: entered at once, connected when the hub can be reached, healed when it was away.

    Entering never fails for want of a hub: weeks without one are normal. `wait_connected` waits for it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: NatsClient | None = None
        self._handlers: dict[str, Handler] = {}
        self._requests: Requests[Message] = Requests(endpoint.inbox)
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._closed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self.generation = 0
        """Counts connections made; whoever holds an answer of an older one knows that something lay between."""

    async def __aenter__(self) -> Self:
        self._handlers[self._requests.subject] = self._requests.resolve
        self._supervisor = asyncio.create_task(self._supervise(), name=f"transport {self.endpoint.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._supervisor is not None and not self._supervisor.done():
            self._supervisor.cancel()  # again, because nats-py swallows a cancellation while it closes
            await asyncio.wait({self._supervisor}, timeout=ABORT_SECONDS)
        self._requests.fail_all(ConnectionClosedError())

    @property
    def is_connected(self) -> bool:
        """Whether the hub can be talked to right now."""
        return self._client is not None and self._client.is_connected and self._connected.is_set()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Return when connected; raise NotConnectedError where that takes longer than `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
                while not self.is_connected:  # lost, and the supervisor has not looked yet
                    await asyncio.sleep(_WATCH_SECONDS)
                    await self._connected.wait()
        except TimeoutError as error:
            raise NotConnectedError("the hub cannot be reached") from error

    async def publish(
        self, subject: str, data: bytes, *, headers: dict[str, str] | None = None, reply: str = ""
    ) -> None:
        """Send a message without waiting for anything; raise NotConnectedError where there is no connection."""
        client = self._client
        if client is None or not self.is_connected:
            raise NotConnectedError("the hub cannot be reached")
        try:
            await client.publish(subject, data, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise NotConnectedError("the connection was lost") from error

    async def publish_all(self, subject: str, messages: Iterable[tuple[bytes, dict[str, str]]]) -> None:
        """Send messages with their headers, as `publish` does each; raise NotConnectedError where some were not."""
        client = self._client
        if client is None or not self.is_connected:
            raise NotConnectedError("the hub cannot be reached")
        try:
            for data, headers in messages:
                await client.publish(subject, data, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise NotConnectedError("the connection was lost") from error

    async def request(
        self, subject: str, data: bytes = b"", *, headers: dict[str, str] | None = None, timeout: float = 5.0
    ) -> Message:
        """Send a message and return the answer.

        Raises NotConnectedError (nothing sent), DeniedError or NoRespondersError (nothing stored), or NoAnswerError:
        whether it was stored is unknown.
        """
        token, answer = self._requests.open(subject)
        try:
            await self.publish(subject, data, headers=headers, reply=f"{self._requests.prefix}.{token}")
            async with asyncio.timeout(timeout):
                message = await answer
        except TimeoutError as error:
            raise NoAnswerError("no answer in time") from error
        finally:
            self._requests.close(token)
        if message.status == "503":
            raise NoRespondersError("nobody serves this subject")
        return message

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Call `handler` with each message on a subject, over every reconnection, until `unsubscribe`."""
        self._handlers[subject] = handler
        if self._client is not None and self._connected.is_set():
            await self._client.subscribe(subject, cb=_callback(handler), pending_bytes_limit=0, pending_msgs_limit=0)

    async def unsubscribe(self, subject: str) -> None:
        """Stop calling the handler of a subject."""
        self._handlers.pop(subject, None)
        client = self._client
        for subscription in list(client._subs.values()) if client else ():
            if subscription.subject == subject:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    async def _supervise(self) -> None:
        try:
            while True:
                client = NatsClient()
                try:
                    await self._connect(client)
                    await self._watch(client)
                except (TimeoutError, nats.errors.Error, OSError) as error:
                    log.warning("hub_unreachable", error=type(error).__name__)
                except asyncio.CancelledError:
                    self._connected.clear()  # we leave: nothing is lost
                    raise
                finally:
                    self._set_lost()
                    await dispose(client)
                await asyncio.sleep(jittered())
        finally:
            CONNECTED.labels(self.endpoint.name).set(0)

    async def _connect(self, client: NatsClient) -> None:
        self._closed = asyncio.Event()
        async with asyncio.timeout(FIRST_CONNECT_SECONDS):
            await client.connect(
                servers=list(self.endpoint.servers),
                name=self.endpoint.name,
                nkeys_seed_str=self.endpoint.seed,
                inbox_prefix=self.endpoint.inbox,
                tls=self.endpoint.tls,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                reconnect_to_server_handler=client.next_server,
                ping_interval=10,
                max_outstanding_pings=2,
                connect_timeout=3,
                pending_size=0,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
            )
            await self._subscribe_missing(client)
            await client.flush(timeout=3)
            await self._subscribe_missing(client)  # those that came meanwhile
        self._client = client
        self._set_connected()

    async def _subscribe_missing(self, client: NatsClient) -> None:
        """Subscribe what a client does not know of: `subscribe` is also called while there is no connection."""
        while missing := self._handlers.keys() - {known.subject for known in client._subs.values()}:
            for subject in missing:
                if handler := self._handlers.get(subject):
                    await client.subscribe(subject, cb=_callback(handler), pending_bytes_limit=0, pending_msgs_limit=0)

    async def _watch(self, client: NatsClient) -> None:
        """Return when this client has to be replaced; meanwhile abort transports that hang."""
        waited = 0.0
        known = writer_of(client)
        while not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_SECONDS):
                    await self._closed.wait()
            if client.is_connected:
                waited, known = 0.0, writer_of(client)
                continue
            self._set_lost()
            waited += _WATCH_SECONDS
            if (current := writer_of(client)) is not known:  # a new attempt: nobody closes what came before it
                abort(known)
                known = current
            elif waited >= ABORT_SECONDS and waited < ABORT_SECONDS + _WATCH_SECONDS:
                abort(known)
            if waited >= REBUILD_SECONDS:  # nats-py's reconnecting task may have died of an unforeseen exception
                return

    def _set_connected(self) -> None:
        self.generation += 1
        self._connected.set()
        CONNECTED.labels(self.endpoint.name).set(1)
        log.info("hub_connected", count=self.generation)

    def _set_lost(self) -> None:
        if self._connected.is_set():
            self._connected.clear()
            CONNECTED.labels(self.endpoint.name).set(0)
            log.warning("hub_lost")
        self._requests.fail_all(NoAnswerError("the connection was lost"))

    async def _on_disconnected(self) -> None:
        self._set_lost()

    async def _on_reconnected(self) -> None:
        if self._client is not None:
            with contextlib.suppress(nats.errors.Error):  # closed again: the next client subscribes
                await self._subscribe_missing(self._client)
        self._set_connected()

    async def _on_closed(self) -> None:
        self._closed.set()

    async def _on_error(self, error: Exception) -> None:
        """Log what nats-py tells only here. A denial looks like a time-out to the caller: end its wait at once."""
        denied = denied_subject(str(error))
        if denied is not None:
            DENIALS.labels(self.endpoint.name).inc()
            log.error("hub_denied_permission", reason_code="permission", error="DeniedError")
            self._requests.fail(denied, DeniedError("the hub forbids this subject to this user"))
        elif "authorization violation" in str(error).lower():
            log.error("hub_refused_credentials", reason_code="authorization", error=type(error).__name__)
        else:
            log.info("hub_connection_error", error=type(error).__name__)


def denied_subject(text: str) -> str | None:
    """Return the subject, in lower case as nats-py gives it, of a permission denial; None of any other error."""
    lowered = text.lower()
    if "permissions violation" not in lowered:
        return None
    return lowered.partition('"')[2].partition('"')[0]


def _callback(handler: Handler) -> Callable[[Msg], Awaitable[None]]:
    async def call(msg: Msg) -> None:
        handler(Message(subject=msg.subject, data=msg.data, headers=msg.headers or {}, reply=msg.reply))

    return call
