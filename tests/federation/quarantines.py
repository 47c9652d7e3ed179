"""Towns that were caught, and the secretariat that deals with them."""

from io import BytesIO

import msgspec

from tests.evidence.making import forked_from
from tests.federation.towns import FEDERATION, Town
from tomoni import nkey
from tomoni.admission import sign_admission
from tomoni.evidence.judging import judge
from tomoni_federation.mirror.evidence_files import judge_file, list_evidence, write_evidence
from tomoni_federation.mirror.verify import Fault, verify_mirror
from tomoni_federation.projections.digest import digest
from tomoni_federation.projections.project import Projector

CODE = "131130"


async def admitted(desk, code=CODE, town=None):
    town = town or Town(code)
    answer = await desk.post("/v1/admissions", msgspec.to_builtins(asking(town)), "secretariat")
    assert answer.status_code == 201, answer.text
    return town


def asking(town):
    return sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, nkey.generate_seed())


async def readmit(desk, town, **fields):
    body = {"request": msgspec.to_builtins(asking(town))} | fields
    return await desk.post(f"/v1/jurisdictions/{town.code}/readmit", body, "secretariat")


async def written(desk, code=CODE):
    """Return the evidence files against a town."""
    files = []
    async with (
        desk.federation.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for one in await list_evidence(connection, code):
            file = BytesIO()
            await write_evidence(connection, code, one.hash, file)
            file.seek(0)
            assert (await judge_file(connection, code, file)).evidence == one.hash
            files.append(file.getvalue())
    return files


def convinced(file, town):
    return judge(BytesIO(file), [town.log_key.verifier, town.heartbeat_key.verifier])


async def caught(desk):
    """Return a town that was caught with two branches: what the mirror holds, and the other, from size 2 on."""
    town = await admitted(desk)
    for _ in range(2):
        town.issue()
    await desk.hear(town)
    other = forked_from(town, 2)
    for _ in range(3):
        town.issue()
    await desk.hear(town)
    other.lost = town.issue()[1]
    await desk.hear(town)
    other.kept = [other.issue()[1] for _ in range(2)]
    await desk.federation.take(other.checkpoint_message())
    assert await desk.office.record_evidence() == 1
    return town, other


def renewed(town):
    """Return the town with new keys and what it holds."""
    return Town(town.code, entries=list(town.entries), versions=dict(town.versions))


def named(town, size=None):
    checkpoint = town.checkpoint_at(size)
    return {"size": checkpoint.size, "root": checkpoint.root.hex()}


async def require_equal_to_replay(desk, town):
    """What is served is what the mirror gives, and the mirror is what the keys have signed."""
    assert await desk.federation.mirrored(town) == town.entries
    async with desk.federation.pool.acquire() as connection, connection.transaction():
        live = await digest(connection)
        await connection.execute("SELECT projection.forget_beyond(log, 0) FROM mirror.log")
    await Projector(desk.federation.pool, FEDERATION).catch_up()
    async with (
        desk.federation.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        assert await digest(connection) == live
        found = [one async for one in verify_mirror(connection, FEDERATION)]
    assert not any(isinstance(one, Fault) for one in found)
