"""A database that is stopped, or cannot write: the federation's process says so, and goes on when it is back."""

import asyncio
import tempfile
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import msgspec
import pytest

from tests import loopback
from tests.faults.sweep import require_away, sweep
from tests.faults.unwritable import full_disk, read_only
from tests.federation.services import Service
from tests.federation.towns import FEDERATION, Town
from tests.transport.hubs import SHIBUYA, running_hub, until
from tomoni.admission import sign_admission
from tomoni.auth import TokenIssuer
from tomoni.documents import new_handle
from tomoni_cli.embedded.postgres import EmbeddedPostgres

NETWORK = {
    "network": "kanto",
    "name": "Kanto",
    "pattern": "A",
    "kinds": ["partnership"],
    "services": ["public-housing"],
    "effective_on": "2026-12-01",
}


async def written(owner_dsn):
    connection = await asyncpg.connect(owner_dsn)
    try:
        tables = ("log.entry", "mirror.log", "mirror.key", "projection.cursor")
        return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    finally:
        await connection.close()


@pytest.mark.parametrize("lacking", [read_only, full_disk])
async def test_the_secretariats_commands_land_whole_once_the_database_can_write(database, postgres, tmp_path, lacking):
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running_hub(tmp_path / "hub"))
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        await stack.enter_async_context(service)
        town = Town(SHIBUYA)
        request = sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, hub.seeds[town.code])
        commands = {"/v1/admissions": request, "/v1/networks": NETWORK}
        before = await written(database.owner_dsn)
        with lacking(postgres, database.name):

            async def says_so() -> bool:
                return not await service.is_ready()

            await until(says_so)
            for path, body in commands.items():
                answer = await service.post(path, body, "secretariat")
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), answer.text
                assert "takes no writes at present; nothing happened" in answer.json()["detail"]
            assert await written(database.owner_dsn) == before
            question = {"issuer": town.code, "handle": new_handle(), "purpose": "counter"}
            assert (await service.post("/v1/status", question)).status_code == 200
        await until(service.is_ready)
        statuses = [(await service.post(path, body, "secretariat")).status_code for path, body in commands.items()]
        assert statuses == [201, 200]
        after = await written(database.owner_dsn)
        assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1, 1]


async def ask_everything(service, bodies):
    tokens = service.settings.tokens
    scopes = ["secretariat", "auditor", "verifier"]
    issuer = TokenIssuer(service.files.token_key, tokens.issuer)
    token = issuer.issue("somebody", scopes, tokens.audience, jurisdiction=SHIBUYA)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    names = {"code": SHIBUYA, "name": "kanto", "evidence": "0" * 64, "path": "0/000", "receiver": SHIBUYA}
    names |= {"watch": str(uuid.uuid4()), "prefecture": "13", "table": "document", "part": "00"}
    async with loopback.client(service.url, timeout=60) as client:
        return await sweep(client, headers, names, bodies)


async def test_a_stopped_database_is_answered_by_every_route(tmp_path):
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tomoni-pg-"))
        postgres = stack.enter_context(EmbeddedPostgres(Path(folder)))
        database = postgres.create_database("away")
        hub = await stack.enter_async_context(running_hub(tmp_path / "hub"))
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        await stack.enter_async_context(service)
        town = Town(SHIBUYA)
        signed = sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, hub.seeds[town.code])
        request = msgspec.to_builtins(signed)
        document = {"issuer": town.code, "handle": new_handle()}
        asked_for = {"receiver": "131121", "service": "public-housing"}
        bodies = {
            "/v1/status": document | {"purpose": "counter"},
            "/v1/status/batch": {"purpose": "counter", "documents": [document]},
            "/v1/recognition": document | asked_for | {"purpose": "counter"},
            "/v1/recognition/batch": asked_for | {"purpose": "counter", "questions": [document]},
            "/v1/admissions": request,
            "/v1/jurisdictions/{code}/suspend": {},
            "/v1/jurisdictions/{code}/readmit": {"request": request},
            "/v1/watches": {"name": "housing"},
            "/v1/watches/{watch}/documents": {"documents": [document | {"reference": "case-1"}]},
            "/v1/watches/{watch}/documents/remove": {"references": ["case-1"]},
            "/v1/networks": NETWORK,
            "/v1/networks/{name}/members": {"member": SHIBUYA, "effective_on": "2026-12-01"},
        }
        asked = [asyncio.create_task(ask_everything(service, bodies)) for _ in range(8)]
        await asyncio.to_thread(postgres.stop)
        require_away(await ask_everything(service, bodies))
        await asyncio.to_thread(postgres.start)
        await asyncio.gather(*asked)
        await until(service.is_ready)
        assert (await service.post("/v1/admissions", request, "secretariat")).status_code == 201
