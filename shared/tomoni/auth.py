# pyright: reportUnknownMemberType=false
# The scope of a connection is an untyped dictionary.
"""Who may do what: OAuth 2.0 bearer tokens (JWT, RFC 9068 in manner), scopes, and the guard of each route.

Any OIDC provider's JWKS can be named in the settings; the embedded default issues its own tokens with an Ed25519 key.
Closed by default: a route that names no scope and is not marked public answers nobody.
"""

import hashlib
import os
import secrets
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from litestar.types import ASGIApp, HTTPScope, Middleware, Receive, Send
from litestar.types import Scope as ASGIScope

from tomoni import times
from tomoni.problems import Problem

Scope = Literal["clerk", "supervisor", "aggregator", "auditor", "witness", "secretariat", "verifier"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_ALGORITHM = "Ed25519"
"""What the embedded issuer signs with."""
_ACCEPTED = ("Ed25519", "ES256", "RS256")
"""What OpenID providers sign with, all of them with a private key; `none` and shared secrets are not among them."""
_TYPES = ("at+jwt", "application/at+jwt", "jwt")
"""What the header may call an access token, in small letters; where it says nothing it is a `JWT`."""
_LEEWAY = 60
"""Seconds by which clocks may differ."""
_REMEMBERED = 10_000
"""Tokens remembered as verified; a few hundred bytes each."""
_HEADERS = {"WWW-Authenticate": "Bearer"}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the token's subject, its scopes, and the jurisdiction or prefecture it is bound to."""

    subject: str
    scopes: frozenset[str]
    jurisdiction: str | None = None
    prefecture: str | None = None


class _Claims(msgspec.Struct, kw_only=True):
    iss: str
    sub: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    aud: str | list[str]
    exp: int
    nbf: int = 0
    scope: str = ""
    jurisdiction: str | None = None
    prefecture: str | None = None


class TokenIssuer:
    """The embedded issuer: one Ed25519 key in a file that only its owner reads."""

    def __init__(self, key_path: Path, issuer: str) -> None:
        """Open the key; raise OSError where the file cannot be read and JoseError where it is no key."""
        self.issuer = issuer
        self._key = OKPKey.import_key(msgspec.json.decode(key_path.read_bytes(), type=dict[str, Any]))

    @staticmethod
    def create(key_path: Path) -> None:
        """Make a key file; raise FileExistsError rather than replace one."""
        key = OKPKey.generate_key("Ed25519", {"kid": secrets.token_hex(8), "use": "sig", "alg": _ALGORITHM})
        descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(key.as_dict(private=True)))

    def issue(
        self,
        subject: str,
        scopes: Collection[Scope],
        audience: str,
        *,
        jurisdiction: str | None = None,
        prefecture: str | None = None,
        lifetime: timedelta = timedelta(hours=8),
    ) -> str:
        """Return a signed token for one audience."""
        issued_at = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": subject,
            "aud": audience,
            "iat": issued_at,
            "exp": issued_at + int(lifetime.total_seconds()),
            "jti": secrets.token_urlsafe(12),
            "scope": " ".join(sorted(scopes)),
        }
        bound = {"jurisdiction": jurisdiction, "prefecture": prefecture}
        claims |= {key: value for key, value in bound.items() if value is not None}
        header = {"alg": _ALGORITHM, "kid": self._key.kid, "typ": "at+jwt"}
        return jwt.encode(header, claims, self._key, algorithms=[_ALGORITHM], default_type=None)

    def jwks(self) -> bytes:
        """Return the public half as a JSON Web Key Set (RFC 7517 §5)."""
        return msgspec.json.encode({"keys": [self._key.as_dict(private=False)]})


