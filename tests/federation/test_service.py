"""The federation as a process on a real hub and a real database, and what may happen to each of them."""

import asyncio
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import msgspec
import pytest

from tests.federation.services import Relay, Service
from tests.federation.towns import Town
from tests.transport.hubs import SETAGAYA, SHIBUYA, node, running_hub, until
from tomoni import times
from tomoni.tlog.cosignature import Cosigner, open_cosigned
from tomoni.transport import Outgoing, TransportError, events_subject, last_message, publish_one, receipts_subject
from tomoni.transport.subjects import KIND_HEADER, POSITION_HEADER, RECEIPTS
from tomoni_cli.embedded.postgres import EmbeddedPostgres


class Scene:
    """A hub, the federation's process, two towns with their relays."""

    def __init__(self, stack, hub, service, owner_dsn):
        self.stack, self.hub, self.service, self.owner_dsn = stack, hub, service, owner_dsn
        self.towns = {code: Town(code) for code in (SHIBUYA, SETAGAYA)}
        self.relays = {}

    async def admit(self):
        for code, town in self.towns.items():
            await self.service.admit(town, self.hub)
            connection = await self.stack.enter_async_context(node(self.hub, code))
            self.relays[code] = Relay(town, connection)
        return self

    async def rows(self, query, *args):
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query, *args)]
        finally:
            await connection.close()

    async def require_everything_once(self):
        """Every event once, in order, and rows and cursors agree with the mirror."""
        for town in self.towns.values():
            held = await self.rows(
                "SELECT position, data FROM mirror.entry WHERE log = $1 ORDER BY position", town.code
            )
            assert held == list(enumerate(town.entries))
            cursor = await self.rows("SELECT position FROM projection.cursor WHERE log = $1", town.code)
            certificates = await self.rows("SELECT count(*) FROM projection.certificate WHERE log = $1", town.code)
            assert (cursor, certificates) == ([(town.size,)], [(town.size,)])


@pytest.fixture
async def scene(database, tmp_path: Path):
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(running_hub(tmp_path / "hub"))
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        await stack.enter_async_context(service)
        yield await Scene(stack, hub, service, database.owner_dsn).admit()


async def seen(scene, town, handle, status="valid", purpose="counter"):
    async def look():
        return await scene.service.status(town, handle, purpose) == status

    await until(look)


async def test_killed_again_and_again_it_loses_doubles_and_reorders_nothing(scene):
    last = {}
    for round_number in range(6):
        for code, town in scene.towns.items():
            for _ in range(120):
                last[code] = town.issue()[1]
                if town.size % 40 == 0:
                    await scene.relays[code].send()
        if round_number % 2 == 0:
            await scene.service.kill()
            await scene.service.start()
    for code, town in scene.towns.items():
        await scene.relays[code].beat(times.now())
        await seen(scene, town, last[code])
    await scene.require_everything_once()


async def test_a_receipt_reaches_its_node(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    town.issue()
    await relay.send()
    receipts = Cosigner.parse(scene.service.files.receipts_key.read_text().strip()).verifier

    async def look():
        found = await last_message(relay.connection, RECEIPTS, receipts_subject(SHIBUYA))
        return (
            found is not None
            and open_cosigned(found.data, receipts) > 0
            and town.note().split(b"\n\n")[0] in found.data
        )

    await until(look)


async def test_a_relay_that_is_further_than_a_history_taken_back_gets_its_receipt_again(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]

    def receipt_of(size):
        async def look():
            found = await last_message(relay.connection, RECEIPTS, receipts_subject(SHIBUYA))
            return found is not None and found.data.startswith(town.checkpoint_at(size).to_text().encode())

        return look

    for size in (1, 2):
        town.issue()
        await relay.send()
        await until(receipt_of(size))
    (compact,) = await scene.rows("SELECT leaf FROM mirror.entry WHERE position = 0")
    await scene.rows("SELECT mirror.disown($1, 1, $2), projection.forget_beyond($1, 1)", town.code, *compact)
    _, handle = town.issue()
    await relay.send()
    await until(receipt_of(1))
    relay.sent = 1
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    await scene.require_everything_once()


async def test_a_receipt_that_the_hub_has_lost_comes_again_to_the_relay_that_waits_for_it(scene, tmp_path):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]

    async def receipted():
        found = await last_message(relay.connection, RECEIPTS, receipts_subject(SHIBUYA))
        return found is not None and found.data.startswith(town.checkpoint_at().to_text().encode())

    await scene.hub.kill()
    shutil.copytree(scene.hub.folder / "js", tmp_path / "old")
    await scene.hub.start()
    await relay.connection.wait_connected(30)
    town.issue()
    await relay.send()
    await until(receipted)
    await scene.hub.kill()
    shutil.rmtree(scene.hub.folder / "js")
    shutil.copytree(tmp_path / "old", scene.hub.folder / "js")
    await scene.hub.start()
    await relay.connection.wait_connected(30)
    assert not await receipted()
    relay.sent, relay.sequence = 0, 0
    await relay.send()
    await until(receipted)


async def test_a_wiped_hub_is_filled_again_and_gets_the_receipts_again(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    _, first = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, first)
    await scene.hub.wipe()
    await relay.connection.wait_connected(30)

    async def look():
        try:
            return await last_message(relay.connection, RECEIPTS, receipts_subject(SHIBUYA)) is not None
        except TransportError:
            return False

    await until(look)
    relay.sent, relay.sequence = 0, 0
    _, second = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, second)
    assert await scene.rows("SELECT count(*) FROM mirror.entry") == [(2,)]


