"""The keys of statements as an operator has them: made with the federation, rotated by a command, read at a start."""

import msgspec

from tests import loopback
from tests.federation.services import Service
from tests.federation.test_service import run
from tests.transport.hubs import running_hub
from tomoni.auth import TokenIssuer
from tomoni.documents import document_hash, new_handle


async def published(service):
    async with loopback.client() as client:
        return [key["kid"] for key in (await client.get(f"{service.url}/v1/statements/keys")).json()["keys"]]


async def test_a_rotated_key_signs_after_a_restart_and_the_one_before_stays_published(database, tmp_path):
    async with running_hub(tmp_path / "hub") as hub:
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        async with service:
            (first,) = await published(service)
            status, said = await run(service, "rotate-statement-key")
            assert (status, "New statement key" in said) == (0, True)
            assert await published(service) == [first]
            assert await service.stop() == 0
            await service.start()
            second, before = await published(service)
            assert before == first
            assert second in said
            token = msgspec.json.decode(service.files.token_key.read_bytes())
            assert token["kid"] not in {first, second}


async def test_no_log_line_holds_a_handle_of_a_batch_or_a_statement(database, tmp_path):
    handle = new_handle()
    question = {"issuer": "131130", "handle": handle, "purpose": "counter"}
    several = [{"issuer": "131130", "handle": each} for each in (handle, handle[:-1] + "U")]
    async with running_hub(tmp_path / "hub") as hub:
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        tokens = service.settings.tokens
        token = TokenIssuer(service.files.token_key, tokens.issuer).issue("test", ["verifier"], tokens.audience)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/jose, application/x-ndjson"}
        async with service, loopback.client(service.url, headers=headers) as client:
            signed = await client.post("/v1/status", json=question)
            assert (signed.status_code, signed.headers["content-type"]) == (200, "application/jose")
            await client.post("/v1/status", json=question | {"handle": handle[:-1] + "U"})
            lines = b"\n".join(msgspec.json.encode(each) for each in several)
            kind = {"Content-Type": "application/x-ndjson"}
            answer = await client.post("/v1/status/batch?purpose=counter", content=lines, headers=kind)
            assert len(answer.text.splitlines()) == 2
            await client.post("/v1/status/batch", json={"purpose": "counter", "documents": several})
            assert await service.stop() == 0
        text = service.log_text()
        for secret in (handle, handle[:-1], document_hash("131130", handle)):
            assert secret not in text
