"""Proving one log in a folder, in a single pass over its bundles and in flat memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from tomoni.events import Event, EventError, decode_event
from tomoni.events.federation import Branch
from tomoni.events.jurisdiction import KeyRotated
from tomoni.receipt_keys import ReceiptKeys
from tomoni.tlog.checkpoint import Checkpoint
from tomoni.tlog.cosignature import CosignatureVerifier, open_cosigned
from tomoni.tlog.keys import NoteError
from tomoni.tlog.merkle import leaf_hashes
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, TileError, decode_bundle, parse_path
from tomoni.tlog.verify import LogFaultError, NotPublishedError, verify_tree
from tomoni_auditor.archive.folder import CHECKPOINT, CHECKPOINTS, HEARTBEAT, RECEIPTS, LogFolder
from tomoni_auditor.history.faults import FaultCode, HistoryFault, HistoryFaultError
from tomoni_auditor.history.keys import Succession
from tomoni_auditor.history.tree import GrowingTree
from tomoni_auditor.history.words import Word, Words, last_note
from tomoni_auditor.legality.reading import Reading

Progress = Callable[[int, int], None]
"""Told how many entries of a log are verified, of how many."""

_ROTATION: Final = b'"type":"jp.tomoni.key.rotated.v1"'
"""In canonical JSON these bytes are a member of the envelope: within a text the quotes would be escaped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Whose word counts for a log."""

    admitted: Sequence[tuple[int, Sequence[str]]]
    """Log keys, with the size from which they count, in the order of the admissions."""
    heartbeat_keys: Sequence[str] = ()
    receipts: ReceiptKeys | None = None
    """The federation's keys for receipts; without one their times are not checked."""
    ends_at: int | None = None
    """The size from which on nothing counts: the log is suspended."""
    branches: Sequence[Branch] = ()
    """The histories that it was readmitted with."""
    evidence: Sequence[str] = ()
    """What it was quarantined for, by the hashes of the evidence."""


