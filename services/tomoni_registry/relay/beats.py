"""Heartbeats: each that the node has stored is sent once, and tells by the hub's clock whether the node's is right.

After a reconnection the latest is sent again, since the hub may have lost it, but only while it is young: who hears one
for the first time takes the town for alive, and this node may have stopped long ago.
"""

import time
from typing import Final

import structlog
from prometheus_client import Gauge

from tomoni.transport import Committed, Connection, Outgoing, heartbeats_subject, last_message, publish_one
from tomoni.transport.subjects import HEARTBEATS
from tomoni_registry.relay.source import Heartbeat, Source

AGAIN_SECONDS: Final = 300.0
"""How long after it was first seen a heartbeat is sent again."""
MAX_OFFSET_SECONDS: Final = 300.0
"""The federation takes no heartbeat that is further ahead."""

CLOCK_OFFSET: Final = Gauge("tomoni_relay_clock_offset_seconds", "How far the node's clock is ahead of the hub's")

log = structlog.get_logger()


class WrongClockError(Exception):
    """The node's clock is too far from the hub's."""


class Beats:
    """Sends a node's heartbeats."""

    def __init__(self, source: Source, connection: Connection, code: str) -> None:
        self._source = source
        self._connection = connection
        self._subject = heartbeats_subject(code)
        self._latest: Heartbeat | None = None
        self._seen_at: float | None = None
        self._looked = False
        self._sent: tuple[Heartbeat, int] | None = None
        self._wrong = False

    async def step(self) -> None:
        """Send the latest heartbeat if it is due; raise TransportError or what a database raises that is away."""
        latest = await self._source.heartbeat()
        now = time.monotonic()
        if latest != self._latest:
            # How old the one is that is there at the start cannot be told; the next comes within a minute.
            self._seen_at = now if self._looked else None
            self._latest = latest
        self._looked = True
        if latest is None or self._seen_at is None or now - self._seen_at > AGAIN_SECONDS:
            return
        due = (latest, self._connection.generation)
        if due == self._sent or not self._connection.is_connected:
            return
        if isinstance(await publish_one(self._connection, self._subject, Outgoing(latest.note, {}), None), Committed):
            is_new = self._sent is None or self._sent[0] != latest
            self._sent = due
            if is_new:
                await self._compare(latest, self._seen_at)

    async def require_right_clock(self) -> None:
        """Raise WrongClockError while the node's clock is seen to be wrong."""
        if self._wrong:
            raise WrongClockError("the node's clock is more than five minutes off")

    async def _compare(self, beat: Heartbeat, seen_at: float) -> None:
        """Compare the node's clock with the hub's, by a heartbeat that was stored just now."""
        stored = await last_message(self._connection, HEARTBEATS, self._subject)
        if stored is None or stored.data != beat.note or stored.stored_at is None:
            return
        offset = beat.time + time.monotonic() - seen_at - stored.stored_at
        CLOCK_OFFSET.set(offset)
        wrong = abs(offset) > MAX_OFFSET_SECONDS
        if wrong and not self._wrong:
            log.error("clock_wrong", seconds=round(offset))
        if self._wrong and not wrong:
            log.warning("clock_right_again", seconds=round(offset))
        self._wrong = wrong
