"""Fifty followers and twenty towns that publish, while the federation is killed: every change once, in order."""

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import httpx
import pytest

from tests import loopback
from tests.federation.services import Relay, Service
from tests.federation.towns import Town
from tests.federation.watching import events
from tests.transport.hubs import Hub, eventually, node
from tomoni import times
from tomoni.auth import TokenIssuer
from tomoni.jurisdictions import all_jurisdictions

TOWNS, DOCUMENTS, WATCHES, FOLLOWERS = 20, 6, 5, 50
CODES = [one.code for one in all_jurisdictions() if one.code[:4] in ("1310", "1311", "1312")][:TOWNS]
TOTAL = TOWNS * DOCUMENTS


class Follower:
    """Follows a watch until it has so many events, from wherever it was cut off."""

    def __init__(self, http, watch, token, wanted=2 * TOTAL):
        self._wanted = wanted
        self._http, self._path = http, f"/v1/watches/{watch}/changes"
        self._headers = {"Authorization": f"Bearer {token}"}
        self.taken = []
        self.streams = 0

    async def run(self):
        while len(self.taken) < self._wanted:
            try:
                await self._follow()
            except httpx.TransportError:
                await asyncio.sleep(0.1)

    async def _follow(self):
        headers = self._headers | ({"Last-Event-ID": str(self.taken[-1][0])} if self.taken else {})
        async with self._http.stream("GET", self._path, headers=headers) as response:
            if response.status_code != 200:
                assert response.status_code in (429, 503)
                await asyncio.sleep(0.1)
                return
            self.streams += 1
            async for event in events(response):
                self.taken.append(event)
                if len(self.taken) == self._wanted:
                    return


class Scene:
    """The federation's process, its towns with their relays, and those who watch."""

    def __init__(self, service, relays):
        self.service, self.relays = service, relays
        self.issued = {}
        self.revoked = 0
        self.second_half = asyncio.Event()

    async def issue_all(self):
        for relay in self.relays:
            self.issued[relay.town.code] = [relay.town.issue() for _ in range(DOCUMENTS)]
            await relay.send()
            await relay.beat(times.now())
        for code, issued in self.issued.items():
            async with asyncio.timeout(60):
                while await self.service.status(Town(code), issued[-1][1]) != "valid":
                    await asyncio.sleep(0.1)

    async def revoke_all(self, relay):
        for number, (certificate, _) in enumerate(self.issued[relay.town.code]):
            if number == DOCUMENTS // 2:
                await self.second_half.wait()
            relay.town.revoke(certificate)
            await relay.send()
            self.revoked += 1
            await asyncio.sleep(0.05)

    async def kill_twice(self, followers):
        """Kill it in the midst of each half, everybody following."""
        for half in (1, 2):
            await eventually(lambda half=half: all(one.streams >= half for one in followers))
            if half == 2:
                self.second_half.set()
            await eventually(lambda half=half: self.revoked >= (half / 2 - 0.3) * TOTAL)
            await self.service.kill()
            await self.service.start()

    def client(self):
        limits = httpx.Limits(max_connections=None)
        return loopback.client(self.service.url, timeout=30, limits=limits)

    async def open_watch(self, http, number):
        """Watch every document; return the watch and its owner's token."""
        tokens = self.service.settings.tokens
        issuer = TokenIssuer(self.service.files.token_key, tokens.issuer)
        token = issuer.issue(f"tokyo-{number}", ["aggregator"], tokens.audience, prefecture="13")
        headers = {"Authorization": f"Bearer {token}"}
        watch = (await http.post("/v1/watches", json={"name": "housing"}, headers=headers)).json()["id"]
        named = [
            {"issuer": code, "handle": handle, "reference": f"{code}-{number}"}
            for code, issued in self.issued.items()
            for number, (_, handle) in enumerate(issued)
        ]
        answer = await http.post(f"/v1/watches/{watch}/documents", json={"documents": named}, headers=headers)
        assert all(one["watched"] for one in answer.json()["documents"]), answer.text
        return watch, token


