"""A federation on a disk that is full: it answers, takes nothing half, and goes on when there is room again."""

from contextlib import AsyncExitStack

from tests.faults.small_disk import small_disk
from tests.federation.services import Service
from tests.federation.test_service import Scene, seen
from tests.transport.hubs import SHIBUYA, running_hub, until
from tomoni import times

PORTION = 200


async def test_a_federation_answers_while_its_disk_is_full_and_takes_the_rest_when_there_is_room(tmp_path):
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(small_disk())
        database = disk.postgres.create_database("small")
        hub = await stack.enter_async_context(running_hub(tmp_path / "hub"))
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        await stack.enter_async_context(service)
        scene = await Scene(stack, hub, service, database.owner_dsn).admit()
        town, relay = scene.towns[SHIBUYA], scene.relays[SHIBUYA]
        _, handle = town.issue()
        await relay.send()
        await relay.beat(times.now())
        await seen(scene, town, handle)

        async def stands_still() -> bool:
            return "DiskFullError" in service.log_text()

        sizes = {town.size}
        with disk.full("small"):
            while not await stands_still():
                for _ in range(PORTION):
                    _, last = town.issue()
                await relay.send()
                sizes.add(town.size)
                assert await service.status(town, handle) == "valid"
            ((proven, entries),) = await scene.rows(
                "SELECT proven_size, (SELECT count(*) FROM mirror.entry e WHERE e.log = l.log) FROM mirror.log l"
                " WHERE log = $1",
                SHIBUYA,
            )
            assert proven == entries
            assert proven in sizes
        await relay.beat(times.now())
        await seen(scene, town, last)
        await until(service.is_ready)
        await scene.require_everything_once()
