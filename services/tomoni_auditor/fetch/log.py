"""Fetching one log into its folder: what is missing and nothing else, so that a cut costs what was on its way.

The newest checkpoint is written last: what a folder's checkpoint covers is there, whenever the fetching was cut off.
Nothing is believed that entries do not show: tiles are made from them, and must lead to the checkpoint's root. Whose
signature that is, is verified afterwards (`tomoni_auditor.history`), with everything else.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from tomoni.tlog.checkpoint import Checkpoint, read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.notes import UnfinishedNoteError, join_notes, read_notes
from tomoni.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, EntryBundle, Tile, TileError, bundle_leaf_hashes, tile_width
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import CHECKPOINT, CHECKPOINTS, HEARTBEAT, RECEIPTS, LogFolder
from tomoni_auditor.fetch.tiles import TileMaker
from tomoni_auditor.verify.sources import Source, SourceError

Progress = Callable[[int, int], None]
"""Told how many entries are in the folder, of how many."""

_LEVELS: Final = 8


class ContradictionError(Exception):
    """A source shows another history than the folder holds, or one that its own checkpoint does not cover."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What fetching did: the size of the log now in the folder, and how many bundles came."""

    size: int
    bundles: int
    behind: bool = False
    """The source has less than the folder: nothing was taken."""


def fetch_log(
    source: Source, folder: LogFolder, origin: str | None = None, on_progress: Progress | None = None
) -> Fetched:
    """Bring a folder to the newest checkpoint of a source.

    Raises NotPublishedError where the source has no such log, SourceError where it cannot be read or the disk not be
    written, ContradictionError where it contradicts the folder or itself; the folder is as it was, but for bundles
    beyond its checkpoint.
    """
    try:
        return _fetch(source, folder, origin, on_progress)
    except OSError as error:
        raise SourceError(f"the folder cannot be written: {error.strerror}") from error


def _fetch(source: Source, folder: LogFolder, origin: str | None, on_progress: Progress | None) -> Fetched:
    note = source.fetch(CHECKPOINT)
    head = _head(note)
    if origin is not None and head.origin != origin:
        raise ContradictionError(f"the source has the log of {head.origin} where {origin} was asked for")
    held = _held(folder, head)
    if held is not None and head.size < held.size:
        return Fetched(held.size, 0, behind=True)
    bundles = _fetch_bundles(source, folder, held, head, on_progress)
    _fetch_notes(source, folder, RECEIPTS, head.size)
    if not _fetch_notes(source, folder, CHECKPOINTS, head.size):
        _append(folder, CHECKPOINTS, [note])
    _fetch_heartbeat(source, folder)
    folder.write(CHECKPOINT, note)
    if held is not None:
        _remove_stale(folder, held.size, head.size)
    return Fetched(head.size, bundles)


def _head(note: bytes) -> Checkpoint:
    try:
        return read_checkpoint(note)
    except NoteError as error:
        raise ContradictionError(f"the source's checkpoint is none: {error}") from error


def _held(folder: LogFolder, head: Checkpoint) -> Checkpoint | None:
    try:
        held = folder.head()
    except NotPublishedError:
        return None
    except SourceError:
        return None  # the folder is not there yet
    except NoteError as error:
        raise ContradictionError(f"the folder's own checkpoint is none: {error}; fetch into another folder") from error
    if held.origin != head.origin:
        raise ContradictionError(f"the folder holds the log of {held.origin}, the source that of {head.origin}")
    if held.size == head.size and held.root != head.root:
        raise ContradictionError(_fork(held.size, "two checkpoints of this size have two roots"))
    return held


