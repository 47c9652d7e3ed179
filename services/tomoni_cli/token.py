"""`tomoni token`: a token of the embedded issuer of a service, for people and programs that use it."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter, validators

from tomoni.auth import Scope, TokenIssuer
from tomoni.settings import SettingsError, load

app = App(name="token", help="Issue a token of a service's embedded issuer.")


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    issuer: str
    audience: str
    key: Path | None = None


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a service's settings that tokens need; the rest is the service's."""

    tokens: _Tokens
    folder: Path = Path()
    code: str | None = None


@app.default
def token(
    *,
    config: Annotated[Path, Parameter(help="Settings file of the service the token is for.")],
    scope: Annotated[list[Scope], Parameter(help="What the holder may do; may be given several times.")],
    subject: Annotated[str, Parameter(help="Who the holder is: stands in the access record.")],
    hours: Annotated[float, Parameter(help="How long it is valid.", validator=validators.Number(gt=0, lte=8784))] = 8,
    jurisdiction: Annotated[
        str | None, Parameter(help="Code of the town it is bound to; a node's own by default.")
    ] = None,
    prefecture: Annotated[str | None, Parameter(help="Two digits, for the scope aggregator.")] = None,
) -> None:
    """Print a token. Whoever has it may do what it says: hand it over like a key."""
    settings = load(_Settings, config)
    if settings.tokens.key is None:
        raise SettingsError(f"{config} names no tokens.key: its tokens come from another issuer")
    key = config.parent.absolute() / settings.folder / settings.tokens.key
    try:
        issuer = TokenIssuer(key, settings.tokens.issuer)
    except OSError as error:
        raise SettingsError(f"the token key {key} cannot be read: {error.strerror}") from error
    made = issuer.issue(
        subject,
        scope,
        settings.tokens.audience,
        jurisdiction=jurisdiction or settings.code,
        prefecture=prefecture,
        lifetime=timedelta(hours=hours),
    )
    sys.stdout.write(made + "\n")
