"""The signed words about one log, in order of the sizes they speak of."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import CHECKPOINT, CHECKPOINTS, HEARTBEAT, RECEIPTS, LogFolder
from tomoni_auditor.history.faults import FaultCode, HistoryFault, HistoryFaultError

_CODES: Final[dict[str, FaultCode]] = {
    CHECKPOINT: "checkpoint",
    CHECKPOINTS: "checkpoint",
    RECEIPTS: "receipt",
    HEARTBEAT: "heartbeat",
}
_ORDER: Final[tuple[str, ...]] = (CHECKPOINTS, CHECKPOINT, RECEIPTS, HEARTBEAT)
"""Of one size the checkpoint comes first: it is the one that a new key signs beside the old."""


@dataclass(frozen=True, slots=True)
class Word:
    """A note about a log at a size, not verified; `number` counts within its file, from 1."""

    size: int
    kind: str
    number: int
    note: bytes


class Words:
    """The words of one log's folder; each file must give its own in order."""

    def __init__(self, folder: LogFolder, code: str, origin: str) -> None:
        self._folder = folder
        self._code = code
        self._origin = origin
        self._words = heapq.merge(*(self._of(kind) for kind in _ORDER), key=_place)
        self._next = next(self._words, None)
        self.counts: dict[str, int] = dict.fromkeys(_ORDER, 0)

    def up_to(self, size: int) -> Iterator[Word]:
        """Yield the words about sizes up to one, those that were not given yet; raise HistoryFaultError."""
        while self._next is not None and self._next.size <= size:
            word = self._next
            yield word
            self.counts[word.kind] += 1
            self._next = next(self._words, None)

    @property
    def next_size(self) -> int | None:
        """The size of the next word, None after the last."""
        return None if self._next is None else self._next.size

    def fault(self, kind: str, number: int, position: int | None, expected: str, found: str) -> HistoryFaultError:
        """Return what is wrong with a word."""
        numbered = f"{found} (note {number} of the file)" if kind in {CHECKPOINTS, RECEIPTS} else found
        path = f"{self._code}/{kind}"
        return HistoryFaultError(
            HistoryFault(code=_CODES[kind], path=path, position=position, expected=expected, found=numbered)
        )

    def _of(self, kind: str) -> Iterator[Word]:
        before = 0
        number = 0
        try:
            for note in self._read(kind):
                number += 1
                checkpoint = read_checkpoint(note)
                if checkpoint.origin != self._origin:
                    raise self.fault(kind, number, checkpoint.size, f"the origin {self._origin}", "another")
                if checkpoint.size < before:
                    raise self.fault(kind, number, checkpoint.size, f"a size of {before} or more", "a smaller one")
                before = checkpoint.size
                yield Word(checkpoint.size, kind, number, note)
        except NoteError as error:
            raise self.fault(kind, number, before, "whole notes, each followed by an empty line", str(error)) from error

    def _read(self, kind: str) -> Iterator[bytes]:
        if kind in {CHECKPOINTS, RECEIPTS}:
            yield from self._folder.notes(kind)
            return
        try:
            yield self._folder.read(kind)
        except NotPublishedError:
            if kind == CHECKPOINT:
                raise self.fault(kind, 1, None, "a signed checkpoint", "nothing") from None


_place: Callable[[Word], int] = lambda word: word.size  # noqa: E731  # merged files keep their order at one size


def last_note(folder: LogFolder) -> bytes | None:
    """Return the last note of `checkpoints`, None where there is none or they cannot be read."""
    last = None
    try:
        for note in folder.notes(CHECKPOINTS):
            last = note
    except NoteError:
        return None
    return last
