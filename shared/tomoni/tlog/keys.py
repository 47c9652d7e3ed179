"""Keys of signed notes: a name, a signature type and an Ed25519 key (C2SP signed-note, "Signatures", "Verifier keys").

The text forms are those of the C2SP specification (`name+hash+key`) and of Go's note package for private keys
(`PRIVATE+KEY+name+hash+key`).
"""

import re
from hashlib import sha256
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tomoni.tlog.encoding import decode_base64, encode_base64

KEY_SIZE = 32
"""Bytes of an Ed25519 public key, and of the seed of a private one (RFC 8032 §5.1.5)."""

SIGNATURE_SIZE = 64
"""Bytes of an Ed25519 signature (RFC 8032 §5.1.6)."""

_PRIVATE_PREFIX = "PRIVATE+KEY+"
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_FIELD = 2**255 - 19
_ORDER_EIGHT = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_WEAK = {0, 1, _FIELD - 1, _ORDER_EIGHT, _FIELD - _ORDER_EIGHT}
"""The y of the points of order 1, 2, 4 and 8: under such a key anybody can sign, so it proves nothing."""


class NoteError(ValueError):
    """A note, or a key of notes, is malformed, or its signatures are not what they should be."""


def check_name(name: str) -> str:
    """Return the name of a key; raise NoteError when it is empty or has Unicode spaces, `+` or control characters."""
    if not name or "+" in name or any(map(_is_forbidden, name)):
        raise NoteError("the name of a key is not empty and has no spaces, no plus sign and no control characters")
    return name


def make_key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """Return the four bytes SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4] (C2SP signed-note, "Signatures")."""
    return sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:4]


class PublicKey:
    """The public half: a name, a type and 32 bytes. `key_type` is the signature type byte of the subclass."""

    key_type: ClassVar[int]

    def __init__(self, name: str, public_key: bytes) -> None:
        self.name = check_name(name)
        self.public_key = public_key
        _check_point(public_key)
        self._key = Ed25519PublicKey.from_public_bytes(public_key)
        self.key_id = make_key_id(name, self.key_type, public_key)

    @classmethod
    def parse(cls, vkey: str) -> Self:
        """Return the key of a verifier key text, `name+hash+base64(type ‖ key)`; raise NoteError when it is not one.

        The type must be this class's and the hash must be that of the name and key.
        """
        name, key_id, data = _parse_key(vkey, cls.key_type)
        key = cls(name, data)
        if key.key_id != key_id:
            raise NoteError("the hash in the verifier key is not that of its name and key")
        return key

    @property
    def vkey(self) -> str:
        """The text of the verifier key, `name+hash+base64(type ‖ key)` (C2SP signed-note, "Verifier keys")."""
        return _format_key(self.name, self.key_id, self.key_type, self.public_key)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Tell whether 64 bytes are this key's Ed25519 signature over exactly the message (RFC 8032 §5.1.7)."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        """Keys are equal when name, type and bytes are."""
        return isinstance(other, PublicKey) and self.vkey == other.vkey

    def __hash__(self) -> int:
        return hash(self.vkey)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vkey!r})"


class PrivateKey:
    """The private half: a name, a type and an Ed25519 seed of 32 bytes, which `repr` never shows."""

    key_type: ClassVar[int]

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != KEY_SIZE:
            raise NoteError("a private key is 32 bytes long")
        self.name = check_name(name)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = make_key_id(name, self.key_type, self.public_key)

    @classmethod
    def generate(cls, name: str) -> Self:
        """Return a new random key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of a text of `to_text`; raise NoteError, without a word of the text, when it is not one."""
        if not text.startswith(_PRIVATE_PREFIX):
            raise NoteError("the text of a private key begins with PRIVATE+KEY+")
        name, key_id, seed = _parse_key(text.removeprefix(_PRIVATE_PREFIX), cls.key_type)
        key = cls(name, seed)
        if key.key_id != key_id:
            raise NoteError("the hash in the private key is not that of its name and key")
        return key

    def to_text(self) -> str:
        """Return the secret text `PRIVATE+KEY+name+hash+base64(type ‖ seed)`, as Go's note package writes it."""
        return _PRIVATE_PREFIX + _format_key(self.name, self.key_id, self.key_type, self._key.private_bytes_raw())

    @property
    def vkey(self) -> str:
        """The text of the verifier key, `name+hash+base64(type ‖ key)` (C2SP signed-note, "Verifier keys")."""
        return _format_key(self.name, self.key_id, self.key_type, self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature over exactly the message (RFC 8032 §5.1.6)."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def key_type_of(vkey: str) -> int:
    """Return the signature type of a verifier key text, whatever the type; raise NoteError when the text is not one."""
    return _split_key(vkey)[2]


def _is_forbidden(character: str) -> bool:
    return character.isspace() or character < " " or "\ud800" <= character <= "\udfff"


def _split_key(text: str) -> tuple[str, bytes, int, bytes]:
    parts = text.split("+", 2)  # base64 has plus signs too, names have none
    if len(parts) != 3 or _KEY_ID.fullmatch(parts[1]) is None:
        raise NoteError("the text of a key is name+hash+key, the hash in eight lower-case hex digits")
    try:
        data = decode_base64(parts[2])
    except ValueError as error:
        raise NoteError("the last part of the key is not canonical base64") from error
    if not data:
        raise NoteError("the last part of the key is empty")
    return check_name(parts[0]), bytes.fromhex(parts[1]), data[0], data[1:]


def _parse_key(text: str, key_type: int) -> tuple[str, bytes, bytes]:
    name, key_id, found, data = _split_key(text)
    if found != key_type:
        raise NoteError(f"the key is of signature type {found:#04x}, where {key_type:#04x} is needed")
    return name, key_id, data


def _format_key(name: str, key_id: bytes, key_type: int, data: bytes) -> str:
    return f"{name}+{key_id.hex()}+{encode_base64(bytes([key_type]) + data)}"


def _check_point(public_key: bytes) -> None:
    """Refuse keys that are no canonical encoding (RFC 8032 §5.1.3) and those under which anybody can sign."""
    if len(public_key) != KEY_SIZE:
        raise NoteError("an Ed25519 public key is 32 bytes long")
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    if y >= _FIELD or y in _WEAK:
        raise NoteError("the public key is not a usable point of the curve")