@pytest.fixture
async def scene(database, tmp_path):
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub(tmp_path / "hub", CODES))
        service = await Service.make(tmp_path, hub, database.owner_dsn, database.runner_dsn)
        await stack.enter_async_context(service)
        relays = []
        for code in CODES:
            town = Town(code)
            await service.admit(town, hub)
            relays.append(Relay(town, await stack.enter_async_context(node(hub, code))))
        yield Scene(service, relays)


def require_every_change_once_in_order(taken):
    assert [number for number, _, _ in taken] == list(range(1, 2 * TOTAL + 1))
    by_issuer = defaultdict(list)
    last = {}
    for _, event, data in taken:
        if event == "status" and data["status"] == "not-valid":
            by_issuer[data["issuer"]].append(data["reference"])
        last[data["reference"]] = data["status"]
    assert by_issuer == {code: [f"{code}-{number}" for number in range(DOCUMENTS)] for code in CODES}
    assert set(last.values()) == {"not-valid"}


@pytest.mark.slow
async def test_killed_while_fifty_follow_and_twenty_towns_publish_it_tells_every_change_once_in_order(scene):
    await scene.issue_all()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(scene.client())
        watches = [await scene.open_watch(http, number) for number in range(WATCHES)]
        followers = [Follower(http, *watches[number % WATCHES]) for number in range(FOLLOWERS)]
        publishing = [scene.revoke_all(relay) for relay in scene.relays]
        await asyncio.gather(scene.kill_twice(followers), *publishing, *(follower.run() for follower in followers))
        for follower in followers:
            require_every_change_once_in_order(follower.taken)
            assert follower.streams >= 3
        for watch, token in watches:
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            page = await http.get(f"/v1/watches/{watch}/changes?after={2 * TOTAL}", headers=headers)
            assert page.json()["changes"] == []
    assert await scene.service.stop() == 0
    text = scene.service.log_text()
    assert not any(handle in text or f"{code}-0" in text for code, of in scene.issued.items() for _, handle in of)


@asynccontextmanager
async def owner_of(database):
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        yield connection
    finally:
        await connection.close()


TURNS = ("quarantined", "live", "quarantined", "live")
A_TURN = TOWNS + TOTAL


def require_every_turn_once_before_the_documents(taken):
    assert [number for number, _, _ in taken] == list(range(1, TOTAL + len(TURNS) * A_TURN + 1))
    by_issuer = defaultdict(list)
    for _, event, data in taken:
        by_issuer[data["issuer"]].append((event, data.get("state") or data["status"]))
    told = [("snapshot", "valid")] * DOCUMENTS
    for state in TURNS:
        status = "valid" if state == "live" else "unknown"
        told += [("issuer", state), *[("status", status)] * DOCUMENTS]
    assert by_issuer == dict.fromkeys(CODES, told)


@pytest.mark.slow
async def test_killed_while_it_tells_of_issuers_that_stop_and_return_it_tells_every_turn_once(scene, database):
    await scene.issue_all()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(scene.client())
        owner = await stack.enter_async_context(owner_of(database))
        watches = [await scene.open_watch(http, number) for number in range(WATCHES)]
        followers = [Follower(http, *watch, TOTAL + len(TURNS) * A_TURN) for watch in watches]
        following = [asyncio.create_task(follower.run()) for follower in followers]
        for turn, state in enumerate(TURNS):
            before = TOTAL + turn * A_TURN
            await eventually(lambda: all(len(one.taken) == before for one in followers))  # noqa: B023  # awaited here
            while not await owner.fetchval("SELECT bool_and(settled) FROM watch.issuer"):
                await asyncio.sleep(0.05)  # a look that is under way would tell the later ones first
            async with owner.transaction():  # half of the issuers can be told of, and then it waits until it is killed
                await owner.execute("SELECT FROM watch.issuer WHERE log = $1 FOR UPDATE", CODES[TOWNS // 2])
                async with owner_of(database) as other:
                    await other.execute("UPDATE mirror.log SET state = $1", "open" if state == "live" else state)
                half = before + A_TURN // 2
                await eventually(lambda: all(len(one.taken) == half for one in followers))  # noqa: B023
                await scene.service.kill()
            await scene.service.start()
        await asyncio.gather(*following)
    for follower in followers:
        require_every_turn_once_before_the_documents(follower.taken)
        assert follower.streams > len(TURNS)
