"""One log in a folder, and a folder of logs.

`<folder>/<code>/` has the files of C2SP tlog-tiles (`checkpoint`, `tile/…`), which any tool for such logs reads, and

- `checkpoints`: every signed checkpoint known, by size, as `tomoni.tlog.notes` writes them;
- `receipts`: those that the federation has cosigned, with its times, in the same form;
- `heartbeat`: the latest heartbeat, one note.

`<folder>/federation/` is the federation's own log, which says whose keys are whose.
"""

import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tomoni.tlog.checkpoint import Checkpoint, read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.notes import read_notes
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, Tile, TileError, decode_bundle
from tomoni.tlog.verify import CHECKPOINT_PATH, NotPublishedError
from tomoni_auditor.verify.sources import FolderSource, SourceError

CHECKPOINT: Final = CHECKPOINT_PATH
CHECKPOINTS: Final = "checkpoints"
RECEIPTS: Final = "receipts"
HEARTBEAT: Final = "heartbeat"
FEDERATION: Final = "federation"
"""The code under which the federation's own log lies."""


@dataclass(frozen=True, slots=True)
class LogFolder:
    """One log in a folder. Reading raises NotPublishedError for what is not there, SourceError and the parsers'."""

    path: Path

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return FolderSource(self.path).fetch(path)

    def has(self, name: Tile | EntryBundle) -> bool:
        """Tell whether a tile or a bundle is there."""
        return (self.path / name.path).is_file()

    def head(self) -> Checkpoint:
        """Return what the newest checkpoint says, unverified; raise NoteError where it is none."""
        return read_checkpoint(self.read(CHECKPOINT))

    def notes(self, name: str) -> Iterator[bytes]:
        """Yield the notes of `checkpoints` or `receipts`, none where there is no such file; raise NoteError."""
        try:
            file = (self.path / name).open("rb")
        except FileNotFoundError:
            return
        with file:
            yield from read_notes(file)

    def entries(self, start: int, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield the entries from a position up to a size, each with its position, a bundle at a time in memory."""
        for index in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            width = min(TILE_WIDTH, size - index * TILE_WIDTH)
            for position, entry in enumerate(self.bundle(index, width), index * TILE_WIDTH):
                if position >= start:
                    yield position, entry

    def bundle(self, index: int, width: int) -> list[bytes]:
        """Return the first entries of a bundle; a full one stands for a partial one that is gone."""
        name = EntryBundle(index, width)
        try:
            return decode_bundle(self.read(name.path), width)
        except NotPublishedError:
            return decode_bundle(self.read(EntryBundle(index).path), TILE_WIDTH)[:width]

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole or not at all: it gets its name once its bytes are on the disk."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(f".{file.name}.{secrets.token_hex(4)}.half")
        try:
            with half.open("xb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            half.replace(file)
        finally:
            half.unlink(missing_ok=True)

    def remove(self, name: Tile | EntryBundle) -> None:
        """Remove a partial tile or bundle that a fuller one has replaced."""
        file = self.path / name.path
        file.unlink(missing_ok=True)
        if name.width < TILE_WIDTH and file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()


@contextmanager
def damage_told() -> Generator[None]:
    """Turn what is missing from a log's folder, or cannot be parsed, into SourceError, which says what to do."""
    try:
        yield
    except NotPublishedError as error:
        raise SourceError(f"the log cannot be read, it may be damaged: {error} is missing; verify it") from error
    except (NoteError, TileError) as error:
        raise SourceError(f"the log cannot be read, it may be damaged: {error}; verify it") from error


def logs_in(folder: Path) -> list[str]:
    """Return the codes of the logs in a folder, the federation's own first, then in order."""
    found = (path.name for path in folder.iterdir() if (path / CHECKPOINT).is_file())
    return sorted(found, key=lambda code: (code != FEDERATION, code))
