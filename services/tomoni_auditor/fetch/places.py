"""Fetching whatever a place has: a federation or a node over HTTP, the prefix of a single log, folders, or a bundle."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import dropwhile, islice
from pathlib import Path
from typing import Final

from tomoni.events import EventError, decode_event
from tomoni.events.federation import JurisdictionAdmitted
from tomoni.tlog.checkpoint import read_checkpoint
from tomoni.tlog.keys import NoteError
from tomoni.tlog.notes import join_notes
from tomoni.tlog.tiles import EntryBundle, Tile, TileError
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import CHECKPOINT, FEDERATION, LogFolder, logs_in
from tomoni_auditor.fetch.bundle import BundleSource
from tomoni_auditor.fetch.log import ContradictionError, Fetched, fetch_log
from tomoni_auditor.verify.sources import FolderSource, HttpSource, Source, SourceError

Progress = Callable[[str, int, int], None]
"""Told of which log how many entries are in the folder, of how many."""

_PAGE: Final = 1_000
_CODE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


class ArchiveSource:
    """A log in a folder as a source: its notes come in pages, as over HTTP."""

    def __init__(self, folder: Path) -> None:
        self._files = FolderSource(folder)
        self._folder = LogFolder(folder)
        self._notes: dict[str, Iterator[bytes]] = {}

    def fetch(self, path: str) -> bytes:
        """Return the bytes of a file, or a page of notes: `<file>?after=<size>`, with ever larger sizes."""
        kind, asked, after = path.partition("?after=")
        if not asked:
            return self._files.fetch(path)
        if kind not in self._notes:
            notes = self._folder.notes(kind)
            self._notes[kind] = dropwhile(lambda note: read_checkpoint(note).size <= int(after), notes)
        try:
            return join_notes(islice(self._notes[kind], _PAGE))
        except NoteError as error:
            raise SourceError(f"{kind} cannot be read: {error}") from error

    def expect(self, names: Iterable[Tile | EntryBundle]) -> None:
        """Files are near: nothing is read ahead."""


def fetch_all(
    location: str,
    folder: Path,
    *,
    codes: Sequence[str] = (),
    token: str | None = None,
    on_progress: Progress | None = None,
) -> Iterator[tuple[str, Fetched]]:
    """Fetch every log that a place has, or those of codes, into `<folder>/<code>`; yield each with what was done.

    From a federation its own log comes first, and says who takes part. Raises SourceError where the place cannot be
    read, ContradictionError where what it has contradicts itself or the folder.
    """
    if location.startswith(("http://", "https://")):
        yield from _fetch_urls(location.rstrip("/"), folder, codes, token, on_progress)
    elif Path(location).is_file():
        yield _fetch_bundle(Path(location), folder, codes, on_progress)
    else:
        yield from _fetch_folders(Path(location), folder, codes, on_progress)


def _fetch_folders(
    place: Path, folder: Path, codes: Sequence[str], on_progress: Progress | None
) -> Iterator[tuple[str, Fetched]]:
    if not place.is_dir():
        raise SourceError(
            f"there is no folder {place}; a place is a folder, a bundle or a URL that begins with https://"
        )
    if (place / CHECKPOINT).is_file():
        yield _fetch_one(ArchiveSource(place), folder, on_progress)
        return
    found = logs_in(place)
    missing = sorted(set(codes) - set(found))
    if missing or not found:
        raise SourceError(f"{place} holds no log of {', '.join(missing) or 'any jurisdiction'}")
    for code in found:
        if code == FEDERATION or not codes or code in codes:
            yield _fetch_one(ArchiveSource(place / code), folder, on_progress)


def _fetch_bundle(file: Path, folder: Path, codes: Sequence[str], on_progress: Progress | None) -> tuple[str, Fetched]:
    source = BundleSource(file)
    code = _folder_of(source.origin)
    if codes and code not in codes:
        raise SourceError(f"{file} is a bundle of {code}")
    source.follow_on(LogFolder(folder / code))
    return _fetch_one(source, folder, on_progress)


def _fetch_urls(
    base: str, folder: Path, codes: Sequence[str], token: str | None, on_progress: Progress | None
) -> Iterator[tuple[str, Fetched]]:
    code, fetched = _fetch_root(base, folder, token, on_progress)
    yield code, fetched
    if code != FEDERATION:
        return
    admitted = _admitted(LogFolder(folder / FEDERATION), fetched.size)
    missing = sorted(set(codes) - {FEDERATION, *admitted})
    if missing:
        raise SourceError(f"the federation has never admitted {', '.join(missing)}: check the code")
    for each in admitted:
        if codes and each not in codes:
            continue
        with closing(HttpSource(f"{base}/v1/jurisdictions/{each}/log", token)) as source:
            try:
                yield _fetch_one(source, folder, on_progress)
            except NotPublishedError:
                continue  # admitted, and nothing of it is proven yet


def _fetch_root(base: str, folder: Path, token: str | None, on_progress: Progress | None) -> tuple[str, Fetched]:
    """Fetch the log of a service, which is below `/log`, or the one of which the URL is the prefix."""
    for prefix in (f"{base}/log", base):
        with closing(HttpSource(prefix, token)) as source:
            try:
                return _fetch_one(source, folder, on_progress)
            except NotPublishedError:
                continue
    raise SourceError(f"there is no log at {base}/log or {base}")


def _fetch_one(source: Source, folder: Path, on_progress: Progress | None) -> tuple[str, Fetched]:
    try:
        origin = read_checkpoint(source.fetch(CHECKPOINT)).origin
    except NoteError as error:
        raise ContradictionError(f"the source's checkpoint is none: {error}") from error
    code = _folder_of(origin)

    def show(held: int, size: int) -> None:
        if on_progress is not None:
            on_progress(code, held, size)

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # how much a town records is its secret
    except OSError as error:
        raise SourceError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return code, fetch_log(source, LogFolder(folder / code), origin, show)


def _folder_of(origin: str) -> str:
    code = origin.rpartition("/")[2]
    if _CODE.fullmatch(code) is None:
        raise SourceError("the log's origin does not end in what a folder can be called")
    return code


def _admitted(log: LogFolder, size: int) -> list[str]:
    """Return the codes that the federation's own log admits, in order, each once."""
    admitted: dict[str, None] = {}
    try:
        for _, entry in log.entries(0, size):
            event = decode_event(entry)
            if isinstance(event, JurisdictionAdmitted):
                admitted[event.data.code] = None
    except (EventError, TileError) as error:
        raise ContradictionError(f"the federation's own log cannot be read: {error}") from error
    return list(admitted)
