# pyright: reportUnknownMemberType=false
# joserfc leaves the types of its headers open.
"""Signed statements: an answer of a federation that a counter files and anybody checks, without asking anybody.

A statement is a JSON Web Signature in its compact form (RFC 7515), by Ed25519 (RFC 8032, RFC 9864), over the claims
of a JSON Web Token (RFC 7519). It says what was asked and what was answered. It names a document by its hash and never
holds a handle: whoever has the document can prove that it is meant, and a filed statement opens nothing.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from tomoni.documents import document_hash

TYPE: Final = "tomoni-statement+jwt"
"""The `typ` of the header: no other token of anybody passes for a statement, and no statement for another token."""
ALGORITHM: Final = "Ed25519"
MOST_BYTES: Final = 65_536
_LEEWAY: Final = 60
"""Seconds by which clocks may differ."""


class StatementError(ValueError):
    """A statement does not hold, or is not about this document. The text says why and repeats nothing of either."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked; receiver and service where it was about recognition."""

    issuer: str
    document: str
    """The hash that names the document in events, 64 hex digits."""
    purpose: str
    on: date
    receiver: str | None = None
    service: str | None = None
    as_known_at: datetime | None = None
    """Where it was asked what was known at an earlier time: that time."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What a federation said; times are seconds since 1970."""

    iss: str
    """The federation's name."""
    iat: int
    """When it was said."""
    exp: int
    """When it is too old for the purpose that was named."""
    asked: Asked
    answer: dict[str, object]
    """As the service answers the same question without a signature."""


class StatementSigner:
    """Signs statements with the newest of a federation's keys and publishes the public halves of all."""

    def __init__(self, federation: str, keys: Sequence[OKPKey]) -> None:
        """Take the keys, oldest first; the last has a private half. Raise ValueError where there is none."""
        if not keys or not keys[-1].is_private:
            raise ValueError("the newest statement key has no private half")
        self.federation = federation
        self._key = keys[-1]
        public = [key.as_dict(private=False) for key in reversed(keys)]
        self.jwks: Final = msgspec.json.encode({"keys": public})
        """The JSON Web Key Set (RFC 7517 §5), newest first."""

    def sign(self, asked: Asked, answer: dict[str, object], *, at: datetime, until: datetime) -> bytes:
        """Return a statement."""
        statement = Statement(
            iss=self.federation, iat=int(at.timestamp()), exp=int(until.timestamp()), asked=asked, answer=answer
        )
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._key.kid}
        return jws.serialize_compact(header, msgspec.json.encode(statement), self._key, [ALGORITHM]).encode()


def generate_key() -> OKPKey:
    """Return a new signing key, named by its thumbprint (RFC 7638)."""
    key = OKPKey.generate_key(ALGORITHM)
    return OKPKey.import_key({**key.as_dict(private=True), "kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM})


def verify(text: bytes, jwks: bytes, at: datetime) -> Statement:
    """Return what a statement says, if one of the keys has signed it and it counts at an instant.

    Whose keys they are is for the caller to know: they say who speaks. Raises StatementError.
    """
    statement = read_signed(text, jwks)
    seconds = at.timestamp()
    if statement.iat - _LEEWAY > seconds:
        raise StatementError("it is dated in the future: look at the clocks")
    if seconds > statement.exp + _LEEWAY:
        raise StatementError("it has run out: it tells what was answered then, not what holds now; ask again")
    return statement


def read_signed(text: bytes, jwks: bytes) -> Statement:
    """Return what a statement says, if one of the keys has signed it, whenever it counted; raise StatementError."""
    return _statement(_signed_payload(text, _key_set(jwks)))


def require_about(statement: Statement, issuer: str, handle: str) -> None:
    """Raise StatementError where a statement is about another document, HandleError where the handle is mistyped."""
    if statement.asked.issuer != issuer or statement.asked.document != document_hash(issuer, handle):
        raise StatementError("it is about another document than this one")


def _statement(payload: bytes) -> Statement:
    """Return the statement of a payload; raise StatementError where it is none."""
    try:
        return msgspec.json.decode(payload, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StatementError("it does not have the form of a statement") from None


def _key_set(jwks: bytes) -> KeySet:
    try:
        return KeySet.import_key_set(msgspec.json.decode(jwks))
    except (JoseError, msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError):
        raise StatementError("the keys are no key set (JWKS)") from None


def _signed_payload(text: bytes, keys: KeySet) -> bytes:
    try:
        header = jws.extract_compact(text).headers()
        if header.get("alg") != ALGORITHM or header.get("typ") != TYPE:
            raise StatementError("it is no statement: its header says something else")
        if header.get("kid") not in {key.kid for key in keys.keys}:
            raise StatementError("the key that it names is none of these: get the key set anew, or it is not theirs")
        return jws.deserialize_compact(text, keys, [ALGORITHM]).payload
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, StatementError):
            raise
        raise StatementError("the signature does not hold: it was changed, or another key made it") from None
