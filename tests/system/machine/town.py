"""A town: its node and its relay, its database, and what its clerks ask for until they are answered."""

import asyncio
import uuid
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from tests.system.machine.databases import Database
from tests.system.machine.processes import Process, relaying
from tests.transport.hubs import Hub
from tomoni.admission import AdmissionRequest
from tomoni.auth import TokenIssuer
from tomoni.eventlog.errors import SigningRefused
from tomoni.secret_files import read_secret
from tomoni.settings import load
from tomoni.tail import TailPage
from tomoni_registry.app import open_registry
from tomoni_registry.initialise import Databases, NewNode, initialise
from tomoni_registry.recover import Recovered, recover
from tomoni_registry.relay.settings import RelaySettings
from tomoni_registry.settings import Files, load_settings

FEDERATION = "tomoni.example"
PRESET = "amagasaki"
"""Its rules know residents and people who are about to move in."""
BEAT_SECONDS = 0.5
LAG_SECONDS = 0.5
PATIENCE = 60


class Town:
    """A town's node and relay. `entries` is its log as it was last seen, which may only grow."""

    def __init__(self, code: str, folder: Path, database: Database) -> None:
        self.code, self.database, self.files = code, database, Files(folder)
        self.entries: list[bytes] = []
        self.rotations = 0
        self.is_lost = False
        """Its database is an old backup, and nothing was brought back yet."""
        self._tokens: dict[str, str] = {}

    async def make(self, hub: Hub, receipt_key: str) -> None:
        """Make it as an operator does, and give the hub its transport key."""
        new = NewNode(
            code=self.code, federation=FEDERATION, folder=self.files.folder, preset=PRESET, receipt_key=receipt_key
        )
        await initialise(new, Databases(owner=self.database.owner_dsn))
        text = self.files.settings.read_text() + f"\n[log]\nheartbeat_seconds = {BEAT_SECONDS}\n"
        self.files.settings.write_text(text)
        self.settings = load_settings(self.files.settings)
        self._relay_settings = self.files.relay_settings.read_text().replace("nats://127.0.0.1:4222", hub.url)
        self.files.relay_settings.write_text(f"lag_seconds = {LAG_SECONDS}\n{self._relay_settings}")
        hub.seeds[self.code] = read_secret(self.files.transport_seed).decode().strip()
        hub.users[self.code] = self.admission().transport_key
        self.node = Process(lambda: open_registry(self.settings))
        self.relay = Process(lambda: relaying(load(RelaySettings, self.files.relay_settings)))

    def admission(self) -> AdmissionRequest:
        return msgspec.json.decode(self.files.admission.read_bytes(), type=AdmissionRequest)

    async def command(self, path: str, body: dict, scope: str = "clerk") -> httpx.Response:
        """Send a command, with the same key again and again until it is known what became of it."""
        headers = {"Authorization": f"Bearer {self._token(scope)}", "Idempotency-Key": str(uuid.uuid4())}
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self._post(path, body, headers)
                if answer is not None and answer.status_code != 503 and not _is_conflict(answer):
                    return answer
                await asyncio.sleep(0.02)

    async def _post(self, path: str, body: dict, headers: dict[str, str]) -> httpx.Response | None:
        app = self.node.it
        if app is None:
            return None
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
            return await client.post(path, json=body, headers=headers)

    def _token(self, scope: str) -> str:
        if scope not in self._tokens:
            issuer = TokenIssuer(self.files.token_key, self.settings.tokens.issuer)
            audience = self.settings.tokens.audience
            self._tokens[scope] = issuer.issue("clerk-1", [scope], audience, jurisdiction=self.code)
        return self._tokens[scope]

    async def see(self) -> list[tuple[int, bytes]]:
        """Return what the log holds beyond what was seen, with positions, and require the rest to be as it was."""
        rows = [
            tuple(row) for row in await self.database.fetch("SELECT position, data FROM log.entry ORDER BY position")
        ]
        assert rows[: len(self.entries)] == list(enumerate(self.entries)), f"{self.code} changed its history"
        new = rows[len(self.entries) :]
        self.entries += [data for _, data in new]
        return new

    async def restore(self, *, relay_first: bool) -> None:
        """Put the old backup in the place of the database; the node has to refuse to sign over it."""
        await self.node.kill()
        await self.relay.kill()
        signed_more = len(self.entries) > self.database.backup_size
        await self.database.restore()
        if relay_first:
            await self.relay.start()
        if signed_more:
            with pytest.raises(SigningRefused):
                await self.node.start()
        self.is_lost = True

    async def back_up(self) -> None:
        """Keep a copy of the database as it is now."""
        await self.node.kill()
        await self.relay.kill()
        await self.database.back_up(len(self.entries))
        await self.relay.start()
        await self.node.start()

    async def recover(self, tail: "Tail") -> None:
        """Bring back from the federation what the backup lacks, and go on."""
        recovered: Recovered = await recover(self.settings, tail)
        assert recovered.size == recovered.signed == len(self.entries)
        self.is_lost = False
        await self.node.start()
        if self.relay.it is None:
            await self.relay.start()


class Tail:
    """The federation's route for a town that lost its tail, as `tomoni registry recover` asks it."""

    def __init__(self, client: httpx.AsyncClient, code: str, token: str) -> None:
        self._client, self._path = client, f"/v1/jurisdictions/{code}/tail"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def page(self, start: int) -> TailPage:
        answer = await self._client.get(self._path, params={"from": start}, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=TailPage)


def _is_conflict(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json()["type"].endswith("/conflict")


BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What is raised by a connection that the machine has cut."""
