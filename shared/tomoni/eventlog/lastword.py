"""The last word: the newest checkpoint this log has signed, in a file beside its key, outside of PostgreSQL.

A database can go back in time: a backup is restored, a machine is cloned. A log that then signed again would contradict
itself for everybody to see. So each checkpoint is on the disk here before it is released anywhere, and a node whose
database is behind this file signs nothing.

The file has two places of a disk block each, written in turn, each with a number and a hash: one `fdatasync` in place
costs a fraction of what a new file and its new name do. A power cut in the middle of a write leaves the word before,
which is right, since the new one was not released.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tomoni.eventlog.errors import Overtaken

PLACE_BYTES: Final = 4096
_MAGIC: Final = b"tomoni last word"


class _Word(NamedTuple):
    """A note and its number; the greater number is the newer word, and the number's parity tells its place."""

    number: int
    note: bytes


class LastWord:
    """A file with one signed checkpoint, replaced by compare-and-swap; several processes may hold it."""

    def __init__(self, path: Path) -> None:
        """Use the file at a path; its folder must be there."""
        self.path = path

    def read(self) -> bytes | None:
        """Return the note, None where nothing was ever signed: a few hundred bytes that the system has in memory."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        word = _newest(content)
        return None if word is None else word.note

    def swap(self, expected: bytes | None, note: bytes) -> None:
        """Replace the note that is expected to be there, and return when the new one is on the disk.

        The same note again brings it to the disk once more: one that was written before a crash, or whose writing
        failed, can be read and need not be there. Raises Overtaken where another is there: somebody else has signed in
        the meantime. Raises ValueError for a note that does not fit into a place, OSError where the disk fails.
        """
        with self._locked() as file:
            word = _newest(os.pread(file, 2 * PLACE_BYTES, 0))
            if (None if word is None else word.note) != expected:
                raise Overtaken("another process has signed in the meantime")
            if word is None:  # whoever made the file may have been killed before its name was on the disk
                self._bring_to_disk(file)
            number = 1 if word is None else word.number + 1
            place = _place(number, note)
            if os.pwrite(file, place, number % 2 * PLACE_BYTES) < len(place):
                raise OSError(errno.ENOSPC, "the disk has taken only a part of the last word")
            os.fdatasync(file)

    @contextmanager
    def _locked(self) -> Generator[int]:
        """Open the file, made where it is missing, and keep other processes out."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _bring_to_disk(self, file: int) -> None:
        """Give the file its two places, and bring it and its name to the disk."""
        os.posix_fallocate(file, 0, 2 * PLACE_BYTES)  # a word must not need room on a full disk
        os.fsync(file)
        _sync_folder(self.path.parent)


def _place(number: int, note: bytes) -> bytes:
    """Return the bytes of a place: a line with number, length and hash, the note as it is, and zeros."""
    line = f"{number} {len(note)} {hashlib.sha256(b'%d ' % number + note).hexdigest()}\n"
    content = _MAGIC + b" " + line.encode() + note
    if len(content) > PLACE_BYTES:
        raise ValueError("a checkpoint's note is too long for the file of the last word")
    return content.ljust(PLACE_BYTES, b"\0")


def _newest(content: bytes) -> _Word | None:
    """Return the newer of the two words; one that a power cut has torn counts for nothing."""
    words = [_read_place(content[start : start + PLACE_BYTES]) for start in (0, PLACE_BYTES)]
    return max((word for word in words if word is not None), default=None)


def _read_place(content: bytes) -> _Word | None:
    line, _, rest = content.partition(b"\n")
    fields = line.removeprefix(_MAGIC).split()
    if not line.startswith(_MAGIC) or len(fields) != 3 or not (fields[0].isdigit() and fields[1].isdigit()):
        return None
    word = _Word(int(fields[0]), rest[: int(fields[1])])
    return word if _place(*word) == content else None


def _sync_folder(folder: Path) -> None:
    """Bring the name of a new file to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
