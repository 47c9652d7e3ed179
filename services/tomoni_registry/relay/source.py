"""What the relay reads of its own node: entries, signed checkpoints, the latest heartbeat."""

import asyncio
from dataclasses import dataclass
from typing import Final

from tomoni.database import Pool
from tomoni.eventlog import EventReader
from tomoni.eventlog.reader import dense
from tomoni.tlog import checkpoint as statement
from tomoni.tlog.merkle import EMPTY_ROOT
from tomoni.tlog.note import read_note
from tomoni.transport import Kind, LastMessage, Outgoing
from tomoni.transport.subjects import KIND_HEADER, MAX_BATCH_ENTRIES, POSITION_HEADER

_WITHIN_A_BATCH: Final = """
    SELECT true AS is_checkpoint, size AS position, note AS data FROM log.checkpoint
    WHERE size BETWEEN $1 + $2::boolean::int AND $1 + $3 AND size > 0
    UNION ALL
    SELECT false, e.position, e.data FROM (
        SELECT position, data FROM log.entry WHERE position >= $1 ORDER BY position LIMIT $3
    ) AS e
    ORDER BY is_checkpoint, position
"""
_NEAREST: Final = "SELECT size, note FROM log.checkpoint WHERE size >= $1 AND size > 0 ORDER BY size LIMIT 1"
_CHECKPOINT: Final = "SELECT note FROM log.checkpoint WHERE size = $1"
_HEARTBEAT: Final = "SELECT time, note FROM log.heartbeat"
_SIGHTING: Final = """
    INSERT INTO relay.sighting (stream, note) VALUES ($1, $2)
    ON CONFLICT (stream) DO UPDATE SET note = excluded.note, seen_at = clock_timestamp()
"""
MAX_NOTE_BYTES: Final = 4096
"""Bytes of the largest note kept; ours have a few hundred."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the subject on the hub holds our log: what comes next there, and after which message.

    `position`: the next entry. `sealed`: whether the message before it is the checkpoint of that size.
    `sequence`: the stream's number of the subject's last message, which the next publish expects (0: there is none).
    """

    position: int
    sealed: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed checkpoint as it is stored."""

    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat as it is stored, and the node's time in it, in seconds since 1970."""

    time: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Portion:
    """What is published at once: entries in order, then the checkpoint over them."""

    messages: tuple[Outgoing, ...]
    size: int


class Source:
    """Reads the node's log. Every answer is bytes as they are stored."""

    def __init__(self, pool: Pool, origin: str) -> None:
        self._pool = pool
        self._origin = origin
        self._entries = EventReader(pool)
        self._ahead: tuple[int, asyncio.Task[Portion | None]] | None = None

    async def next_portion(self, progress: Progress) -> Portion | None:
        """Return what comes after `progress`, up to a signed checkpoint; None where no newer one is signed yet."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            position, reading = ahead
            portion = await reading
            if portion is not None and progress.sealed and progress.position == position:
                return portion
        return await self._read_portion(progress.position, sealed=progress.sealed)

    def read_ahead(self, portion: Portion) -> None:
        """Begin to read what comes after a portion while that one is on its way."""
        reading = asyncio.create_task(self._read_portion(portion.size, sealed=True), name="read ahead")
        reading.add_done_callback(_see_error)
        self._ahead = (portion.size, reading)

    async def _read_portion(self, position: int, *, sealed: bool) -> Portion | None:
        rows = await self._pool.fetch(_WITHIN_A_BATCH, position, sealed, MAX_BATCH_ENTRIES)
        within = [Checkpoint(row["position"], row["data"]) for row in rows if row["is_checkpoint"]]
        entries = dense([row for row in rows if not row["is_checkpoint"]], position)
        if not within:  # an older version signed more rarely
            nearest = await self._pool.fetch(_NEAREST, position + sealed)
            within = [Checkpoint(row["size"], row["note"]) for row in nearest]
        end = choose_end(within, self._origin)
        if end is None:
            return None
        count = end.size - position
        entries = entries[:count] if count <= len(entries) else await self._entries.read(position, count)
        messages = [message(Kind.ENTRY, entry.position, entry.data) for entry in entries]
        return Portion((*messages, message(Kind.CHECKPOINT, end.size, end.note)), end.size)

    async def holds(self, last: LastMessage) -> Progress | None:
        """Return the progress that a message on the hub stands for, if it is byte for byte our own; else None."""
        kind, text = last.headers.get(KIND_HEADER), last.headers.get(POSITION_HEADER, "")
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            return None
        position = int(text)
        if kind == Kind.ENTRY:
            found = await self._entries.read(position, 1)
            if found and found[0].data == last.data:
                return Progress(position + 1, sealed=False, sequence=last.sequence)
        elif kind == Kind.CHECKPOINT and await self.checkpoint(position) == last.data:
            return Progress(position, sealed=True, sequence=last.sequence)
        return None

    async def keep_sighting(self, stream: str, note: bytes) -> None:
        """Keep the newest checkpoint on our subject of a stream that is not in our log; the node judges it.

        Signed with our key it says that this database is an old backup or that another machine runs as us. One of more
        than MAX_NOTE_BYTES is none of ours, and is dropped.
        """
        if 0 < len(note) <= MAX_NOTE_BYTES:
            await self._pool.execute(_SIGHTING, stream, note)

    async def checkpoint(self, size: int) -> bytes | None:
        """Return the note of the checkpoint that was signed at a size, or None."""
        note: bytes | None = await self._pool.fetchval(_CHECKPOINT, size)
        return note

    async def text(self, size: int) -> str | None:
        """Return what the checkpoint of a size says; None where none was signed. Every log begins empty."""
        if size == 0:
            return statement.Checkpoint(self._origin, 0, EMPTY_ROOT).to_text()
        note = await self.checkpoint(size)
        return None if note is None else read_note(note).text

    async def heartbeat(self) -> Heartbeat | None:
        """Return the latest heartbeat, or None where the node has made none yet."""
        row = await self._pool.fetchrow(_HEARTBEAT)
        return None if row is None else Heartbeat(*row)


def message(kind: Kind, position: int, data: bytes) -> Outgoing:
    """Return a message of `registry.events.<code>`."""
    return Outgoing(data, {KIND_HEADER: kind.value, POSITION_HEADER: str(position)})


def choose_end(within_reach: list[Checkpoint], origin: str) -> Checkpoint | None:
    """Return the checkpoint to publish up to: the largest of those within reach, which are in order.

    A checkpoint with several signatures of the log hands over to its next key. Who has not seen it cannot believe
    what follows, so it is never passed over.
    """
    for checkpoint in within_reach:
        if hands_over(checkpoint.note, origin):
            return checkpoint
    return within_reach[-1] if within_reach else None


def hands_over(note: bytes, origin: str) -> bool:
    """Tell whether a checkpoint is signed by two keys of the log (C2SP signed-note: lines of an em dash and a name)."""
    return note.count(f"\n\u2014 {origin} ".encode()) > 1


def _see_error(reading: asyncio.Task[Portion | None]) -> None:
    """Mark an error as seen: whoever awaits the portion gets it, and nobody may."""
    if not reading.cancelled():
        reading.exception()
