"""Authenticated encryption of the vault: one data key a stream, wrapped by a key-encryption key outside PostgreSQL.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce before the ciphertext. A data key seals a few dozen values
and a key-encryption key wraps one value a stream, far below the 2^32 at which random nonces become a risk. The
associated data names the place of a value, so that whoever can write to the database cannot move one couple's
data under another certificate.
"""

import base64
import secrets
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