def _fetch_bundles(
    source: Source, folder: LogFolder, held: Checkpoint | None, head: Checkpoint, on_progress: Progress | None
) -> int:
    start = _present(folder, head.size // TILE_WIDTH)
    at_end = held is not None and held.size == head.size and start == head.size // TILE_WIDTH
    if at_end and all(folder.has(name) for name in _edge(head.size)):
        return 0
    maker = TileMaker.resume(folder, start)
    names = [EntryBundle(index, tile_width(0, index, head.size)) for index in range(start, -(-head.size // TILE_WIDTH))]
    source.expect(names)
    for name in names:
        data = _bundle(source, name)
        try:
            leaves = bundle_leaf_hashes(data, name.width)
        except TileError as error:
            raise ContradictionError(
                f"{name.path} of the source is no bundle of {name.width} entries: {error}"
            ) from error
        _require_continued(folder, held, name, data)
        maker.add(name, data, leaves)
        if on_progress is not None:
            on_progress(name.index * TILE_WIDTH + name.width, head.size)
    root = maker.finish()
    if root != head.root:
        begin = start * TILE_WIDTH if held is not None else 0
        raise ContradictionError(
            f"the entries of the source do not give the root that its checkpoint of size {head.size} names "
            f"(from position {begin} on); they are kept in the folder, without the checkpoint"
        )
    return len(names)


def _present(folder: LogFolder, bundles: int) -> int:
    """Return how many full bundles are there with their tiles, from the first on."""
    return next(
        (index for index in range(bundles) if not (folder.has(EntryBundle(index)) and folder.has(Tile(0, index)))),
        bundles,
    )


def _bundle(source: Source, name: EntryBundle) -> bytes:
    """Return a bundle; where a partial one is gone, what it was of the full one (C2SP tlog-tiles, "Partial Tiles")."""
    try:
        return source.fetch(name.path)
    except NotPublishedError:
        if name.width == TILE_WIDTH:
            raise ContradictionError(f"the source does not have {name.path}, which its checkpoint covers") from None
    try:
        data = source.fetch(EntryBundle(name.index).path)
    except NotPublishedError:
        raise ContradictionError(f"the source does not have {name.path}, which its checkpoint covers") from None
    end = 0
    for _ in range(name.width):
        end += 2 + int.from_bytes(data[end : end + 2], "big")
    return data[:end]


def _require_continued(folder: LogFolder, held: Checkpoint | None, name: EntryBundle, data: bytes) -> None:
    """Raise ContradictionError where a bundle does not begin with what the folder's checkpoint covers of it."""
    if held is None or held.size // TILE_WIDTH != name.index or held.size % TILE_WIDTH == 0:
        return
    kept = folder.read(EntryBundle(name.index, held.size % TILE_WIDTH).path)
    if not data.startswith(kept):
        first = name.index * TILE_WIDTH
        raise ContradictionError(_fork(held.size, f"entries from position {first} on are others"))


def _fork(size: int, what: str) -> str:
    return (
        f"the source contradicts the folder, which has a checkpoint of size {size}: {what}. Keep the folder, it may be "
        "evidence; fetch into another one. After a readmission this is as it must be: the federation's log says so"
    )


def _fetch_notes(source: Source, folder: LogFolder, kind: str, size: int) -> bool:
    """Bring a file of notes up to a size; return whether its last one is of that size."""
    last = _mend(folder, kind)
    while last < size:
        try:
            page = _page(source, f"{kind}?after={last}")
        except NotPublishedError:
            return False
        notes = [note for note, of_size in page if of_size <= size]
        if not notes:
            break
        _append(folder, kind, notes)
        last = _head(notes[-1]).size
    return last == size


def _page(source: Source, path: str) -> list[tuple[bytes, int]]:
    try:
        notes = list(read_notes(BytesIO(source.fetch(path))))
    except NoteError as error:
        raise ContradictionError(f"{path} of the source is no list of notes: {error}") from error
    return [(note, _head(note).size) for note in notes]


def _mend(folder: LogFolder, kind: str) -> int:
    """Return the size of the last note of a file, -1 where there is none; a half one at its end is cut off."""
    last, end = -1, 0
    try:
        for note in folder.notes(kind):
            last, end = _head(note).size, end + len(note) + 1
    except UnfinishedNoteError:
        os.truncate(folder.path / kind, end)
    except NoteError as error:
        raise ContradictionError(f"{kind} of the folder is no list of notes: {error}; remove it to fetch it") from error
    return last


def _append(folder: LogFolder, kind: str, notes: list[bytes]) -> None:
    with (folder.path / kind).open("ab") as file:
        file.write(join_notes(notes))
        file.flush()
        os.fsync(file.fileno())


def _fetch_heartbeat(source: Source, folder: LogFolder) -> None:
    try:
        folder.write(HEARTBEAT, source.fetch(HEARTBEAT))
    except NotPublishedError:
        return


def _remove_stale(folder: LogFolder, old: int, new: int) -> None:
    """Remove the partial tiles and the partial bundle of an older size, which fuller ones have replaced."""
    for stale in set(_edge(old)) - set(_edge(new)):
        folder.remove(stale)


def _edge(size: int) -> Iterator[Tile | EntryBundle]:
    for level in range(_LEVELS):
        index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        if width:
            yield Tile(level, index, width)
            if level == 0:
                yield EntryBundle(index, width)
