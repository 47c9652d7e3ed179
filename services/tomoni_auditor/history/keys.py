"""The keys of one log, as its size grows: those it was admitted with, and those it has announced.

A readmission begins an era: from its size on the key admitted then counts, and the keys of before prove what was
before. Within an era each key announces the next, and the first checkpoint over an announcement is signed by both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tomoni.tlog.checkpoint import Checkpoint, open_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Verifier
from tomoni.tlog.succession import Key, keys_for


@dataclass(slots=True)
class _Era:
    """The sizes from one admission to the next, and the keys that have spoken or are announced within."""

    start: int
    end: int | None
    keys: list[Key]
    announced: list[Key] = field(default_factory=list[Key])

    def covers(self, size: int) -> bool:
        return self.start <= size and (self.end is None or size <= self.end)


class Succession:
    """Opens the checkpoints of a log, given in order of size, with the keys valid for each."""

    def __init__(self, origin: str, admitted: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Take the keys of admissions, each with the size from which they count, in the order of the admissions.

        A later one of a smaller size takes back what was admitted beyond.
        """
        self._origin = origin
        kept: list[tuple[int, Sequence[str]]] = []
        for size, keys in admitted:
            kept = [one for one in kept if one[0] <= size]
            kept.append((size, keys))
        ends = [*(size for size, _ in kept[1:]), None]
        self._eras = [
            _Era(size, end, [Key(size, key) for key in keys]) for (size, keys), end in zip(kept, ends, strict=True)
        ]

    def announce(self, position: int, log_key: str) -> bool:
        """Hear of the next key by the entry at a position; return False for one that is no new key of this log."""
        era = next((one for one in reversed(self._eras) if one.start <= position), None)
        if era is None or any(key.log_key == log_key for key in (*era.keys, *era.announced)):
            return False
        try:
            if _verifier(log_key).name != self._origin:
                return False
        except NoteError:
            return False
        era.announced.append(Key(position + 1, log_key))
        return True

    def open(self, note: bytes, size: int) -> Checkpoint:
        """Return the checkpoint of a note of a size, signed by the keys valid for it; raise NoteError."""
        wrong: NoteError = NoteError("no key is known for this size")
        for era in reversed([one for one in self._eras if one.covers(size)]):
            try:
                return self._open(era, note, size)
            except NoteError as error:
                wrong = error
        raise wrong

    def _open(self, era: _Era, note: bytes, size: int) -> Checkpoint:
        checkpoint = open_checkpoint(note, self._origin, _verifiers(keys_for(era.keys, size)))
        heard = [key for key in era.announced if key.from_size <= size]
        for key in heard:
            open_checkpoint(note, self._origin, _verifiers([key]))  # the new key speaks for itself, beside the old one
        era.keys += heard
        era.announced = era.announced[len(heard) :]
        return checkpoint


def _verifiers(keys: Sequence[Key]) -> list[Verifier]:
    return [_verifier(key.log_key) for key in keys]


@lru_cache(maxsize=256)
def _verifier(log_key: str) -> Verifier:
    return Verifier.parse(log_key)
