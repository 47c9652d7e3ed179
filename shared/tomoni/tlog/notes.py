"""Many notes in one file: each as it was signed, and after each an empty line.

The text of a checkpoint has no empty line, so a note is two blocks of lines, its text and its signatures, and such a
file is readable as it is. C2SP has no form for this; every note of it alone is a C2SP signed note.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import MAX_NOTE_SIZE


class UnfinishedNoteError(NoteError):
    """A file of notes ends within a note: its writing was cut off."""


def join_notes(notes: Iterable[bytes]) -> bytes:
    """Return the bytes of a file of notes."""
    return b"".join(note + b"\n" for note in notes)


def read_notes(file: BinaryIO) -> Iterator[bytes]:
    """Yield the notes of a file one by one, none of them verified, not even in its form.

    Raises UnfinishedNoteError where the file ends within one, NoteError for one longer than any note.
    """
    while (text := _block(file)) is not None:
        signatures = _block(file)
        if signatures is None:
            raise UnfinishedNoteError("the file ends within a note")
        yield text + b"\n" + signatures


def _block(file: BinaryIO) -> bytes | None:
    """Return lines up to an empty one, which is read and left out; None at the end of the file."""
    lines: list[bytes] = []
    size = 0
    while (line := file.readline(MAX_NOTE_SIZE + 1)) != b"\n":
        if not line and not lines:
            return None
        size += len(line)
        if size > MAX_NOTE_SIZE:
            raise NoteError(f"a note is longer than {MAX_NOTE_SIZE} bytes")
        if not line.endswith(b"\n"):
            raise UnfinishedNoteError("the file ends within a note")
        lines.append(line)
    return b"".join(lines)
