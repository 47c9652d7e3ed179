"""Certificates over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Body, FromPath

from tomoni.auth import requires
from tomoni.documentation import COMMAND_PROBLEMS, answered, example, problems
from tomoni.problems import Problem
from tomoni.strict_json import StrictJson
from tomoni_registry.certificates import changes, reading
from tomoni_registry.certificates.bodies import (
    CertificateAnswer,
    ConfirmBody,
    CorrectBody,
    DocumentAnswer,
    EraseBody,
    ErasureAnswer,
    HistoryAnswer,
    IssueBody,
    ReinstateBody,
    ReissueBody,
    RevokeBody,
    VaultAnswer,
)
from tomoni_registry.certificates.examples import (
    CONFIRM,
    CORRECT,
    ERASE,
    ISSUE,
    ISSUED,
    REINSTATE,
    REISSUE,
    REVOKE,
    VOID,
)
from tomoni_registry.interface import AnyRequest, IdempotencyKey, Town, order, respond

_ABOUT_ONE = ("certificate-not-found", "certificate-erased", "stale-version", *COMMAND_PROBLEMS)


def certificate_routes(town: Town) -> Router:
    """Return the routes about certificates, for clerks and supervisors of this town."""
    handlers = [*_documents(town), *_course(town), *_amendments(town), *_erasure(town), *_readings(town)]
    return Router("/v1/certificates", route_handlers=handlers, tags=["certificates"])


def _documents(town: Town) -> list[HTTPRouteHandler]:
    """Return the commands that make a document; their answers show its handle."""

    @post(
        "/",
        dto=StrictJson[IssueBody],
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        responses=answered(201, DocumentAnswer, ISSUED)
        | problems(
            "day-before-scheme",
            "day-in-future",
            "kind-not-offered",
            "not-eligible",
            "scheme-not-open",
            *COMMAND_PROBLEMS,
        ),
    )
    async def issue(
        request: AnyRequest,
        data: Annotated[IssueBody, Body(examples=[example(ISSUE, "Two residents of Shibuya")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Issue a certificate: the application is checked against this town's rules and goes to the vault."""
        placed = order(town.desk, request, idempotency_key, "certificate.issue", data)
        return respond(await town.desk.carry_out(placed, changes.issue(town, data)))

    @post(
        "/{certificate:uuid}/reissue",
        dto=StrictJson[ReissueBody],
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, DocumentAnswer, ISSUED)
        | problems("certificate-not-current", "dates-out-of-order", "day-in-future", *_ABOUT_ONE),
    )
    async def reissue(
        request: AnyRequest,
        certificate: FromPath[UUID],
        data: Annotated[ReissueBody, Body(examples=[example(REISSUE, "Lost")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Replace the document; the old one stops verifying, the partnership goes on."""
        placed = order(town.desk, request, idempotency_key, "certificate.reissue", data, str(certificate))
        return respond(await town.desk.carry_out(placed, changes.reissue(town, certificate, data)))

    return [issue, reissue]


def _course(town: Town) -> list[HTTPRouteHandler]:
    """Return the commands that move a certificate along its life."""

    @post(
        "/{certificate:uuid}/confirm",
        dto=StrictJson[ConfirmBody],
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, CertificateAnswer)
        | problems("certificate-lapsed", "certificate-not-conditional", "dates-out-of-order", *_ABOUT_ONE),
    )
    async def confirm(
        request: AnyRequest,
        certificate: FromPath[UUID],
        data: Annotated[ConfirmBody, Body(examples=[example(CONFIRM, "Moved in")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Confirm that a mover has moved: the certificate is conditional no more."""
        placed = order(town.desk, request, idempotency_key, "certificate.confirm", data, str(certificate))
        return respond(await town.desk.carry_out(placed, changes.confirm(town, certificate, data)))

    @post(
        "/{certificate:uuid}/revoke",
        dto=StrictJson[RevokeBody],
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, CertificateAnswer)
        | problems("certificate-already-ended", "dates-out-of-order", "reason-does-not-fit", *_ABOUT_ONE),
    )
    async def revoke(
        request: AnyRequest,
        certificate: FromPath[UUID],
        data: Annotated[RevokeBody, Body(examples=[example(REVOKE, "Moved out"), example(VOID, "Void")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """End a certificate from a day on, or declare it void from the start."""
        if data.effect == "void" and "supervisor" not in request.user.scopes:
            raise Problem(
                "forbidden", "Only a supervisor declares a certificate void. Ask one, or end it from a day on."
            )
        placed = order(town.desk, request, idempotency_key, "certificate.revoke", data, str(certificate))
        return respond(await town.desk.carry_out(placed, changes.revoke(town, certificate, data)))

    return [confirm, revoke]


def _amendments(town: Town) -> list[HTTPRouteHandler]:
    """Return the commands that put right what was wrong."""

    @post(
        "/{certificate:uuid}/reinstate",
        dto=StrictJson[ReinstateBody],
        opt=requires("supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, CertificateAnswer)
        | problems("certificate-not-revoked", "dates-out-of-order", "day-in-future", *_ABOUT_ONE),
    )
    async def reinstate(
        request: AnyRequest,
        certificate: FromPath[UUID],
        data: Annotated[ReinstateBody, Body(examples=[example(REINSTATE, "Revoked in error")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Undo a revocation made in error: it counts as if never revoked."""
        placed = order(town.desk, request, idempotency_key, "certificate.reinstate", data, str(certificate))
        return respond(await town.desk.carry_out(placed, changes.reinstate(town, certificate, data)))

    @post(
        "/{certificate:uuid}/correct",
        dto=StrictJson[CorrectBody],
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, CertificateAnswer)
        | problems("dates-out-of-order", "day-before-scheme", "day-in-future", "nothing-to-correct", *_ABOUT_ONE),
    )
    async def correct(
        request: AnyRequest,
        certificate: FromPath[UUID],
        data: Annotated[CorrectBody, Body(examples=[example(CORRECT, "A slip of the pen")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Put wrong dates right."""
        placed = order(town.desk, request, idempotency_key, "certificate.correct", data, str(certificate))
        return respond(await town.desk.carry_out(placed, changes.correct(town, certificate, data)))

    return [reinstate, correct]


def _erasure(town: Town) -> list[HTTPRouteHandler]:
    """Return the command that destroys personal data, and who gave it."""

    @post(
        "/{certificate:uuid}/erase",
        dto=StrictJson[EraseBody],
        opt=requires("supervisor", jurisdiction=town.code),
        status_code=200,
        responses=answered(200, CertificateAnswer)
        | problems("certificate-not-ended", "retention-not-over", "retention-not-set", *_ABOUT_ONE),
    )
    async def erase(
        request: AnyRequest,
        certificate: FromPath[UUID],
        data: Annotated[EraseBody, Body(examples=[example(ERASE, "Retention is over")])],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Destroy the personal data of a certificate that has ended, for good; its status stays."""
        placed = order(town.desk, request, idempotency_key, "certificate.erase", data, str(certificate))
        return respond(await town.desk.carry_out(placed, changes.erase(town, certificate, data)))

    @get(
        "/{certificate:uuid}/erasure",
        opt=requires("supervisor", jurisdiction=town.code),
        responses=problems("certificate-not-erased", "certificate-not-found"),
    )
    async def erasure(certificate: FromPath[UUID]) -> ErasureAnswer:
        """Return when and by whom a certificate was erased."""
        return await reading.read_erasure(town, certificate)

    return [erase, erasure]


def _readings(town: Town) -> list[HTTPRouteHandler]:
    """Return the routes that read."""

    @get(
        "/{certificate:uuid}",
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        responses=problems("certificate-not-found"),
    )
    async def state(certificate: FromPath[UUID]) -> CertificateAnswer:
        """Return a certificate as it stands today in Japan, without anything personal."""
        return await reading.read_certificate(town, certificate)

    @get(
        "/{certificate:uuid}/history",
        opt=requires("clerk", "supervisor", jurisdiction=town.code),
        responses=problems("certificate-not-found"),
    )
    async def history(certificate: FromPath[UUID]) -> HistoryAnswer:
        """Return the events of a certificate, oldest first."""
        return await reading.read_history(town, certificate)

    @get(
        "/{certificate:uuid}/vault",
        opt=requires("supervisor", jurisdiction=town.code),
        responses=problems("certificate-erased", "certificate-not-found"),
    )
    async def vault(request: AnyRequest, certificate: FromPath[UUID]) -> VaultAnswer:
        """Return what the vault holds; the reading is put on record first."""
        return await reading.read_vault(town, certificate, request.user.subject)

    return [state, history, vault]
