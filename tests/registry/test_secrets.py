"""A sweep: after a full life of certificates, nothing personal stands anywhere but sealed in the vault."""

import base64
import io
import logging
import unicodedata
from urllib.parse import quote

import msgspec
import pytest
import structlog

from tests.registry.conftest import issue_body
from tomoni import logging as tomoni_logging

NAMES = ("秘匿󠄀 花子", "Zzyzx Quillfeather", "髙﨑 𠮷乃")
COMMON_NAME = "Wobblethorpe"
ADDRESSES = ("東京都渋谷区幡ヶ谷9-9-9 蜜柑荘", "Nowherestrasse 4711")
BIRTH_DATES = ("1979-03-17", "1983-08-29", "2019-05-06")
NOTES = ("moved to a shelter", "会員証を失くした", "told by a neighbour")
CLERK = "clerk-koyama-hidden"


@pytest.fixture
def lines(monkeypatch):
    """Everything that our own process logs, at the lowest level."""
    written = io.StringIO()
    tomoni_logging.configure("registry", "DEBUG")
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=written))
    handler = logging.StreamHandler(written)
    for name in ("", "asyncpg", "litestar"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        monkeypatch.setattr(logger, "handlers", [handler])
    logging.getLogger("httpx").setLevel(logging.CRITICAL)
    logging.getLogger("httpcore").setLevel(logging.CRITICAL)
    yield written
    structlog.reset_defaults()


def familyship():
    body = issue_body(kind="familyship")
    application = body["application"]
    first, second = application["partners"]
    application["partners"] = [
        first | {"name": NAMES[0], "address": ADDRESSES[0], "birth_date": BIRTH_DATES[0]},
        second | {"name": NAMES[1], "address": ADDRESSES[1], "birth_date": BIRTH_DATES[1], "common_name": COMMON_NAME},
    ]
    application["family"] = [{"name": NAMES[2], "birth_date": BIRTH_DATES[2], "relation": "child"}]
    return body


async def live(node):
    """A full life of certificates, refusals in between; return the handles and the texts of all refusals."""
    refusals = []

    async def command(path, body, *scopes, status=200):
        answer = await node.post(path, body, *scopes, subject=CLERK)
        assert answer.status_code == status, answer.text
        if status >= 400:
            refusals.append(answer.content)
        return answer.json()

    await command("/v1/certificates", familyship(), status=409)
    await node.open_scheme()
    ill = familyship()
    ill["application"]["facts"] = ["close-kin"]
    await command("/v1/certificates", ill, status=422)
    await command("/v1/certificates", familyship() | {"certified_on": "2027-01-01"}, status=422)
    await command("/v1/certificates", familyship() | {NAMES[0]: NAMES[1]}, status=400)
    await command("/v1/certificates", familyship() | {"kind": NAMES[1]}, status=400)
    issued = await command("/v1/certificates", familyship(), status=201)
    path = f"/v1/certificates/{issued['certificate']}"
    reissued = await command(f"{path}/reissue", {"reissued_on": "2026-11-01", "reason": NOTES[1]})
    ended = {"effect": "ended", "reason": "dissolution", "effective_on": "2026-11-02", "note": NOTES[0]}
    await command(f"{path}/revoke", ended | {"effective_on": "2026-01-01"}, status=422)
    await command(f"{path}/revoke", ended)
    await command(f"{path}/revoke", ended, status=409)
    await command(f"{path}/reinstate", {"reinstated_on": "2026-11-03", "reason": NOTES[2]}, "supervisor")
    await command(f"{path}/correct", {"certified_on": "2026-10-02", "reason": NOTES[2]})
    await command(f"{path}/correct", {"certified_on": "2026-10-02", "reason": NOTES[2]}, status=422)
    held = await node.get(f"{path}/vault", "supervisor", subject=CLERK)
    assert held.json()["application"]["partners"][0]["name"] == NAMES[0]
    refused = await node.client.get(f"/v1/{issued['handle']}", headers=node.headers())
    refusals.append(refused.content)
    return [issued["handle"], reissued["handle"]], refusals


def forms(text):
    """A secret as it could stand somewhere: in several encodings, escapes and normal forms, as words too."""
    for form in {text, *(unicodedata.normalize(kind, text) for kind in ("NFC", "NFKC", "NFD"))}:
        yield form.encode()
        yield form.encode("utf-16-le")
        yield quote(form).encode()
        yield msgspec.json.encode(form)[1:-1]
        yield form.encode("unicode_escape")
        yield base64.b64encode(form.encode()).rstrip(b"=")[:-1]
        yield form.encode().hex().encode()


async def test_nothing_personal_stands_anywhere_but_sealed_in_the_vault(node, lines):
    await node.restart_with_rules(
        (
            "[kinds.partnership]",
            '[kinds.familyship]\nrelations = ["child"]\naccepts = ["sexual-minority"]\n\n[kinds.partnership]',
        )
    )
    handles, refusals = await live(node)
    logger = structlog.get_logger()
    logger.info("probe", code="131130")
    logging.getLogger("asyncpg").warning("probe")

    places = {
        "log lines": lines.getvalue().encode(),
        "metrics": (await node.client.get("/metrics")).content,
        "health": (await node.client.get("/health/ready")).content,
        "refusals": b"\n".join(refusals),
        "entries": b"\n".join(await node.entries()),
        "settings": node.files.settings.read_bytes() + node.files.admission.read_bytes(),
        "database": await dump(node),
    }
    assert len(await node.sql("SELECT 1 FROM vault.record")) > 10
    assert b"probe" in places["log lines"]
    assert len(refusals) == 9
    assert b"certificate.revoked" in places["entries"]
    handles += [handle.replace("-", "") for handle in handles]
    secrets = [*NAMES, COMMON_NAME, *ADDRESSES, *BIRTH_DATES, *NOTES, *handles, *NAMES[1].split()]
    found = {
        (place, index)
        for place, content in places.items()
        for index, secret in enumerate(secrets)
        for form in forms(secret)
        if form in content
    }
    assert found == set()
    who_or_why = {
        place for place, content in places.items() for word in (CLERK, "dissolution") if word.encode() in content
    }
    assert who_or_why == set()


async def dump(node):
    """Every value of every table of every schema of ours, bytes as they are."""
    tables = await node.sql(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    content: list[bytes] = []
    for table in tables:
        for row in await node.sql(f"SELECT * FROM {table['name']}"):
            content += [value if isinstance(value, bytes) else repr(value).encode() for value in row.values()]
    assert {table["name"] for table in tables} >= {"log.entry", "vault.record", "vault.data_key", "vault.answer"}
    return b"\n".join(content)


async def test_the_sweep_would_find_a_secret(node, lines):
    """The forms looked for are those in which a secret would really stand."""
    structlog.get_logger().info("probe", kind=NAMES[0])
    assert any(form in lines.getvalue().encode() for form in forms(NAMES[0]))
    await node.sql("INSERT INTO registry.pulse (at) VALUES (now())")
    await node.sql("CREATE TABLE registry.leak AS SELECT convert_to($1, 'UTF8') AS b, $2 AS t", NAMES[1], NOTES[0])
    dumped = await dump(node)
    assert any(form in dumped for form in forms(NAMES[1]))
    assert any(form in dumped for form in forms(NOTES[0]))
