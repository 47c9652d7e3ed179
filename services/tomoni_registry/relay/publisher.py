"""Publishing the log: portions that end at a checkpoint, each behind the message that must be the last one.

The life of a portion: read from the log, published as one atomic batch, or message by message where batches are
refused. Whatever is unsure is settled by looking at the last message of our own subject: if it is byte for byte our
entry or checkpoint, we go on after it; if it is not, somebody else wrote there, or the hub lost what it had, and we
publish again from the last receipt, which the federation has proven and kept.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from tomoni.transport import (
    BatchRefused,
    Committed,
    Connection,
    Full,
    Kind,
    Outcome,
    Refused,
    TooLarge,
    TransportError,
    events_subject,
    last_message,
    publish_batch,
    publish_one,
)
from tomoni.transport.subjects import EVENTS, KIND_HEADER, MAX_BATCH_MESSAGES
from tomoni_registry.relay.receipts import Receipt
from tomoni_registry.relay.source import Portion, Progress, Source

log = structlog.get_logger()

PUBLISHED = Gauge("tomoni_relay_published_size", "Size of the log as far as the hub holds it")
REPUBLISHED = Counter("tomoni_relay_republished_total", "Times the log was published again from a receipt", ["reason"])
PUSHED_BACK = Counter("tomoni_relay_pushed_back_total", "Publishes that the hub had no room for")

SMALL_PORTION: Final = 4
"""Messages up to which one by one is faster: the hub stages a batch on its disk, which takes as long as storing some
six messages."""
FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 30.0


class Publisher:
    """Publishes one log to one subject. `progress` is None while it has to be looked up."""

    def __init__(
        self, source: Source, connection: Connection, code: str, latest_receipt: Callable[[], Receipt]
    ) -> None:
        self._source = source
        self._connection = connection
        self._subject = events_subject(code)
        self._latest_receipt = latest_receipt
        self._wait = FIRST_WAIT
        self._asked = ""
        self._contested = False
        self.progress: Progress | None = None

    async def advance(self) -> bool:
        """Publish the next portion; return False where there is none, or none can be published now.

        Raises TransportError where the hub cannot be talked to, and database errors; it can be called again after any.
        """
        try:
            if self.progress is None:
                self.progress = await self._locate()
            if self._asked:
                self.progress, self._asked = self._from_receipt(self.progress.sequence, self._asked), ""
            portion = await self._source.next_portion(self.progress)
            if portion is None:
                return False
            if len(portion.messages) > MAX_BATCH_MESSAGES // 2:  # there is a backlog
                self._source.read_ahead(portion)
            return await self._settle(await self._publish(portion, self.progress), portion)
        except TransportError:
            self.progress = None
            raise

    def republish(self, reason: str) -> None:
        """Go back to the last receipt before the next portion: what came after it may not have arrived."""
        self._asked = reason

    async def pause(self) -> None:
        """Wait, longer each time until something was published again."""
        await asyncio.sleep(self._wait)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    async def _locate(self) -> Progress:
        last = await last_message(self._connection, EVENTS, self._subject)
        if last is None:
            return self._from_receipt(0, "empty")
        progress = await self._source.holds(last)
        if progress is None:
            # Junk by somebody with our transport key, or a log that we do not have: an operator must look at it.
            log.error("last_message_is_not_ours", reason_code="foreign", size=len(last.data))
            if last.headers.get(KIND_HEADER) == Kind.CHECKPOINT:
                await self._source.keep_sighting(EVENTS, last.data)
            self._contested = True
            return self._from_receipt(last.sequence, "foreign")
        PUBLISHED.set(progress.position)
        return progress

    def _from_receipt(self, sequence: int, reason: str) -> Progress:
        size = self._latest_receipt().size
        REPUBLISHED.labels(reason).inc()
        log.info("publishing_from_receipt", position=size, reason_code=reason)
        return Progress(size, sealed=True, sequence=sequence)

    async def _publish(self, portion: Portion, progress: Progress) -> Outcome:
        small = len(portion.messages) <= SMALL_PORTION and not self._contested
        if small or len(portion.messages) > MAX_BATCH_MESSAGES:
            return await self._one_by_one(portion, progress)
        # Who keeps writing on our subject would win every race for the last message, and nothing of ours would ever
        # arrive. A batch is stored as a whole, so its checkpoint proves it wherever it comes to stand.
        expected = None if self._contested else progress.sequence
        outcome = await publish_batch(self._connection, self._subject, portion.messages, expected)
        if isinstance(outcome, BatchRefused | TooLarge):
            return await self._one_by_one(portion, progress)
        return outcome

    async def _one_by_one(self, portion: Portion, progress: Progress) -> Outcome:
        """Publish each message after the one before it was acknowledged; stop at the first that was not."""
        outcome: Outcome = Committed(progress.sequence)
        for message in portion.messages:
            expected = outcome.sequence
            outcome = await publish_one(self._connection, self._subject, message, expected)
            if not isinstance(outcome, Committed):
                break
        return outcome

    async def _settle(self, outcome: Outcome, portion: Portion) -> bool:
        """Take the outcome of a portion; return whether to go on at once."""
        if isinstance(outcome, Committed):
            self.progress = Progress(portion.size, sealed=True, sequence=outcome.sequence)
            self._wait = FIRST_WAIT
            self._contested = False
            PUBLISHED.set(portion.size)
            return True
        self.progress = None  # look at the hub before anything else is sent
        if isinstance(outcome, Full):
            PUSHED_BACK.inc()
            log.warning("hub_is_full", reason_code="full")
        elif isinstance(outcome, Refused):
            log.error("hub_refuses", status=outcome.code)
        await self.pause()
        return False
