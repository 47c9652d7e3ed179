"""Answers as signed statements (`Accept: application/jose`), and `GET /v1/statements/keys`, which verifies them."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from tomoni.auth import PUBLIC, Principal
from tomoni.documentation import Spoken, answered
from tomoni.media import JOSE
from tomoni.statements import Asked, StatementSigner
from tomoni.times import day_in_japan, midnight_in_japan
from tomoni_federation.interface import Answering

KEPT: Final = "public, max-age=3600"
"""A new key signs from a restart on; who meets a key that is not in the set gets the set anew."""

STATEMENT: Final = Spoken(media_type=JOSE, answer="eyJhbGciOiJFZDI1NTE5IiwidHlwIjoidG9tb25pLXN0YXRlbWVudCtqd3QifQ.eyJ…")


class PublicKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key (RFC 8037 §2)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class PublicKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of statements as a JSON Web Key Set, newest first; what was filed long ago verifies by the others."""

    keys: tuple[PublicKey, ...]


KEYS: Final = PublicKeys(
    keys=(
        PublicKey(
            kty="OKP",
            crv="Ed25519",
            x="11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            kid="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            use="sig",
            alg="Ed25519",
        ),
    )
)
"""The key of RFC 8037, appendix A."""


def statement_routes(signer: StatementSigner) -> HTTPRouteHandler:
    """Return the route of the keys."""

    @get("/v1/statements/keys", tags=["answers"], opt=PUBLIC, responses=answered(200, PublicKeys, KEYS))
    async def statement_keys() -> Response[bytes]:
        """Give the keys by which signed statements are checked; public, and to be kept for an hour."""
        return Response(signer.jwks, media_type="application/json", headers={"Cache-Control": KEPT})

    return statement_keys


def signed(
    answering: Answering,
    asked: Asked,
    answer: msgspec.Struct,
    *,
    rests_on: Iterable[datetime | None],
    now: datetime,
) -> Response[bytes]:
    """Return an answer as a statement; `rests_on` says as of when the logs behind it were known."""
    until = expiry(rests_on, answering.max_age(asked.purpose), now, asked.on)
    text = answering.statements.sign(asked, msgspec.to_builtins(answer), at=now, until=until)
    return Response(text, status_code=200, media_type=JOSE, headers={"Cache-Control": "no-store"})


def as_verifier(principal: Principal) -> Principal:
    """Return somebody who sees no more than a verifier: a statement is handed on to others."""
    if "auditor" not in principal.scopes:
        return principal
    return msgspec.structs.replace(principal, scopes=principal.scopes - {"auditor"} | {"verifier"})


def expiry(rests_on: Iterable[datetime | None], max_age: timedelta, now: datetime, on: date) -> datetime:
    """Return when the first of the logs behind an answer will be too old for its purpose, or today is over in Japan.

    Those that are so already have decided nothing but that it is unknown, which may be said as long as anything. What
    was said of today is not said of tomorrow: an end that is recorded may begin then.
    """
    ends = (fresh + max_age for fresh in rests_on if fresh is not None)
    until = min((end for end in ends if end > now), default=now + max_age)
    today = day_in_japan(now)
    return min(until, midnight_in_japan(today + timedelta(days=1))) if on == today else until
