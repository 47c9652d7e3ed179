"""Signed statements: what they hold, what makes them fail, and that they outlive the keys that signed them."""

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from joserfc import jws

from tests.federation.towns import FEDERATION, NOW
from tomoni.documents import document_hash, new_handle, print_handle
from tomoni.processes import free_port
from tomoni.settings import SettingsError
from tomoni.statements import (
    ALGORITHM,
    TYPE,
    Asked,
    StatementError,
    StatementSigner,
    generate_key,
    require_about,
    verify,
)
from tomoni_cli.statement import read_keys
from tomoni_federation.statements.api import expiry
from tomoni_federation.statements.keys import open_signer, rotate

JOSE = "application/jose"
HOUR = timedelta(hours=1)
MIDNIGHT = NOW + 12 * HOUR
"""In Japan."""


async def ask(desk, path, body, *scopes, accept=JOSE):
    headers = {"Authorization": f"Bearer {desk.token(*(scopes or ('verifier',)))}", "Accept": accept}
    return await desk.client.post(path, json={"purpose": "counter"} | body, headers=headers)


async def keys(desk):
    answer = await desk.client.get("/v1/statements/keys")  # without a token
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=3600")
    return answer.content


async def test_a_status_is_had_as_a_statement_that_verifies(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya, at=NOW - HOUR)
    question = {"issuer": shibuya.code, "handle": print_handle(handle)}
    answer = await ask(desk, "/v1/status", question)
    assert (answer.status_code, answer.headers["content-type"]) == (200, JOSE)
    assert answer.headers["cache-control"] == "no-store"
    statement = verify(answer.content, await keys(desk), NOW)
    document = document_hash(shibuya.code, handle)
    assert statement.iss == FEDERATION
    assert statement.asked == Asked(
        issuer=shibuya.code, document=document, purpose="counter", on=NOW.date(), receiver=None, service=None
    )
    assert statement.answer == await desk.status(shibuya, handle)
    assert (statement.iat, statement.exp) == (NOW.timestamp(), MIDNIGHT.timestamp())
    require_about(statement, shibuya.code, handle.lower())
    for issuer, other in ((shibuya.code, new_handle()), ("131121", handle)):
        with pytest.raises(StatementError, match="another document"):
            require_about(statement, issuer, other)


async def test_a_recognition_is_had_as_a_statement_that_runs_out_with_the_older_of_both_logs(desk, shibuya, setagaya):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya, at=NOW - 5 * HOUR)
    await desk.hear(shibuya)
    question = {"issuer": shibuya.code, "handle": handle, "receiver": setagaya.code, "service": "public-housing"}
    answer = await ask(desk, "/v1/recognition", question | {"on": "2026-12-01"})
    statement = verify(answer.content, await keys(desk), NOW)
    asked = statement.asked
    assert (asked.receiver, asked.service, str(asked.on)) == (setagaya.code, "public-housing", "2026-12-01")
    assert statement.answer == await desk.recognition(shibuya, handle, setagaya, on="2026-12-01")
    assert statement.exp == (NOW + 19 * HOUR).timestamp()


async def test_a_statement_holds_no_handle_and_no_more_than_a_verifier_sees_whoever_asks(desk, shibuya, setagaya):
    certificate, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    shibuya.revoke(certificate, effect="void")
    await desk.hear(shibuya, setagaya)
    question = {"issuer": shibuya.code, "handle": handle}
    for path, more in (
        ("/v1/status", {}),
        ("/v1/recognition", {"receiver": setagaya.code, "service": "public-housing"}),
    ):
        answer = await ask(desk, path, question | more, "auditor")
        statement = verify(answer.content, await keys(desk), NOW)
        text = msgspec.json.encode(statement).decode() + answer.text
        for secret in (handle, print_handle(handle), "details", "entries", "position", "void", "somebody"):
            assert secret not in text


