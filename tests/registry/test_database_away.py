"""A database that is stopped: every route of the node says so, and none of them fails."""

import asyncio
import tempfile
import uuid
from pathlib import Path

import msgspec

from tests.faults.sweep import require_away, sweep
from tests.registry.conftest import CODE, FEDERATION, Node
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_registry.arrangements.api import DECLARE, WITHDRAW
from tomoni_registry.certificates import examples
from tomoni_registry.initialise import Databases, NewNode, initialise
from tomoni_registry.keys.api import ROTATE
from tomoni_registry.networks.api import MEMBERSHIP
from tomoni_registry.schemes.api import AMEND, CLOSE, OPEN

NAMES = {"certificate": str(uuid.uuid4()), "arrangement": str(uuid.uuid4()), "network": "kanto", "path": "0/000"}
BODIES = {
    "/v1/certificates": examples.ISSUE,
    "/v1/certificates/{certificate}/reissue": examples.REISSUE,
    "/v1/certificates/{certificate}/confirm": examples.CONFIRM,
    "/v1/certificates/{certificate}/revoke": examples.REVOKE,
    "/v1/certificates/{certificate}/reinstate": examples.REINSTATE,
    "/v1/certificates/{certificate}/correct": examples.CORRECT,
    "/v1/certificates/{certificate}/erase": examples.ERASE,
    "/v1/scheme/open": OPEN,
    "/v1/scheme/amend": AMEND,
    "/v1/scheme/close": CLOSE,
    "/v1/arrangements": DECLARE,
    "/v1/arrangements/{arrangement}/withdraw": WITHDRAW,
    "/v1/networks/{network}/join": MEMBERSHIP,
    "/v1/networks/{network}/leave": MEMBERSHIP,
    "/v1/keys/rotate": ROTATE,
}


async def ask_everything(node):
    headers = node.headers("clerk", "supervisor", "auditor")
    bodies = {path: msgspec.to_builtins(body) for path, body in BODIES.items()}
    return await sweep(node.client, headers, NAMES, bodies)


async def test_a_stopped_database_is_answered_by_every_route(tmp_path):
    with tempfile.TemporaryDirectory(prefix="tomoni-pg-") as folder, EmbeddedPostgres(Path(folder)) as postgres:
        databases = Databases(owner=postgres.dsn("away"))
        new = NewNode(code=CODE, federation=FEDERATION, folder=tmp_path / "node", preset="shibuya")
        node = Node(await initialise(new, databases), databases.owner)
        await node.start()
        await node.open_scheme()
        asked = [asyncio.create_task(ask_everything(node)) for _ in range(8)]
        await asyncio.to_thread(postgres.stop)
        require_away(await ask_everything(node))
        await asyncio.to_thread(postgres.start)
        await asyncio.gather(*asked)
        while (await node.client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)
        assert (await node.issue())["handle"]
        await node.stop()
