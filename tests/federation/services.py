"""The federation as a process, made as an operator makes it, beside a real hub and a real PostgreSQL."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import msgspec

from tests import loopback
from tests.federation.towns import FEDERATION, Town
from tomoni.admission import sign_admission
from tomoni.auth import TokenIssuer
from tomoni.processes import free_port
from tomoni.secret_files import write_secret
from tomoni.transport import Committed, Connection, events_subject, heartbeats_subject, publish_batch, publish_one
from tomoni.transport.publish import Outgoing
from tomoni.transport.subjects import KIND_HEADER, POSITION_HEADER
from tomoni_cli.embedded.nats import EmbeddedNats
from tomoni_federation.initialise import NewFederation, initialise
from tomoni_federation.settings import Files, load_settings


class Service:
    """`tomoni federation serve`, to be killed and started again."""

    def __init__(self, files: Files, log: Path) -> None:
        self.files = files
        self.settings = load_settings(files.settings)
        self.url = f"http://127.0.0.1:{self.settings.http.port}"
        self._log = log
        self.process: asyncio.subprocess.Process | None = None

    @classmethod
    async def make(cls, folder: Path, hub: EmbeddedNats, owner_dsn: str, runner_dsn: str) -> "Service":
        seed = folder / "hub-federation.nk"
        write_secret(seed, hub.federation_endpoint().seed.encode())
        new = NewFederation(
            name=FEDERATION,
            folder=folder / "federation",
            owner_database=owner_dsn,
            database=runner_dsn,
            http_port=free_port(),
            hub=hub.url,
            hub_seed=seed,
        )
        made = await initialise(new)
        text = made.files.settings.read_text() + "tour = 3\n\n[limits]\nlookups_per_minute = 1000000\n"
        made.files.settings.write_text(text)
        return cls(made.files, folder / "federation.log")

    async def __aenter__(self) -> "Service":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def start(self) -> None:
        command = [sys.executable, "-m", "tomoni_cli.main", "federation", "serve", "--config", str(self.files.settings)]
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        async with asyncio.timeout(60):
            while not await self.is_ready():
                assert self.process.returncode is None, self._log.read_text()
                await asyncio.sleep(0.05)

    async def is_ready(self) -> bool:
        try:
            async with loopback.client() as client:
                return (await client.get(f"{self.url}/health/ready", timeout=10)).status_code == 200
        except httpx.TransportError:
            return False

    async def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        async with asyncio.timeout(30):
            return await self.process.wait()

    def log_text(self) -> str:
        return self._log.read_text()

    async def post(self, path: str, body: object, scope: str = "verifier") -> httpx.Response:
        tokens = self.settings.tokens
        token = TokenIssuer(self.files.token_key, tokens.issuer).issue("test", [scope], tokens.audience)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with loopback.client() as client:
            return await client.post(self.url + path, content=msgspec.json.encode(body), headers=headers, timeout=30)

    async def status(self, town: Town, handle: str, purpose: str = "counter") -> str:
        body = {"issuer": town.code, "handle": handle, "purpose": purpose}
        try:
            answer = await self.post("/v1/status", body)
            return answer.json()["status"] if answer.status_code == 200 else "refused"
        except httpx.TransportError:
            return "away"

    async def admit(self, town: Town, hub: EmbeddedNats) -> None:
        request = sign_admission(FEDERATION, town.code, town.log_key, town.heartbeat_key, hub.seeds[town.code])
        answer = await self.post("/v1/admissions", request, "secretariat")
        assert answer.status_code == 201, answer.text


class Relay:
    """Publishes a town's log as a relay does, batch after batch."""

    def __init__(self, town: Town, connection: Connection) -> None:
        self.town, self.connection, self.sent, self.sequence = town, connection, 0, 0

    async def send(self, size: int | None = None) -> None:
        messages = [
            Outgoing(one.data, {KIND_HEADER: str(one.kind), POSITION_HEADER: str(one.position)})
            for one in self.town.messages(self.sent, size)
        ]
        subject = events_subject(self.town.code)
        outcome = await publish_batch(self.connection, subject, messages, self.sequence)
        assert isinstance(outcome, Committed), outcome
        self.sent, self.sequence = size or self.town.size, outcome.sequence

    async def beat(self, at) -> None:
        note = self.town.heartbeat(at).data
        outcome = await publish_one(self.connection, heartbeats_subject(self.town.code), Outgoing(note, {}), None)
        assert isinstance(outcome, Committed), outcome
