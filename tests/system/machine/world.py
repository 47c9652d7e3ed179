"""The whole system in one process: two towns, a hub, the federation, and the model that they are held against.

It is made once; each example of the state machine goes on where the one before it left it, whole again.
"""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

import httpx
import msgspec

from tests.system.machine.databases import Database
from tests.system.machine.model import Model
from tests.system.machine.processes import Process
from tests.system.machine.town import BROKEN, FEDERATION, Tail, Town
from tests.transport.hubs import Hub
from tomoni import times
from tomoni.auth import TokenIssuer
from tomoni.secret_files import write_secret
from tomoni.tlog.checkpoint import parse_checkpoint
from tomoni.tlog.merkle import CompactRange, leaf_hash
from tomoni.tlog.note import read_note
from tomoni_cli.embedded.postgres import EmbeddedPostgres
from tomoni_federation.app import open_federation
from tomoni_federation.initialise import NewFederation, initialise
from tomoni_federation.projections.digest import digest
from tomoni_federation.rebuild.run import rebuild
from tomoni_federation.settings import load_settings

CODES = ("282022", "131121")
SERVICE = "public-housing"
PATIENCE = 60
"""Seconds after which what has to come is given up."""

Asked = tuple[str, str, str]
"""Issuer, subject and handle of a document."""


