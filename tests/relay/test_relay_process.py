"""The relay as a process: health, metrics, a graceful stop, and an end when its work fails for good."""

import asyncio
import json
import signal

import httpx

from tests import loopback
from tests.relay.nodes import RelayProcess
from tests.transport.hubs import SHIBUYA, until
from tomoni.processes import free_port


def started(town, hub, folder) -> tuple[RelayProcess, httpx.AsyncClient]:
    port = free_port()
    http = loopback.client(f"http://127.0.0.1:{port}")
    return RelayProcess(town.settings(hub), folder, port), http


async def status(http: httpx.AsyncClient, path: str) -> int:
    try:
        return (await http.get(path)).status_code
    except httpx.HTTPError:
        return 0


async def test_the_process_tells_its_health_and_stops_cleanly(town, hub, tmp_path):
    relay, http = started(town, hub, tmp_path)
    async with http:
        await relay.start()

        async def answers(path: str, wanted: int) -> None:
            async def seen() -> bool:
                return await status(http, path) == wanted

            await until(seen)

        await answers("/health/ready", 200)
        await town.append(5)

        async def published() -> bool:
            return "tomoni_relay_published_size 5.0" in (await http.get("/metrics")).text

        await until(published)
        await hub.kill()
        await answers("/health/ready", 503)
        assert await status(http, "/health/live") == 200
        await hub.start()
        await answers("/health/ready", 200)
        relay.process.terminate()
        assert await asyncio.wait_for(relay.process.wait(), 60) == 0
    lines = [json.loads(line) for line in relay.log.read_text().splitlines()]
    assert {line["service"] for line in lines} == {"relay"}
    for secret in (hub.seeds[SHIBUYA], town.database.runner_dsn, "entry "):
        assert secret not in relay.log.read_text()


async def test_a_relay_whose_work_fails_for_good_ends_with_an_error(town, hub, tmp_path):
    relay, http = started(town, hub, tmp_path)
    async with http:
        await town.owner.execute("DROP TABLE relay.receipt CASCADE")
        await relay.start()
        assert await asyncio.wait_for(relay.process.wait(), 60) not in (0, -signal.SIGKILL)
    assert "relay_failed" in relay.log.read_text()
