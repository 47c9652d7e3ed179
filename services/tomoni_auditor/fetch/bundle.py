"""A bundle as a place to fetch from: what a town has carried out, for a folder that has what comes before it."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tomoni.bundle import BundleError, BundleReader
from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.notes import join_notes
from tomoni.tlog.tiles import TILE_WIDTH, EntryBundle, Tile, TileError, encode_bundle, parse_path
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import CHECKPOINT, CHECKPOINTS, HEARTBEAT, LogFolder
from tomoni_auditor.fetch.log import ContradictionError
from tomoni_auditor.verify.sources import SourceError


class BundleSource:
    """A bundle as the source of a log; it was read whole once, so nothing in it is altered or missing.

    Entry bundles are to be asked for in order: the file is read along, a portion in memory. The one within which the
    file begins is put together from the folder and the file.
    """

    def __init__(self, file: Path) -> None:
        """Read the file; raise ContradictionError where it is no whole bundle, SourceError where it cannot be read."""
        self._file = file
        self._folder: LogFolder | None = None
        self._held = 0
        with _reading(file) as bundle:
            self._notes = [portion.note for portion in bundle.portions()]
            self._heartbeat = bundle.heartbeat
            self._start = bundle.start
            self.origin = bundle.origin
        self._entries = self._read()

    def follow_on(self, folder: LogFolder) -> None:
        """Take what comes before the file from a folder; raise SourceError where that has less."""
        try:
            self._held = folder.head().size
        except (NotPublishedError, SourceError):
            self._held = 0  # there is nothing yet
        if self._held < self._start:
            raise SourceError(
                f"the bundle begins after {self._start} entries, and the folder has {self._held}: let the town export "
                f"with --since {self._held}"
            )
        self._folder = folder

    def fetch(self, path: str) -> bytes:
        """Return the bytes of a file, or all notes after a size at once: they are few."""
        kind, _, after = path.partition("?after=")
        if kind == CHECKPOINTS and after:
            return join_notes(note for note in self._notes if read_checkpoint(note).size > int(after))
        if path == HEARTBEAT and self._heartbeat is not None:
            return self._heartbeat
        if path == CHECKPOINT and self._notes:
            return self._notes[-1]
        try:
            name = parse_path(path)
        except TileError:
            raise NotPublishedError(path) from None
        if not isinstance(name, EntryBundle):
            raise NotPublishedError(path)
        return encode_bundle(self._bundle(name))

    def expect(self, names: Iterable[Tile | EntryBundle]) -> None:
        """Read nothing ahead: a file is near."""

    def _bundle(self, name: EntryBundle) -> Iterator[bytes]:
        first = name.index * TILE_WIDTH
        end = first + name.width
        if first < self._start and self._folder is not None:
            held = self._folder.bundle(name.index, min(TILE_WIDTH, self._held - first))
            yield from held[: self._start - first]
        for position, entry in self._entries:
            if position >= first:
                yield entry
            if position + 1 == end:
                return

    def _read(self) -> Iterator[tuple[int, bytes]]:
        with _reading(self._file) as bundle:
            for portion in bundle.portions():
                yield from enumerate(portion.entries, portion.start)


@contextmanager
def _reading(file: Path) -> Generator[BundleReader]:
    try:
        with file.open("rb") as opened:
            yield BundleReader(opened)
    except BundleError as error:
        raise ContradictionError(f"{file} is no whole and unaltered bundle: {error}") from error
    except OSError as error:
        raise SourceError(f"{file} cannot be read: {error.strerror}") from error