class TokenVerifier:
    """Checks tokens of one issuer for one audience.

    The type `at+jwt` (RFC 9068 §4), which our own issuer sets, is not required: many OpenID providers call their access
    tokens `JWT`, or nothing. What says that it is something else (a logout token, a statement) is refused. An ID token,
    called `JWT` as well, is for its client and not for us, and names no scope, without which no route answers.
    """

    def __init__(self, jwks: bytes, issuer: str, audience: str) -> None:
        """Take the issuer's JSON Web Key Set; raise JoseError or msgspec errors where it is none."""
        self._keys = KeySet.import_key_set(msgspec.json.decode(jwks))
        self._issuer = issuer
        self._audience = audience
        self._verified: dict[bytes, tuple[Principal, int]] = {}

    def verify(self, token: str) -> Principal:
        """Return who asks; raise Problem `invalid-token` where anything about the token is not as it must be.

        A token that was verified is remembered by its hash, since the signature costs more than the rest of a
        request; its expiry is looked at each time.
        """
        known = hashlib.sha256(token.encode()).digest()
        found = self._verified.get(known)
        if found is None:
            found = self._verify(token)
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[known] = found
        principal, expires = found
        if expires + _LEEWAY < times.now().timestamp():
            raise _invalid("The token has expired. Get a new token.")
        return principal

    def _verify(self, token: str) -> tuple[Principal, int]:
        try:
            decoded = jwt.decode(token, self._keys, algorithms=_ACCEPTED)
            claims = msgspec.convert(decoded.claims, _Claims)
        except (JoseError, ValueError, TypeError, msgspec.MsgspecError) as error:  # joserfc iterates over `crit`
            raise _invalid("The token's signature or form is not valid. Get a new token.") from error
        if str(decoded.header.get("typ", "JWT")).lower() not in _TYPES:
            raise _invalid("The token is of another type than an access token. Get a token for this service.")
        if claims.iss != self._issuer or self._audience not in (
            [claims.aud] if isinstance(claims.aud, str) else claims.aud
        ):
            raise _invalid("The token was issued by or for somebody else. Get a token for this service.")
        if claims.nbf - _LEEWAY > times.now().timestamp():
            raise _invalid("The token is not valid yet. Look at the clocks, or wait.")
        principal = Principal(
            subject=claims.sub,
            scopes=frozenset(claims.scope.split()) & frozenset(SCOPES),
            jurisdiction=claims.jurisdiction,
            prefecture=claims.prefecture,
        )
        return principal, claims.exp


def _invalid(detail: str) -> Problem:
    return Problem("invalid-token", detail, headers=_HEADERS)


class Requirement(msgspec.Struct, frozen=True):
    """Whom a route answers: one of the scopes, and a token bound to the jurisdiction where one is given."""

    scopes: frozenset[str]
    jurisdiction: str | None = None

    def admit(self, principal: Principal) -> None:
        """Raise Problem `forbidden` where the principal is not one of those."""
        if not principal.scopes & self.scopes:
            raise Problem("forbidden", f"This route needs one of the scopes: {', '.join(sorted(self.scopes))}.")
        if self.jurisdiction is not None and principal.jurisdiction != self.jurisdiction:
            raise Problem("forbidden", "The token belongs to another town. Use a token of this one.")


PUBLIC: Mapping[str, object] = {"public": True}
"""The `opt` of a route that answers anybody. It reads no token, so that a stale one does no harm."""


def requires(*scopes: Scope, jurisdiction: str | None = None) -> dict[str, object]:
    """Return the `opt` of a route that answers tokens of one of the scopes, of this jurisdiction where one is given."""
    return {"requires": Requirement(frozenset(scopes), jurisdiction)}


def requirement_of(opt: Mapping[str, object]) -> Requirement | None:
    """Return what a route's `opt` requires; None where it is public, or forgotten."""
    found = opt.get("requires")
    return found if isinstance(found, Requirement) else None


def bearer_middleware(verifier: TokenVerifier) -> Middleware:
    """Return the middleware that reads bearer tokens and holds each route to what its `opt` says.

    One plain function before the route, and no guards of the framework: those copy the route's handler at each
    request, which costs as much as verifying the token (docs/decisions/0046).
    """

    def wrap(app: ASGIApp) -> ASGIApp:
        async def guarded(scope: ASGIScope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope["user"] = _admitted(scope, verifier)
            await app(scope, receive, send)

        return guarded

    return wrap


def _admitted(scope: HTTPScope, verifier: TokenVerifier) -> Principal | None:
    """Return who asks, None on a public route; raise Problem where the route does not answer them."""
    opt = scope["route_handler"].opt
    if opt.get("public"):
        return None
    principal = verifier.verify(_token(scope))
    requirement = requirement_of(opt)
    if requirement is None:
        raise Problem("forbidden", "This route names nobody who may use it. Tell the operator.")
    requirement.admit(principal)
    return principal


def _token(scope: HTTPScope) -> str:
    header = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    if header is None:
        raise _invalid("This route needs a token: send `Authorization: Bearer <token>`.")
    kind, _, token = header.decode("latin-1").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise _invalid("Send the token as `Authorization: Bearer <token>`.")
    return token.strip()
