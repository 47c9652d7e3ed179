# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The framework's types of handlers are open.
"""What our HTTP services have in common: where they listen, whose tokens they take, their pool, their description.

The settings are sections of a service's own settings file; what is not known there is a mistake, not a wish.
"""

from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import asyncpg
import msgspec
import structlog
from joserfc.errors import JoseError
from litestar import Response, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ExceptionHandlersMap

from tomoni import problems
from tomoni.addresses import is_this_machine
from tomoni.auth import PUBLIC, TokenIssuer, TokenVerifier, requirement_of
from tomoni.database import Pool, create_pool, unusable
from tomoni.eventlog.connections import BROKEN, UNWRITABLE
from tomoni.eventlog.errors import LogUnavailable, OutcomeUnknown, Overloaded, WritesRefused
from tomoni.problems import AnyRequest, Problem
from tomoni.secret_files import SecretFileError, read_secret
from tomoni.settings import SettingsError

POOL_SIZE = 16
_BEARER = "bearer"
_BEARER_TOKEN = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")

log = structlog.get_logger()


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections of settings."""


class HttpSettings(Section, frozen=True, kw_only=True):
    """Where a process listens."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)]
    behind_tls_proxy: bool = False
    """Whether something in front speaks TLS, so that another address than loopback is safe."""


class TokenSettings(Section, frozen=True, kw_only=True):
    """Whose tokens are taken: those of the embedded issuer, which has a `key`, or those of a key set (`jwks`)."""

    issuer: str
    audience: str
    key: Path | None = None
    jwks: Path | None = None

    def __post_init__(self) -> None:
        if (self.key is None) == (self.jwks is None):
            raise ValueError("tokens has either key, the embedded issuer's, or jwks, the key set of another")


class LogSettings(Section, frozen=True, kw_only=True):
    """How often the log is heard of without an entry."""

    heartbeat_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0


def refuse_open_http(http: HttpSettings) -> None:
    """Refuse an address that others reach: tokens and handles travel there, so TLS belongs before it.

    Raises SettingsError.
    """
    if not is_this_machine(http.host) and not http.behind_tls_proxy:
        raise SettingsError(
            "http.host is reachable from outside: put a TLS proxy before it and set http.behind_tls_proxy"
        )


def open_token_verifier(tokens: TokenSettings, folder: Path) -> TokenVerifier:
    """Return what checks tokens; paths are meant from a folder. Raises SettingsError where a file is wrong."""
    try:
        if tokens.key is not None:
            read_secret(folder / tokens.key)
            jwks = TokenIssuer(folder / tokens.key, tokens.issuer).jwks()
        else:
            jwks = (folder / (tokens.jwks or "")).read_bytes()
        return TokenVerifier(jwks, tokens.issuer, tokens.audience)
    except (OSError, SecretFileError, JoseError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise SettingsError(f"tokens: the key or key set cannot be used: {error}") from error


async def open_pool(dsn: str) -> Pool:
    """Return the pool of a service's database; raise SettingsError where it cannot be used, without the password."""
    try:
        return await create_pool(dsn, max_size=POOL_SIZE)
    except (OSError, ValueError, asyncpg.PostgresError) as error:
        raise unusable(error) from error


class _DescriptionRender(JsonRenderPlugin):
    """Renders the interface description as it is meant.

    The framework takes the dots of a constrained `tuple[X, ...]` for a second type of its items, of which anything is
    one, and by `oneOf` no item would be valid.
    """

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        """Return the description as JSON."""
        return super().render(request, _without_dots(openapi_schema))


def _without_dots(value: Any) -> Any:  # noqa: ANN401  # whatever stands in JSON
    if isinstance(value, list):
        return [_without_dots(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    mended = {key: _without_dots(each) for key, each in cast("dict[str, Any]", value).items()}
    match mended.get("oneOf"):
        case [described, {**nothing}] if not nothing:
            return described
        case _:
            return mended


def describe(title: str, description: str) -> OpenAPIConfig:
    """Return the configuration of a service's interface description (OpenAPI 3.1), public at `/schema`."""
    return OpenAPIConfig(
        title=title,
        version="1",
        description=description,
        openapi_router=Router("/schema", route_handlers=[], opt=PUBLIC),
        components=Components(security_schemes={_BEARER: _BEARER_TOKEN}),
        render_plugins=[_DescriptionRender()],
        create_examples=False,
        use_handler_docstrings=True,
    )


class AccessDescription(ReceiveRoutePlugin):
    """Writes whom each route answers (`tomoni.auth.requires`) into the interface description, so that both agree."""

    def receive_route(self, route: BaseRoute) -> None:
        """Name the scopes of a route's handlers as their security requirement."""
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if (requirement := requirement_of(handler.opt)) is not None:
                handler.security = [{_BEARER: sorted(requirement.scopes)}]


class _Unavailable(NamedTuple):
    """How a kind of trouble with the database is answered."""

    detail: str
    retry_after: str = "2"

    def __call__(self, _: AnyRequest, error: Exception) -> Response[bytes]:
        log.warning("database_unavailable", error=type(error).__name__, status=503)
        return problems.answer(Problem("unavailable", self.detail, headers={"Retry-After": self.retry_after}))


_UNREACHED = _Unavailable(
    "The database cannot be reached. Try again in a few seconds, a command with the same Idempotency-Key."
)
_NOT_APPENDED = _Unavailable(
    "The database cannot be reached; nothing happened. Send it again in a few seconds, with the same Idempotency-Key."
)
_OVERLOADED = _Unavailable(
    "Too many commands wait already; nothing happened. Send it again in a few seconds, with the same Idempotency-Key."
)
_UNWRITTEN = _Unavailable(
    "The database takes no writes at present; nothing happened. Try again in a minute, a command with the same "
    "Idempotency-Key. If it lasts, tell the operator: the database is read-only, or its disk is full.",
    retry_after="30",
)
_UNKNOWN = _Unavailable(
    "The database was lost while the command was stored: it may have happened. "
    "Send it again with the same Idempotency-Key; it happens once."
)

exception_handlers: ExceptionHandlersMap = {
    **problems.exception_handlers,
    **dict.fromkeys(UNWRITABLE, _UNWRITTEN),
    **dict.fromkeys(BROKEN, _UNREACHED),
    LogUnavailable: _NOT_APPENDED,
    Overloaded: _OVERLOADED,
    WritesRefused: _UNWRITTEN,
    OutcomeUnknown: _UNKNOWN,
}
"""For `Litestar(exception_handlers=…)` of a service with a database."""
