"""The last word: the newest checkpoint this log has signed, in a file beside its key, outside of PostgreSQL.

A database can go back in time: a backup is restored, a machine is cloned. A log that then signed again would contradict
itself for everybody to see. So each checkpoint is on the disk here before it is released anywhere, and a node whose
database is behind this file signs nothing.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tomoni.eventlog.errors import Overtaken


class LastWord:
    """A file with one signed checkpoint, replaced by compare-and-swap; several processes may hold it."""

    def __init__(self, path: Path) -> None:
        """Use the file at a path; its folder must be there."""
        self.path = path

    def read(self) -> bytes | None:
        """Return the note, None where nothing was ever signed: a few hundred bytes that the system has in memory."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def swap(self, expected: bytes | None, note: bytes) -> None:
        """Replace the note that is expected to be there, and return when the new one is on the disk.

        Raises Overtaken where another is there: somebody else has signed in the meantime.
        """
        with self._locked():
            if self.read() != expected:
                raise Overtaken("another process has signed in the meantime")
            half = self.path.with_name(f"{self.path.name}.half")
            with half.open("wb") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self.path)
            _sync_folder(self.path.parent)

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Keep other processes out. The lock is on a file of its own, because the note's is replaced."""
        with self.path.with_name(f"{self.path.name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _sync_folder(folder: Path) -> None:
    """Bring the new name itself to the disk; until then a power cut could bring the old file back."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
