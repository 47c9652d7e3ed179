# pyright: reportUnknownMemberType=false
# nkeys has no annotations.
"""User nkeys, the transport keys of NATS: an Ed25519 key with a prefix and a checksum in base32."""

import base64
import binascii
import secrets
from typing import cast

import nkeys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_USER_KEY_BYTES = 35


class NkeyError(ValueError):
    """A text is no user nkey."""


def generate_seed() -> str:
    """Return the secret seed (`SU…`) of a new user nkey."""
    return nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER).decode("ascii")


def public_nkey(seed: str) -> str:
    """Return the public nkey (`U…`) of a seed; raise NkeyError where it is none."""
    return cast("bytes", _pair(seed).public_key).decode("ascii")


def sign(seed: str, message: bytes) -> bytes:
    """Return the raw Ed25519 signature of a message by a seed's key."""
    return _pair(seed).sign(message)


def verify(nkey: str, message: bytes, signature: bytes) -> bool:
    """Tell whether a public nkey's holder signed a message; raise NkeyError where the text is no user nkey."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key_bytes(nkey)).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def public_key_bytes(nkey: str) -> bytes:
    """Return the raw 32 bytes of a public user nkey; raise NkeyError where prefix or checksum is wrong."""
    try:
        raw = base64.b32decode(nkey.encode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise NkeyError("not an nkey") from error
    if len(raw) != _USER_KEY_BYTES or raw[0] != nkeys.PREFIX_BYTE_USER:
        raise NkeyError("not a user nkey: those start with U")
    if nkeys.crc16(bytearray(raw[:33])).to_bytes(2, "little") != raw[33:]:
        raise NkeyError("mistyped: the checksum does not match")
    return raw[1:33]


def _pair(seed: str) -> nkeys.KeyPair:
    try:
        return nkeys.from_seed(bytearray(seed.strip().encode("ascii")))
    except (nkeys.ErrInvalidSeed, nkeys.ErrInvalidPrefixByte, ValueError) as error:
        raise NkeyError("not the seed of an nkey") from error
