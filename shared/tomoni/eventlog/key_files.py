"""The keys that sign a log: files of a folder, valid by size of the tree as the log's own entries say.

    log-1.key             of the admission: it signs from the empty log on
    log-2.key             the log was rotated to it; an entry of the log says from which position on
    log-3.from-870.key    of a readmission: the log goes on from size 870 with it, and with those announced after that

A key that was lost or stolen has no successor that it could sign for. With the key of a readmission a new row of keys
begins: what keys of lower numbers signed counts for nothing, unless an entry after that size names them.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tomoni.eventlog.reader import EventReader
from tomoni.events import decode_event
from tomoni.events.jurisdiction import KeyRotated
from tomoni.secret_files import SecretFileError, read_secret, write_secret
from tomoni.tlog.keys import NoteError
from tomoni.tlog.note import Signer, Verifier, generate_signer
from tomoni.tlog.succession import Key, keys_for

SUBJECT: Final = "key"
"""The stream of a log's own keys."""

_NAME: Final = re.compile(r"log-([1-9][0-9]{0,8})(?:\.from-([0-9]{1,16}))?\.key")


class _File(NamedTuple):
    number: int
    from_size: int | None
    path: Path


class LogKeyFiles:
    """The log's keys, for the publisher of its checkpoints (`tomoni.eventlog.LogKeys`)."""

    def __init__(self, folder: Path, reader: EventReader) -> None:
        """Open a folder of keys; raise SecretFileError where the one of the admission is missing or any is none."""
        self._folder = folder
        self._reader = reader
        first = _first_of(_listed(folder), folder)
        self._number = first.number
        self._first = Key(first.from_size or 0, _load(first.path).vkey)
        self._known = self._load_all()

    async def signers(self, after: int, size: int) -> Sequence[Signer]:
        """Return who signs the checkpoint of a size, the next after another: after a rotation the old and new key."""
        keys = await self.named()
        between = [key for key in keys if after < key.from_size <= size]
        return [self.signer(key.log_key) for key in (*keys_for(keys, after), *between)]

    async def verifiers(self, size: int) -> Sequence[Verifier]:
        """Return who can have signed a checkpoint of a size: the key valid there, and those not named in the log.

        The folder holds a key that no entry names when a rotation came to nothing, and then it never signed; or when
        the database is an old backup, and then it tells by its signatures that the log was longer once.
        """
        keys = await self.named()
        named = {key.log_key for key in keys}
        counting = (signer for number, signer in self._known.values() if number >= self._number)
        unnamed = [signer.verifier for signer in counting if signer.vkey not in named]
        return [*(Verifier.parse(key.log_key) for key in keys_for(keys, size)), *unnamed]

    async def current(self) -> str:
        """Return the verifier key of the key that signs from the committed head on."""
        return (await self.named())[-1].log_key

    async def named(self) -> list[Key]:
        """Return the key of the last admission and those the log was rotated to since, oldest first."""
        entries = [entry for entry in await self._reader.stream(SUBJECT) if entry.position >= self._first.from_size]
        events = [(entry.position, decode_event(entry.data)) for entry in entries]
        rotated = [Key(position + 1, event.data.log_key) for position, event in events if isinstance(event, KeyRotated)]
        return [self._first, *rotated]

    def can_sign(self, vkey: str) -> bool:
        """Tell whether the folder holds the private half of a key."""
        return vkey in self._known

    def add(self, name: str) -> "NewKey":
        """Return a new key of a log's name, not yet kept."""
        return new_key(self._folder, name)

    def signer(self, vkey: str) -> Signer:
        """Return the private half of a key; raise SecretFileError where the folder does not hold it."""
        if vkey not in self._known:
            self._known = self._load_all()
        if vkey not in self._known:
            raise SecretFileError("the key that the log was rotated to is not in the folder of keys: bring it back")
        return self._known[vkey][1]

    def _load_all(self) -> dict[str, tuple[int, Signer]]:
        """Return the keys of all files with the files' numbers, by their verifier keys."""
        keys = [(file.number, _load(file.path)) for file in _listed(self._folder)]
        return {signer.vkey: (number, signer) for number, signer in keys}


class NewKey:
    """A key made for a rotation; it is on the disk before the log names it, or the log could lose its voice."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self._path = path
        self.signer = signer

    @property
    def vkey(self) -> str:
        """The verifier key."""
        return self.signer.vkey

    def keep(self) -> None:
        """Write the key's file; one that the log never comes to name does no harm."""
        write_secret(self._path, self.signer.to_text().encode() + b"\n")


def new_key(folder: Path, name: str, from_size: int | None = None) -> NewKey:
    """Return a new key of a log's name, not yet kept: the next one, or one with which it is readmitted from a size."""
    number = max((file.number for file in _listed(folder)), default=0) + 1
    suffix = "" if from_size is None else f".from-{from_size}"
    return NewKey(folder / f"log-{number}{suffix}.key", generate_signer(name))


def held_keys(folder: Path) -> set[str]:
    """Return the verifier keys of all files in a folder; raise SecretFileError where one holds no key."""
    return {_load(file.path).vkey for file in _listed(folder)}


def _first_of(files: Sequence[_File], folder: Path) -> _File:
    """Return the file of the last admission; raise SecretFileError where it is missing."""
    for file in reversed(files):
        if file.from_size is not None or file.number == 1:
            return file
    raise SecretFileError(f"{folder / 'log-1.key'} cannot be read: bring it back, or ask for readmission with new keys")


def _listed(folder: Path) -> list[_File]:
    """Return the files of log keys in a folder, by number."""
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.glob("log-*.key"))
    files = [_File(int(name[1]), None if name[2] is None else int(name[2]), path) for path, name in found if name]
    return sorted(files)


def _load(path: Path) -> Signer:
    try:
        return Signer.parse(read_secret(path).decode("ascii").strip())
    except (NoteError, UnicodeDecodeError) as error:
        raise SecretFileError(f"{path} holds no key of a log (C2SP signed-note)") from error