class Proven(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A log of which everything is as signed, and every entry a legal event."""

    code: str
    origin: str
    size: int
    root: str
    checkpoints: int
    receipts: int
    receipts_checked: bool
    """Whether the key for receipts was given: without it their times are anybody's word."""
    known_as_of: datetime | None = None
    """The time of the last receipt: by then the federation held all entries that it covers."""
    heard_at: datetime | None = None
    """The time of the heartbeat."""
    unknown_events: int = 0
    """Entries of a type that this version does not know: what they are about is not judged after them."""
    evidence: tuple[str, ...] = ()
    """The evidence for which the federation has quarantined the log, by hash: ask for the files."""


def prove_log(
    folder: LogFolder,
    code: str,
    origin: str,
    trust: Trust,
    on_event: Callable[[int, Event], None] | None = None,
    on_progress: Progress | None = None,
) -> Proven:
    """Return what is proven of a log; raise HistoryFaultError at its first fault, SourceError where it is unreadable.

    `on_event` is told each event, in order, before it is known whether all of the log proves.
    """
    with Reading(origin) as reading:
        walk = _Walk(folder, code, origin, trust, reading, on_event)
        head = walk.prove_tree(on_progress)
        walk.end(head)
        illegal = reading.first_illegal()
        if illegal is not None:
            bundle = EntryBundle(illegal.position // TILE_WIDTH).path
            found = "an entry that proves, and is not that"
            raise _fault("event", f"{code}/{bundle}", illegal.position, illegal.expected, found)
        return Proven(
            code=code,
            origin=origin,
            size=head.size,
            root=head.root.hex(),
            checkpoints=max(walk.words.counts[CHECKPOINTS], 1),
            receipts=walk.words.counts[RECEIPTS],
            receipts_checked=trust.receipts is not None,
            known_as_of=walk.known_as_of,
            heard_at=walk.heard_at,
            unknown_events=reading.unknown,
            evidence=tuple(trust.evidence),
        )


class _Walk:
    """One log being proven."""

    def __init__(
        self,
        folder: LogFolder,
        code: str,
        origin: str,
        trust: Trust,
        reading: Reading,
        on_event: Callable[[int, Event], None] | None,
    ) -> None:
        self._folder = folder
        self._code = code
        self._trust = trust
        self._reading = reading
        self._on_event = on_event
        self._succession = Succession(origin, trust.admitted)
        self._origin = origin
        self._tree = GrowingTree()
        self._bundle = (b"", 0)
        self._last_checkpoint: int | None = None
        self._notes: tuple[bytes, ...] = ()
        """The notes of that size: more than one where the log was readmitted with another key."""
        self.words = Words(folder, code, origin)
        self.known_as_of: datetime | None = None
        self.heard_at: datetime | None = None

    def prove_tree(self, on_progress: Progress | None) -> Checkpoint:
        """Prove tiles, entries and every word up to the newest checkpoint, which is returned."""
        head = self._folder.head()  # `words` has read it already: its form is right
        for word in self.words.up_to(0):
            self._settle(word)

        def passed(verified: int) -> None:
            self._pass(verified)
            if on_progress is not None:
                on_progress(verified, head.size)

        try:
            verify_tree(head, self._fetch, passed)
        except LogFaultError as error:
            self._blame_checkpoint(head.size)
            raise HistoryFaultError(HistoryFault.of_tree(self._code, error.fault)) from error
        return head

    def end(self, head: Checkpoint) -> None:
        """Check what speaks of more than the newest checkpoint, and that nothing newer is kept beside it."""
        if self._last_checkpoint not in {None, head.size}:
            found = f"the last one of size {self._last_checkpoint}"
            expected = f"the newest checkpoint, of size {head.size}, as the last one"
            raise _fault("checkpoint", f"{self._code}/{CHECKPOINTS}", self._last_checkpoint, expected, found)
        if self._trust.ends_at is not None and head.size > self._trust.ends_at:
            expected = f"no entry from {self._trust.ends_at} on: there the federation has suspended the log"
            found = f"a log of size {head.size}"
            raise _fault("admission", f"{self._code}/{CHECKPOINT}", self._trust.ends_at, expected, found)
        while (size := self.words.next_size) is not None:
            for word in self.words.up_to(size):
                if word.kind != HEARTBEAT:
                    expected = f"no size beyond that of the newest checkpoint, {head.size}"
                    raise self.words.fault(word.kind, word.number, word.size, expected, f"size {word.size}")
                self._settle_heartbeat(word)

    def _fetch(self, path: str) -> bytes:
        data = self._folder.read(path)
        if path.startswith("tile/entries/"):
            self._bundle = (data, parse_path(path).width)
        return data

    def _pass(self, verified: int) -> None:
        """Read the entries of the bundle just verified, and settle each word where its size is reached."""
        position = (verified - 1) // TILE_WIDTH * TILE_WIDTH
        data, width = self._bundle
        entries = decode_bundle(data, width)[: verified - position]
        self._tree.begin(leaf_hashes(entries))
        first = position
        for word in self.words.up_to(verified):
            self._take(entries[position - first : word.size - first], position)
            position = word.size
            self._settle(word)
        self._take(entries[position - first :], position)

    def _take(self, entries: Sequence[bytes], position: int) -> None:
        for at, entry in enumerate(entries, position):
            event = self._reading.take(at, entry)
            if event is None:
                continue
            if isinstance(event, KeyRotated) and not self._succession.announce(at, event.data.log_key):
                self._reading.note(at, "a next key of this log that was not used before")
            if self._on_event is not None:
                self._on_event(at, event)

    def _settle(self, word: Word) -> None:
        """Check a word about a size just reached: its signature, its root, and who else has signed it."""
        try:
            checkpoint = self._succession.open(word.note, word.size)
        except NoteError as error:
            expected = "a checkpoint signed by the key that is valid for its size"
            raise self.words.fault(word.kind, word.number, word.size, expected, str(error)) from error
        root = self._tree.root_at(word.size)
        if checkpoint.root != root:
            expected = f"the root {root.hex()} of the entries before position {word.size}"
            raise self.words.fault(word.kind, word.number, word.size, expected, f"the root {checkpoint.root.hex()}")
        if word.kind == CHECKPOINTS:
            self._notes = (*(self._notes if word.size == self._last_checkpoint else ()), word.note)
            self._last_checkpoint = word.size
        elif word.kind == RECEIPTS and word.size == self._last_checkpoint and not word.note.startswith(self._notes):
            # Where two keys have signed, a signature that is none any more would be passed over.
            raise self.words.fault(
                word.kind, word.number, word.size, "the bytes of the checkpoint of this size", "others before its end"
            )
        if word.kind == RECEIPTS and self._trust.receipts is not None:
            keys, whose = self._trust.receipts, "the federation's key for receipts of its time"
            self.known_as_of = self._cosigned(word, [keys.open], whose)
        elif word.kind == HEARTBEAT:
            self._settle_heartbeat(word)

    def _settle_heartbeat(self, word: Word) -> None:
        if self._trust.heartbeat_keys:
            verifiers = [CosignatureVerifier.parse(key) for key in reversed(self._trust.heartbeat_keys)]
            opening = [partial(open_cosigned, verifier=verifier) for verifier in verifiers]
            self.heard_at = self._cosigned(word, opening, "the heartbeat key of its admission")

    def _cosigned(self, word: Word, opening: Sequence[Callable[[bytes], int]], whose: str) -> datetime:
        wrong: Exception | None = None
        for opened in opening:
            try:
                return datetime.fromtimestamp(opened(word.note), UTC)
            except (NoteError, ValueError, OverflowError, OSError) as error:
                wrong = error
        expected = f"a cosignature by {whose}"
        raise self.words.fault(word.kind, word.number, word.size, expected, str(wrong)) from wrong

    def _blame_checkpoint(self, size: int) -> None:
        """Raise HistoryFaultError where the newest checkpoint is at fault and not what lies under it.

        It is not where it is the same as among all checkpoints. Otherwise whoever could have signed it is looked for,
        which is every key that any readable entry announces.
        """
        note = self._folder.read(CHECKPOINT)
        if note == last_note(self._folder):
            return
        keys = [key for _, of_admission in self._trust.admitted for key in of_admission]
        every = [(0, [*keys, *self._announced(size)])]
        succession = Succession(self._origin, every)
        try:
            succession.open(note, size)
        except NoteError as error:
            expected = "a checkpoint signed by the key that is valid for its size"
            raise self.words.fault(CHECKPOINT, 1, size, expected, str(error)) from error

    def _announced(self, size: int) -> list[str]:
        keys: list[str] = []
        for index in range(-(-size // TILE_WIDTH)):
            try:
                entries = self._folder.bundle(index, min(TILE_WIDTH, size - index * TILE_WIDTH))
            except NotPublishedError:
                break
            except TileError:
                continue
            events = (_event(entry) for entry in entries if _ROTATION in entry)
            keys += [event.data.log_key for event in events if isinstance(event, KeyRotated)]
        return keys


def _event(entry: bytes) -> object:
    try:
        return decode_event(entry)
    except EventError:
        return None


def _fault(code: FaultCode, path: str, position: int | None, expected: str, found: str) -> HistoryFaultError:
    return HistoryFaultError(HistoryFault(code=code, path=path, position=position, expected=expected, found=found))
