"""PostgreSQL is killed in the middle of the work: what was answered is there, and nothing is there twice."""

import asyncio
import tempfile
import uuid
from pathlib import Path

from tests.registry.conftest import CODE, FEDERATION, Node, issue_body
from tomoni.events import decode_event
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_registry.initialise import Databases, NewNode, initialise


async def issue_until_done(node, stop):
    """Issue certificates, each sent again with its key until it is answered for good; return their ids."""
    done = []
    while not stop.is_set():
        key = str(uuid.uuid4())
        while (answer := await node.post("/v1/certificates", issue_body(), key=key)).status_code == 503:
            await asyncio.sleep(0.05)
        assert answer.status_code == 201, answer.text
        done.append(answer.json()["certificate"])
    return done


async def test_a_killed_database_loses_nothing_and_doubles_nothing(tmp_path):
    with tempfile.TemporaryDirectory(prefix="tomoni-pg-") as folder, EmbeddedPostgres(Path(folder)) as postgres:
        databases = Databases(owner=postgres.dsn("crash"))
        new = NewNode(code=CODE, federation=FEDERATION, folder=tmp_path / "node", preset="shibuya")
        node = Node(await initialise(new, databases), databases.owner)
        await node.start()
        await node.open_scheme()
        stop = asyncio.Event()
        clerks = [asyncio.create_task(issue_until_done(node, stop)) for _ in range(8)]
        for size in (50, 100):
            while len(await node.entries()) < size:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start)
        stop.set()
        answered = [certificate for clerk in await asyncio.gather(*clerks) for certificate in clerk]
        subjects = [decode_event(entry).subject for entry in await node.entries()]
        assert sorted(subjects) == sorted(["scheme", *(f"certificate/{one}" for one in answered)])
        held = await node.sql("SELECT subject FROM vault.record WHERE field = 'application'")
        assert sorted(row["subject"] for row in held) == sorted(subjects[1:])
        await node.stop()
