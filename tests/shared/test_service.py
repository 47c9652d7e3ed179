"""What services share: safe addresses, tokens from either source, a database that is told about plainly."""

from pathlib import Path

import msgspec
import pytest
from litestar import Litestar, get
from litestar.testing import TestClient

from tomoni.auth import PUBLIC, Principal, TokenIssuer, TokenVerifier
from tomoni.service import (
    HttpSettings,
    TokenSettings,
    describe,
    exception_handlers,
    open_pool,
    open_token_verifier,
    refuse_open_http,
)
from tomoni.settings import SettingsError

ISSUER = "https://tomoni.example/131130"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_nothing_before_it(host: str) -> None:
    settings = HttpSettings(host=host, port=1)
    refuse_open_http(settings)
    assert not settings.behind_tls_proxy


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "node.example"])
def test_an_address_that_others_reach_needs_tls_before_it(host: str) -> None:
    with pytest.raises(SettingsError, match="TLS"):
        refuse_open_http(HttpSettings(host=host, port=1))
    refuse_open_http(HttpSettings(host=host, port=1, behind_tls_proxy=True))


@pytest.mark.parametrize("given", [{}, {"key": "a", "jwks": "b"}])
def test_tokens_come_from_exactly_one_issuer(given: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="either key"):
        msgspec.convert({"issuer": "i", "audience": "a", **given}, TokenSettings, dec_hook=lambda cls, v: cls(v))


def _verify(verifier: TokenVerifier, issuer: TokenIssuer) -> Principal:
    return verifier.verify(issuer.issue("clerk-7", ["clerk"], "node"))


def test_tokens_are_checked_with_the_embedded_issuers_key_or_with_a_key_set(tmp_path: Path) -> None:
    TokenIssuer.create(tmp_path / "tokens.jwk")
    issuer = TokenIssuer(tmp_path / "tokens.jwk", ISSUER)
    (tmp_path / "keys.json").write_bytes(issuer.jwks())
    embedded = TokenSettings(issuer=ISSUER, audience="node", key=Path("tokens.jwk"))
    other = TokenSettings(issuer=ISSUER, audience="node", jwks=Path("keys.json"))
    for settings in (embedded, other):
        assert _verify(open_token_verifier(settings, tmp_path), issuer).subject == "clerk-7"


@pytest.mark.parametrize("fault", ["missing", "open to others", "no key set"])
def test_a_key_that_cannot_be_used_is_told(tmp_path: Path, fault: str) -> None:
    TokenIssuer.create(tmp_path / "tokens.jwk")
    settings = TokenSettings(issuer=ISSUER, audience="node", key=Path("tokens.jwk"))
    if fault == "missing":
        (tmp_path / "tokens.jwk").unlink()
    if fault == "open to others":
        (tmp_path / "tokens.jwk").chmod(0o644)
    if fault == "no key set":
        (tmp_path / "keys.json").write_text("[]")
        settings = TokenSettings(issuer=ISSUER, audience="node", jwks=Path("keys.json"))
    with pytest.raises(SettingsError, match="tokens"):
        open_token_verifier(settings, tmp_path)


async def test_a_database_that_cannot_be_used_is_told_without_its_password() -> None:
    with pytest.raises(SettingsError, match="database") as caught:
        await open_pool("postgresql://user:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)


@get("/", opt=PUBLIC)
async def _broken() -> None:
    raise ConnectionResetError


def test_a_lost_database_is_a_problem_that_says_try_again() -> None:
    app = Litestar([_broken], exception_handlers=exception_handlers, openapi_config=describe("T", "D"))
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert "Idempotency-Key" in answer.json()["detail"]
        assert client.get("/schema/openapi.json").json()["openapi"].startswith("3.1")
