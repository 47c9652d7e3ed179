"""Making a node, and running it as a process."""

import asyncio
import os
import signal
import sys
from dataclasses import replace

import asyncpg
import httpx
import msgspec
import pytest

from tests import loopback
from tests.registry.conftest import CODE, FEDERATION
from tomoni.admission import AdmissionRequest, verify_admission
from tomoni.settings import SettingsError, load
from tomoni_registry.initialise import Databases, NewNode, initialise
from tomoni_registry.relay.settings import RelaySettings
from tomoni_registry.settings import load_rules, load_settings


@pytest.fixture
def new(tmp_path):
    return NewNode(code=CODE, federation=FEDERATION, folder=tmp_path / "node", preset="shibuya")


async def test_a_new_node_has_keys_settings_rules_and_a_request_that_verifies(new, administered):
    files = await initialise(new, administered)
    request = msgspec.json.decode(files.admission.read_bytes(), type=AdmissionRequest)
    verify_admission(FEDERATION, request)
    assert request.code == CODE
    for path in (*files.keys.iterdir(), files.settings, files.relay_settings):
        assert path.stat().st_mode & 0o777 == 0o600
    assert files.keys.stat().st_mode & 0o777 == 0o700
    settings = load_settings(files.settings)
    assert settings.database == administered.node
    assert administered.owner not in files.settings.read_text() + files.relay_settings.read_text()
    assert load_rules(settings).code == CODE


async def test_the_relays_settings_are_complete_once_the_receipt_key_is_known(new, administered):
    known = replace(new, receipt_key="tomoni.example/receipts+00000000+AAAA")
    files = await initialise(known, administered)
    relay = load(RelaySettings, files.relay_settings)
    assert relay.database == administered.relay
    assert relay.hub.seed_file == files.transport_seed


async def test_a_town_may_start_from_another_towns_rules(new, administered):
    files = await initialise(replace(new, code="131121", preset="nikko"), administered)
    assert load_rules(load_settings(files.settings)).minimum_age == 18


async def test_a_node_is_never_replaced(new, administered):
    files = await initialise(new, administered)
    before = {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}
    with pytest.raises(SettingsError, match="not empty"):
        await initialise(new, administered)
    assert before == {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}


async def test_a_database_with_a_log_is_not_taken_by_another_folder(node, new, administered):
    await node.open_scheme()
    with pytest.raises(SettingsError, match="holds a log"):
        await initialise(replace(new, folder=new.folder.with_name("other")), administered)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"code": "131131"}, "131130"), ({"code": "secret"}, "six digits"), ({"preset": "kyoto"}, "shibuya")],
)
async def test_what_cannot_be_made_is_refused_before_anything_is_made(new, administered, change, says):
    with pytest.raises(SettingsError, match=says):
        await initialise(replace(new, **change), administered)
    assert not new.folder.exists()


async def test_an_owner_who_may_not_make_roles_is_told_what_to_do(new, administered):
    with pytest.raises(SettingsError, match="-database"):
        await initialise(new, Databases(owner=administered.owner))


async def test_an_owner_who_may_gets_database_and_roles_made(new, postgres):
    name = "newly_made"
    files = await initialise(new, Databases(owner=postgres.dsn(name)))
    node, relay = (
        load_settings(files.settings).database,
        msgspec.toml.decode(files.relay_settings.read_text())["database"],
    )
    try:
        for dsn, table, allowed in [
            (node, "SELECT 1 FROM vault.record", True),
            (node, "DELETE FROM vault.record", False),
            (node, "DELETE FROM log.entry", False),
            (node, "UPDATE vault.data_key SET subject = ''", False),
            (node, "UPDATE vault.record SET sealed = ''", False),
            (relay, "SELECT 1 FROM log.entry", True),
            (relay, "SELECT 1 FROM vault.record", False),
            (relay, "SELECT 1 FROM vault.data_key", False),
            (relay, "SELECT log.append(null, null, null, null, null, null, null, null, null, null, null)", False),
        ]:
            connection = await asyncpg.connect(dsn)
            try:
                await connection.execute(table)
                assert allowed, table
            except asyncpg.InsufficientPrivilegeError:
                assert not allowed, table
            finally:
                await connection.close()
    finally:
        postgres.run_sql(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.run_sql(f"DROP ROLE {name}_node, {name}_relay")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('code = "131130"', 'code = "131131"', "code is wrong"),
        ('code = "131130"', 'code = "131121"', "the rules"),
        ("port = ", "porridge = ", "porridge"),
        ('host = "127.0.0.1"', 'host = "0.0.0.0"', "behind_tls_proxy"),
        ("port = 8400", "port = 0", "http.port"),
        ('key = "keys/tokens.jwk"', "", "tokens"),
        ('key = "keys/tokens.jwk"', 'key = "keys/nothing.jwk"', "cannot be read"),
        ("database = ", "database = 'postgresql://nobody@127.0.0.1:1/x' # ", "database cannot be used"),
    ],
)
async def test_wrong_settings_are_told_plainly_with_status_2(new, administered, before, after, says):
    files = await initialise(new, administered)
    text = files.settings.read_text()
    assert before in text
    files.settings.write_text(text.replace(before, after))
    process = await tomoni("registry", "serve", "--config", str(files.settings))
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert says in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_node_serves_until_it_is_told_to_stop(new, administered, unused_tcp_port):
    files = await initialise(replace(new, http_port=unused_tcp_port), administered)
    process = await tomoni("registry", "serve", "--config", str(files.settings))
    token = await output("token", "--config", str(files.settings), "--scope", "supervisor", "--subject", "chief")
    async with loopback.client(f"http://127.0.0.1:{unused_tcp_port}") as client:
        await until_ready(client, process)
        headers = {
            "Authorization": f"Bearer {token.strip()}",
            "Idempotency-Key": "0e5bd4f4-3a4c-4a0f-8f43-8f1f5a6d9b10",
        }
        opened = await client.post("/v1/scheme/open", json={"opens_on": "2026-04-01"}, headers=headers)
        assert opened.status_code == 200
    process.send_signal(signal.SIGTERM)
    _, lines = await process.communicate()
    assert process.returncode == 0
    assert {msgspec.json.decode(line)["service"] for line in lines.splitlines()} == {"registry"}


async def tomoni(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tomoni_cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith("TOMONI_")},
    )


async def output(*arguments):
    process = await tomoni(*arguments)
    text, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return text.decode()


async def until_ready(client, process):
    while process.returncode is None:
        try:
            if (await client.get("/health/ready")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError((await process.stderr.read()).decode())


async def test_the_command_line_makes_a_node_and_shows_rules(administered, tmp_path):
    made = await output(
        *("registry", "init", "--code", CODE, "--federation-name", FEDERATION, "--database", administered.owner),
        *("--folder", str(tmp_path / "node"), "--preset", "shibuya"),
        *("--node-database", administered.node, "--relay-database", administered.relay),
    )
    assert "admission-request.json" in made.replace("\n", "")
    await output(
        "registry", "migrate", "--config", str(tmp_path / "node" / "registry.toml"), "--database", administered.owner
    )
    rules = tmp_path / "node" / "rules.toml"
    assert "partnership" in await output("registry", "rules", "check", str(rules))
    assert await output("registry", "rules", "show", "shibuya") == rules.read_text()
    listed = msgspec.json.decode(await output("registry", "rules", "list", "--json"))
    assert len(listed) == 9
