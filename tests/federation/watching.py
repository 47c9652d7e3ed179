"""Somebody who watches documents, for the tests: by pages, and over a real connection."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import msgspec

from tests import loopback
from tomoni.processes import free_port
from tomoni.server import _serve_until

MANY = """
WITH made AS (
    INSERT INTO watch.change (watch, number, kind, reference, log, status, at)
    SELECT $1, w.last + n, 'status', 'case-' || n, '131130', 'valid', now()
    FROM watch.watch w, generate_series(1, $2::integer) AS n WHERE w.id = $1
)
UPDATE watch.watch SET last = last + $2 WHERE id = $1
"""
"""So many changes of a watch, made up."""


class Watcher:
    """One token's subject, with a watch; `scope` and `bound` say what its token may do."""

    def __init__(self, desk, scope="verifier", subject="watcher", **bound):
        self.desk, self._scope, self._bound = desk, scope, {"subject": subject, **bound}
        self.id = ""

    async def ask(self, method, path, body=None, **headers):
        token = self.desk.token(self._scope, **self._bound)
        all_headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **headers}
        return await self.desk.client.request(method, f"/v1/watches{path}", json=body, headers=all_headers)

    async def open(self, name="housing"):
        answer = await self.ask("POST", "", {"name": name})
        assert answer.status_code == 200, answer.text
        self.id = answer.json()["id"]
        return self

    async def add(self, *documents):
        """Watch (town, handle, reference); return what became of each."""
        named = [{"issuer": town.code, "handle": handle, "reference": ref} for town, handle, ref in documents]
        answer = await self.ask("POST", f"/{self.id}/documents", {"documents": named})
        assert answer.status_code == 200, answer.text
        return [one.get("reason", "watched") for one in answer.json()["documents"]]

    async def remove(self, *references):
        answer = await self.ask("POST", f"/{self.id}/documents/remove", {"references": references})
        assert answer.status_code == 204, answer.text

    async def page(self, after=0, limit=1_000):
        answer = await self.ask("GET", f"/{self.id}/changes?after={after}&limit={limit}")
        assert answer.status_code == 200, answer.text
        return answer.json()["changes"]

    async def told(self, after=0):
        """Return (reference, status) of the changes after a number, having seen that their numbers are dense.

        Of an issuer it is (code, state).
        """
        changes = await self.page(after)
        assert [one["id"] for one in changes] == list(range(after + 1, after + 1 + len(changes)))
        return [
            (one["issuer"], one["state"])
            if one["event"] == "issuer"
            else (one["reference"], one.get("status", one["event"]))
            for one in changes
        ]

    def stream(self, http, after=None, last_event_id=None):
        headers = {"Authorization": f"Bearer {self.desk.token(self._scope, **self._bound)}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        query = "" if after is None else f"?after={after}"
        return http.stream("GET", f"/v1/watches/{self.id}/changes{query}", headers=headers)


async def events(response):
    """Give (id, event, data) as they come."""
    fields = {}
    async for line in response.aiter_lines():
        if line == "":
            if "event" in fields:
                yield int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"])
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


async def take(response, count):
    taken = []
    async with asyncio.timeout(30):
        async for event in events(response):
            taken.append(event)
            if len(taken) == count:
                break
    return taken


@asynccontextmanager
async def served(desk):
    """Serve the desk's application as processes do; give its address, and what asks it to stop and waits until it has.

    Its feed runs beside it.
    """
    stop, port = asyncio.Event(), free_port()
    serving = asyncio.create_task(_serve_until(stop, desk.app, "127.0.0.1", port))
    feeding = asyncio.create_task(desk.watching.feed.run())

    async def end():
        stop.set()
        await serving

    url = f"http://127.0.0.1:{port}"
    async with loopback.client(url, timeout=30) as http:
        async with asyncio.timeout(20):
            while True:
                try:
                    if (await http.get("/health/live")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
        http.headers["Connection"] = "close"
        try:
            yield http, end
        finally:
            desk.watching.feed.close()
            await end()
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def register_all(watcher, issued):
    """Watch twelve documents of each town, one after another, some of them twice."""
    for number in range(12):
        await watcher.add(*((town, of[number][1], f"{town.code}-{number}") for town, of in issued))
        if number % 4 == 3:
            town, of = issued[0]
            await watcher.remove(f"{town.code}-{number}")
            await watcher.add((town, of[number][1], f"{town.code}-{number}"))


async def change_all(federation, issued):
    """Revoke all of them, and reinstate every other one."""
    for number in range(12):
        for town, of in issued:
            town.revoke(of[number][0])
            await federation.take(*town.messages(town.size - 1))
            if number % 2:
                town.reinstate(of[number][0])
                await federation.take(*town.messages(town.size - 1))
