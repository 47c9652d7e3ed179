"""A durable pull consumer fed by callback: messages in batches, acknowledged after the caller's commit.

nats-py's `fetch` reaches 24,000 messages a second and its ordered consumer goes deaf; this reaches two and a half
times as much. The acknowledgement of a message covers all before it (`ack_policy: all`), so one that was lost on the
way (a server that ended after it had counted it as delivered) would never come again: the hub numbers its deliveries,
and where a number is missing nothing more is taken until the consumer is aligned (docs/decisions/0058).
"""

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import msgspec
import structlog

from tomoni.transport.connection import Connection, Message
from tomoni.transport.errors import LostDeliveryError, NotConnectedError, TransportError
from tomoni.transport.subjects import KIND_HEADER, POSITION_HEADER, Kind, code_of

log = structlog.get_logger()

EXPIRES_SECONDS: Final = 5.0
_HEARTBEAT_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 0.02
"""How long the checkpoint after an entry is waited for at most: whoever sends none costs the others that much."""
_NANOSECONDS: Final = 1_000_000_000
_ACK_PARTS: Final = 9
_KINDS: Final = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message of a jurisdiction's subject, not yet believed in any way.

    `kind` and `position` are None where the headers are missing or malformed: junk, to be acknowledged and dropped.
    """

    code: str
    kind: Kind | None
    position: int | None
    data: bytes
    acknowledge_to: str

    @property
    def stored_at(self) -> datetime | None:
        """When the hub stored the message, by its own clock; None where it does not say."""
        parts = self.acknowledge_to.split(".")
        if len(parts) != _ACK_PARTS or not parts[7].isdigit():
            return None
        return datetime.fromtimestamp(int(parts[7]) / _NANOSECONDS, UTC)


class _Reset(msgspec.Struct):
    created: str = ""
    error: dict[str, object] | None = None


class PullConsumer:
    """The federation's side of a durable consumer that the provisioner made."""

    def __init__(self, connection: Connection, stream: str, durable: str, *, batch: int = 1000) -> None:
        self._connection = connection
        self._batch = batch
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._reset = f"$JS.API.CONSUMER.RESET.{stream}.{durable}"
        self._inbox = f"{connection.endpoint.inbox}.{secrets.token_hex(11)}"
        self._pulls = itertools.count(1)
        self._pull = ""
        self._wanted = 0
        self._buffer: list[RawMessage] = []
        self._arrived = asyncio.Event()
        self._generation = 0
        self._delivered = 0
        self._torn = False

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Self]:
        """Listen for the answers to pulls while in the context."""
        subject = f"{self._inbox}.*"
        await self._connection.subscribe(subject, self._on_message)
        try:
            yield self
        finally:
            await self._connection.unsubscribe(subject)

    async def align(self, created: str | None) -> str:
        """Make unacknowledged messages come at once, and all messages where the stream is not the one of `created`.

        Call it after each connection, before `batches`; keep what it returns. A hub that was wiped counts from one
        again: an old acknowledgement floor would skip the refill. The consumer's time of creation stands for the
        stream's, since they are made together and one cannot outlive the other.

        Raises TransportError where the consumer has no leader now, or the hub cannot be reached.
        """
        found = await self._reset_to(None)
        if created is not None and found != created:
            log.warning("stream_is_another", reason_code="created_changed")
            found = await self._reset_to(1)
        self._wanted = 0
        self._torn = False  # what was under way before the reset is not missed
        return found

    async def batches(self) -> AsyncIterator[list[RawMessage]]:
        """Yield what has arrived, up to `batch` messages at once, in stream order; for ever.

        An entry that came last is held back for a moment, until the checkpoint that follows it is there.

        Raises NotConnectedError where the connection is lost, LostDeliveryError where messages are: `align`, and
        start again. What was yielded and not acknowledged comes again then.
        """
        self._generation = self._connection.generation
        while True:
            if self._wanted <= self._batch // 2:
                await self._ask()
            if not self._buffer:
                await self._wait()
            if not self._buffer:
                if self._torn:
                    raise LostDeliveryError("messages were lost on the way")
                continue
            await self._linger()
            if not self._buffer:  # it was torn meanwhile
                continue
            taken, self._buffer = self._buffer[: self._batch], self._buffer[self._batch :]
            yield taken

    async def acknowledge(self, message: RawMessage) -> None:
        """Say that this message and all before it are kept; raise NotConnectedError where it cannot be said."""
        await self._connection.publish(message.acknowledge_to, b"+ACK")

    async def _ask(self) -> None:
        self._require_same_connection()
        self._pull = str(next(self._pulls))
        request = {
            "batch": self._batch,
            "expires": int(EXPIRES_SECONDS * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * _NANOSECONDS),
        }
        await self._connection.publish(self._next, msgspec.json.encode(request), reply=f"{self._inbox}.{self._pull}")
        self._wanted += self._batch

    async def _wait(self) -> None:
        """Wait for messages; where not even heartbeats come, the pull is lost and asked again."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(3 * _HEARTBEAT_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            self._require_same_connection()
            self._wanted = 0

    async def _linger(self) -> None:
        """Wait for the end of a portion: it ends with a checkpoint, and proves its entries only with it.

        Entries taken without it would have to be kept as provisional, in a transaction of their own.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._buffer and self._buffer[-1].kind is Kind.ENTRY and len(self._buffer) < self._batch:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _require_same_connection(self) -> None:
        if not self._connection.is_connected or self._connection.generation != self._generation:
            raise NotConnectedError("the connection was lost")

    def _on_message(self, message: Message) -> None:
        self._arrived.set()
        if message.status is not None:
            if message.status != "100":  # 404, 408, 409: this pull is over
                self._wanted = 0
            return
        self._wanted -= 1
        if not self._is_next(message):
            return
        code = code_of(message.subject)
        if code is None:
            log.error("message_on_foreign_subject")
            return
        self._buffer.append(
            RawMessage(
                code=code,
                kind=_KINDS.get(message.headers.get(KIND_HEADER, "")),
                position=_position(message.headers.get(POSITION_HEADER)),
                data=message.data,
                acknowledge_to=message.reply,
            )
        )

    def _is_next(self, message: Message) -> bool:
        """Tell whether a delivery follows the one before it. Number one does always: the consumer was reset."""
        number = _delivery(message.reply)
        if number == 1:
            self._buffer.clear()  # it all comes again
            self._torn = False
        elif number != self._delivered + 1 or self._torn:
            self._torn = True
            return False
        self._delivered = number
        return True

    async def _reset_to(self, sequence: int | None) -> str:
        self._buffer.clear()
        self._delivered = 0
        body = b"" if sequence is None else msgspec.json.encode({"seq": sequence})
        answer = await self._connection.request(self._reset, body)
        reset = msgspec.json.decode(answer.data, type=_Reset)
        if reset.error is not None or not reset.created:
            raise TransportError("the consumer cannot be reset")
        return reset.created


def _delivery(reply: str) -> int:
    """Return the number of a delivery, 0 where there is none.

    It stands in `$JS.ACK.<stream>.<consumer>.<times>.<stream sequence>.<number>.<time>.<left>`.
    """
    parts = reply.split(".")
    return int(parts[6]) if len(parts) == _ACK_PARTS and parts[6].isdigit() else 0


def _position(text: str | None) -> int | None:
    """Read a position strictly: `int` would take signs, spaces and underscores, and texts of any length."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 16 or (text[0] == "0" and text != "0"):
        return None
    return int(text)
