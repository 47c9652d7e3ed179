"""Records laid aside by a key and taken up again key by key, in flat memory however many there are.

Records go into 256 parts by a hash of their key. What does not fit in memory is appended to a file for each part, in a
temporary folder (TMPDIR says where). Later one part at a time is read back, in which all records of a key are, in
order. A dictionary of ten million certificates would take gigabytes; a database on disk would seek for each of them.
"""

import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PARTS: Final = 256
HELD_BYTES: Final = 16_000_000
"""Bytes of records held in memory before they are written to the files."""

_LENGTH: Final = 4


class Spill:
    """Records by key; a context, at whose end the temporary files are gone."""

    def __init__(self) -> None:
        self._parts = [bytearray() for _ in range(PARTS)]
        self._held = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def put(self, key: bytes, record: bytes) -> None:
        """Lay a record aside."""
        part = self._parts[blake2b(key, digest_size=1).digest()[0]]
        part += len(record).to_bytes(_LENGTH, "big")
        part += record
        self._held += _LENGTH + len(record)
        if self._held > HELD_BYTES:
            self._write()

    def parts(self) -> Iterator[Iterator[memoryview]]:
        """Give the records again, part by part, each part's in the order in which they were put."""
        for number, part in enumerate(self._parts):
            yield _records(self._written(number) + bytes(part))

    def _write(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="tomoni-audit-")
        for number, part in enumerate(self._parts):
            with (Path(self._folder.name) / str(number)).open("ab") as file:
                file.write(part)
            part.clear()
        self._held = 0

    def _written(self, number: int) -> bytes:
        return b"" if self._folder is None else (Path(self._folder.name) / str(number)).read_bytes()


def _records(data: bytes) -> Iterator[memoryview]:
    view, at = memoryview(data), 0
    while at < len(view):
        end = at + _LENGTH + int.from_bytes(view[at : at + _LENGTH], "big")
        yield view[at + _LENGTH : end]
        at = end
