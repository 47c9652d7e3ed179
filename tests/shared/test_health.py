"""Health tests the function, and asking for it is no way to wear a service out."""

import asyncio

import httpx
from litestar import Litestar

from tomoni.health import health_routes


async def test_however_many_ask_at_once_the_function_is_tested_once() -> None:
    runs, proceed = [], asyncio.Event()

    async def check() -> None:
        runs.append(1)
        await proceed.wait()

    app = Litestar(health_routes({"write": check}), openapi_config=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://node") as client:
        asking = [asyncio.create_task(client.get("/health/ready")) for _ in range(30)]
        while not runs:
            await asyncio.sleep(0)
        for _ in range(100):  # all of them are there by now
            await asyncio.sleep(0)
        asking.pop().cancel()
        proceed.set()
        answers = await asyncio.gather(*asking)
        assert [answer.status_code for answer in answers] == [200] * 29
        assert len(runs) == 1
        assert (await client.get("/health/ready")).json() == {"write": "ok"}
    assert len(runs) == 2