async def test_junk_by_a_stolen_transport_key_is_outlived_and_accuses_nobody(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    town.issue()
    await relay.send()
    thief = Town(SHIBUYA)
    for _ in range(3):
        thief.issue()
    subject = events_subject(SHIBUYA)
    junk = [(one.kind, one.position, one.data) for one in thief.messages(1)] + [("entry", 1, b"\x00"), ("x", "y", b"z")]
    for kind, position, data in junk:
        headers = {KIND_HEADER: str(kind), POSITION_HEADER: str(position)}
        relay.sequence = (await publish_one(relay.connection, subject, Outgoing(data, headers), None)).sequence
    _, handle = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    assert await scene.rows("SELECT DISTINCT state FROM mirror.log") == [("open",)]
    assert [row[0] for row in await scene.rows("SELECT data FROM mirror.entry ORDER BY position")] == town.entries


async def test_a_node_that_is_cut_off_turns_unknown_for_a_short_purpose_and_comes_back(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    _, handle = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    await seen(scene, town, handle, "unknown", "tour")
    assert await scene.service.status(town, handle) == "valid"
    await relay.beat(times.now())
    await seen(scene, town, handle, "valid", "tour")


async def test_a_signed_contradiction_is_quarantined_in_the_federations_log_and_the_other_town_goes_on(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    other, other_relay = scene.towns[SETAGAYA], scene.relays[SETAGAYA]
    _, handle = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    fork = Town(SHIBUYA, log_key=town.log_key, heartbeat_key=town.heartbeat_key)
    fork.issue()
    message = fork.checkpoint_message()
    headers = {KIND_HEADER: "checkpoint", POSITION_HEADER: "1"}
    await publish_one(relay.connection, events_subject(SHIBUYA), Outgoing(message.data, headers), None)
    await seen(scene, town, handle, "unknown")

    async def recorded():
        return any(b"jurisdiction.quarantined" in data for (data,) in await scene.rows("SELECT data FROM log.entry"))

    await until(recorded)
    _, unaffected = other.issue()
    await other_relay.send()
    await other_relay.beat(times.now())
    await seen(scene, other, unaffected)


async def test_it_drains_on_sigterm_and_says_nothing_secret(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    _, handle = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    await scene.service.status(town, handle[:-1] + "U")
    assert await scene.service.stop() == 0
    text = scene.service.log_text()
    assert handle not in text
    assert handle[:-1] not in text
    assert town.documents.popitem()[1] not in text
    assert all(msgspec.json.decode(line)["service"] == "federation" for line in text.splitlines())


async def run(service: Service, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tomoni_cli.main",
        "federation",
        *arguments,
        "--config",
        str(service.files.settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_verify_mirror_finds_a_changed_row_and_names_log_and_position(scene):
    town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
    for _ in range(7):
        _, handle = town.issue()
    await relay.send()
    await relay.beat(times.now())
    await seen(scene, town, handle)
    status, text = await run(scene.service, "verify-mirror")
    assert (status, "2 of 2 logs" in text) == (0, True)
    await scene.rows("ALTER TABLE mirror.entry DISABLE TRIGGER entries_stay")
    await scene.rows(
        "UPDATE mirror.entry SET data = replace(encode(data, 'escape'), '2026', '2027')::bytea WHERE position = 4"
    )
    status, text = await run(scene.service, "verify-mirror")
    assert status == 1
    assert "131130  position 4 is WRONG" in text
    status, text = await run(scene.service, "verify-mirror", "--json")
    finding = next(one for one in msgspec.json.decode(text) if not one["proven"])
    assert (status, finding["log"], finding["position"]) == (1, "131130", 4)
    await scene.rows("UPDATE mirror.entry SET leaf = sha256('\\x00'::bytea || data)")
    status, text = await run(scene.service, "verify-mirror")
    assert (status, "131130  position 0 is WRONG" in text, "between here and position 6" in text) == (1, True, True)


WRONG = [
    ('federation = "', 'federatio = "', "unknown field `federatio`"),
    ('federation = "tomoni', 'federation = "other', "of another federation"),
    ('host = "127.0.0.1"', 'host = "0.0.0.0"', "reachable from outside"),
    ("counter = 86400", "counter = 0", "purposes"),
    ("database = ", "database = 'postgresql://nobody@127.0.0.1:1/x' #", "database cannot be used"),
]


async def test_wrong_settings_are_refused_plainly(database, tmp_path):
    async with running_hub(tmp_path / "hub") as hub:
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
    text = service.files.settings.read_text()
    for before, after, told in WRONG:
        assert before in text
        service.files.settings.write_text(text.replace(before, after))
        status, said = await run(service, "serve")
        assert (status, told in said, "Traceback" in said) == (2, True, False), (after, said)


async def test_a_database_that_goes_and_comes_back_is_outlived_without_a_restart(tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="tomoni-pg-"))
    server = EmbeddedPostgres(folder, port=0)
    try:
        server.start()
        database = server.create_database("federation")
        async with AsyncExitStack() as stack:
            hub = await stack.enter_async_context(running_hub(tmp_path / "hub"))
            service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
            await stack.enter_async_context(service)
            scene = await Scene(stack, hub, service, database.owner_dsn).admit()
            town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
            town.issue()
            await relay.send()
            server.kill()
            _, handle = town.issue()
            await relay.send()
            assert await service.status(town, handle) in {"refused", "away"}
            server.start()
            await relay.beat(times.now())
            await seen(scene, town, handle)
            await until(service.is_ready)
            assert service.process.returncode is None
    finally:
        server.stop(immediate=True)
        shutil.rmtree(folder)
