"""The mirror over HTTP: what any tool for C2SP logs reads, fetched whole and proven with the federation's keys."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.federation.towns import FEDERATION, NOW, Town
from tomoni import nkey
from tomoni.admission import sign_admission
from tomoni.eventlog import CheckpointPublisher, FixedKeys, LastWord
from tomoni.tlog.cosignature import generate_cosigner
from tomoni.tlog.note import generate_signer
from tomoni.tlog.tiles import TILE_WIDTH, entries_path, tile_path, tile_root
from tomoni.tlog.verify import NotPublishedError
from tomoni_auditor.archive.folder import LogFolder
from tomoni_auditor.fetch.log import fetch_log
from tomoni_auditor.history.folders import Keys, prove_folder
from tomoni_auditor.history.proving import Proven
from tomoni_auditor.verify.verification import verify_log
from tomoni_federation.mirror import api

OWN = f"{FEDERATION}/federation"


class Wire:
    """A source that asks the federation's routes, from another thread than the one that answers."""

    def __init__(self, desk, prefix: str) -> None:
        self.desk, self.prefix, self.loop = desk, prefix, asyncio.get_running_loop()

    def fetch(self, path: str) -> bytes:
        asking = self.desk.get(f"{self.prefix}/{path}", "auditor")
        answer = asyncio.run_coroutine_threadsafe(asking, self.loop).result(30)
        if answer.status_code == 404:
            raise NotPublishedError(path)
        assert answer.status_code == 200, answer.text
        return answer.content

    def expect(self, _) -> None:
        """Nothing is read ahead."""


def wire(desk, town: Town) -> Wire:
    return Wire(desk, f"/v1/jurisdictions/{town.code}/log")


@pytest.fixture
async def shibuya(desk):
    """A town admitted by the secretariat, with 600 entries under four checkpoints."""
    town = Town("131130")
    await desk.office.admit(
        sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, nkey.generate_seed())
    )
    await desk.federation.projector.start()
    for lives in (1, 255, 300):
        before = town.size
        for _ in range(lives):
            town.issue()
        desk.federation.now = NOW + timedelta(minutes=town.size)
        await desk.federation.take(*town.messages(before))
    old = town.rotate()
    for _ in range(43):
        town.issue()
    note = town.note(signers=[old, town.log_key])
    entries = [town.entry_message(position) for position in range(556, town.size)]
    await desk.federation.take(*entries, town.checkpoint_message(note=note))
    await desk.federation.take(heartbeats=[town.heartbeat(desk.federation.now)])
    assert town.size == 600
    return town


async def test_a_mirrored_log_is_one_to_any_tool_for_such_logs(desk, shibuya):
    checkpoint = await asyncio.to_thread(verify_log, wire(desk, shibuya), [shibuya.log_key.verifier])
    assert (checkpoint.origin, checkpoint.size) == (shibuya.origin, 600)


async def test_an_auditor_fetches_a_history_and_proves_it_with_the_federations_keys(desk, shibuya, tmp_path: Path):
    own = generate_signer(OWN)
    publisher = CheckpointPublisher(
        desk.federation.pool, OWN, FixedKeys(own), generate_cosigner(f"{OWN}/heartbeat"), LastWord(tmp_path / "word")
    )
    await publisher.check()
    await publisher.publish()
    await publisher.heartbeat()
    held = tmp_path / "held"
    for place in (Wire(desk, "/log"), wire(desk, shibuya)):
        code = "federation" if place.prefix == "/log" else shibuya.code
        await asyncio.to_thread(fetch_log, place, LogFolder(held / code))
    keys = Keys([own.vkey, desk.federation.cosigner.vkey])
    found = await asyncio.to_thread(lambda: list(prove_folder(held, keys)))
    assert all(isinstance(one, Proven) for one in found), found
    assert [(one.code, one.size, one.checkpoints, one.receipts) for one in found] == [
        ("federation", 1, 1, 0),
        ("131130", 600, 4, 4),
    ]
    assert found[1].known_as_of == NOW + timedelta(minutes=556)
    assert found[1].heard_at == NOW + timedelta(minutes=556)


async def test_tiles_of_higher_levels_are_made_from_leaves(desk, shibuya):
    leaves = await desk.federation.pool.fetch("SELECT leaf FROM mirror.entry ORDER BY position")
    roots = [tile_root([row["leaf"] for row in leaves[start : start + TILE_WIDTH]]) for start in (0, 256)]
    answer = await desk.get(f"/v1/jurisdictions/131130/log/{tile_path(1, 0, 2)}", "auditor")
    assert answer.content == b"".join(roots)


@pytest.mark.parametrize(
    "path", ["checkpoint", "heartbeat", "tile/0/000", entries_path(0, 1), "tile/entries/x", tile_path(1, 0, 1)]
)
async def test_of_a_log_that_is_not_there_nothing_is_found(desk, shibuya, setagaya, path):
    for code in ("131121", "271004"):
        assert (await desk.get(f"/v1/jurisdictions/{code}/log/{path}", "auditor")).status_code == 404
    for beyond in (tile_path(0, 2), entries_path(2, 89), tile_path(1, 0, 3)):
        assert (await desk.get(f"/v1/jurisdictions/131130/log/{beyond}", "auditor")).status_code == 404


async def test_notes_come_after_a_size_and_nothing_after_the_last(desk, shibuya):
    for kind in ("checkpoints", "receipts"):
        found = (await desk.get(f"/v1/jurisdictions/131130/log/{kind}?after=256", "auditor")).text
        assert [line for line in found.split("\n") if line.isdecimal()] == ["556", "600"]
        assert (await desk.get(f"/v1/jurisdictions/131130/log/{kind}?after=600", "auditor")).content == b""
        assert (await desk.get(f"/v1/jurisdictions/131130/log/{kind}?after=x", "auditor")).status_code == 400


async def test_a_mirror_that_lacks_an_entry_serves_no_half_bundle(desk, shibuya):
    await desk.federation.as_owner("SET tomoni.disowning = 'yes'; DELETE FROM mirror.entry WHERE position = 300")
    for path in (entries_path(1), tile_path(0, 1), tile_path(1, 0, 2)):
        assert (await desk.get(f"/v1/jurisdictions/131130/log/{path}", "auditor")).status_code == 503
    assert (await desk.get(f"/v1/jurisdictions/131130/log/{entries_path(0)}", "auditor")).status_code == 200


@pytest.mark.parametrize("query", ["LATEST", "CHECKPOINTS", "RECEIPTS", "HEARTBEAT", "ENTRIES", "LEAVES"])
async def test_each_read_goes_by_its_index_and_sorts_nothing(desk, shibuya, query):
    text = getattr(api, query).replace("$1", "'131130'").replace("$2", "0").replace("$3", "256")
    async with desk.federation.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}"))
    assert "_pkey" in plan
    assert "Sort" not in plan
