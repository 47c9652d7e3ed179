"""Certificates issued by many clients while every process is killed: each acknowledged one arrives once, in order."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from tests import loopback
from tomoni import times
from tomoni.events import decode_event
from tomoni.events.jurisdiction import CertificateIssued
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.note import read_note
from tomoni_cli.demo import people
from tomoni_cli.demo.system import System
from tomoni_cli.demo.towns import SHIBUYA

CERTIFICATES = int(os.environ.get("TOMONI_TEST_CERTIFICATES", "2000"))
CLIENTS = 64
PATIENCE = 120


class Clients:
    """Clients that send a command again, with the same key, until it is acknowledged."""

    def __init__(self, system: System) -> None:
        self._url = system.node(SHIBUYA).url
        self._headers = {
            "Authorization": f"Bearer {system.node_token(SHIBUYA, 'clerk')}",
            "Content-Type": "application/json",
        }
        self._body = msgspec.json.encode(people.shibuya_couple(times.day_in_japan(times.now())))
        self._left = CERTIFICATES
        self.acknowledged: list[str] = []
        self.repeated = 0

    async def run(self) -> None:
        async with asyncio.timeout(600):
            await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        async with loopback.client(self._url, headers=self._headers, timeout=10) as http:
            while self._left > 0:
                self._left -= 1
                self.acknowledged.append(await self._issue(http))

    async def _issue(self, http: httpx.AsyncClient) -> str:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        while True:
            try:
                answer = await http.post("/v1/certificates", content=self._body, headers=headers)
            except httpx.TransportError:
                pass
            else:
                if answer.is_success:
                    return str(answer.json()["certificate"])
                assert answer.status_code in (409, 429, 500, 503), answer.text
            self.repeated += 1
            await asyncio.sleep(0.2)


async def _reached(clients: Clients, share: float) -> None:
    while len(clients.acknowledged) < share * CERTIFICATES:
        await asyncio.sleep(0.02)


async def _kill_each_once(system: System, clients: Clients) -> None:
    """Kill the four processes one after the other while commands flow, and start each again."""
    processes = [system.relay(SHIBUYA), system.federation, system.node(SHIBUYA), system.hub]
    for number, process in enumerate(processes, 1):
        await _reached(clients, number / (len(processes) + 1))
        process.kill()
        await asyncio.sleep(0.5)
        process.start()
        await asyncio.to_thread(process.wait_ready)


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not await condition():
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"it did not happen in {PATIENCE} s: {what}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_acknowledged_certificate_arrives_once_in_order_whatever_is_killed(folder: Path) -> None:
    with System(folder, [SHIBUYA]) as system:
        secretariat = system.federation_api("secretariat")
        secretariat.ask("/v1/admissions", system.admission_request(SHIBUYA))
        secretariat.close()
        system.relay(SHIBUYA).wait_ready()
        supervisor = system.node_api(SHIBUYA, "supervisor")
        supervisor.command("/v1/scheme/open", {"opens_on": "2020-04-01", "version": 0})
        supervisor.close()
        asyncio.run(_issue_and_compare(system))


async def _issue_and_compare(system: System) -> None:
    clients = Clients(system)
    await asyncio.gather(clients.run(), _kill_each_once(system, clients))
    assert len(set(clients.acknowledged)) == CERTIFICATES
    node = await asyncpg.connect(system.postgres.tcp_dsn(f"node_{SHIBUYA.code}"))
    federation = await asyncpg.connect(system.postgres.tcp_dsn("federation"))
    try:
        size = await node.fetchval("SELECT size FROM log.head")

        async def proven() -> bool:
            return await federation.fetchval("SELECT proven_size FROM mirror.log WHERE log = $1", SHIBUYA.code) == size

        await _until(proven, "the federation proves everything the node holds")
        await _compare(node, federation, clients.acknowledged)

        async def receipted() -> bool:
            return await node.fetchval("SELECT max(size) FROM relay.receipt") == size

        await _until(receipted, "the node has the receipt for everything it holds")
    finally:
        await node.close()
        await federation.close()


async def _compare(node: asyncpg.Connection, federation: asyncpg.Connection, acknowledged: list[str]) -> None:
    ours = await node.fetch("SELECT position, data FROM log.entry ORDER BY position")
    theirs = await federation.fetch(
        "SELECT position, data FROM mirror.entry WHERE log = $1 ORDER BY position", SHIBUYA.code
    )
    assert [tuple(row) for row in theirs] == [tuple(row) for row in ours]
    assert [row["position"] for row in ours] == list(range(len(ours)))
    issued = [event.subject for row in ours if isinstance(event := decode_event(row["data"]), CertificateIssued)]
    assert sorted(issued) == sorted(f"certificate/{identity}" for identity in acknowledged)
    size = len(ours)
    note = await node.fetchval("SELECT note FROM log.checkpoint WHERE size = $1", size)
    root = parse_checkpoint(read_note(note).text).root
    assert (
        await federation.fetchval("SELECT root FROM mirror.checkpoint WHERE log = $1 AND size = $2", SHIBUYA.code, size)
        == root
    )
    assert await federation.fetchval("SELECT count(*) FROM projection.document WHERE log = $1", SHIBUYA.code) == len(
        issued
    )
