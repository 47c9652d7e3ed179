"""The secretariat's routes: admissions, suspensions, networks; and who takes part, for everybody with a token."""

from collections.abc import Awaitable
from datetime import date
from typing import Annotated, Final, TypeVar

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from tomoni.admission import AdmissionError, AdmissionRequest, verify_admission
from tomoni.auth import requires
from tomoni.documentation import answered, problems
from tomoni.events.federation import Branch, NetworkTermsData
from tomoni.events.types import Code, Condition, Kind, LogSize, Pattern, PublicText, Service, Slug
from tomoni.jurisdictions import by_code
from tomoni.problems import Problem
from tomoni.strict_json import StrictJson
from tomoni_federation.admissions.decider import Admission, Network, Refused
from tomoni_federation.admissions.office import Office
from tomoni_federation.interface import Answering, AnyRequest, Described, jurisdiction
from tomoni_federation.status.api import respond

PAGE: Final = 1_000

T = TypeVar("T")


class Suspend(Described, frozen=True, kw_only=True):
    """The proven size from which on nothing is accepted; left out: from where the history is now."""

    from_size: LogSize | None = None


class Readmit(Described, frozen=True, kw_only=True):
    """A new admission request, the proven size on which the history goes on, and which of two histories counts.

    Left out the size is where the history stands still. After an illegal entry it has to be named; the problem says
    which. Left out the branch is the history that the federation holds. Another one is named by a checkpoint of it, as
    it stands in the evidence; the size is then the last one with a receipt on which both agree.
    """

    request: AdmissionRequest
    from_size: LogSize | None = None
    branch: Branch | None = None


class Charter(Described, frozen=True, kw_only=True):
    """A network and its common terms."""

    network: Slug
    name: PublicText
    pattern: Pattern
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1, max_length=10)]
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=50)]
    effective_on: date
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=20)] = ()


class AcceptMember(Described, frozen=True, kw_only=True):
    """A jurisdiction and the days on which the network counts it as a member."""

    member: Code
    effective_on: date
    effective_until: date | UnsetType = UNSET


class JurisdictionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who takes part; keys for those who verify logs."""

    code: str
    name: str
    romaji: str
    state: str
    log_key: str | None = None
    heartbeat_key: str | None = None


class JurisdictionsAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of who takes part; `after` asks for the next one."""

    jurisdictions: tuple[JurisdictionAnswer, ...]
    after: str | None = None


class NetworkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A network with its members, as the federation has accepted them."""

    network: str
    name: str
    pattern: str
    effective_on: date
    members: tuple[str, ...]


_SECRETARIAT = requires("secretariat")
_LISTING = requires("secretariat", "verifier", "clerk", "supervisor", "aggregator", "auditor", "witness")

_LIST = """
SELECT l.log, l.state, l.heartbeat_key,
    (SELECT k.log_key FROM mirror.key k
     WHERE k.log = l.log AND NOT k.retired ORDER BY k.from_size DESC LIMIT 1) AS log_key
