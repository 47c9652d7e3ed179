"""Authenticated encryption of the vault: one data key a stream, wrapped by a key-encryption key outside PostgreSQL.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce before the ciphertext. A data key seals a few dozen values
and a key-encryption key wraps one value a stream, far below the 2^32 at which random nonces become a risk. The
associated data names the place of a value, so that whoever can write to the database cannot move one couple's
data under another certificate.
"""

import base64
import secrets
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from tomoni.secret_files import SecretFileError, read_secret, write_secret

KEY_BYTES = 32
NONCE_BYTES = 12
_DOMAIN = b"tomoni-vault-v1"


class SealError(Exception):
    """A sealed value does not open: another key, another place, or changed bytes."""


def new_key() -> bytes:
    """Return a random key of 256 bits."""
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, plaintext: bytes, *place: str) -> bytes:
    """Return nonce and ciphertext of a value that opens in its place only (table, stream, field, …)."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, _associated(place))


def unseal(key: bytes, sealed: bytes, *place: str) -> bytes:
    """Return the value; raise SealError where it does not open."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(place))
    except (InvalidTag, ValueError) as error:
        raise SealError("a sealed value does not open") from error


def _associated(place: tuple[str, ...]) -> bytes:
    return _DOMAIN + msgspec.json.encode(place)


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A data key under the key-encryption key of a generation."""

    generation: int
    wrapped: bytes


class _KeyringFile(msgspec.Struct, forbid_unknown_fields=True):
    current: int
    generations: Annotated[dict[int, bytes], Meta(min_length=1)]


class Keyring:
    """The key-encryption keys, by generation: new values are wrapped under the current one, older ones still open."""

    def __init__(self, current: int, generations: dict[int, bytes]) -> None:
        self._current = current
        self._generations = generations

    @classmethod
    def create(cls, path: Path) -> "Keyring":
        """Make a file with the first generation; raise FileExistsError where it is there."""
        generations = {1: new_key()}
        write_secret(path, msgspec.json.encode(_KeyringFile(current=1, generations=generations)) + b"\n")
        return cls(1, generations)

    @classmethod
    def load(cls, path: Path) -> "Keyring":
        """Return the keys of a file; raise SecretFileError where it is none."""
        try:
            file = msgspec.json.decode(read_secret(path), type=_KeyringFile)
        except msgspec.MsgspecError as error:
            raise SecretFileError(f"{path} is not a file of key-encryption keys") from error
        if file.current not in file.generations or any(len(key) != KEY_BYTES for key in file.generations.values()):
            raise SecretFileError(f"{path} lacks its current generation, or a key is not {KEY_BYTES} bytes long")
        return cls(file.current, file.generations)

    def wrap(self, key: bytes, *place: str) -> WrappedKey:
        """Return a data key under the current generation; it unwraps in its place only."""
        sealed = seal(self._generations[self._current], key, str(self._current), *place)
        return WrappedKey(generation=self._current, wrapped=sealed)

    def unwrap(self, wrapped: WrappedKey, *place: str) -> bytes:
        """Return the data key; raise SealError where its generation is gone or it is of another place."""
        key = self._generations.get(wrapped.generation)
        if key is None:
            raise SealError("the key-encryption key of this generation is not in the key file")
        return unseal(key, wrapped.wrapped, str(wrapped.generation), *place)


def load_key(path: Path) -> bytes:
    """Return a key of 256 bits kept in base64; raise SecretFileError where it is none."""
    try:
        key = base64.b64decode(read_secret(path).strip(), validate=True)
    except ValueError as error:
        if isinstance(error, SecretFileError):
            raise
        raise SecretFileError(f"{path} is not a key in base64") from error
    if len(key) != KEY_BYTES:
        raise SecretFileError(f"{path} is not a key of {KEY_BYTES} bytes")
    return key


def create_key(path: Path) -> None:
    """Make a file with a new key in base64; raise FileExistsError where it is there."""
    write_secret(path, base64.b64encode(new_key()) + b"\n")
