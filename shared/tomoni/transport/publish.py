"""Publishing in order and exactly once: atomic batches, or one message at a time, each with an expectation.

Every publish says which message must be the last of its subject (`Nats-Expected-Last-Subject-Sequence`), so a
resend, a late arrival or a second relay is refused by the stream itself. Never a window of single publishes: after
a crash of the server a window's retries arrive in another order (docs/decisions/0021). No `Nats-Msg-Id`: it dedupes
across towns. Atomic batches: NATS ADR-50.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from tomoni.transport.connection import Connection
from tomoni.transport.errors import DeniedError, NoAnswerError, NoRespondersError, NotConnectedError, TransportError
from tomoni.transport.subjects import MAX_BATCH_MESSAGES, direct_get_subject

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
BATCH_ID: Final = "Nats-Batch-Id"
BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
BATCH_COMMIT: Final = "Nats-Batch-Commit"

MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
"""More than this is sent one by one: the server stages a batch whole."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish."""

    data: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Committed:
    """All of it is stored; `sequence` is the stream's number of the last message."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Stale:
    """Another message is the last of the subject: read it before going on. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class BatchRefused:
    """No batch now (slots taken, or the batch was torn): publish one by one. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """More than a batch may hold: publish one by one. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Full:
    """The stream takes no more: keep the entries and come back later. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The hub forbids the subject, or refuses for a reason that trying again does not mend. Nothing was stored."""

    code: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer: it may be stored or not. Read the last message of the subject, or resend with the expectation."""


Outcome = Committed | Stale | BatchRefused | TooLarge | Full | Refused | Unknown

_OUTCOMES: Final[Mapping[int, Outcome]] = {
    10071: Stale(),  # wrong last sequence
    10164: Stale(),  # the same, where the server does not name the sequence
    10077: Full(),  # store failed: maximum messages, of the stream or of the subject, or bytes
    10047: Full(),  # no storage left in the account
    10174: BatchRefused(),  # the stream has no batches
    10176: BatchRefused(),  # a part was lost on the way
    10210: BatchRefused(),  # too many batches in flight
    10199: TooLarge(),
    10008: Unknown(),  # no leader right now
}


class _Error(msgspec.Struct):
    err_code: int = 0


class _Ack(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    count: int = 0
    error: _Error | None = None


@dataclass(frozen=True, slots=True)
class LastMessage:
    """The last message of a subject, as the stream holds it."""

    sequence: int
    data: bytes
    headers: Mapping[str, str]

    @property
    def stored_at(self) -> float | None:
        """When the hub stored it, by its own clock, in seconds since 1970; None where it does not say."""
        try:
            return datetime.fromisoformat(self.headers["Nats-Time-Stamp"]).timestamp()
        except (KeyError, ValueError):
            return None


async def publish_one(
    connection: Connection, subject: str, message: Outgoing, expected: int | None, *, timeout: float = 5.0
) -> Outcome:
    """Store one message, if `expected` is the sequence of the subject's last one (0: there is none; None: whatever).

    Raises NotConnectedError where nothing was sent.
    """
    headers = dict(message.headers)
    if expected is not None:
        headers[EXPECTED] = str(expected)
    return await _store(connection, subject, message.data, headers, count=0, timeout=timeout)


async def publish_batch(
    connection: Connection, subject: str, messages: Sequence[Outgoing], expected: int | None, *, timeout: float = 10.0
) -> Outcome:
    """Store all messages, in order and without one in between, or none of them; `expected` None: whatever was last.

    Raises NotConnectedError where nothing was sent. A connection lost on the way is Unknown.
    """
    if len(messages) > MAX_BATCH_MESSAGES or sum(len(message.data) for message in messages) > MAX_BATCH_BYTES:
        return TooLarge()
    if not connection.is_connected:
        raise NotConnectedError("the hub cannot be reached")
    batch = secrets.token_hex(16)
    *parts, last = messages
    try:
        await connection.publish_all(subject, _parts(parts, batch, expected))
    except NotConnectedError:
        return BatchRefused()  # without its commit the server forgets what it got
    headers = {**last.headers, BATCH_ID: batch, BATCH_SEQUENCE: str(len(messages)), BATCH_COMMIT: "1"}
    if not parts and expected is not None:
        headers[EXPECTED] = str(expected)
    try:
        return await _store(connection, subject, last.data, headers, count=len(messages), timeout=timeout)
    except NotConnectedError:
        return BatchRefused()


async def last_message(
    connection: Connection, stream: str, subject: str, *, timeout: float = 5.0
) -> LastMessage | None:
    """Return the last message of a subject, None where there is none.

    With several replicas the answer may be old: whoever builds on it sends the expectation, and reads again when
    that is refused. Raises NotConnectedError, DeniedError, NoRespondersError or NoAnswerError.
    """
    answer = await connection.request(direct_get_subject(stream, subject), timeout=timeout)
    if answer.status == "404":
        return None
    if answer.status is not None or "Nats-Sequence" not in answer.headers:
        raise TransportError("the hub cannot answer a direct get")
    if answer.headers.get("Nats-Subject") != subject:
        raise TransportError("the hub answered with a message of another subject")
    return LastMessage(int(answer.headers["Nats-Sequence"]), answer.data, answer.headers)


def _parts(messages: Sequence[Outgoing], batch: str, expected: int | None) -> Iterator[tuple[bytes, dict[str, str]]]:
    for number, message in enumerate(messages, 1):
        headers = {**message.headers, BATCH_ID: batch, BATCH_SEQUENCE: str(number)}
        if number == 1 and expected is not None:
            headers[EXPECTED] = str(expected)
        yield message.data, headers


async def _store(
    connection: Connection, subject: str, data: bytes, headers: dict[str, str], *, count: int, timeout: float
) -> Outcome:
    try:
        answer = await connection.request(subject, data, headers=headers, timeout=timeout)
    except NoAnswerError:
        return Unknown()
    except (NoRespondersError, DeniedError) as error:
        return Unknown() if isinstance(error, NoRespondersError) else Refused(code=403)
    return _outcome(answer.data, count)


def _outcome(answer: bytes, count: int) -> Outcome:
    try:
        ack = msgspec.json.decode(answer, type=_Ack)
    except msgspec.MsgspecError:
        return Unknown()
    if ack.error is not None:
        return _OUTCOMES.get(ack.error.err_code, Refused(code=ack.error.err_code))
    if ack.duplicate or ack.seq <= 0 or ack.count != count:
        raise TransportError("the hub acknowledged something else than what was sent")
    return Committed(ack.seq)
