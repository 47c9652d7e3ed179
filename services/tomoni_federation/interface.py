"""What the routes share: who may ask about whom, purposes and their ages, times and codes in bodies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from litestar import Request

from tomoni.auth import Principal, requires
from tomoni.database import Pool
from tomoni.documents import document_hash
from tomoni.jurisdictions import Jurisdiction, JurisdictionError, by_code
from tomoni.problems import Kind, Problem, register
from tomoni.statements import StatementSigner
from tomoni_federation.limits import LookupLimit
from tomoni_federation.status.query import Gatherer, Key

MAX_BODY_BYTES: Final = 131_072
"""Bytes of a body: a thousand documents in one request fit."""

register(
    {
        "admission-not-proven": Kind(422, "The admission request does not hold"),
        "admitted-with-other-keys": Kind(409, "The jurisdiction has other keys"),
        "branch-not-held": Kind(409, "The history held is the other branch"),
        "branch-not-known": Kind(409, "No such branch is known"),
        "day-too-far-ahead": Kind(422, "The day is too far ahead"),
        "illegal-entry-stands": Kind(409, "An illegal entry stands in the way"),
        "jurisdiction-not-admitted": Kind(404, "The jurisdiction was never admitted"),
        "jurisdiction-not-found": Kind(422, "A jurisdiction cannot be named here"),
        "jurisdiction-not-open": Kind(409, "The jurisdiction is not open"),
        "jurisdiction-open": Kind(409, "The jurisdiction is open"),
        "network-not-found": Kind(404, "There is no such network"),
        "purpose-unknown": Kind(422, "There is no such purpose"),
        "size-not-proven": Kind(409, "The history is not proven that far"),
        "time-to-come": Kind(422, "The time is yet to come"),
    }
)

AnyRequest = Request[Principal, Any, Any]

ASKING: Final = requires("verifier", "clerk", "supervisor", "aggregator", "auditor")
"""The `opt` of routes that answer questions about documents."""


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What the routes that answer questions need."""

    pool: Pool
    gatherer: Gatherer
    limit: LookupLimit
    purposes: Mapping[str, timedelta]
    clock: Callable[[], datetime]
    statements: StatementSigner

    def max_age(self, purpose: str) -> timedelta:
        """Return how old an answer for a purpose may be; raise Problem where the purpose is not known."""
        age = self.purposes.get(purpose)
        if age is None:
            known = ", ".join(sorted(self.purposes))
            raise Problem("purpose-unknown", f"Name one of the purposes this federation knows: {known}.")
        return age


def jurisdiction(code: str) -> Jurisdiction:
    """Return the jurisdiction of a code in a body; raise Problem where it cannot be one."""
    try:
        return by_code(code)
    except JurisdictionError as error:
        text = str(error)
        raise Problem("jurisdiction-not-found", f"{text[:1].upper()}{text[1:].rstrip('.')}.") from None


def document_key(issuer: str, handle: str) -> Key:
    """Return what names a document in the read model; raise HandleError or Problem where it cannot be one."""
    return jurisdiction(issuer).code, bytes.fromhex(document_hash(issuer, handle))


def require_within_reach(principal: Principal, issuers: set[str]) -> None:
    """Refuse an aggregator the documents of another prefecture, unless another scope of the token allows it."""
    if principal.scopes & {"verifier", "clerk", "supervisor", "auditor"}:
        return
    if principal.prefecture is None or any(issuer[:2] != principal.prefecture for issuer in issuers):
        raise Problem("forbidden", "An aggregator asks about its own prefecture only.")


def sees_details(principal: Principal, issuer: str) -> bool:
    """Tell whether somebody sees how and when a certificate ended: auditors, and the issuer's own clerks."""
    if "auditor" in principal.scopes:
        return True
    return bool(principal.scopes & {"clerk", "supervisor"}) and principal.jurisdiction == issuer


class Described(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of bodies that are read: a field that is not known is a mistake."""