async def test_who_may_not_ask_gets_a_problem_and_no_statement(desk, shibuya):
    await desk.hear(shibuya)
    for path in ("/v1/status", "/v1/recognition"):
        more = {"receiver": shibuya.code, "service": "nursery"} if path == "/v1/recognition" else {}
        for handle, scope, status in (("SECRETHANDLESECRET", "verifier", 422), (new_handle(), "aggregator", 403)):
            answer = await ask(desk, path, {"issuer": shibuya.code, "handle": handle} | more, scope)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
            assert handle not in answer.text


async def test_an_unknown_answer_can_be_filed_too(desk, shibuya):
    _, handle = shibuya.issue()
    await desk.hear(shibuya, at=NOW - 48 * HOUR)
    answer = await ask(desk, "/v1/status", {"issuer": shibuya.code, "handle": handle})
    statement = verify(answer.content, await keys(desk), NOW)
    assert (statement.answer["status"], statement.answer["reason"]) == ("unknown", "stale")
    assert statement.exp == MIDNIGHT.timestamp()


def test_an_answer_runs_out_with_the_first_log_that_is_still_fresh_enough():
    fresh, older, stale = NOW - HOUR, NOW - 5 * HOUR, NOW - 48 * HOUR
    day, on = timedelta(days=1), NOW.date() + timedelta(days=1)
    assert expiry([fresh, older], day, NOW, on) == older + day
    assert expiry([fresh, stale], day, NOW, on) == fresh + day
    assert expiry([None, stale], day, NOW, on) == NOW + day
    assert expiry([fresh, older], 8 * HOUR, NOW, NOW.date()) == older + 8 * HOUR


async def test_what_was_said_of_today_does_not_hold_tomorrow_when_an_end_begins(desk, shibuya, setagaya):
    certificate, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    shibuya.revoke(certificate, effective_on=NOW.date() + timedelta(days=1))
    await desk.hear(shibuya, setagaya)
    question = {"issuer": shibuya.code, "handle": handle}
    for path, more in (
        ("/v1/status", {}),
        ("/v1/recognition", {"receiver": setagaya.code, "service": "public-housing"}),
    ):
        text = (await ask(desk, path, question | more)).content
        verify(text, await keys(desk), MIDNIGHT)
        with pytest.raises(StatementError, match="run out"):
            verify(text, await keys(desk), MIDNIGHT + timedelta(seconds=61))


ASKED = Asked(issuer="131130", document="ab" * 32, purpose="counter", on=NOW.date())
SIGNER = StatementSigner(FEDERATION, [generate_key()])


def made(signer=SIGNER, **times):
    return signer.sign(ASKED, {"status": "valid"}, **({"at": NOW, "until": NOW + 24 * HOUR} | times))


def forged(header, payload=None, key=None):
    """Return a statement with a header of one's own, signed by a key or not at all."""
    payload = payload or base64.urlsafe_b64decode(made().split(b".")[1] + b"==")
    if key is not None:
        return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM]).encode()
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (msgspec.json.encode(header), payload)]
    return b".".join([*parts, b""])


def header(**changes):
    kid = msgspec.json.decode(SIGNER.jwks)["keys"][0]["kid"]
    return {"alg": ALGORITHM, "typ": TYPE, "kid": kid} | changes


def changed():
    parts = made().split(b".")
    payload = base64.urlsafe_b64decode(parts[1] + b"==").replace(b'"valid"', b'"never"')
    return b".".join([parts[0], base64.urlsafe_b64encode(payload).rstrip(b"="), parts[2]])


