"""A database that answers and cannot write: the node says so, nothing is half-written, and the same key does later."""

import asyncio
import tempfile
import uuid
from pathlib import Path

import pytest

from tests.faults.unwritable import full_disk, read_only
from tests.registry.conftest import CODE, FEDERATION, Node, issue_body
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_registry.initialise import Databases, NewNode, initialise

ISSUED, REFUSED = str(uuid.uuid4()), str(uuid.uuid4())
TOO_LATE = issue_body(certified_on="2027-12-31")


async def written(node):
    """Return how many rows each table holds that a command writes."""
    tables = ("log.entry", "vault.data_key", "vault.record", "vault.answer")
    return [(await node.sql(f"SELECT count(*) FROM {table}"))[0][0] for table in tables]


async def require_unavailable(answers):
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "30", answer.text
        assert answer.json()["type"].endswith("/unavailable")
        assert "takes no writes at present; nothing happened" in answer.json()["detail"]


async def require_ready(node, status):
    while (await node.client.get("/health/ready")).status_code != status:
        await asyncio.sleep(0.05)


async def send_everything(node, certificate):
    """Send a command that is carried out, many at once, one that is refused, and a reading that leaves a trace."""
    return await asyncio.gather(
        node.post("/v1/certificates", issue_body(), key=ISSUED),
        node.post("/v1/certificates", TOO_LATE, key=REFUSED),
        node.get(f"/v1/certificates/{certificate}/vault", "supervisor"),
        *(node.post("/v1/certificates", issue_body()) for _ in range(20)),
    )


async def require_mended(node, certificate, before):
    issued = await node.post("/v1/certificates", issue_body(), key=ISSUED)
    refused = await node.post("/v1/certificates", TOO_LATE, key=REFUSED)
    read = await node.get(f"/v1/certificates/{certificate}/vault", "supervisor")
    assert [issued.status_code, refused.status_code, read.status_code] == [201, 422, 200], (issued.text, read.text)
    again = await node.post("/v1/certificates", issue_body(), key=ISSUED)
    assert again.content == issued.content
    assert [now - then for now, then in zip(await written(node), before, strict=True)] == [1, 1, 4, 2]
    await require_ready(node, 200)


@pytest.mark.parametrize("lacking", [read_only, full_disk])
async def test_nothing_is_half_written_and_the_same_keys_do_once_it_can_write(node, postgres, lacking):
    await node.open_scheme()
    certificate = (await node.issue())["certificate"]
    before = await written(node)
    with lacking(postgres, node.settings.database.rpartition("/")[2].partition("?")[0]):
        await require_ready(node, 503)
        await require_unavailable(await send_everything(node, certificate))
        assert (await node.get(f"/v1/certificates/{certificate}")).status_code == 200
        assert await written(node) == before
    await require_mended(node, certificate, before)


async def test_a_standby_takes_nothing_and_the_same_keys_do_once_it_is_promoted(tmp_path):
    with tempfile.TemporaryDirectory(prefix="tomoni-pg-") as folder, EmbeddedPostgres(Path(folder)) as postgres:
        databases = Databases(owner=postgres.dsn("standby"))
        new = NewNode(code=CODE, federation=FEDERATION, folder=tmp_path / "node", preset="shibuya")
        node = Node(await initialise(new, databases), databases.owner)
        await node.start()
        await node.open_scheme()
        certificate = (await node.issue())["certificate"]
        before = await written(node)
        await asyncio.to_thread(postgres.stop)
        (Path(folder) / "data" / "standby.signal").touch()
        await asyncio.to_thread(postgres.start)
        await require_ready(node, 503)
        await require_unavailable(await send_everything(node, certificate))
        assert await written(node) == before
        await asyncio.to_thread(postgres.run_sql, "SELECT pg_promote()")
        await require_mended(node, certificate, before)
        await node.stop()
