"""The key-encryption keys: one file for each generation, whose name says what has become of it.

    vault-2.next                   made and on the disk, not used yet
    vault-2.key                    in use: data keys are wrapped under the highest of these
    vault-1.retired-2026-11-28     replaced on that day: backups of the database may still need it
    vault-1.destroyed-2026-12-28   overwritten and empty: what it wrapped is lost, and known to be lost

Each step of a key's life is one renaming, done or not done after a crash. The empty file of a destroyed key stays, so
that a key that is missing by mistake is never taken for one that was destroyed. A key is on the disk under its first
name before anybody wraps under it: whichever name a power cut leaves, what it wraps opens.
"""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, cast

from tomoni.secret_files import SecretFileError, sync_folder
from tomoni_registry.vault.sealing import SealError, WrappedKey, create_key, load_key, seal, unseal

KeyState = Literal["next", "key", "retired", "destroyed"]

_NAME: Final = re.compile(r"vault-([1-9][0-9]{0,8})\.(?:(next|key)|(retired|destroyed)-([0-9]{4}-[0-9]{2}-[0-9]{2}))")
_LOOKS: Final = 5
"""Times a folder is listed again: while a file gets its next name, a listing may show it twice or not at all."""


@dataclass(frozen=True, kw_only=True)
class KeyFile:
    """The file of one generation; `since` is the day of a retired or destroyed one."""

    path: Path
    generation: int
    state: KeyState
    since: date | None = None

    def become(self, state: Literal["key", "retired", "destroyed"], today: date) -> "KeyFile":
        """Give the file the name of another state and return it, once the name is on the disk."""
        suffix = state if state == "key" else f"{state}-{today}"
        path = self.path.with_name(f"vault-{self.generation}.{suffix}")
        self.path.rename(path)
        sync_folder(path.parent)
        return KeyFile(path=path, generation=self.generation, state=state, since=None if state == "key" else today)

    def overwrite(self) -> None:
        """Write over what the file holds, then cut it to nothing, and wait for the disk each time."""
        with self.path.open("r+b", buffering=0) as file:
            file.write(secrets.token_bytes(os.fstat(file.fileno()).st_size))
            os.fsync(file.fileno())
            file.truncate(0)
            os.fsync(file.fileno())


def make_next(folder: Path, generation: int) -> KeyFile:
    """Make the key of a generation that is not used yet; raise FileExistsError where it is there."""
    path = folder / f"vault-{generation}.next"
    create_key(path)
    return KeyFile(path=path, generation=generation, state="next")


def list_keys(folder: Path) -> dict[int, KeyFile]:
    """Return the key files of a folder by generation.

    Raises SecretFileError where a generation has two files: a copy of a destroyed key may have come back.
    """
    for _ in range(_LOOKS):
        files = [_key_file(path, found) for path in folder.iterdir() if (found := _NAME.fullmatch(path.name))]
        by_generation = {file.generation: file for file in files}
        if len(by_generation) == len(files):
            return by_generation
    raise SecretFileError(f"{folder} holds two files of one generation of the vault's key: take away the copied one")


def _key_file(path: Path, found: re.Match[str]) -> KeyFile:
    generation, plain, ending, day = found.groups()
    try:
        since = None if day is None else date.fromisoformat(day)
    except ValueError as error:
        raise SecretFileError(f"{path} names a day that does not exist") from error
    return KeyFile(path=path, generation=int(generation), state=cast("KeyState", plain or ending), since=since)


class Keyring:
    """The key-encryption keys of a folder, which is looked at each time: another process may rotate them meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Open the keys of a folder; raise SecretFileError where one cannot be read or none is in use."""
        self.folder = folder
        self._files: Mapping[int, KeyFile] = {}
        self._keys: dict[int, bytes] = {}
        self._look()

    @classmethod
    def create(cls, folder: Path) -> "Keyring":
        """Make the key of the first generation in a folder; raise FileExistsError where it is there."""
        create_key(folder / "vault-1.key")
        return cls(folder)

    @property
    def current(self) -> int:
        """The generation that new values are wrapped under."""
        self._look()
        return max(file.generation for file in self._files.values() if file.state == "key")

    def generations(self, *states: KeyState) -> set[int]:
        """Return the generations in one of some states."""
        self._look()
        return {file.generation for file in self._files.values() if file.state in states}

    def wrap(self, key: bytes, *place: str) -> WrappedKey:
        """Return a data key under the current generation; it unwraps in its place only."""
        current = self.current
        return WrappedKey(generation=current, wrapped=self.wrap_under(current, key, *place))

    def wrap_under(self, generation: int, key: bytes, *place: str) -> bytes:
        """Return a data key wrapped under a generation that is in use."""
        return seal(self._keys[generation], key, str(generation), *place)

    def unwrap(self, wrapped: WrappedKey, *place: str) -> bytes:
        """Return the data key; raise SealError where its generation is gone or it is of another place."""
        self._look()
        key = self._keys.get(wrapped.generation)
        if key is None:
            raise SealError("the key-encryption key of this generation is not in the keys folder")
        return unseal(key, wrapped.wrapped, str(wrapped.generation), *place)

    def _look(self) -> None:
        """Open what is new in the folder, and forget the keys that were destroyed."""
        for look in range(1, _LOOKS + 1):
            files = list_keys(self.folder)
            if files == self._files:
                return
            try:
                self._keys = {
                    file.generation: self._keys.get(file.generation) or load_key(file.path)
                    for file in files.values()
                    if file.state != "destroyed"
                }
            except SecretFileError:
                if look == _LOOKS:  # else it may have got another name since it was listed
                    raise
                continue
            if any(file.state == "key" for file in files.values()):
                self._files = files
                return
        raise SecretFileError(f"{self.folder} holds no vault-….key: put it back from the backup of that folder")
