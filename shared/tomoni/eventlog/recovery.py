"""Bringing back the tail of a log whose database went back in time, from whoever holds it.

The entries are appended byte for byte at their positions, in one transaction with the checkpoints over them, and only
if the tree that they make with what the database holds is the one that the log's own key has signed. So whoever gives
them need not be trusted.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from tomoni.database import Connection
from tomoni.eventlog.batch import APPEND
from tomoni.eventlog.lastword import LastWord
from tomoni.eventlog.tree import read_leaves
from tomoni.events import Event, UnknownEvent, decode_event
from tomoni.events.codec import EventError
from tomoni.settings import SettingsError
from tomoni.tail import TailPage
from tomoni.tlog.checkpoint import open_checkpoint, read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import CompactRange, leaf_hashes
from tomoni.tlog.note import Verifier

_HEAD: Final = "SELECT size FROM log.head"
_NEWEST: Final = "SELECT size, nodes FROM log.checkpoint ORDER BY size DESC LIMIT 1"
_CHECKPOINT: Final = "INSERT INTO log.checkpoint (size, note, nodes) VALUES ($1, $2, $3)"
_OTHERS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = coalesce($1, current_user) AND pid <> pg_backend_pid()
"""


class RecoveryRefused(Exception):  # noqa: N818  # an answer
    """Nothing was written: what was given is not the log's own history, or does not continue what is here."""


class TailSource(Protocol):
    """Gives the tail of the log, page by page."""

    async def page(self, start: int) -> TailPage:
        """Return the entries from a position on."""
        ...


class Recovery:
    """A log under way: what the database holds after its newest checkpoint, and what is appended to it.

    `verifiers` gives the keys that speak for a size, after `see` was told of every new entry before it.
    """

    def __init__(
        self,
        connection: Connection,
        origin: str,
        last_word: LastWord,
        verifiers: Callable[[int], Sequence[Verifier]],
        see: Callable[[int, Event], None],
    ) -> None:
        self._connection = connection
        self._origin = origin
        note = last_word.read()
        self._word = None if note is None else read_checkpoint(note)
        self._verifiers = verifiers
        self._see = see
        self._held: list[bytes] = []
        self._tree = CompactRange()
        self._proven = 0
        self.before = 0
        """Entries that the database held."""
        self.ahead: tuple[bytes, ...] = ()
        """Notes about more than what came back."""

    @property
    def size(self) -> int:
        """How many entries the log has now."""
        return self._tree.size

    async def take_all(self, source: TailSource) -> None:
        """Take every page, from the newest checkpoint on; the caller commits. Raises RecoveryRefused."""
        await self._read()
        first = self._tree.size
        start: int | None = first
        while start is not None:
            page = await source.page(start)
            leaves = leaf_hashes(page.entries)
            held = self._held[start - first :][: len(leaves)]
            for position, (ours, theirs) in enumerate(zip(held, leaves, strict=False), start):
                if ours != theirs:
                    raise RecoveryRefused(_another(position))
            await self._append(page.entries[len(held) :], leaves[len(held) :], start + len(held))
            await self._prove(page, leaves, start)
            if page.after is not None and page.after != start + len(leaves):
                raise RecoveryRefused("the pages of the tail do not follow on each other")
            start, self.ahead = page.after, page.ahead
        if self._tree.size != self._proven:
            raise RecoveryRefused(f"no checkpoint of our key covers the entries from {self._proven} on")
        if self._tree.size < self.before:
            text = f"{self._tree.size} entries are proven there, fewer than the {self.before} that are here"
            raise RecoveryRefused(f"{text}: there is nothing to bring back")

    async def _read(self) -> None:
        self.before = await self._connection.fetchval(_HEAD)
        newest = await self._connection.fetchrow(_NEWEST)
        if newest is not None:
            self._tree = CompactRange.from_bytes(newest["size"], newest["nodes"])
        self._proven = self._tree.size
        self._held = await read_leaves(self._connection, self._tree.size, self.before)

    async def _append(self, entries: Sequence[bytes], leaves: Sequence[bytes], position: int) -> None:
        """Append entries as they were, each as the command that its event's id names."""
        if not entries:
            return
        events = [self._own(data, at) for at, data in enumerate(entries, position)]
        for at, event in enumerate(events, position):
            self._see(at, event)
        none: list[int] = []
        numbers = list(range(1, len(events) + 1))
        commands = [UUID(event.id) for event in events], [False] * len(events), none, none, none
        streams = [event.subject for event in events], [event.data.version for event in events]
        try:
            appended, *others = await self._connection.fetch(
                APPEND, *commands, numbers, [0] * len(events), *streams, leaves, entries
            )
        except asyncpg.UniqueViolationError as error:
            raise RecoveryRefused(_another(position)) from error
        if others or appended["first_position"] != position:
            raise RecoveryRefused(_another(position))

    async def _prove(self, page: TailPage, leaves: Sequence[bytes], start: int) -> None:
        """Grow the tree and hold it against every checkpoint of a page, and against the last word."""
        for checkpoint in page.checkpoints:
            if not self._tree.size < checkpoint.size <= start + len(leaves):
                raise RecoveryRefused("the checkpoints of the tail are not those of its entries")
            self._grow(leaves, start, checkpoint.size)
            try:
                signed = open_checkpoint(checkpoint.note, self._origin, self._verifiers(checkpoint.size))
            except NoteError as error:
                raise RecoveryRefused(f"the checkpoint of size {checkpoint.size} is not signed by our key") from error
            if (signed.size, signed.root) != (self._tree.size, self._tree.root()):
                raise RecoveryRefused(f"up to size {checkpoint.size} the entries are not those that our key has signed")
            await self._connection.execute(_CHECKPOINT, checkpoint.size, checkpoint.note, self._tree.to_bytes())
            self._proven = self._tree.size
        self._grow(leaves, start, start + len(leaves))

    def _grow(self, leaves: Sequence[bytes], start: int, size: int) -> None:
        word, tree = self._word, self._tree
        if word is not None and tree.size < word.size <= size:
            tree.extend(leaves[tree.size - start : word.size - start])
            if tree.root() != word.root:
                raise RecoveryRefused(f"up to size {word.size} the entries are not those of our last word")
        tree.extend(leaves[tree.size - start : size - start])

    def _own(self, data: bytes, position: int) -> Event:
        try:
            event = decode_event(data)
        except EventError as error:
            raise RecoveryRefused(f"the entry at position {position} is no event: {error}") from error
        if isinstance(event, UnknownEvent) or event.source != self._origin:
            text = f"the entry at position {position} is none that this version knows of this log"
            raise RecoveryRefused(f"{text}: install the version that wrote it")
        return event


async def require_alone(connection: Connection, what: str, role: str | None = None) -> None:
    """Raise SettingsError where another process uses the database in a role (None: in the same one).

    One may just be ending.
    """
    for _ in range(50):
        if not await connection.fetchval(_OTHERS, role):
            return
        await asyncio.sleep(0.1)
    raise SettingsError(f"another process uses the database as {what} does: stop it first")


def _another(position: int) -> str:
    return (
        f"from position {position} on the database holds other entries than those that were proven: it went on after it"
        " was restored. Restore the backup again and recover before anything else is written"
    )
