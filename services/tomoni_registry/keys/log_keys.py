"""The keys that sign the log: files of a folder, valid by size of the tree as the log's own entries say."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tomoni.eventlog import EventReader
from tomoni.events import decode_event
from tomoni.events.jurisdiction import KeyRotated
from tomoni.secret_files import SecretFileError, read_secret, write_secret
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Signer, Verifier, generate_signer
from tomoni_registry.keys.decider import SUBJECT

_PATTERN = "log-*.key"
FIRST = "log-1.key"
"""The key of the admission; what follows it is written in the log."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of keys: the entry's position, and the verifier key from there on."""

    position: int
    vkey: str


class LogKeyFiles:
    """The log's keys, for the publisher of its checkpoints (`tomoni.eventlog.LogKeys`)."""

    def __init__(self, folder: Path, reader: EventReader) -> None:
        """Open a folder of keys; raise SecretFileError where the first one is missing or any is none."""
        self._folder = folder
        self._reader = reader
        self._first = _load(folder / FIRST)
        self._known = self._load_all()

    async def signers(self, after: int, size: int) -> Sequence[Signer]:
        """Return who signs the checkpoint of a size, the next after another: after a rotation the old and new key."""
        rotations = await self._rotations()
        before = [one.vkey for one in rotations if one.position < after]
        between = [one.vkey for one in rotations if after <= one.position < size]
        return [self._signer(vkey) for vkey in (before[-1] if before else self._first.vkey, *between)]

    async def verifiers(self) -> Sequence[Verifier]:
        """Return every key this log has ever signed with."""
        rotations = await self._rotations()
        return [self._first.verifier, *(Verifier.parse(one.vkey) for one in rotations)]

    async def current(self) -> str:
        """Return the verifier key of the key that signs from the committed head on."""
        rotations = await self._rotations()
        return rotations[-1].vkey if rotations else self._first.vkey

    def add(self, name: str) -> "NewKey":
        """Return a new key of a log's name, not yet kept."""
        numbers = [int(path.stem.partition("-")[2]) for path in self._folder.glob(_PATTERN)]
        return NewKey(self._folder / f"log-{max(numbers) + 1}.key", generate_signer(name))

    async def _rotations(self) -> list[Rotation]:
        events = [(entry.position, decode_event(entry.data)) for entry in await self._reader.stream(SUBJECT)]
        return [Rotation(position, event.data.log_key) for position, event in events if isinstance(event, KeyRotated)]

    def _signer(self, vkey: str) -> Signer:
        if vkey not in self._known:
            self._known = self._load_all()
        if vkey not in self._known:
            raise SecretFileError("the key that the log was rotated to is not in the folder of keys: bring it back")
        return self._known[vkey]

    def _load_all(self) -> dict[str, Signer]:
        return {signer.vkey: signer for signer in map(_load, sorted(self._folder.glob(_PATTERN)))}


class NewKey:
    """A key made for a rotation; it is on the disk before the log names it, or the log could lose its voice."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self._path = path
        self._signer = signer

    @property
    def vkey(self) -> str:
        """The verifier key."""
        return self._signer.vkey

    def keep(self) -> None:
        """Write the key's file; one that the log never comes to name does no harm."""
        write_secret(self._path, self._signer.to_text().encode() + b"\n")


def _load(path: Path) -> Signer:
    try:
        return Signer.parse(read_secret(path).decode("ascii").strip())
    except (NoteError, UnicodeDecodeError) as error:
        raise SecretFileError(f"{path} holds no key of a log (C2SP signed-note)") from error
