"""The keys that sign the log: files of a folder, valid by size of the tree as the log's own entries say."""

from collections.abc import Sequence
from pathlib import Path

from tomoni.eventlog import EventReader
from tomoni.events import decode_event
from tomoni.events.jurisdiction import KeyRotated
from tomoni.secret_files import SecretFileError, read_secret, write_secret
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Signer, Verifier, generate_signer
from tomoni.tlog.succession import Key, keys_for
from tomoni_registry.keys.decider import SUBJECT

_PATTERN = "log-*.key"
FIRST = "log-1.key"
"""The key of the admission; what follows it is written in the log."""


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
        keys = await self.named()
        between = [key for key in keys if after < key.from_size <= size]
        return [self._signer(key.log_key) for key in (*keys_for(keys, after), *between)]

    async def verifiers(self, size: int) -> Sequence[Verifier]:
        """Return who can have signed a checkpoint of a size: the key valid there, and those not named in the log.

        The folder holds a key that no entry names when a rotation came to nothing, and then it never signed; or when
        the database is an old backup, and then it tells by its signatures that the log was longer once.
        """
        keys = await self.named()
        named = {key.log_key for key in keys}
        unnamed = [signer.verifier for vkey, signer in self._known.items() if vkey not in named]
        return [*(Verifier.parse(key.log_key) for key in keys_for(keys, size)), *unnamed]

    async def current(self) -> str:
        """Return the verifier key of the key that signs from the committed head on."""
        return (await self.named())[-1].log_key

    async def named(self) -> list[Key]:
        """Return the key of the admission and those the log was rotated to, oldest first."""
        events = [(entry.position, decode_event(entry.data)) for entry in await self._reader.stream(SUBJECT)]
        rotated = [Key(position + 1, event.data.log_key) for position, event in events if isinstance(event, KeyRotated)]
        return [Key(0, self._first.vkey), *rotated]

    def can_sign(self, vkey: str) -> bool:
        """Tell whether the folder holds the private half of a key."""
        return vkey in self._known

    def add(self, name: str) -> "NewKey":
        """Return a new key of a log's name, not yet kept."""
        numbers = [int(path.stem.partition("-")[2]) for path in self._folder.glob(_PATTERN)]
        return NewKey(self._folder / f"log-{max(numbers) + 1}.key", generate_signer(name))

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