OTHER = generate_key()
BAD = {
    "another key": (made(StatementSigner(FEDERATION, [generate_key()])), "none of these"),
    "another key under our name": (forged(header(), key=OTHER), "signature does not hold"),
    "a changed payload": (changed(), "signature does not hold"),
    "a changed signature": (made()[:-10] + b"AAAAAAAAAA", "signature does not hold"),
    "no signature": (made().rpartition(b".")[0] + b".", "signature does not hold"),
    "alg none": (forged(header(alg="none")), "no statement"),
    "a shared secret": (forged(header(alg="HS256")), "no statement"),
    "another type": (forged(header(typ="at+jwt"), key=OTHER), "no statement"),
    "no type": (forged({"alg": ALGORITHM, "kid": OTHER.kid}, key=OTHER), "no statement"),
    "no key named": (forged({"alg": ALGORITHM, "typ": TYPE}, key=OTHER), "none of these"),
    "a list for a key": (forged(header(kid=["x"])), "signature does not hold"),
    "an extension": (forged(header(crit=["x"], x=1)), "signature does not hold"),
    "nothing": (b"", "signature does not hold"),
    "junk": (b"\xff.\xff.\xff", "signature does not hold"),
    "a header that is a list": (b"W10.e30.AA", "signature does not hold"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_what_the_federation_did_not_sign_as_a_statement_does_not_hold(name):
    text, told = BAD[name]
    with pytest.raises(StatementError, match=told):
        verify(text, SIGNER.jwks, NOW)


def test_what_it_signed_and_is_no_statement_does_not_hold():
    key = generate_key()
    signer = StatementSigner(FEDERATION, [key])
    for payload in (b"{}", b"[]", b"\xff", b'{"iss":5}'):
        with pytest.raises(StatementError, match="form of a statement"):
            verify(forged(header(kid=key.kid), payload, key), signer.jwks, NOW)


@pytest.mark.parametrize("jwks", [b"", b"[]", b"{}", b'{"keys":5}', b'{"keys":[{"kty":"x"}]}', b"\xff", b"5"])
def test_what_is_no_key_set_verifies_nothing(jwks):
    with pytest.raises(StatementError):
        verify(made(), jwks, NOW)


def test_a_statement_counts_from_when_it_was_made_until_it_has_run_out():
    for seconds in (-60, 0, 86_400, 86_460):
        verify(made(), SIGNER.jwks, NOW + timedelta(seconds=seconds))
    with pytest.raises(StatementError, match="dated in the future"):
        verify(made(), SIGNER.jwks, NOW - timedelta(seconds=61))
    with pytest.raises(StatementError, match="run out"):
        verify(made(), SIGNER.jwks, NOW + timedelta(seconds=86_461))


def test_after_a_rotation_the_new_key_signs_and_the_old_statement_verifies(tmp_path: Path):
    folder = tmp_path / "statements"
    old = rotate(folder)
    before = made(open_signer(FEDERATION, folder))
    new = rotate(folder)
    signer = open_signer(FEDERATION, folder)
    assert [key["kid"] for key in msgspec.json.decode(signer.jwks)["keys"]] == [new, old]
    assert b'"d"' not in signer.jwks
    assert verify(before, signer.jwks, NOW) == verify(made(signer), signer.jwks, NOW)
    assert before != made(signer)
    with pytest.raises(StatementError):
        verify(made(signer), open_signer_of_public(folder, old), NOW)
    files = sorted(folder.iterdir())
    assert [b'"d"' in path.read_bytes() for path in files] == [False, True]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def open_signer_of_public(folder, kid):
    """Return a key set of one of the keys of a folder alone."""
    found = [msgspec.json.decode(path.read_bytes()) for path in sorted(folder.iterdir())]
    return msgspec.json.encode({"keys": [key for key in found if key["kid"] == kid]})


def test_a_service_does_not_start_without_a_key_that_signs(tmp_path: Path):
    with pytest.raises(SettingsError, match="rotate-statement-key"):
        open_signer(FEDERATION, tmp_path / "statements")
    folder = tmp_path / "statements"
    rotate(folder)
    rotate(folder)
    (folder / "0002.jwk").unlink()
    with pytest.raises(SettingsError, match="no private half"):
        open_signer(FEDERATION, folder)
    (folder / "0002.jwk").write_bytes(b"SECRET")
    (folder / "0002.jwk").chmod(0o600)
    with pytest.raises(SettingsError, match="is no key") as refused:
        open_signer(FEDERATION, folder)
    assert "SECRET" not in str(refused.value)
    (folder / "0002.jwk").chmod(0o644)
    with pytest.raises(SettingsError, match="readable by others"):
        open_signer(FEDERATION, folder)


def command(*arguments, stdin=""):
    """Run `tomoni statement verify` as people do; return its status and everything it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tomoni_cli.main", "statement", "verify", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TERM": "dumb"},
    )
    return done.returncode, done.stdout + done.stderr


async def test_the_command_checks_a_statement_offline_and_says_so(desk, shibuya, setagaya, tmp_path: Path):
    _, handle = shibuya.issue()
    setagaya.declare(shibuya.code)
    await desk.hear(shibuya, setagaya)
    question = {"issuer": shibuya.code, "handle": handle, "receiver": setagaya.code, "service": "public-housing"}
    file, key_set = tmp_path / "statement.jose", tmp_path / "keys.json"
    file.write_bytes((await ask(desk, "/v1/recognition", question)).content + b"\n")
    key_set.write_bytes(await keys(desk))
    filed = (file, "--keys", key_set, "--at", "2026-11-23T12:30:00")
    about = (*filed, "--issuer", shibuya.code, "--handle", "-")
    status, said = command(*filed)
    assert (status, "渋谷区" in said, "recognised" in said, "not checked" in said) == (0, True, True, True)
    status, said = command(*about, "--json", stdin=print_handle(handle) + "\n")
    told = msgspec.json.decode(said)
    assert (status, told["holds"], told["document_checked"]) == (0, True, True)
    assert told["statement"]["answer"]["decision"] == "recognised"
    status, said = command(*about, stdin=new_handle())
    assert (status, "does NOT hold: it is about another document" in said) == (1, True)
    status, said = command(*about, stdin="SECRETHANDLESECRET")
    assert (status, "SECRET" in said) == (1, False)
    status, said = command(*filed, "--issuer", shibuya.code, "--handle", handle)
    assert (status, handle in said, "standard input" in said) == (2, False, True)
    key_set.write_bytes(SIGNER.jwks)
    status, said = command(*filed, "--json")
    assert (status, msgspec.json.decode(said)["holds"]) == (1, False)
    status, said = command(tmp_path / "nowhere", "--keys", key_set)
    assert (status, "cannot be read" in said) == (2, True)
    status, said = command(file, "--keys", "http://federation.example/v1/statements/keys")
    assert (status, "by https" in said) == (2, True)


async def test_the_command_says_that_an_answer_is_what_was_known_earlier(desk, shibuya, setagaya, tmp_path: Path):
    certificate, handle = shibuya.issue()
    await desk.hear(shibuya)
    then = NOW + HOUR
    desk.now = desk.federation.now = NOW + 2 * HOUR
    shibuya.revoke(certificate)
    await desk.hear(shibuya, at=desk.now)
    question = {"issuer": shibuya.code, "handle": handle, "receiver": shibuya.code, "service": "public-housing"}
    answer = await ask(desk, "/v1/recognition", question | {"as_known_at": then.isoformat(), "on": str(NOW.date())})
    (tmp_path / "statement").write_bytes(answer.content)
    (tmp_path / "keys.json").write_bytes(await keys(desk))
    at = ("--at", desk.now.isoformat())
    status, told = command(tmp_path / "statement", "--keys", tmp_path / "keys.json", *at)
    assert status == 0, told
    assert "As known at   2026-11-23 13:00:00 JST: what became known after that is NOT in the answer" in told


def test_the_keys_of_this_machine_are_got_past_every_proxy(monkeypatch):
    class Keys(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"keys")

        def log_message(self, *_):
            pass

    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with HTTPServer(("127.0.0.1", 0), Keys) as server, ThreadPoolExecutor(1) as pool:
        served = pool.submit(server.handle_request)
        server.timeout = 10
        assert read_keys(f"http://127.0.0.1:{server.server_port}/keys") == b"keys"
        served.result()
