"""Tokens: issued by the embedded issuer, refused for every single thing that is wrong."""

import base64
import stat
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from litestar import Litestar, get
from litestar.testing import TestClient

from tomoni.auth import PUBLIC, TokenIssuer, TokenVerifier, bearer_middleware, requires
from tomoni.problems import Problem, exception_handlers

ISSUER = "tomoni.example/131130"


@pytest.fixture
def issuer(tmp_path: Path) -> TokenIssuer:
    TokenIssuer.create(tmp_path / "token.jwk")
    return TokenIssuer(tmp_path / "token.jwk", ISSUER)


def test_a_token_says_who_asks(issuer: TokenIssuer) -> None:
    token = issuer.issue("clerk-7", ["clerk", "supervisor"], ISSUER, jurisdiction="131130", prefecture="13")
    principal = TokenVerifier(issuer.jwks(), ISSUER, ISSUER).verify(token)
    assert (principal.subject, principal.scopes) == ("clerk-7", {"clerk", "supervisor"})
    assert (principal.jurisdiction, principal.prefecture) == ("131130", "13")


def test_the_key_file_is_its_owners_alone_and_is_never_replaced(tmp_path: Path) -> None:
    TokenIssuer.create(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        TokenIssuer.create(tmp_path / "k")


def test_the_published_keys_hold_no_private_part(issuer: TokenIssuer) -> None:
    (key,) = msgspec.json.decode(issuer.jwks())["keys"]
    assert "d" not in key


@pytest.mark.parametrize("fault", ["signature", "expired", "audience", "issuer", "form", "none-algorithm", "other-key"])
def test_a_token_with_one_thing_wrong_is_refused(issuer: TokenIssuer, tmp_path: Path, fault: str) -> None:
    lifetime = timedelta(hours=-1) if fault == "expired" else timedelta(hours=1)
    token = issuer.issue("clerk", ["clerk"], "elsewhere" if fault == "audience" else ISSUER, lifetime=lifetime)
    if fault == "signature":
        token = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")
    if fault == "form":
        token = "not.a.token"
    if fault == "none-algorithm":
        token = "eyJhbGciOiJub25lIn0." + token.split(".")[1] + "."
    if fault == "other-key":
        TokenIssuer.create(tmp_path / "other")
        token = TokenIssuer(tmp_path / "other", ISSUER).issue("clerk", ["clerk"], ISSUER)
    verifier = TokenVerifier(issuer.jwks(), "other" if fault == "issuer" else ISSUER, ISSUER)
    with pytest.raises(Problem) as caught:
        verifier.verify(token)
    assert caught.value.kind == "invalid-token"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSAKey.generate_key(2048, {"kid": "k"}), "RS256"), (ECKey.generate_key("P-256", {"kid": "k"}), "ES256")],
)
def test_the_tokens_of_an_openid_provider_are_taken(key: RSAKey | ECKey, algorithm: str) -> None:
    jwks = msgspec.json.encode({"keys": [key.as_dict(private=False)]})
    verifier = TokenVerifier(jwks, ISSUER, "node")
    claims = {"iss": ISSUER, "sub": "sato", "aud": ["other", "node"], "exp": 2**40, "scope": "clerk openid"}
    header = {"alg": algorithm, "kid": "k"}
    principal = verifier.verify(jwt.encode(header, claims, key, algorithms=[algorithm]))
    assert (principal.subject, principal.scopes) == ("sato", {"clerk"})
    with pytest.raises(Problem):
        verifier.verify(jwt.encode(header, {**claims, "nbf": 2**39}, key, algorithms=[algorithm]))


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        *((kind, True) for kind in ("at+jwt", "application/at+jwt", "AT+JWT", "JWT", None)),
        *((kind, False) for kind in ("logout+jwt", "tomoni-statement+jwt", "dpop+jwt", "")),
    ],
)
def test_only_what_may_be_an_access_token_is_taken_for_one(kind: str | None, taken: bool) -> None:
    key = ECKey.generate_key("P-256", {"kid": "k"})
    verifier = TokenVerifier(msgspec.json.encode({"keys": [key.as_dict(private=False)]}), ISSUER, "node")
    claims = {"iss": ISSUER, "sub": "sato", "aud": "node", "exp": 2**40, "scope": "clerk"}
    header = {"alg": "ES256", "kid": "k"} | ({} if kind is None else {"typ": kind})
    token = jwt.encode(header, claims, key, algorithms=["ES256"], default_type=None)
    if taken:
        assert verifier.verify(token).subject == "sato"
        return
    with pytest.raises(Problem) as caught:
        verifier.verify(token)
    assert caught.value.kind == "invalid-token"


def test_a_public_key_is_no_shared_secret(issuer: TokenIssuer) -> None:
    (public,) = msgspec.json.decode(issuer.jwks())["keys"]
    secret = OctKey.import_key(msgspec.json.encode(public))
    claims = {"iss": ISSUER, "sub": "sato", "aud": ISSUER, "exp": 2**40, "scope": "clerk"}
    forged = jwt.encode({"alg": "HS256", "kid": public["kid"]}, claims, secret, algorithms=["HS256"])
    with pytest.raises(Problem):
        TokenVerifier(issuer.jwks(), ISSUER, ISSUER).verify(forged)


@pytest.fixture
def client(issuer: TokenIssuer) -> TestClient[Litestar]:
    @get("/desk", opt=requires("clerk", jurisdiction="131130"), sync_to_thread=False)
    def desk() -> str:
        return "ok"

    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "ok"

    @get("/open", sync_to_thread=False, opt=PUBLIC)
    def public() -> str:
        return "ok"

    app = Litestar(
        [desk, forgotten, public],
        middleware=[bearer_middleware(TokenVerifier(issuer.jwks(), ISSUER, ISSUER))],
        exception_handlers=exception_handlers,
        openapi_config=None,
    )
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "scopes", "town", "status"),
    [
        ("/desk", None, None, 401),
        ("/desk", ["auditor"], "131130", 403),
        ("/desk", ["clerk"], "131121", 403),
        ("/desk", ["clerk"], None, 403),
        ("/desk", ["clerk"], "131130", 200),
        ("/forgotten", None, None, 401),
        ("/forgotten", ["clerk"], "131130", 403),
        ("/open", None, None, 200),
        ("/open", ["clerk"], None, 200),
    ],
)
def test_a_route_answers_only_whom_it_names(
    client: TestClient[Litestar],
    issuer: TokenIssuer,
    path: str,
    scopes: list[str] | None,
    town: str | None,
    status: int,
) -> None:
    headers = {}
    if scopes is not None:
        headers["Authorization"] = f"Bearer {issuer.issue('x', scopes, ISSUER, jurisdiction=town)}"  # type: ignore[arg-type]
    with client:
        answer = client.get(path, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_public_route_reads_no_token_so_that_a_stale_one_does_no_harm(client: TestClient[Litestar]) -> None:
    with client:
        assert client.get("/open", headers={"Authorization": "Bearer x.y.z"}).status_code == 200


NUMBER_FOR_CRIT = base64.urlsafe_b64encode(b'{"alg":"Ed25519","crit":1}').rstrip(b"=").decode() + ".e30.e30"


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "Bearer x.y.z", f"Bearer {NUMBER_FOR_CRIT}"])
def test_a_malformed_authorization_header_is_refused_without_echo(client: TestClient[Litestar], header: str) -> None:
    with client:
        answer = client.get("/desk", headers={"Authorization": header})
    assert answer.status_code == 401
    assert "x.y.z" not in answer.text