class World:
    """All services, everything known of them, and what may be done to them."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path) -> None:
        name = f"m{tempfile.mktemp(dir='').replace('_', '')}"
        self.folder, self.model, self.documents = folder, Model(), list[Asked]()
        self.database = Database(postgres, f"{name}f")
        self.towns = {code: Town(code, folder / code, Database(postgres, f"{name}n{code}")) for code in CODES}
        self.hub = Hub(folder / "hub", CODES)
        self.hub_is_up = True
        self.proven = dict.fromkeys(CODES, 0)
        self.failure: Exception | None = None
        """The first thing that was not as it has to be: everything after it goes on from what is broken."""
        self._tokens: dict[tuple[str, str | None], str] = {}

    async def make(self) -> None:
        """Make everything, start it, and admit the towns with their schemes open."""
        for database in (self.database, *(town.database for town in self.towns.values())):
            await database.make()
        seed = self.folder / "hub.seed"
        write_secret(seed, self.hub.federation_endpoint().seed.encode())
        new = NewFederation(
            name=FEDERATION,
            folder=self.folder / "federation",
            owner_database=self.database.owner_dsn,
            hub=self.hub.url,
            hub_seed=seed,
        )
        made = await initialise(new)
        text = made.files.settings.read_text() + "\n[limits]\nlookups_per_minute = 100000000\n"
        made.files.settings.write_text(text)
        self.settings = load_settings(made.files.settings)
        for town in self.towns.values():
            await town.make(self.hub, made.receipt_key)
        await self.hub.__aenter__()
        self.federation = Process(lambda: open_federation(self.settings))
        await self.federation.start()
        for code, town in self.towns.items():
            answer = await self.ask("/v1/admissions", msgspec.to_builtins(town.admission()), "secretariat")
            assert answer is not None, code
            await town.node.start()
            await town.relay.start()
            opened = await town.command("/v1/scheme/open", {"opens_on": "2015-11-05", "version": 0}, "supervisor")
            assert opened.status_code == 200, opened.text
            self.model.record(code, "scheme", "opened")
        await self.settle()
        for town in self.towns.values():
            await town.back_up()
        await self.keep_hub()

    async def close(self) -> None:
        """End everything."""
        for town in self.towns.values():
            await town.relay.kill()
            await town.node.kill()
            await town.database.close()
        await self.federation.kill()
        await self.database.close()
        await self.hub.__aexit__()

    async def ask(self, path: str, body: object, scope: str = "verifier") -> dict | None:
        """Ask the federation; None where it cannot answer."""
        async with self.client() as client:
            if client is None:
                return None
            answer = await client.post(path, json=body, headers={"Authorization": f"Bearer {self.token(scope)}"})
        assert answer.is_success or answer.status_code == 503, answer.text
        return answer.json() if answer.is_success else None

    @contextlib.asynccontextmanager
    async def client(self):
        """Give HTTP to the federation; None while it is down."""
        app = self.federation.it
        if app is None:
            yield None
            return
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://federation") as client:
            yield client

    def token(self, scope: str, jurisdiction: str | None = None) -> str:
        """Return a token of the federation."""
        key = (scope, jurisdiction)
        if key not in self._tokens:
            issuer = TokenIssuer(self.settings.files.token_key, self.settings.tokens.issuer)
            audience = self.settings.tokens.audience
            self._tokens[key] = issuer.issue("somebody", [scope], audience, jurisdiction=jurisdiction)
        return self._tokens[key]

    # What holds after every step

    async def check(self, documents: list[Asked]) -> None:
        """Require of everything, as it is now, what has to hold whatever was done to it."""
        for process in (self.federation, *(each for town in self.towns.values() for each in (town.node, town.relay))):
            process.require_alive()
        await self._check_mirror()
        assert not self.model.unplaced() or any(town.is_lost for town in self.towns.values())
        await self.check_answers(documents)

    async def _see(self, town: Town) -> None:
        if town.is_lost:
            return
        for position, data in await town.see():
            event = msgspec.json.decode(data)
            self.model.place(town.code, event["subject"], event["data"]["version"], position)

    async def _check_mirror(self) -> None:
        """Every proven entry is the town's, at its place, once; none is taken back; nobody is accused or stopped."""
        rows = await self.database.fetch("SELECT log, position, data FROM mirror.entry ORDER BY log, position")
        for town in self.towns.values():  # after the mirror: it cannot be ahead of what the nodes hold then
            await self._see(town)
        for code, town in self.towns.items():
            held = [(row["position"], row["data"]) for row in rows if row["log"] == code]
            assert held == list(enumerate(town.entries[: len(held)])), f"the mirror of {code} is not its log"
            assert len(held) >= self.proven[code], f"the mirror of {code} lost what was proven"
            self.proven[code] = len(held)
        stopped = "SELECT log FROM mirror.log WHERE state <> 'open' UNION SELECT log FROM mirror.evidence"
        halted = "UNION SELECT log FROM projection.cursor WHERE halted IS NOT NULL OR unknown OR missing_unknown"
        assert await self.database.fetch(f"{stopped} {halted}") == []

    async def check_answers(self, documents: list[Asked]) -> int:
        """Require legal answers: of a state between what is proven already and what is committed by the end.

        Returns how many of them were not unknown.
        """
        if not documents:
            return 0
        low = await self._proven_sizes()
        named = [{"issuer": issuer, "handle": handle} for issuer, _, handle in documents]
        statuses = await self.ask("/v1/status/batch", {"purpose": "counter", "documents": named})
        others = {code: CODES[1 - number] for number, code in enumerate(CODES)}
        questions = [each | {"receiver": others[each["issuer"]], "service": SERVICE} for each in named]
        decisions = await self.ask("/v1/recognition/batch", {"purpose": "counter", "questions": questions})
        for town in self.towns.values():
            await self._see(town)
        high = {code: len(town.entries) for code, town in self.towns.items()}
        today, known = str(times.day_in_japan(times.now())), 0
        for number, (issuer, subject, handle) in enumerate(documents):
            legal = self.model.statuses(issuer, subject, handle, low[issuer], high[issuer], today)
            if statuses is not None:
                answer = statuses["answers"][number]
                assert answer["status"] in legal | {"unknown"}, (answer, legal, low, high)
                known += answer["status"] != "unknown"
            if decisions is not None:
                answer = decisions["answers"][number]
                receiver = others[issuer]
                declared = self.model.recognitions(issuer, receiver, low[receiver], high[receiver])
                assert answer["decision"] in _decisions(legal, declared), (answer, legal, declared, low, high)
                assert answer["certificate"]["status"] in legal | {"unknown"}, (answer, legal)
        return known

    async def _proven_sizes(self) -> dict[str, int]:
        return {row["log"]: row["proven_size"] for row in await self.database.fetch("SELECT * FROM mirror.log")}

    # What may be done

    async def kill_hub(self) -> None:
        """Kill the hub, its files as they are."""
        if self.hub_is_up:
            await self.hub.kill()
        self.hub_is_up = False

    async def start_hub(self) -> None:
        """Start the hub."""
        if not self.hub_is_up:
            await self.hub.start()
        self.hub_is_up = True

    async def wipe_hub(self) -> None:
        """Lose every stream."""
        await self.kill_hub()
        shutil.rmtree(self.hub.folder / "js")
        await self.start_hub()
        await self.hub.provision()

    async def keep_hub(self) -> None:
        """Take a copy of the hub's storage."""
        await self.kill_hub()
        kept = self.folder / "hub-kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.hub.folder / "js", kept)
        await self.start_hub()

    async def restore_hub(self) -> None:
        """Put an old copy of the hub's storage in its place."""
        await self.kill_hub()
        shutil.rmtree(self.hub.folder / "js")
        shutil.copytree(self.folder / "hub-kept", self.hub.folder / "js")
        await self.start_hub()

    async def rebuild(self) -> None:
        """Make the read model anew, as often as it is cut off; it is equal."""
        while True:
            try:
                rebuilt = await rebuild(self.database.owner_dsn, FEDERATION)
            except BROKEN:
                continue
            assert rebuilt.switched
            assert rebuilt.differences == []
            return

    async def recover(self, town: Town) -> None:
        """Bring back what a restored town has lost."""
        async with self.client() as client:
            assert client is not None
            await town.recover(Tail(client, town.code, self.token("supervisor", town.code)))

    # How it comes to rest

    async def heal(self) -> None:
        """Take all faults away, and nothing else: what they did mends itself."""
        await self.start_hub()
        if self.federation.it is None:
            await self.federation.start()
        for town in self.towns.values():
            if town.is_lost:
                await self.recover(town)
            for process in (town.node, town.relay):
                if process.it is None:
                    await process.start()

    async def settle(self, documents: list[Asked] | None = None) -> None:
        """Heal, wait until nothing is under way, and require that nothing is missing."""
        await self.heal()
        await self._rest()
        await self.check([])
        assert self.model.unplaced() == []
        if documents:
            assert await self.check_answers(documents) == len(documents)
        before = await self._digest()
        await self._check_roots()
        await self.rebuild()
        assert await self._digest() == before

    async def _rest(self) -> None:
        """Wait until everything is proven, projected, fresh and receipted; say what is not, where that never comes."""
        try:
            async with asyncio.timeout(PATIENCE):
                while missing := await self._missing():
                    await self.check([])
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"it never came to rest: {missing}") from None

    async def _missing(self) -> dict[str, object]:
        """Return of each town how much of its log is proven, projected, fresh and receipted, where that is not all."""
        query = """SELECT l.proven_size, c.position, c.fresh_as_of IS NOT NULL AS heard
            FROM mirror.log l JOIN projection.cursor c USING (log) WHERE l.log = $1"""
        missing: dict[str, object] = {}
        for code, town in self.towns.items():
            await self._see(town)
            size = len(town.entries)
            [row] = await self.database.fetch(query, code)
            [receipt] = await town.database.fetch("SELECT max(size) FROM relay.receipt")
            if (found := (*row, *receipt)) != (size, size, True, size):
                missing[code] = size, *found
        return missing

    async def _check_roots(self) -> None:
        """The root of the town's bytes, of what its key has signed, and of what the federation has proven, is one."""
        for code, town in self.towns.items():
            grown = CompactRange()
            grown.extend(leaf_hash(entry) for entry in town.entries)
            query = "SELECT note FROM {}.checkpoint WHERE size = $1 {}"
            signed = await town.database.fetch(query.format("log", ""), grown.size)
            proven = await self.database.fetch(query.format("mirror", "AND log = $2"), grown.size, code)
            for [row] in (signed, proven):
                assert parse_checkpoint(read_note(row["note"]).text).root == grown.root()
            [row] = await self.database.fetch("SELECT compact FROM mirror.log WHERE log = $1", code)
            assert row["compact"] == grown.to_bytes()

    async def _digest(self) -> str:
        return await self.database.digest(digest)


def _decisions(statuses: set[str], declared: set[bool]) -> set[str]:
    """Return what may be decided of a document of another town."""
    legal = {"unknown"}
    if statuses & {"valid", "conditional"} and True in declared:
        legal.add("recognised")
    if statuses - {"valid", "conditional"} or False in declared:
        legal.add("not-recognised")
    return legal
