"""A node on a disk that is full: it refuses, loses nothing that it said, and goes on when there is room again."""

import asyncio
import uuid

from tests.faults.small_disk import small_disk
from tests.registry.conftest import CODE, FEDERATION, Node, issue_body
from tests.registry.test_unwritable import require_ready, require_unavailable
from tomoni.eventlog import LastWord
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.note import read_note
from tomoni_registry.initialise import Databases, NewNode, initialise


async def issue_until_refused(node):
    """Issue certificates; return what was answered by key, and the key and the answer of the one that was refused."""
    issued = {}
    while True:
        key = str(uuid.uuid4())
        answer = await node.post("/v1/certificates", issue_body(), key=key)
        if answer.status_code != 201:
            return issued, key, answer
        issued[key] = answer.content


async def require_signed(node):
    """Wait until everything that is in the log is signed, and the last word says so."""
    while True:
        size, signed = (await node.sql("SELECT h.size, max(k.size) FROM log.head h, log.checkpoint k GROUP BY 1"))[0]
        note = LastWord(node.files.last_word).read()
        if size == signed == parse_checkpoint(read_note(note).text).size:
            return
        await asyncio.sleep(0.05)


async def test_a_node_refuses_while_its_disk_is_full_and_the_same_key_does_when_there_is_room():
    with small_disk() as disk:
        databases = Databases(owner=disk.postgres.dsn("small"))
        new = NewNode(code=CODE, federation=FEDERATION, folder=disk.folder / "node", preset="shibuya")
        node = Node(await initialise(new, databases), databases.owner)
        await node.start()
        await node.open_scheme()
        first = await node.issue()
        await require_signed(node)
        with disk.full("small"):
            issued, key, refused = await issue_until_refused(node)
            await require_unavailable([refused])
            assert (await node.get(f"/v1/certificates/{first['certificate']}")).status_code == 200
            entries = len(await node.entries())
            assert entries == 2 + len(issued)
        assert (await node.post("/v1/certificates", issue_body(), key=key)).status_code == 201
        for before, content in issued.items():
            assert (await node.post("/v1/certificates", issue_body(), key=before)).content == content
        assert len(await node.entries()) == entries + 1
        await require_signed(node)
        await require_ready(node, 200)
        await node.stop()
        await node.start()  # its start compares everything with the last word
        await require_ready(node, 200)
        await node.stop()
