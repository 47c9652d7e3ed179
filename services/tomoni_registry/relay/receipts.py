"""Receipts: fetched from the hub, believed only with the federation's cosignature over our own checkpoint, kept."""

from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from tomoni.database import Pool
from tomoni.receipt_keys import HEADER, ReceiptKeys, RotationError, from_header
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import read_note
from tomoni.transport import Connection, last_message, receipts_subject
from tomoni.transport.subjects import RECEIPTS
from tomoni_registry.relay.source import MAX_NOTE_BYTES, Source

log = structlog.get_logger()

_LATEST: Final = "SELECT size, time FROM relay.receipt ORDER BY size DESC LIMIT 1"
_STORE: Final = "INSERT INTO relay.receipt (size, time, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING"

NOT_OURS: Final = "not_ours"

RECEIPT_SIZE = Gauge("tomoni_relay_receipt_size", "Size the federation has proven and kept")
REFUSED_RECEIPTS = Counter("tomoni_relay_receipts_refused_total", "Receipts that were not believed", ["reason"])


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the federation has proven and kept, and when, in seconds since 1970."""

    size: int
    time: int


NOTHING_YET = Receipt(size=0, time=0)


class ReceiptRefusedError(Exception):
    """A receipt is not believed; `reason` is a fixed word, `size` that of its checkpoint, where it can be read."""

    def __init__(self, reason: str, text: str, size: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.size = size


class Receipts:
    """The receipts of one node."""

    def __init__(self, pool: Pool, source: Source, code: str, keys: ReceiptKeys) -> None:
        """Take receipts by some keys of the federation, and by those that follow on them as the receipts tell."""
        self._pool = pool
        self._source = source
        self._subject = receipts_subject(code)
        self._keys = keys
        self._seen = b""
        self._newest: Receipt | None = None

    async def latest(self) -> Receipt:
        """Return the receipt of the largest size that is kept."""
        row = await self._pool.fetchrow(_LATEST)
        receipt = NOTHING_YET if row is None else Receipt(row["size"], row["time"])
        RECEIPT_SIZE.set(receipt.size)
        return receipt

    async def fetch(self, connection: Connection) -> Receipt:
        """Take the newest receipt from the hub, and return it; where there is none, the latest that is kept.

        The newest may be of a smaller size than one that is kept: a federation that was restored from a backup has
        lost what came after, and gets it from us alone; one that has nothing of ours gives a receipt for the empty log.
        One that was refused is tried again each time: where a backup was restored, what it speaks of comes back only
        when the tail is recovered, and the federation says the same again.
        """
        found = await last_message(connection, RECEIPTS, self._subject)
        if found is None:
            return await self.latest()
        seen = found.data == self._seen
        if not seen:
            self._learn(found.headers.get(HEADER))
        if not seen or self._newest is None:
            self._newest = await self._take(found.data, seen=seen)
            self._seen = found.data
        return self._newest or await self.latest()

    def _learn(self, header: str | None) -> None:
        """Take the federation's next keys for receipts, as far as a known one has signed for them."""
        try:
            self._keys.learn(from_header(header) if header else ())
        except RotationError:
            REFUSED_RECEIPTS.labels("rotation").inc()
            log.error("receipt_key_not_believed", reason_code="rotation")

    async def _take(self, note: bytes, *, seen: bool) -> Receipt | None:
        """Keep a receipt from the hub and return it; None where it is not believed, which is told once."""
        try:
            return await self.keep(note)
        except ReceiptRefusedError as refused:
            if seen:
                return None
            REFUSED_RECEIPTS.labels(refused.reason).inc()
            event = "receipt_of_another_log" if refused.reason == NOT_OURS else "receipt_not_believed"
            log.error(event, size=refused.size, reason_code=refused.reason)
            return None

    async def keep(self, note: bytes) -> Receipt:
        """Keep a receipt and return it; raise ReceiptRefusedError where it is not believed."""
        try:
            time = self._keys.open(note)
            text = read_note(note).text
            size = parse_checkpoint(text).size
        except NoteError as error:
            raise ReceiptRefusedError("signature", f"it is no receipt of this federation: {error}") from error
        if await self._source.text(size) != text:
            # The federation has signed for a checkpoint that is not in our log: another machine signs with our key,
            # our database was restored from an old backup, or the federation lies. All three need a person. The node
            # tells them apart by the log's own signature on it, and in the first two signs nothing more.
            await self._source.keep_sighting(RECEIPTS, note)
            raise ReceiptRefusedError(NOT_OURS, f"its checkpoint of size {size} is not in this log", size)
        if time == 0 or len(note) > MAX_NOTE_BYTES:
            # It would not go into the table, and the relay would end of it again and again.
            raise ReceiptRefusedError("form", "it is too long to be kept, or has no time", size)
        if size > 0:
            await self._pool.execute(_STORE, size, time, note)
        RECEIPT_SIZE.set(size)
        return Receipt(size, time)