FROM mirror.log l WHERE l.log > $1 ORDER BY l.log LIMIT $2
"""


def admission_routes(office: Office, answering: Answering, federation: str) -> Router:
    """Return the routes of admissions and networks."""

    def verified(request: AdmissionRequest) -> AdmissionRequest:
        jurisdiction(request.code)
        try:
            verify_admission(federation, request)
        except AdmissionError as error:
            text = str(error)
            raise Problem("admission-not-proven", f"{text[:1].upper()}{text[1:].rstrip('.')}.") from None
        return request

    @post(
        "/admissions",
        dto=StrictJson[AdmissionRequest],
        return_dto=None,
        status_code=201,
        opt=_SECRETARIAT,
        responses=answered(201, JurisdictionAnswer)
        | problems(
            "admission-not-proven", "admitted-with-other-keys", "jurisdiction-not-found", "jurisdiction-not-open"
        ),
    )
    async def admit(data: JSONBody[AdmissionRequest]) -> Response[bytes]:
        """Admit a jurisdiction that has proven to hold its keys. Sent again it is answered the same."""
        return respond(_to_body(await _refusing(office.admit(verified(data)))), 201)

    @post(
        "/jurisdictions/{code:str}/suspend",
        dto=StrictJson[Suspend],
        return_dto=None,
        status_code=200,
        opt=_SECRETARIAT,
        responses=answered(200, JurisdictionAnswer)
        | problems("jurisdiction-not-admitted", "jurisdiction-not-found", "jurisdiction-not-open", "size-not-proven"),
    )
    async def suspend(code: FromPath[str], data: JSONBody[Suspend]) -> Response[bytes]:
        """Accept nothing of a log from a proven size on: a key is lost or stolen."""
        return respond(_to_body(await _refusing(office.suspend(jurisdiction(code).code, data.from_size))))

    @post(
        "/jurisdictions/{code:str}/readmit",
        dto=StrictJson[Readmit],
        return_dto=None,
        status_code=200,
        opt=_SECRETARIAT,
        responses=answered(200, JurisdictionAnswer)
        | problems(
            "admission-not-proven",
            "branch-not-held",
            "branch-not-known",
            "illegal-entry-stands",
            "jurisdiction-not-admitted",
            "jurisdiction-not-found",
            "jurisdiction-open",
            "size-not-proven",
        ),
    )
    async def readmit(code: FromPath[str], data: JSONBody[Readmit]) -> Response[bytes]:
        """Let a suspended or quarantined history go on from a proven size, with keys proven anew."""
        request = verified(data.request)
        if request.code != code:
            raise Problem("malformed", "The request is of another jurisdiction than the address names.")
        return respond(_to_body(await _refusing(office.readmit(request, data.from_size, data.branch))))

    @get("/jurisdictions", opt=_LISTING, responses=answered(200, JurisdictionsAnswer) | problems())
    async def jurisdictions(
        request: AnyRequest,
        after: Annotated[str, QueryParameter(pattern="^([0-9]{6})?$", description="where the page before ended")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE)] = PAGE,
    ) -> Response[bytes]:
        """List who takes part."""
        rows = await answering.pool.fetch(_LIST, after, limit + 1)
        keys = bool(request.user.scopes & {"auditor", "witness", "secretariat"})
        listed = tuple(
            JurisdictionAnswer(
                code=row["log"],
                name=by_code(row["log"]).name,
                romaji=by_code(row["log"]).romaji,
                state=row["state"],
                log_key=row["log_key"] if keys else None,
                heartbeat_key=row["heartbeat_key"] if keys else None,
            )
            for row in rows[:limit]
        )
        return respond(JurisdictionsAnswer(jurisdictions=listed, after=listed[-1].code if len(rows) > limit else None))

    @post(
        "/networks",
        dto=StrictJson[Charter],
        return_dto=None,
        status_code=200,
        opt=_SECRETARIAT,
        responses=answered(200, NetworkAnswer) | problems(),
    )
    async def charter(data: JSONBody[Charter]) -> Response[bytes]:
        """Charter a network, or amend its terms."""
        terms = NetworkTermsData(
            version=1,
            name=data.name,
            pattern=data.pattern,
            kinds=data.kinds,
            services=data.services,
            effective_on=data.effective_on,
            conditions=data.conditions,
        )
        return respond(_to_network(await _refusing(office.charter(data.network, terms))))

    @post(
        "/networks/{name:str}/members",
        dto=StrictJson[AcceptMember],
        return_dto=None,
        status_code=200,
        opt=_SECRETARIAT,
        responses=answered(200, NetworkAnswer) | problems("jurisdiction-not-found", "network-not-found"),
    )
    async def accept(name: FromPath[str], data: JSONBody[AcceptMember]) -> Response[bytes]:
        """Count a jurisdiction as a member; it must join by its own word too."""
        member = jurisdiction(data.member).code
        accepted = office.accept_member(_slug(name), member, data.effective_on, data.effective_until)
        return respond(_to_network(await _refusing(accepted)))

    handlers = [admit, suspend, readmit, jurisdictions, charter, accept]
    return Router(path="/v1", route_handlers=handlers, tags=["admissions"])


async def _refusing(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except Refused as refused:
        raise Problem(refused.reason, refused.text, headers=None, **refused.fields) from None


def _slug(name: str) -> str:
    try:
        return msgspec.convert(name, Slug)
    except msgspec.ValidationError:
        raise Problem("network-not-found", "There is no such network: charter it first.") from None


def _to_body(admission: Admission) -> JurisdictionAnswer:
    found = by_code(admission.code)
    return JurisdictionAnswer(
        code=admission.code,
        name=found.name,
        romaji=found.romaji,
        state=admission.state or "open",
        log_key=admission.keys[0],
        heartbeat_key=admission.keys[1],
    )


def _to_network(network: Network) -> NetworkAnswer:
    terms = network.terms
    if terms is None:
        raise Problem("network-not-found", "There is no such network: charter it first.")
    return NetworkAnswer(
        network=network.name,
        name=terms.name,
        pattern=terms.pattern,
        effective_on=terms.effective_on,
        members=tuple(sorted({member for member, _, _ in network.members})),
    )
